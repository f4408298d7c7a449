"""Is the spread of the samples true? Coverage, ranks and conformal intervals.

K samples of one person announce an interval for a number, such as the SUVR of a region.
If the real value were one more draw of the same kind, it would fall between the order
statistics with a known chance, and its rank among the samples would be uniform. Both
can be tested on people whose PET is known. Where the test fails, **conformal**
intervals repair the width from the errors on validation people; they then hold whatever
the network is worth, as long as test and validation people are alike.

All functions want **one scan per person**: two visits are not two witnesses.

Shape suffixes: N people, K samples.

References
----------
Vovk, Gammerman and Shafer 2005; Lei et al. 2018, JASA 113(523) (scaled scores);
Hamill 2001, Monthly Weather Review 129(3) (rank histograms); Clopper and Pearson 1934.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from mri2pet.checks import number, numbers, whole
from mri2pet.evaluation.inference import Estimate


def sample_interval(
    samples_NK: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Interval between two order statistics of the samples.

    Parameters
    ----------
    samples_NK : ndarray, shape (N, K)
        K draws of one number for each person.
    level : float
        Least chance with which a further draw shall fall inside, in (0, 1).

    Returns
    -------
    low, high : ndarray, shape (N,)
    nominal : float
        The chance that belongs to these order statistics, at least ``level``: of
        K + 1 exchangeable draws, each is as likely as any to have a given rank.

    Raises
    ------
    ValueError
        If not even the whole range of K samples reaches ``level``.

    Examples
    --------
    >>> low, high, nominal = sample_interval(np.array([[3.0, 1.0, 2.0, 4.0]]), 0.5)
    >>> low.tolist(), high.tolist(), nominal
    ([1.0], [4.0], 0.6)
    """
    samples = _finite("samples", samples_NK, 2)
    level = number("level", level, 0, 1, inside=True)
    k = samples.shape[1]
    # The j lowest and j highest of K + 1 places stay outside.
    j = math.floor((1 - level) * (k + 1) / 2 + 1e-9)
    if j < 1:
        needed = math.ceil((1 + level) / (1 - level) - 1e-9)
        raise ValueError(
            f"level {level:g} needs at least {needed} samples a person; got {k}"
        )
    ordered = np.sort(samples, axis=1)
    return ordered[:, j - 1], ordered[:, k - j], (k + 1 - 2 * j) / (k + 1)


def coverage(
    truth_N: np.ndarray,
    low_N: np.ndarray,
    high_N: np.ndarray,
    confidence: float = 0.95,
) -> Estimate:
    """Share of people whose true value lies inside, with its binomial interval.

    Parameters
    ----------
    truth_N, low_N, high_N : ndarray, shape (N,)
        One number and one interval per person; the ends count as inside.
    confidence : float
        Level of the Clopper-Pearson interval.

    Returns
    -------
    Estimate

    Examples
    --------
    >>> e = coverage(np.array([1.0, 2.0, 9.0]), np.zeros(3), np.full(3, 5.0))
    >>> f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"
    '0.67 [0.09, 0.99]'
    """
    truth, low, high = (
        _finite(name, v, 1)
        for name, v in (("truth", truth_N), ("low", low_N), ("high", high_N))
    )
    if not len(truth) == len(low) == len(high) > 0:
        raise ValueError(
            f"{len(truth)} true values, {len(low)} lower and {len(high)} upper ends: "
            "expected as many of each, and at least one"
        )
    empty = np.flatnonzero(low > high)
    if len(empty):
        i = empty[0]
        raise ValueError(
            f"interval {i} must have low <= high; got {low[i]:g} and {high[i]:g}"
        )
    confidence = number("confidence", confidence, 0, 1, inside=True)
    inside = int(((low <= truth) & (truth <= high)).sum())
    ends = stats.binomtest(inside, len(truth)).proportion_ci(confidence)
    n = len(truth)
    return Estimate(inside / n, float(ends.low), float(ends.high), people=n, scans=n)


def rank_histogram(truth_N: np.ndarray, samples_NK: np.ndarray) -> np.ndarray:
    """How many true values have rank 0 .. K among their samples, shape (K + 1,).

    Flat: the spread is right. A U: too narrow. A hump: too wide. A slope: a bias.

    Examples
    --------
    >>> rank_histogram(np.array([0.0, 9.0, 9.0]), np.array([[1.0, 2.0]] * 3)).tolist()
    [1, 0, 2]
    """
    samples, truth = _finite("samples", samples_NK, 2), _finite("truth", truth_N, 1)
    if len(truth) != len(samples):
        raise ValueError(f"{len(truth)} true values, but {len(samples)} sample sets")
    ranks = (samples < truth[:, None]).sum(1)
    return np.bincount(ranks, minlength=samples.shape[1] + 1)


def largest_level(people: int) -> float:
    """Return the highest level that a conformal interval from so many people allows.

    Examples
    --------
    >>> largest_level(4), round(largest_level(16), 3)
    (0.8, 0.941)
    """
    people = whole("people", people, 1)
    return people / (people + 1)


def conformal_quantile(scores_N: np.ndarray, level: float) -> float:
    """Score that a further person's stays below with a chance of at least ``level``.

    Parameters
    ----------
    scores_N : ndarray, shape (N,)
        Errors of validation people, one each; perhaps divided by a spread.
    level : float
        In (0, 1), at most N / (N + 1).

    Returns
    -------
    float
        The score of rank ceil((N + 1) level).

    Raises
    ------
    ValueError
        If N people are too few for ``level``.

    Examples
    --------
    >>> conformal_quantile(np.array([0.3, 0.1, 0.2, 0.9]), 0.8)
    0.9
    """
    scores = _finite("scores", scores_N, 1)
    level = number("level", level, 0, 1, inside=True)
    rank = math.ceil((len(scores) + 1) * level - 1e-9)
    if rank > len(scores):
        needed = math.ceil(level / (1 - level) - 1e-9)
        raise ValueError(
            f"level {level:g} needs at least {needed} people to calibrate on; "
            f"got {len(scores)}"
        )
    return float(np.sort(scores)[rank - 1])


def conformal_interval(
    truth_N: np.ndarray,
    centre_N: np.ndarray,
    spread_N: np.ndarray,
    new_centre: np.ndarray,
    new_spread: np.ndarray,
    level: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Split-conformal intervals: centre plus and minus a multiple of the spread.

    Parameters
    ----------
    truth_N, centre_N, spread_N : ndarray, shape (N,)
        Validation people: true value, prediction, and its spread (> 0). A spread of
        ones makes all intervals equally wide.
    new_centre, new_spread : ndarray, shape (M,)
        The people to make intervals for.
    level : float
        As in `conformal_quantile`.

    Returns
    -------
    low, high : ndarray, shape (M,)

    Examples
    --------
    >>> low, high = conformal_interval(
    ...     np.array([1.0, 2.0]), np.array([1.5, 2.0]), np.ones(2),
    ...     np.array([3.0]), np.ones(1), 0.6,
    ... )
    >>> low.tolist(), high.tolist()
    ([2.5], [3.5])
    """  # fmt: skip
    spread = _positive("spread_N", spread_N)
    new_spread = _positive("new_spread", new_spread)
    truth, centre = _finite("truth", truth_N, 1), _finite("centre", centre_N, 1)
    if not len(truth) == len(centre) == len(spread):
        raise ValueError(
            f"{len(truth)} true values, {len(centre)} centres and {len(spread)} "
            "spreads: expected as many of each"
        )
    scores = np.abs(truth - centre) / spread
    reach = conformal_quantile(scores, level) * new_spread
    new_centre = _finite("new_centre", new_centre, 1)
    if len(new_centre) != len(new_spread):
        raise ValueError(
            f"{len(new_centre)} new centres and {len(new_spread)} new spreads: "
            "expected as many of each"
        )
    return new_centre - reach, new_centre + reach


def _finite(name: str, values: np.ndarray, dims: int) -> np.ndarray:
    values = numbers(name, values).astype(np.float64)
    if values.ndim != dims or not np.isfinite(values).all():
        raise ValueError(
            f"{name} must be finite with {dims} axes; got shape {values.shape} with "
            f"{int((~np.isfinite(values)).sum())} values that are not"
        )
    return values


def _positive(name: str, values: np.ndarray) -> np.ndarray:
    values = _finite(name, values, 1)
    if (values <= 0).any():
        raise ValueError(f"{name} must be positive; got {values.min():g}")
    return values
