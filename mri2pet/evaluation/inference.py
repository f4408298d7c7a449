"""How sure: intervals over people, paired differences, Holm's correction.

The unit of resampling is the **person**. Two visits of one person look alike; a
bootstrap over scans would count them as two independent witnesses and give
intervals that are too short, so all scans of a person move together.

A resample is kept as multiplicities (how often each scan is drawn), and every
statistic is written for multiplicities. So 1,000 resamples of a mean, a
correlation or an area under the curve are a few matrix products.

Shape suffixes: N scans, P people, B resamples.

References
----------
Efron and Tibshirani 1993, chapters 10, 11 and 13; Holm 1979, Scandinavian Journal
of Statistics 6(2); Field and Welsh 2007 on resampling whole clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Estimate:
    """A value with its interval over people.

    Attributes
    ----------
    value : float
        The statistic on all scans (bias-corrected for a jackknife).
    low, high : float
        The interval's ends; NaN if it cannot be computed.
    people, scans : int
        Distinct people and scans behind it.
    degenerate : int
        Resamples on which the statistic is undefined (for example without one of
        the two classes); they are left out of the interval and counted here.
    resamples : int
        Resamples drawn.
    p_value : float or None
        Two-sided, for a difference: twice the smaller share of resamples on either
        side of 0 (at least 2 / (resamples + 1)); None otherwise.
    """

    value: float
    low: float
    high: float
    people: int
    scans: int
    degenerate: int = 0
    resamples: int = 0
    p_value: float | None = None


def _people(patients: Sequence, scans: int) -> tuple[np.ndarray, int]:
    patients = np.asarray(patients)
    if patients.ndim != 1 or len(patients) != scans:
        raise ValueError(
            f"patients has shape {patients.shape}, but there are {scans} scans"
        )
    names, index = np.unique(patients, return_inverse=True)
    return index, len(names)


def patient_weights(patients: Sequence, n_boot: int, seed: int) -> np.ndarray:
    """Multiplicities of each scan in resamples of people.

    Parameters
    ----------
    patients : sequence of length N
        The person of each scan.
    n_boot : int
        Resamples B.
    seed : int

    Returns
    -------
    ndarray, shape (B, N)
        All scans of a person hold the same number; a row sums over people to P.
        The same for every row of a table scored on the same people, so that
        differences between rows are paired.

    Examples
    --------
    >>> w = patient_weights(["a", "a", "b"], n_boot=5, seed=0)
    >>> bool((w[:, 0] == w[:, 1]).all()), (w[:, 0] + w[:, 2]).astype(int).tolist()
    (True, [2, 2, 2, 2, 2])
    """
    index, people = _people(patients, len(patients))
    if n_boot < 1:
        raise ValueError(f"n_boot = {n_boot}: at least one resample is needed")
    if people == 0:
        raise ValueError("patients is empty")
    rng = np.random.default_rng(seed)
    counts_BP = rng.multinomial(people, np.full(people, 1 / people), size=n_boot)
    return counts_BP[:, index].astype(np.float64)


def mean_statistic(values_N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    """Weighted mean per resample, shape (B,)."""
    return weights_BN @ values_N / weights_BN.sum(1)


def pearson_statistic(values_2N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    """Pearson correlation of two rows per resample; NaN where one is constant.

    Parameters
    ----------
    values_2N : ndarray, shape (2, N)
    weights_BN : ndarray, shape (B, N)
    """
    x, y = np.asarray(values_2N, dtype=np.float64)
    # centring first: the moments below would cancel for a large common offset
    x, y = x - x.mean(), y - y.mean()
    total = weights_BN.sum(1)
    mx, my = weights_BN @ x / total, weights_BN @ y / total
    xx = weights_BN @ (x * x) / total - mx**2
    yy = weights_BN @ (y * y) / total - my**2
    xy = weights_BN @ (x * y) / total - mx * my
    # a variance below rounding of its own terms is a constant, not a number
    flat = (xx <= 1e-12 * np.dot(x, x)) | (yy <= 1e-12 * np.dot(y, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(flat, np.nan, xy / np.sqrt(xx * yy)).clip(-1, 1)


def auc_statistic(values_2N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    """Area under the ROC curve per resample, ties counted one half.

    Parameters
    ----------
    values_2N : ndarray, shape (2, N)
        Scores, then labels (0 or 1).
    weights_BN : ndarray, shape (B, N)

    Returns
    -------
    ndarray, shape (B,)
        NaN on a resample without both classes.
    """
    score, label = np.asarray(values_2N, dtype=np.float64)
    if not np.isin(label, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, found {sorted(set(label))[:5]}")
    positive, negative = label == 1, label == 0
    wins = np.sign(score[positive][:, None] - score[negative][None, :]) / 2 + 0.5
    w_pos, w_neg = weights_BN[:, positive], weights_BN[:, negative]
    pairs = w_pos.sum(1) * w_neg.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ((w_pos @ wins) * w_neg).sum(1) / np.where(pairs > 0, pairs, np.nan)


def _interval(replicates_B: np.ndarray, level: float) -> tuple[float, float, int]:
    good = replicates_B[np.isfinite(replicates_B)]
    degenerate = len(replicates_B) - len(good)
    if len(good) < 2:
        return float("nan"), float("nan"), degenerate
    low, high = np.quantile(good, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high), degenerate


def _estimate(value, replicates_B, patients, scans, level, difference) -> Estimate:
    low, high, degenerate = _interval(replicates_B, level)
    p_value = None
    if difference:
        good = replicates_B[np.isfinite(replicates_B)]
        side = min((good <= 0).sum(), (good >= 0).sum()) if len(good) else 0
        p_value = min(1.0, 2 * (side + 1) / (len(good) + 1))
    _, people = _people(patients, scans)
    return Estimate(
        float(value), low, high, people, scans, degenerate, len(replicates_B), p_value
    )


def patient_bootstrap(
    values: np.ndarray,
    patients: Sequence,
    statistic: Statistic = mean_statistic,
    n_boot: int = 1000,
    seed: int = 0,
    *,
    level: float = 0.95,
    weights_BN: np.ndarray | None = None,
) -> Estimate:
    """A statistic with its percentile interval over resampled people.

    Parameters
    ----------
    values : ndarray, shape (..., N)
        What the statistic takes; the last axis runs over scans.
    patients : sequence of length N
        The person of each scan.
    statistic : callable (values, weights of shape (B, N)) -> (B,)
        `mean_statistic`, `pearson_statistic`, `auc_statistic`, or your own.
    n_boot, seed : int
        Resamples, and the seed of the draw.
    level : float
    weights_BN : ndarray, shape (B, N), optional
        Ready multiplicities (`patient_weights`) instead of ``n_boot`` and ``seed``.

    Raises
    ------
    ValueError
        If lengths disagree.

    Examples
    --------
    >>> e = patient_bootstrap([1.0, 1.0, 3.0], ["a", "a", "b"], n_boot=200)
    >>> round(e.value, 3), e.people, e.scans, e.low, e.high
    (1.667, 2, 3, 1.0, 3.0)
    """
    values = np.asarray(values, dtype=np.float64)
    scans = values.shape[-1]
    _people(patients, scans)
    if weights_BN is None:
        weights_BN = patient_weights(patients, n_boot, seed)
    value = statistic(values, np.ones((1, scans)))[0]
    replicates = statistic(values, weights_BN)
    return _estimate(value, replicates, patients, scans, level, difference=False)


def paired_difference(
    values: np.ndarray,
    comparison: np.ndarray,
    patients: Sequence,
    statistic: Statistic = mean_statistic,
    n_boot: int = 1000,
    seed: int = 0,
    *,
    level: float = 0.95,
    weights_BN: np.ndarray | None = None,
) -> Estimate:
    """``statistic(values) - statistic(comparison)`` on the same resampled people.

    Parameters and errors as in `patient_bootstrap`; the two sets of values belong
    to the same scans in the same order.
    """
    a = np.asarray(values, dtype=np.float64)
    b = np.asarray(comparison, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"paired values of shapes {a.shape} and {b.shape}")
    scans = a.shape[-1]
    _people(patients, scans)
    if weights_BN is None:
        weights_BN = patient_weights(patients, n_boot, seed)
    one = np.ones((1, scans))
    value = statistic(a, one)[0] - statistic(b, one)[0]
    replicates = statistic(a, weights_BN) - statistic(b, weights_BN)
    return _estimate(value, replicates, patients, scans, level, difference=True)


def jackknife(
    full: float, *leave_one_out: np.ndarray, scans: int, level: float = 0.95
) -> Estimate:
    """Bias-corrected delete-one jackknife, of one sample or of several.

    Parameters
    ----------
    full : float
        The statistic on everything.
    *leave_one_out : ndarray, shape (P_k,)
        For each independent sample k: the statistic without person i.
    scans : int
        For the record.

    Returns
    -------
    Estimate
        ``full + sum_k (P_k - 1)(full - mean_k)`` with a Student interval of
        ``sum_k P_k - k`` degrees of freedom; ``people`` is the smallest P_k.

    Raises
    ------
    ValueError
        If a sample has fewer than two people.
    """
    value, variance, freedom = float(full), 0.0, 0
    for replicates in leave_one_out:
        n = len(replicates)
        if n < 2:
            raise ValueError(f"a jackknife needs 2 people at least, got {n}")
        value += (n - 1) * (full - replicates.mean())
        variance += (n - 1) / n * ((replicates - replicates.mean()) ** 2).sum()
        freedom += n - 1
    half = stats.t.ppf((1 + level) / 2, freedom) * variance**0.5
    people = min(len(replicates) for replicates in leave_one_out)
    return Estimate(value, value - half, value + half, people, scans)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjustment: valid whatever the dependence of the tests.

    NaN (a comparison that could not be made) stays NaN and is not counted.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"p-values must lie in 0..1, found {p[(p < 0) | (p > 1)]}")
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * steps), 1)
    return adjusted
