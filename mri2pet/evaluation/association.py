"""What goes together across people, and what a change does within one of them.

The first question is a correlation, with its interval from resampled people. The second
needs an experiment on each person: a slope of their own, averaged over people. Few
people are experimented on, so that average has Student's interval and no bootstrap.

Shape suffixes: N scans, P people, B resamples.

References
----------
Spearman 1904, American Journal of Psychology 15(1); Student's interval of a mean is the
delete-one jackknife of it, Efron and Tibshirani 1993, chapter 11.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mri2pet.evaluation.inference import (
    Estimate,
    Statistic,
    jackknife,
    patient_bootstrap,
    pearson_statistic,
)

FEWEST = 3  # scans that a correlation needs


def spearman_statistic(values_2N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    """Rank correlation of two rows per resample; NaN where one is constant.

    Ranks are taken within the resample; ties share their mean rank.

    Parameters
    ----------
    values_2N : ndarray, shape (2, N)
    weights_BN : ndarray, shape (B, N)
        Multiplicities.
    """
    x, y = (_ranks(v, weights_BN) for v in np.asarray(values_2N, dtype=np.float64))
    total = weights_BN.sum(1)
    x = x - ((weights_BN * x).sum(1) / total)[:, None]
    y = y - ((weights_BN * y).sum(1) / total)[:, None]
    xx, yy, xy = ((weights_BN * p).sum(1) for p in (x * x, y * y, x * y))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = xy / np.sqrt(xx * yy)
    return np.where((xx < 1e-9) | (yy < 1e-9), np.nan, r).clip(-1, 1)


def _ranks(values_N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    """Mean rank of each scan in each resample, shape (B, N)."""
    below = (values_N[:, None] < values_N[None, :]).astype(np.float64)
    equal = (values_N[:, None] == values_N[None, :]).astype(np.float64)
    return weights_BN @ (below + 0.5 * equal)


def partial_statistic(values_3N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    """Correlation of the first two rows with the third held still, per resample.

    Parameters
    ----------
    values_3N : ndarray, shape (3, N)
    weights_BN : ndarray, shape (B, N)

    Returns
    -------
    ndarray, shape (B,)
        NaN where a row is constant, or one of the first two follows the third exactly.
    """
    x, y, z = np.asarray(values_3N, dtype=np.float64)
    xy, xz, yz = (
        pearson_statistic(np.stack(pair), weights_BN)
        for pair in ((x, y), (x, z), (y, z))
    )
    left = (1 - xz**2) * (1 - yz**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (xy - xz * yz) / np.sqrt(left)
    return np.where(left < 1e-12, np.nan, r)


def slope_statistic(values_2N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    """Least-squares slope of the second row on the first, per resample.

    NaN where either is constant.

    Parameters
    ----------
    values_2N : ndarray, shape (2, N)
    weights_BN : ndarray, shape (B, N)
    """
    r = pearson_statistic(values_2N, weights_BN)  # knows what is constant
    x, y = np.asarray(values_2N, dtype=np.float64)
    x, y = x - x.mean(), y - y.mean()
    total = weights_BN.sum(1)
    mx, my = weights_BN @ x / total, weights_BN @ y / total
    xx = weights_BN @ (x * x) / total - mx**2
    xy = weights_BN @ (x * y) / total - mx * my
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.isnan(r), np.nan, xy / xx)


def rms_ratio_statistic(values_2N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    """Root mean square of the first row over that of the second, per resample."""
    squares_2N = np.asarray(values_2N, dtype=np.float64) ** 2
    top, bottom = squares_2N @ weights_BN.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(top / np.where(bottom > 0, bottom, np.nan))


def finite_scans(*columns: Sequence[float]) -> np.ndarray:
    """Which scans have a finite value in every column, shape (N,)."""
    stacked = np.stack([np.asarray(c, dtype=np.float64) for c in columns])
    return np.isfinite(stacked).all(axis=0)


def associate(
    columns: Sequence[Sequence[float]],
    patients: Sequence,
    statistic: Statistic = pearson_statistic,
    n_boot: int = 1000,
    seed: int = 0,
) -> Estimate:
    """A statistic of several columns over people, leaving incomplete scans out.

    Parameters
    ----------
    columns : sequence of sequences of length N
        For a correlation two, in the order of the statistic's rows.
    patients : sequence of length N
        The person of each scan.
    statistic, n_boot, seed
        As in `mri2pet.evaluation.inference.patient_bootstrap`.

    Returns
    -------
    Estimate
        NaN, with the numbers of people and scans there are, if fewer than `FEWEST`
        people are complete or the statistic is undefined.
    """
    keep = finite_scans(*columns)
    values = np.stack([np.asarray(c, dtype=np.float64)[keep] for c in columns])
    people = np.asarray(patients)[keep]
    count = len(np.unique(people))
    if count < FEWEST:
        nan = float("nan")
        return Estimate(nan, nan, nan, count, int(keep.sum()))
    return patient_bootstrap(values, people, statistic, n_boot=n_boot, seed=seed)


def slope(cause: Sequence[float], effect: Sequence[float]) -> float:
    """Least-squares slope of an effect on its cause; NaN without a finite effect.

    Examples
    --------
    >>> slope([0.0, 0.5, 1.0], [2.0, 3.0, 4.0])
    2.0
    """
    x, y = np.asarray(cause, dtype=np.float64), np.asarray(effect, dtype=np.float64)
    if not np.isfinite(y).all() or np.ptp(x) == 0:
        return float("nan")
    x = x - x.mean()
    # without the mean an effect that never changes has a slope of exactly 0
    return float(x @ (y - y[0]) / (x @ x))


def person_slopes(frame: pd.DataFrame, cause: str, effects: Sequence[str]):
    """Slopes of effects on a cause, within each person.

    Parameters
    ----------
    frame : DataFrame
        A line for each level of each person, with ``participant_id``.
    cause : str
    effects : sequence of str

    Returns
    -------
    DataFrame, a line for each person (index) and a column for each effect
    """
    groups = frame.groupby("participant_id", sort=False)
    return pd.DataFrame(
        {
            effect: {
                person: slope(levels[cause], levels[effect])
                for person, levels in groups
            }
            for effect in effects
        }
    )


def mean_over_people(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Mean of one value a person, with Student's interval.

    People whose value is not finite are left out. With one person left the interval is
    NaN.

    Examples
    --------
    >>> e = mean_over_people([1.0, 2.0, 3.0])
    >>> print(f"{e.value:.1f} [{e.low:.2f}, {e.high:.2f}] of {e.people}")
    2.0 [-0.48, 4.48] of 3
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    n, nan = len(values), float("nan")
    if n < 2:
        return Estimate(float(values.mean()) if n else nan, nan, nan, n, n)
    if np.ptp(values) == 0:  # exact: an effect that is the same in everybody
        return Estimate(float(values[0]), float(values[0]), float(values[0]), n, n)
    rest = (values.sum() - values) / (n - 1)
    return jackknife(float(values.mean()), rest, scans=n, level=level)
