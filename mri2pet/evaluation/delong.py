"""An interval of the area under the ROC curve that needs no resampling.

Shape suffix: N scans.

References
----------
DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44(3); Sun and Xu 2014, IEEE Signal
Processing Letters 21(11), for the ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from mri2pet.evaluation.inference import Estimate


def auc_interval(
    score_N: Sequence[float], positive_N: Sequence[bool], *, level: float = 0.95
) -> Estimate:
    """Area under the ROC curve with DeLong's interval, which needs no resampling.

    For levels so high that the ends of a bootstrap would hang on a handful of
    resamples, as Bonferroni's ``1 - 0.05 / rows``.

    Parameters
    ----------
    score_N : sequence of float
        One scan a person: the variance takes the scores to be independent.
    positive_N : sequence of bool
        Who is positive.
    level : float
        Of the two-sided interval.

    Returns
    -------
    Estimate
        Ties count one half; the ends lie in 0..1. Value and ends are NaN without both
        classes, the ends also with only one person in a class. Classes that are told
        apart without an error give an interval without width, which is too sure.

    Raises
    ------
    ValueError
        If lengths disagree, a score is not finite, or the level is not in (0, 1).

    Notes
    -----
    With mid-ranks R, the share of negatives below a positive person is
    ``(R among all - R among the positive) / negatives``, and likewise for a negative
    one. The variance of the area is the variance of these shares over the positive,
    divided by their number, plus the same over the negative.

    Examples
    --------
    >>> e = auc_interval([1.0, 2, 3, 4, 5, 6], [0, 0, 1, 0, 1, 1])
    >>> round(e.value, 3), round(e.low, 3), round(e.high, 3), e.people
    (0.889, 0.581, 1.0, 6)
    """
    score = np.asarray(score_N, dtype=np.float64)
    positive = np.asarray(positive_N).astype(bool)
    if score.ndim != 1 or score.shape != positive.shape:
        raise ValueError(f"scores of shape {score.shape}, labels {positive.shape}")
    if not np.isfinite(score).all():
        raise ValueError(
            f"score {np.flatnonzero(~np.isfinite(score))[0]} is not finite"
        )
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; got {level}")
    n, nan = len(score), float("nan")
    groups = score[positive], score[~positive]
    sizes = [len(group) for group in groups]
    if min(sizes) == 0:
        return Estimate(nan, nan, nan, n, n)
    rank_N = stats.rankdata(score)
    won = [
        (rank_N[mask] - stats.rankdata(group)) / other
        for mask, group, other in zip(
            (positive, ~positive), groups, sizes[::-1], strict=True
        )
    ]
    value = float(won[0].mean())
    if min(sizes) < 2:
        return Estimate(value, nan, nan, n, n)
    variance = sum(share.var(ddof=1) / len(share) for share in won)
    half = float(stats.norm.ppf((1 + level) / 2) * variance**0.5)
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), n, n)
