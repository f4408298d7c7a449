"""Make a raw BIDS dataset of phantoms, as an imaging study would hand it over."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial as bind
from pathlib import Path
from typing import Any

import nibabel as nib
import pandas as pd

import mri2pet
from mri2pet.cohort.building import (
    Build,
    check_same,
    file_hash,
    folder_hash,
    table_hash,
    write_whole,
)
from mri2pet.cohort.files import save_image
from mri2pet.cohort.phantom import constants as k
from mri2pet.cohort.phantom import raw_constants as r
from mri2pet.cohort.phantom import sidecars
from mri2pet.cohort.phantom.plan import plan
from mri2pet.cohort.phantom.raw import check_scanners, scan
from mri2pet.cohort.phantom.tables import scan_table, truth_table
from mri2pet.cohort.store import partial_path

TRUTH = Path("derivatives", "truth")
_SPEC = "code/phantom.json"  # written last: a dataset that has it is complete
_LEAST, _MOST = 2, 30000
_CHOSEN, _CHOSEN_FROM = 4, 12


def make_dataset(
    out: str | Path,
    *,
    subjects: int,
    seed: int = 0,
    rho: float = k.RHO,
    t1_mm: float = 1.0,
    pet_mm: float = 2.0,
    frames: int = r.FRAME_COUNT,
    workers: int = 1,
    truth: bool = True,
    anatomies: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Make, or resume making, a raw BIDS dataset of simulated people.

    The bytes depend on the arguments but neither on ``workers`` nor on how often the
    work was interrupted. A complete dataset of the same arguments is returned at once.

    Parameters
    ----------
    out : str or Path
        Of the dataset; it is built under ``<out>.partial``.
    subjects : int
        People, see :func:`choose_people`.
    seed : int
    rho : float
        Link between amyloid and what an MRI shows, 0 <= rho < 1.
    t1_mm, pet_mm : float
        Voxels of the scanners, 0.8 to 6 mm.
    frames : int
        Of every PET, 1 to 30.
    workers : int
        Processes.
    truth : bool
        Whether to write ``derivatives/truth``.
    anatomies : str or Path, optional
        Folder of segmented T1s (see :func:`mri2pet.cohort.template.load_anatomies`).
    progress : callable, optional
        Called as ``progress(done, total)`` after every scan.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        For impossible numbers, or if ``out`` holds something else.
    """
    out = Path(out)
    if workers < 1:
        raise ValueError(f"workers must be at least 1; got {workers}")
    check_scanners(t1_mm, pet_mm, frames)
    people = choose_people(subjects, seed=seed, rho=rho)
    spec = {
        "version": mri2pet.__version__,
        "subjects": int(subjects),
        "seed": int(seed),
        "rho": float(rho),
        "t1_mm": float(t1_mm),
        "pet_mm": float(pet_mm),
        "frames": int(frames),
        "truth": bool(truth),
        "anatomies": folder_hash(anatomies),
        "constants": k.constants_hash(),
        "raw_constants": k.constants_hash(r),
        "scans": table_hash(people[["person", "visit", "part", "labelled"]]),
    }
    if out.exists():
        found = _spec_of(out)
        if found is None:
            raise ValueError(
                f"{out}: holds something else than a dataset of phantoms; choose "
                "another path"
            )
        check_same(out, found, spec)
        return out
    build = Build(partial_path(out), spec, kind="dataset", sign=_SPEC)
    with build.alone():
        if _spec_of(build.folder) != spec:
            build.begin()
            anatomies = str(Path(anatomies).resolve()) if anatomies else ""
            markers = build.run(
                bind(_make_scan, build.folder, spec, anatomies),
                people,
                intact=bind(_intact, build.folder),
                workers=workers,
                progress=progress,
            )
            _finish(build.folder, spec, people, markers)
        build.clean()
        build.folder.rename(out)
    return out


def choose_people(subjects: int, *, seed: int, rho: float = k.RHO) -> pd.DataFrame:
    """Who is in a raw dataset.

    A third of the people have an MRI only, and half of these no diagnosis. One in eight
    of the others (and always one) comes twice. Of 12 people or more, 4 are chosen so
    that every diagnosis and either amyloid status occurs among those with a PET.

    Parameters
    ----------
    subjects : int
        2 to 30000.
    seed : int
    rho : float

    Returns
    -------
    DataFrame
        As :func:`mri2pet.cohort.phantom.plan.plan`, a line per session.

    Raises
    ------
    ValueError
        For impossible numbers.
    """
    if not _LEAST <= subjects <= _MOST:
        raise ValueError(f"subjects is {subjects}: expected {_LEAST} to {_MOST}")
    unpaired = max(1, round(subjects / 3))
    paired = subjects - unpaired
    chosen = _CHOSEN if subjects >= _CHOSEN_FROM else 0
    return plan(
        unpaired=unpaired,
        labelled=unpaired // 2,
        train=paired - chosen,
        val=0,
        test=chosen,
        train_two_visits=max(1, round(paired / 8)),
        rho=rho,
        seed=seed,
        select_test=chosen > 0,
    )


def _make_scan(folder, spec, anatomies, row, line) -> dict[str, Any]:  # noqa: ARG001
    """Write the images of one session; return what is known. Runs in a worker."""
    [person] = line.itertuples()
    made = scan(
        person,
        seed=spec["seed"],
        t1_mm=spec["t1_mm"],
        pet_mm=spec["pet_mm"],
        frames=spec["frames"],
        anatomies=anatomies,
    )
    [(subject, session)] = scan_table(line)[["participant_id", "session_id"]].values
    where, stem = Path(subject, session), f"{subject}_{session}"
    name = where / "anat" / f"{stem}_T1w"
    files = {f"{name}.nii.gz": made.t1, f"{name}.json": sidecars.t1()}
    if made.pet is not None:
        name = where / "pet" / f"{stem}_trc-AV45_pet"
        files[f"{name}.nii.gz"] = made.pet
        files[f"{name}.json"] = sidecars.pet(spec["frames"])
    if spec["truth"]:
        name = TRUTH / where / "anat" / f"{stem}_desc-brain_mask"
        files[f"{name}.nii.gz"] = made.brain
        files[f"{TRUTH / where / stem}_xfm.json"] = _maps(made)
    for name, content in files.items():
        _write(folder / name, content)
    hashes = {name: file_hash(folder / name) for name in files}
    return {"known": made.known, "files": hashes}


def _maps(made) -> dict[str, Any]:
    box_from_pet = made.box_from_pet
    return {
        "box_from_t1": made.box_from_t1.tolist(),
        "box_from_pet": None if box_from_pet is None else box_from_pet.tolist(),
        "first_from_frame": [matrix.tolist() for matrix in made.first_from_frame],
    }


def _write(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, nib.Nifti1Image):
        save_image(content, path)
    elif isinstance(content, pd.DataFrame):
        content.to_csv(path, sep="\t", na_rep="n/a", lineterminator="\n")
    elif isinstance(content, dict):
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    else:
        path.write_text(content, encoding="utf-8")


def _intact(folder, row, marker) -> bool:  # noqa: ARG001
    """Whether the files of a session are what its marker says."""
    return all(
        (folder / name).is_file() and file_hash(folder / name) == found
        for name, found in marker["files"].items()
    )


def _finish(folder, spec, people, markers) -> None:
    """Write what belongs to no single session, and last what it was made with."""
    scans = scan_table(people)
    first = scans.drop_duplicates("participant_id").set_index("participant_id")
    files: dict[str | Path, Any] = {
        "dataset_description.json": sidecars.description(),
        "participants.tsv": first[["age", "sex", "education", "apoe_e4"]],
        "participants.json": sidecars.PARTICIPANTS,
        "README": sidecars.readme(
            len(first), len(scans), int(scans["has_pet"].sum()), spec
        ),
    }
    for subject, own in scans.groupby("participant_id"):
        table = own.set_index("session_id")[["days", "age", "diagnosis", "mmse"]]
        files[Path(subject, f"{subject}_sessions.tsv")] = table
        # One for all would be BIDS, too, but its validator up to 1.15 refuses it.
        files[Path(subject, f"{subject}_sessions.json")] = sidecars.SESSIONS
    if spec["truth"]:
        known = [marker["known"] for marker in markers]
        files[TRUTH / "dataset_description.json"] = sidecars.truth_description()
        files[TRUTH / "README"] = sidecars.TRUTH_README
        files[TRUTH / ".bidsignore"] = sidecars.TRUTH_IGNORED
        files[TRUTH / "desc-brain_mask.json"] = sidecars.brain_mask()
        files[TRUTH / "truth.tsv"] = truth_table(people, known, scans.index)
    for name, content in files.items():
        _write(folder / name, content)
    seal = folder / _SPEC
    seal.parent.mkdir(exist_ok=True)
    write_whole(seal, json.dumps(spec, indent=2) + "\n")


def _spec_of(folder: Path) -> dict[str, Any] | None:
    """What a complete dataset was made with, None where there is none."""
    seal = folder / _SPEC
    return json.loads(seal.read_text()) if seal.is_file() else None
