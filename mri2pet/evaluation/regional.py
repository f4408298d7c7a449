"""What a reader measures in the samples of a row: SUVR of each region, and of several.

Shape suffixes: N scans, K samples of a scan, R regions (the composite last), D H W = z
y x of the PET grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mri2pet.cohort.regions import REGIONS
from mri2pet.evaluation.uptake import composite_suvr, regional_suvr

if TYPE_CHECKING:
    from mri2pet.cohort.store import Store
    from mri2pet.stages.sample import Synthetic

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


def measure(store: Store, made: Synthetic) -> Measured:
    """Measure the real and the synthetic PETs of some scans."""
    weights = store.read("regions", made.scan_ids)
    drawn = [
        with_composite(made.samples[:, k], weights)
        for k in range(made.samples.shape[1])
    ]
    real = with_composite(store.read("pet", made.scan_ids), weights)
    return Measured(made.scan_ids, real, np.stack(drawn, axis=1))
