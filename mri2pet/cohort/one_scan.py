"""One raw MRI, and its PET where there is one, to volumes, maps and a verdict.

What `mri2pet.cohort.preparing` does to every line of its table, in its own process.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mri2pet.cohort import images, store
from mri2pet.cohort.building import write_whole
from mri2pet.cohort.convert import nifti_of
from mri2pet.cohort.motion import correct_motion
from mri2pet.cohort.preprocessing import (
    PreparedPet,
    PreparedT1,
    prepare_pet,
    prepare_t1,
)
from mri2pet.cohort.qc import judge, pet_numbers, t1_numbers
from mri2pet.cohort.registration import Volume

VOLUMES, CONVERTED = "volumes", "converted"  # gone when the store is complete
Draw = Callable[[Path, str, PreparedT1, PreparedPet | None, dict[str, Any]], None]


@dataclass(frozen=True)
class Settings:
    """What decides the volumes of a prepared store.

    Attributes
    ----------
    grid_mri, grid_pet : tuple of int
        (z, y, x).
    fractions : tuple of float
        Of people for train, val and test.
    seed : int
        Of the split.
    pairing : {"optimal", "greedy"}
    label : {"nearest_visit", "last_row"}
    alignment : {"rigid", "affine"}
    published : bool
        Preprocess as the release did.
    """

    grid_mri: tuple[int, int, int]
    grid_pet: tuple[int, int, int]
    fractions: tuple[float, float, float] = (0.81, 0.09, 0.10)
    seed: int = 0
    pairing: str = "optimal"
    label: str = "nearest_visit"
    alignment: str = "rigid"
    published: bool = False


def prepare_scan(
    folder: str, settings: Settings, draw: Draw | None, _row: int, line: pd.DataFrame
) -> dict[str, Any]:
    """Prepare one scan.

    Parameters
    ----------
    folder : str
        The store under way; gets ``volumes/SCAN.npz`` and ``transforms/SCAN.json``.
    settings : Settings
    draw : callable, optional
        ``draw(path, scan_id, t1, pet, verdicts)`` draws ``qc/SCAN.png``.
    line : DataFrame
        One line of `mri2pet.cohort.inventory.Inventory.rows`.

    Returns
    -------
    dict
        scan_id, hashes of the volumes, and under t1 and pet (None without one)
        verdict, reasons, numbers, and whether a PET is used.

    Raises
    ------
    ValueError
        The T1 cannot be used. A PET that cannot be used is no error.
    """
    scan, root = line.iloc[0], Path(folder)
    name = scan["scan_id"]
    raw = images.read_image(nifti_of(scan["mri"], root / CONVERTED / name), "T1")
    images.check_t1(raw)
    t1 = prepare_t1(
        Volume(np.clip(raw.data, 0, None), raw.affine),
        tuple(settings.grid_mri),
        tuple(settings.grid_pet),
        alignment=settings.alignment,
        published=settings.published,
    )
    about = {"t1": _verdict(t1_numbers(t1.brain, t1.box_from_t1), raw.remarks)}
    about["pet"] = None
    volumes = {"mri": t1.mri_DHW, "brain": t1.brain_DHW}
    maps = {"t1": Path(scan["mri"]).name, "box_from_t1": t1.box_from_t1.tolist()}
    maps["affine_box_from_t1"] = t1.brain.affine_box_from_t1.tolist()
    pet = None
    if scan["has_pet"] and about["t1"]["verdict"] != "fail":
        try:
            pet, remarks = _pet(scan, t1, settings, root / CONVERTED / f"{name}_pet")
        except ValueError as error:
            about["pet"] = {"verdict": "fail", "reasons": [str(error)], "used": False}
        else:
            about["pet"] = _verdict(pet_numbers(pet, t1), remarks)
            about["pet"]["used"] = about["pet"]["verdict"] != "fail"
            volumes |= {"pet": pet.pet_DHW, "regions": t1.regions_RDHW}
            maps |= {
                "pet": Path(scan["pet"]).name,
                "t1_from_pet": pet.t1_from_pet.tolist(),
                "mean_from_frame": [m.tolist() for m in pet.motion.mean_from_frame],
                "reference": pet.reference,
            }
    for place in (VOLUMES, "transforms", "qc"):
        (root / place).mkdir(exist_ok=True)
    _save(root / VOLUMES / f"{name}.npz", volumes)
    write_whole(root / "transforms" / f"{name}.json", json.dumps(maps, indent=1))
    if draw is not None:
        draw(root / "qc" / f"{name}.png", name, t1, pet, about)
    hashes = {kind: store.volume_hash(v) for kind, v in volumes.items()}
    return {"scan_id": name, "hashes": hashes, **about}


def _verdict(numbers: dict[str, float], remarks) -> dict[str, Any]:
    verdict, reasons = judge(numbers)
    if remarks and verdict == "pass":
        verdict = "look"
    return {"verdict": verdict, "reasons": [*reasons, *remarks], "numbers": numbers}


def _pet(scan: pd.Series, t1: PreparedT1, settings: Settings, work: Path):
    raw = images.read_image(nifti_of(scan["pet"], work), "PET")
    sidecar = _sidecar(scan["pet_sidecar"])
    durations = images.check_frames(raw, sidecar)
    motion = correct_motion(
        np.clip(raw.data, 0, None), raw.affine, durations, published=settings.published
    )
    pet = prepare_pet(
        motion, t1, tuple(settings.grid_pet), published=settings.published
    )
    return pet, raw.remarks


def _sidecar(path: str) -> dict[str, Any] | None:
    if not path:
        return None
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ValueError(f"{path}: not readable as JSON ({reason})") from None


def _save(path: Path, volumes: dict[str, np.ndarray]) -> None:
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        np.savez(file, **volumes)
    temporary.replace(path)


def read_volumes(folder: Path, scan_id: str) -> dict[str, np.ndarray]:
    """Read what `prepare_scan` wrote."""
    with np.load(folder / VOLUMES / f"{scan_id}.npz") as found:
        return {kind: found[kind] for kind in found.files}
