"""Stage `preprocessing`: raw phantoms, prepared, and every step held against the truth.

What chapter 2 looks at. The people are those of `mri2pet phantom --raw` with the run's
seed; `mri2pet.cohort.preprocessing` does to them what it does to anybody's scans.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pandas as pd
import torch

from mri2pet.cohort.alignment import align_pet
from mri2pet.cohort.motion import correct_motion
from mri2pet.cohort.phantom import plan
from mri2pet.cohort.phantom.raw import RawScan, scan
from mri2pet.cohort.preprocessing import (
    PreparedPet,
    PreparedT1,
    prepare_pet,
    prepare_t1,
)
from mri2pet.cohort.qc import judge, pet_numbers, t1_numbers
from mri2pet.cohort.registration import Volume
from mri2pet.evaluation.preparation import preparation_errors

if TYPE_CHECKING:
    from mri2pet.run import Run

OUTPUT, TABLE = "preprocessing", "results/preprocessing.csv"
# What must hold at 2 mm (see tests/cohort/test_preprocessing.py); the unit of each.
BARS = {
    "t1_mm": (2.0, "mm"),
    "dice": (0.93, ""),
    "motion_mm": (0.5, "mm"),
    "motion_degrees": (0.5, "degrees"),
    "pet_mm": (2.0, "mm"),
    "suvr": (0.05, "relative"),
}
_IMAGES = ("t1", "pet", "brain", "bias")
_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


@dataclass(frozen=True)
class PreparedExample:
    """One raw phantom and what preparation made of it.

    Attributes
    ----------
    folder : Path
        Holds ``t1.nii.gz``, ``pet.nii.gz`` (raw), ``brain.nii.gz``, ``bias.nii.gz``
        (the truth), ``arrays.npz`` and ``about.json``.
    """

    folder: Path

    @property
    def name(self) -> str:
        """Which person."""
        return self.folder.name

    def image(self, kind: str) -> nib.Nifti1Image:
        """Open ``t1``, ``pet``, ``brain`` or ``bias``."""
        return nib.load(self.folder / f"{kind}.nii.gz")

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """Volumes.

        On the T1's grid: corrected (signal without bias field), mask; on the PET's:
        before, mean (of the frames, without and with motion correction); in the box:
        mri_DHW, brain_DHW, regions_RDHW, pet_DHW.
        """
        with np.load(self.folder / "arrays.npz") as found:
            return {name: found[name] for name in found.files}

    @cached_property
    def about(self) -> dict[str, Any]:
        """Maps (found and true), known truth, errors, and quality control's verdicts.

        ``found`` and ``true`` hold box_from_t1, t1_from_pet and first_from_frame,
        ``found`` also affine_box_from_t1;
        ``verdicts`` those of the T1, the PET, and the alignment of the PET with left
        and right swapped.
        """
        return json.loads((self.folder / "about.json").read_text(encoding="utf-8"))


def preprocessing(run: Run) -> list[PreparedExample]:
    """Return the raw people of the run, prepared.

    Its table, `results/preprocessing.csv`, has a line per scan and number: scan_id,
    what, where (frame or region), value, unit, bar.
    """
    config, grids = run.profile.raw, run.profile.grids
    settings = {"raw": config.model_dump(), "grids": grids.model_dump()}

    def build(work: Path) -> None:
        from joblib import Parallel, delayed

        people = plan(unpaired=0, labelled=0, train=config.raw_people, val=0, test=0,
                      seed=run.profile.seed)  # fmt: skip
        calls = [
            delayed(_example)(
                work / OUTPUT / f"sub-{person.person:05d}",
                people.iloc[[row]],
                run.profile.seed,
                config.model_dump(),
                grids.model_dump(),
            )
            for row, person in enumerate(people.itertuples())
        ]
        workers = min(len(calls), run.profile.prepare.workers)
        lines = Parallel(n_jobs=workers, batch_size=1)(calls)
        (work / TABLE).parent.mkdir(parents=True, exist_ok=True)
        pd.concat(lines).to_csv(work / TABLE, index=False, float_format="%.8g")

    done = run.stage(
        "preprocessing",
        module=__name__,
        settings=settings,
        inputs=[],
        outputs=[OUTPUT, TABLE],
        build=build,
    )
    folders = sorted(p for p in done.path().iterdir() if p.is_dir())
    return [PreparedExample(folder) for folder in folders]


def _example(folder: Path, line: pd.DataFrame, seed, config, grids) -> pd.DataFrame:
    """Scan and prepare one person. Runs in a worker."""
    torch.set_num_threads(1)
    [person] = line.itertuples()
    raw = scan(
        person,
        seed=seed,
        t1_mm=config["t1_mm"],
        pet_mm=config["pet_mm"],
        frames=config["frames"],
    )
    volume = Volume(np.asarray(raw.t1.dataobj, dtype=np.float32), raw.t1.affine)
    t1 = prepare_t1(volume, tuple(grids["mri"]), tuple(grids["pet"]))
    data = np.asarray(raw.pet.dataobj, dtype=np.float32)
    pet = prepare_pet(correct_motion(data, raw.pet.affine), t1, tuple(grids["pet"]))
    swapped = align_pet(_swapped(pet.motion.mean), t1.brain)
    verdicts = {
        "T1": _verdict(t1_numbers(t1.brain, t1.box_from_t1)),
        "PET": _verdict(pet_numbers(pet, t1)),
        "PET, left and right swapped": _verdict(
            {
                "pet_information": swapped.information,
                "mirror_gain": swapped.mirror_gain,
            }
        ),
    }
    errors = preparation_errors(raw, t1, pet)
    folder.mkdir(parents=True, exist_ok=True)  # there may be one of a killed try
    for kind in _IMAGES:
        nib.save(getattr(raw, kind), folder / f"{kind}.nii.gz")
    np.savez_compressed(
        folder / "arrays.npz",
        corrected=t1.brain.t1.data,
        mask=t1.brain.mask,
        before=pet.motion.before.data,
        mean=pet.motion.mean.data,
        mri_DHW=t1.mri_DHW,
        brain_DHW=t1.brain_DHW,
        regions_RDHW=t1.regions_RDHW,
        pet_DHW=pet.pet_DHW,
    )
    about = {"verdicts": verdicts, "known": raw.known, **_maps(raw, t1, pet)}
    (folder / "about.json").write_text(json.dumps(about, indent=1, default=float))
    return _lines(folder.name, errors)


def _swapped(volume: Volume) -> Volume:
    """The same image with left and right swapped in its header."""
    return Volume(volume.data, _MIRROR @ volume.affine)


def _verdict(numbers: dict[str, Any]) -> dict[str, Any]:
    verdict, reasons = judge(numbers)
    return {"verdict": verdict, "reasons": reasons, "numbers": numbers}


def _maps(raw: RawScan, t1: PreparedT1, pet: PreparedPet) -> dict[str, Any]:
    """Maps as lists; the first frame's space is the PET's own."""
    first = pet.motion.mean_from_frame[0]
    found = {
        "box_from_t1": t1.box_from_t1,
        "t1_from_pet": pet.t1_from_pet @ first,
        "first_from_frame": pet.motion.first_from_frame,
        "affine_box_from_t1": t1.brain.affine_box_from_t1,
    }
    true = {
        "box_from_t1": raw.box_from_t1,
        "t1_from_pet": np.linalg.inv(raw.box_from_t1) @ raw.box_from_pet,
        "first_from_frame": raw.first_from_frame,
    }
    return {
        name: {key: np.asarray(value).tolist() for key, value in maps.items()}
        for name, maps in (("found", found), ("true", true))
    }


def _lines(scan_id: str, errors) -> pd.DataFrame:
    rows = [
        *(("t1_mm", "", errors.t1_mm), ("dice", "", errors.dice)),
        ("pet_mm", "", errors.pet_mm),
        *(("motion_mm", i + 1, v) for i, v in enumerate(errors.motion_mm)),
        *(("motion_degrees", i + 1, v) for i, v in enumerate(errors.motion_degrees)),
        *(("suvr", region, v) for region, v in errors.suvr.items()),
    ]
    table = pd.DataFrame(rows, columns=["what", "where", "value"])
    table.insert(0, "scan_id", scan_id)
    table["unit"] = [BARS[what][1] for what in table["what"]]
    table["bar"] = [BARS[what][0] for what in table["what"]]
    return table
