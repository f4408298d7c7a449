"""What a reader measures in the samples of a row: SUVR of each region, and of several.

Shape suffixes: N scans, K samples of a scan, R regions (the composite last), d h w
voxels of the PET grid (z, y, x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mri2pet.cohort.regions import REGIONS
from mri2pet.evaluation.uptake import composite_suvr, regional_suvr
from mri2pet.stages.cohort import cohort
from mri2pet.stages.sample import MAIN_ROWS, read_synthetic, sample_stage

if TYPE_CHECKING:
    from mri2pet.artifacts import Stage
    from mri2pet.cohort.store import Store
    from mri2pet.run import Run

NAMES = (*REGIONS, "composite")


@dataclass(frozen=True)
class Measured:
    """SUVR of the regions `NAMES` in real and synthetic PETs.

    Attributes
    ----------
    scan_ids : list of str
    real_NR : ndarray, shape (N, R)
    drawn_NKR : ndarray, shape (N, K, R)
    """

    scan_ids: list[str]
    real_NR: np.ndarray
    drawn_NKR: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Mean over the samples, shape (N, R)."""
        return self.drawn_NKR.mean(1)

    @property
    def sd(self) -> np.ndarray:
        """SD over the samples (n - 1), shape (N, R); NaN of one sample."""
        if self.drawn_NKR.shape[1] == 1:
            return np.full(self.real_NR.shape, np.nan)
        return self.drawn_NKR.std(1, ddof=1)

    def of(self, scan_ids: list[str]) -> Measured:
        """Return the same of some scans, in this order."""
        places = [self.scan_ids.index(scan) for scan in scan_ids]
        return Measured(list(scan_ids), self.real_NR[places], self.drawn_NKR[places])


def with_composite(pet_NDHW: np.ndarray, regions_NRDHW: np.ndarray) -> np.ndarray:
    """SUVR of each region and of the composite, shape (N, R)."""
    values = regional_suvr(pet_NDHW, regions_NRDHW)
    return np.column_stack([values, composite_suvr(values)])


def samples_stage(run: Run, row: str, design: str, part: str) -> Stage:
    """Return the synthetic PETs of a row for the test or the validation scans.

    A main row has as many samples on validation people as on test people.
    """
    if part == "test":
        return sample_stage(run, row, design)
    many = {}
    if (row, design) in MAIN_ROWS:
        many = {"samples": run.profile.sampling.samples}
    return sample_stage(run, row, design, part=part, **many)


def measure(store: Store, stage: Stage) -> Measured:
    """Measure the real and the synthetic PETs of a stage of samples."""
    made = read_synthetic(stage.path())
    weights = store.read("regions", made.scan_ids)
    drawn = [
        with_composite(made.samples[:, k], weights)
        for k in range(made.samples.shape[1])
    ]
    real = with_composite(store.read("pet", made.scan_ids), weights)
    return Measured(made.scan_ids, real, np.stack(drawn, axis=1))


def measured(run: Run, row: str, design: str, part: str) -> Measured:
    """Return what a row of a run shows in some part."""
    return measure(cohort(run), samples_stage(run, row, design, part))
