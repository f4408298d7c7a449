"""A dataset of raw scans becomes a store: parallel, resumable, failures listed.

Beside what every store has, a prepared one holds `transforms/` (every map, a JSON file
per scan), `qc/` (a picture per scan), `qc.tsv` and `left_out.tsv`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial as bind
from pathlib import Path
from typing import Any

import pandas as pd

from mri2pet.cohort import store
from mri2pet.cohort.bids import Dataset
from mri2pet.cohort.building import FAILED, Build, check_same, file_hash, table_hash
from mri2pet.cohort.inventory import Inventory, deal, take_inventory
from mri2pet.cohort.one_scan import (
    CONVERTED,
    VOLUMES,
    Draw,
    Settings,
    prepare_scan,
    read_volumes,
)

TRUTH = Path("derivatives/truth/truth.tsv")


def prepare(
    dataset: Dataset,
    out: str | Path,
    settings: Settings,
    *,
    workers: int = 1,
    cluster: bool = False,
    draw: Draw | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> store.Store:
    """Prepare every usable scan of a dataset, or go on with it.

    Parameters
    ----------
    dataset : Dataset
    out : str or Path
        Of the store; it is built under ``<out>.partial``.
    settings : Settings
    workers : int
        Processes. The bytes do not depend on it, nor on interruptions.
    cluster : bool
        Inside `mri2pet.scheduling.on_cluster`: run there.
    draw : callable, optional
        Draws a scan's picture for quality control, see
        `mri2pet.cohort.one_scan.prepare_scan`.
    progress : callable, optional
        Called as ``progress(done, total)`` after every scan.

    Returns
    -------
    Store

    Raises
    ------
    ValueError
        Nothing can be used, or ``out`` holds something else.
    """
    out = Path(out)
    found = take_inventory(dataset, pairing=settings.pairing, label=settings.label)
    rows = found.rows.set_index("scan_id", drop=False)
    truth = dataset.path / TRUTH
    spec = _specified(rows, truth, settings)
    if out.exists():
        existing = store.Store(out)
        check_same(out, existing.attrs, spec)
        return existing
    build = Build(store.partial_path(out), spec)
    build.folder.parent.mkdir(parents=True, exist_ok=True)
    with build.alone():
        if not store.sealed(out, spec):
            build.begin()
            task = bind(prepare_scan, str(build.folder), settings, draw)
            markers = build.run(
                task,
                rows,
                intact=bind(_intact, build.folder),
                recorded=(ValueError, OSError, RuntimeError),
                workers=workers,
                cluster=cluster,
                progress=progress,
            )
            _finish(out, build, found, rows, markers, settings, truth)
        build.clean()
        return store.publish(out)


def specification(dataset: Dataset, settings: Settings) -> dict[str, Any]:
    """Return what decides the content of the store, images excepted, as JSON has it.

    Parameters
    ----------
    dataset : Dataset
    settings : Settings

    Raises
    ------
    ValueError
        Nothing can be used.
    """
    found = take_inventory(dataset, pairing=settings.pairing, label=settings.label)
    rows = found.rows.set_index("scan_id", drop=False)
    return _specified(rows, dataset.path / TRUTH, settings)


def _specified(rows: pd.DataFrame, truth: Path, settings: Settings) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(settings))) | {
        "source": "raw scans",
        "scans": table_hash(rows.drop(columns=["mri", "pet", "pet_sidecar"])),
        "truth": file_hash(truth) if truth.is_file() else "",
    }


def _intact(folder: Path, _row: int, marker: dict) -> bool:
    """Whether the volumes of a scan are what its marker says."""
    try:
        found = read_volumes(folder, marker["scan_id"])
    except (OSError, ValueError, KeyError):
        return False
    return {k: store.volume_hash(v) for k, v in found.items()} == marker["hashes"]


def _finish(
    out: Path,
    build: Build,
    found: Inventory,
    rows: pd.DataFrame,
    markers: list[dict],
    settings: Settings,
    truth: Path,
) -> None:
    """Judge, split, and bring the volumes of what is left into arrays."""
    left_out = list(found.left_out.itertuples(index=False, name=None))
    of = dict(zip(rows.index, markers, strict=True))
    usable = []
    for scan, marker in of.items():
        if FAILED in marker:
            left_out.append((scan, marker[FAILED]))
        elif marker["t1"]["verdict"] == "fail":
            left_out.append((f"{scan} T1", "; ".join(marker["t1"]["reasons"])))
        else:
            usable.append(scan)
    rows = rows.loc[usable]
    had = rows["has_pet"].copy()
    rows["has_pet"] = [bool(of[s]["pet"]) and of[s]["pet"]["used"] for s in usable]
    left_out += [
        (f"{scan} PET", "; ".join(of[scan]["pet"]["reasons"]))
        for scan in rows.index[had & ~rows["has_pet"]]
    ]
    if rows.empty:
        reason = left_out[0][1] if left_out else "there are none"
        raise ValueError(f"{out}: no scan can be used ({reason})")
    scans, more = deal(rows, settings.fractions, settings.seed)
    left_out += more
    for kind in ("mri", "pet"):
        scans[f"{kind}_sha256"] = [
            of[s]["hashes"].get(kind)
            if kind == "mri" or scans.at[s, "has_pet"]
            else None
            for s in scans.index
        ]
    _fill(build.folder, scans, settings, build.spec)
    table = pd.DataFrame(left_out, columns=["path", "reason"])
    table.to_csv(build.folder / "left_out.tsv", sep="\t", index=False)
    _qc_table(of).to_csv(build.folder / "qc.tsv", sep="\t", na_rep="n/a")
    known = None
    if truth.is_file():
        known = pd.read_csv(truth, sep="\t", index_col=0).reindex(scans.index)
        known = None if known.isna().all(axis=1).any() else known
    columns = ["mri", "pet", "pet_sidecar", "scan_id"]
    scans = scans.drop(columns=columns).rename_axis("scan_id")
    scans["mmse"] = scans["mmse"].astype("Int64")
    for work in (VOLUMES, CONVERTED):
        shutil.rmtree(build.folder / work, ignore_errors=True)
    store.seal(out, scans=scans, truth=known, readme=_readme(scans, table, settings))


def _fill(folder: Path, scans: pd.DataFrame, settings: Settings, spec: dict) -> None:
    """Volumes from one file per scan into the arrays of the store."""
    store.create(
        folder,
        scans=scans,
        grid_mri=settings.grid_mri,
        grid_pet=settings.grid_pet,
        attrs=spec,
        keep=True,
    )
    for row, scan in enumerate(scans.index):
        volumes = read_volumes(folder, scan)
        if not scans.at[scan, "has_pet"]:
            volumes = {k: v for k, v in volumes.items() if k in ("mri", "brain")}
        store.write_row(folder, row, volumes)


def _qc_table(markers: dict[str, dict]) -> pd.DataFrame:
    """A line per scan: verdicts, reasons, numbers."""
    lines = {}
    for scan, marker in markers.items():
        if FAILED in marker:
            lines[scan] = {"t1_verdict": "fail", "t1_reasons": marker[FAILED]}
            continue
        line = {}
        for kind in ("t1", "pet"):
            one = marker[kind] or {}
            line[f"{kind}_verdict"] = one.get("verdict")
            line[f"{kind}_reasons"] = "; ".join(one.get("reasons", []))
            line |= one.get("numbers", {})
        lines[scan] = line
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("scan_id")


def _readme(scans: pd.DataFrame, left_out: pd.DataFrame, settings: Settings) -> str:
    people = scans["participant_id"].nunique()
    how = "as released" if settings.published else "corrected"
    return f"""# Prepared cohort

{people} people, {len(scans)} MRIs, {int(scans["has_pet"].sum())} PETs; {len(left_out)}
things were left out (`left_out.tsv`).

- MRI {tuple(settings.grid_mri)} in [0, 1], axes (z, y, x)
- PET {tuple(settings.grid_pet)} in SUVR by the whole cerebellum
- preprocessing {how}, {settings.alignment} to MNI152, pairs {settings.pairing}
- `transforms/SCAN.json`: every map as a 4 x 4 matrix, RAS mm
- `qc.tsv`, `qc/SCAN.png`: quality control
"""
