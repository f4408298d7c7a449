"""What a reader of amyloid PET measures: regional SUVR, composite, positivity.

SUVR is uptake divided by that of the whole cerebellum. The real scans are prepared
in SUVR, and a generator is trained to make SUVR, so a synthetic volume is read **as
it is**: it is not divided by its own cerebellum, since that would quietly repair a
generator whose overall level is wrong. `rereference` does it where that is asked for.

Shape suffixes: N scans, R regions, D H W = z y x of the PET grid.

References
----------
Composite of four cortical target regions and the threshold 1.11 for florbetapir:
Landau et al. 2012, Annals of Neurology 72(4); Joshi et al. 2012, Journal of Nuclear
Medicine 53(3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_auc_score

from mri2pet.cohort.regions import COMPOSITE, REGIONS
from mri2pet.evaluation.checks import check_volumes

POSITIVITY_SUVR = 1.11  # florbetapir, whole-cerebellum reference
REFERENCE = "cerebellum"


def regional_suvr(
    pet_NDHW: np.ndarray, regions_NRDHW: np.ndarray, names: Sequence[str] = REGIONS
) -> np.ndarray:
    """Mean SUVR in each region, voxels weighted by their share of the region.

    Parameters
    ----------
    pet_NDHW : ndarray, shape (N, D, H, W)
        SUVR.
    regions_NRDHW : ndarray, shape (N, R, D, H, W)
        Weights in 0..1 of each scan's own regions.
    names : sequence of R names

    Returns
    -------
    ndarray, shape (N, R), float64

    Raises
    ------
    ValueError
        If shapes disagree or a region of a scan is empty.
    """
    pet = check_volumes("pet", pet_NDHW, 4)
    weights = check_volumes("regions", regions_NRDHW, 5)
    if weights.shape != (len(pet), len(names), *pet.shape[1:]):
        raise ValueError(
            f"regions have shape {weights.shape}, expected {len(pet)} scans x "
            f"{len(names)} regions x {pet.shape[1:]}"
        )
    n, r = weights.shape[:2]
    flat = weights.reshape(n, r, -1).astype(np.float64)
    total = flat.sum(-1)
    if (total <= 0).any():
        scan, region = np.argwhere(total <= 0)[0]
        raise ValueError(f"region {names[region]} of scan {scan} has no voxel")
    sums = flat @ pet.reshape(n, -1, 1).astype(np.float64)
    return sums[..., 0] / total


def composite_suvr(
    regional_NR: np.ndarray,
    names: Sequence[str] = REGIONS,
    composite: Sequence[str] = COMPOSITE,
) -> np.ndarray:
    """Unweighted mean of the cortical target regions, shape (N,).

    Raises
    ------
    ValueError
        If a target region is missing.
    """
    missing = [name for name in composite if name not in names]
    if missing:
        raise ValueError(f"no values for the composite's regions {missing}")
    columns = [list(names).index(name) for name in composite]
    return np.asarray(regional_NR)[:, columns].mean(1)


def rereference(
    regional_NR: np.ndarray, names: Sequence[str] = REGIONS, region: str = REFERENCE
) -> np.ndarray:
    """Regional values divided by the same scan's own reference region."""
    if region not in names:
        raise ValueError(f"no reference region {region!r} among {list(names)}")
    reference = np.asarray(regional_NR)[:, [list(names).index(region)]]
    if (reference <= 0).any():
        raise ValueError(f"uptake in {region} is {reference.min()}, must be positive")
    return np.asarray(regional_NR) / reference


def suvr_error(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Mean absolute difference of SUVR across scans."""
    return float(np.abs(np.asarray(real) - np.asarray(synthetic)).mean())


def suvr_r(real_N: np.ndarray, synthetic_N: np.ndarray) -> float:
    """Pearson correlation across people; NaN if either is constant."""
    real, synthetic = np.asarray(real_N, float), np.asarray(synthetic_N, float)
    if np.ptp(real) == 0 or np.ptp(synthetic) == 0:
        return float("nan")
    return float(np.corrcoef(real, synthetic)[0, 1])


def positivity_auc(score_N: np.ndarray, positive_N: np.ndarray) -> float:
    """Area under the ROC curve of a score for amyloid positivity.

    Ties count one half; NaN if only one class is present.

    Examples
    --------
    >>> positivity_auc([1.0, 1.2, 1.2], [0, 0, 1])
    0.75
    """
    positive = np.asarray(positive_N).astype(int)
    if positive.min() == positive.max():
        return float("nan")
    return float(roc_auc_score(positive, np.asarray(score_N, float)))
