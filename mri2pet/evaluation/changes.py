"""Two visits: whether the synthetic PET changes as the real one does.

Three questions, and a picture that never changes answers all of them badly or as
chance would: has the change the same **sign**, has it the right **size** (the slope of
the synthetic on the real change), and is its **error** smaller than that of saying
that nothing changes?

Shape suffixes: N people, B resamples.

References
----------
Joshi et al. 2012, Journal of Nuclear Medicine 53(3): two florbetapir scans of one
person within four weeks differ by 2.4 % of the cortical SUVR (SD 1.4 %) in AD.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from mri2pet.checks import number
from mri2pet.evaluation.inference import Estimate

# SUVR; a real change of at least so much is called clear. It is 4 % of a composite of
# 1.25: the mean difference of a repeated scan, and one SD more.
CLEAR_CHANGE = 0.05


def same_sign(
    real_N: Sequence[float], synthetic_N: Sequence[float], *, level: float = 0.95
) -> Estimate:
    """Share of people whose synthetic change has the sign of the real one.

    Parameters
    ----------
    real_N, synthetic_N : sequences of float
        Change of each person, SUVR. A synthetic change of 0 has no sign and counts as
        a miss, so a picture that never changes wins nothing.
    level : float
        Of the Clopper-Pearson interval.

    Returns
    -------
    Estimate
        NaN without people.

    Examples
    --------
    >>> e = same_sign([0.2, 0.1, -0.1, 0.3], [0.1, 0.0, -0.3, 0.1])
    >>> f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"
    '0.75 [0.19, 0.99]'
    """
    level = number("level", level, 0, 1, inside=True)
    real, synthetic = _paired(real_N, synthetic_N)
    n = len(real)
    if n == 0:
        nan = float("nan")
        return Estimate(nan, nan, nan, 0, 0)
    hits = int(((np.sign(real) == np.sign(synthetic)) & (synthetic != 0)).sum())
    ends = stats.binomtest(hits, n).proportion_ci(level)
    return Estimate(hits / n, float(ends.low), float(ends.high), n, n)


def slope_statistic(values_2N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    """Synthetic change per unit of real change: the line through 0, per resample.

    One: the right size. Zero: no change, or one that has nothing to do with the real.

    Parameters
    ----------
    values_2N : ndarray, shape (2, N)
        Real, then synthetic change.
    weights_BN : ndarray, shape (B, N)

    Returns
    -------
    ndarray, shape (B,)
        NaN where no real scan changes.

    Examples
    --------
    >>> slope_statistic(np.array([[1.0, 2.0], [0.5, 1.0]]), np.ones((1, 2))).tolist()
    [0.5]
    """
    real, synthetic = np.asarray(values_2N, dtype=np.float64)
    below = weights_BN @ (real * real)
    above = weights_BN @ (real * synthetic)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)


def _paired(real_N, synthetic_N) -> tuple[np.ndarray, np.ndarray]:
    real, synthetic = (np.asarray(v, dtype=np.float64) for v in (real_N, synthetic_N))
    if real.ndim != 1 or real.shape != synthetic.shape:
        raise ValueError(
            f"real changes of shape {real.shape}, synthetic ones of {synthetic.shape}"
        )
    for name, values in (("real", real), ("synthetic", synthetic)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} change {values[~np.isfinite(values)][0]}")
    return real, synthetic
