"""Read a BIDS dataset: which images there are, of whom, when, and what is known.

Nothing is opened but tables and file names; so a dataset of tens of thousands of scans
is read in seconds. What cannot be used is listed with its reason and never an error of
the whole, unless nothing is left.

References
----------
Gorgolewski et al. 2016, Scientific Data 3:160044; Norgaard et al. 2022 (PET-BIDS),
Scientific Data 9:65.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mri2pet.cohort.visits import read_visits

SUFFIXES = {"T1w": "mri", "pet": "pet"}
FOLDERS = {"anat": "T1w", "pet": "pet"}
IMAGES = [
    *("image", "path", "participant_id", "session_id", "kind", "tracer", "run"),
    *("days", "sidecar"),
]
SKIPPED = ["path", "reason"]
# AV45 has many names; the rest of the package speaks of AV45.
_TRACERS = {"av45": "AV45", "florbetapir": "AV45", "18fav45": "AV45", "amyvid": "AV45"}
_NAME = re.compile(r"^(?P<entities>(?:[A-Za-z]+-[^_]+_)+)(?P<suffix>[A-Za-z0-9]+)$")


@dataclass(frozen=True)
class Dataset:
    """What a dataset holds.

    Attributes
    ----------
    path : Path
    images : DataFrame
        A line per usable image: image (path relative to the dataset), path,
        participant_id, session_id, kind (mri or pet), tracer, run, days (since the
        person's first dated session; NaN if unknown), sidecar (path or "").
    visits : DataFrame
        By (participant_id, session_id): days, age, sex, education, apoe_e4,
        diagnosis (CN, MCI, AD), mmse; missing where unknown.
    skipped : DataFrame
        path and reason of what is not used.
    """

    path: Path
    images: pd.DataFrame
    visits: pd.DataFrame
    skipped: pd.DataFrame


def read_bids(path: str | Path, tracer: str = "AV45") -> Dataset:
    """Index a BIDS dataset.

    Parameters
    ----------
    path : str or Path
    tracer : str
        PETs of other tracers are listed as skipped. A PET that names none is taken.

    Returns
    -------
    Dataset
        The same whatever the order in which the file system lists names.

    Raises
    ------
    ValueError
        No such folder, not readable, or no T1w image in it.
    """
    root = Path(path)
    if not root.is_dir():
        raise ValueError(f"{root}: there is no such folder; expected a BIDS dataset")
    skipped: list[tuple[str, str]] = []
    lines = list(_walk(root, tracer, skipped))
    images = pd.DataFrame(lines, columns=[c for c in IMAGES if c != "days"])
    if "mri" not in set(images["kind"]):
        more = f" ({skipped[0][0]}: {skipped[0][1]})" if skipped else ""
        raise ValueError(
            f"{root}: no T1w image under sub-*/[ses-*/]anat{more}; is this BIDS?"
        )
    images, doubles = one_each(images)
    skipped += doubles
    _mixed_case(images, skipped)
    visits = read_visits(root, images, skipped)
    days = visits["days"]
    images["days"] = [
        days.get((p, s), np.nan)
        for p, s in zip(images["participant_id"], images["session_id"], strict=True)
    ]
    images = images[IMAGES].sort_values("image", kind="stable", ignore_index=True)
    table = pd.DataFrame(sorted(skipped), columns=SKIPPED)
    return Dataset(root, images, visits, table)


def _walk(root: Path, tracer: str, skipped) -> Iterator[tuple]:
    inside = os.path.realpath(root)
    for subject in _folders(root, "sub-", inside, skipped):
        sessions = _folders(subject, "ses-", inside, skipped)
        for folder in [subject, *sessions]:
            for kind, suffix in FOLDERS.items():
                where = folder / kind
                if where.is_dir():
                    yield from _images(root, where, suffix, tracer, inside, skipped)


def _folders(parent: Path, prefix: str, inside: str, skipped) -> list[Path]:
    try:
        found = sorted(e.name for e in os.scandir(parent) if e.name.startswith(prefix))
    except OSError as error:
        skipped.append((str(parent), f"cannot be read ({error.strerror})"))
        return []
    kept = []
    for name in found:
        folder = parent / name
        if _outside(folder, inside):
            skipped.append((str(folder), "a link out of the dataset is not followed"))
        elif folder.is_dir():
            kept.append(folder)
    return kept


def _outside(path: Path, inside: str) -> bool:
    if not path.is_symlink():
        return False
    target = os.path.realpath(path)
    return os.path.commonpath([inside, target]) != inside


def _images(root, folder: Path, suffix: str, tracer: str, inside, skipped):
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError as error:
        skipped.append((str(folder), f"cannot be read ({error.strerror})"))
        return
    for name in names:
        stem = _stem(name)
        if stem is None or not stem.endswith(f"_{suffix}"):
            continue
        path, relative = folder / name, str((folder / name).relative_to(root))
        match = _NAME.match(stem)
        entities = (
            dict(part.split("-", 1) for part in match["entities"].strip("_").split("_"))
            if match
            else {}
        )
        session = f"ses-{entities['ses']}" if "ses" in entities else ""
        subject = f"sub-{entities.get('sub', '')}"
        if str(folder.parent.relative_to(root)) != str(Path(subject, session)):
            skipped.append((relative, "its name does not fit the folder it lies in"))
        elif _outside(path, inside):
            skipped.append((relative, "a link out of the dataset is not followed"))
        else:
            sidecar = folder / f"{stem}.json"
            label = entities.get("trc") or _named_tracer(sidecar, suffix)
            known = _TRACERS.get(re.sub(r"[^a-z0-9]", "", label.lower()), label)
            if suffix == "pet" and known and known != tracer:
                skipped.append((relative, f"tracer {label}, not {tracer}"))
                continue
            yield (
                *(relative, str(path), subject, session),
                *(SUFFIXES[suffix], known if suffix == "pet" else ""),
                *(entities.get("run", ""), str(sidecar) if sidecar.is_file() else ""),
            )


def _named_tracer(sidecar: Path, suffix: str) -> str:
    if suffix != "pet" or not sidecar.is_file():
        return ""
    try:
        return str(
            json.loads(sidecar.read_text(encoding="utf-8-sig")).get("TracerName", "")
        )
    except (OSError, ValueError, AttributeError):
        return ""


def _stem(name: str) -> str | None:
    for ending in (".nii.gz", ".nii"):
        if name.endswith(ending) and not name.startswith("."):
            return name[: -len(ending)]
    return None


def one_each(images: pd.DataFrame):
    """Keep the first run of each person, session and kind, and list the others."""
    key = ["participant_id", "session_id", "kind"]
    ordered = images.sort_values([*key, "run", "image"], kind="stable")
    double = ordered.duplicated(key)
    reasons = [
        (name, "another run of the session is used")
        for name in ordered.loc[double, "image"]
    ]
    return ordered[~double].copy(), reasons


def _mixed_case(images: pd.DataFrame, skipped) -> None:
    """Name people whose ids differ in case only; they stay apart."""
    people = sorted(set(images["participant_id"]))
    lower: dict[str, list[str]] = {}
    for person in people:
        lower.setdefault(person.lower(), []).append(person)
    for same in lower.values():
        if len(same) > 1:
            text = "ids that differ in case only are taken as different people"
            skipped.append((" and ".join(same), text))
