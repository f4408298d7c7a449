"""Selective prediction: whether it helps to refuse the least certain people.

Keep the most certain people only, and look at the mean loss of those who are kept: the
**risk** as a function of the **coverage**. A certainty that is worth its name lowers
the risk as people are refused. Two certainties bound it: refusing at **random** leaves
the risk as it is, and an **oracle** that knows each loss refuses the largest first.

People with equal certainty are refused in random order, in expectation; so a constant
certainty is refusing at random, exactly. All functions want one scan per person.

Shape suffixes: N people, B resamples, G groups of equal certainty.

References
----------
El-Yaniv and Wiener 2010, JMLR 11; Geifman and El-Yaniv 2017, NeurIPS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from mri2pet.checks import number


def risks(
    certainty_N: Sequence[float],
    loss_N: Sequence[float],
    weights_BN: np.ndarray | None = None,
) -> np.ndarray:
    """Mean loss of the 1, 2, ... N most certain people.

    Parameters
    ----------
    certainty_N, loss_N : sequences of N floats
    weights_BN : ndarray, shape (B, N), optional
        How often each person is in a resample; every row sums to N. One resample with
        everybody once by default.

    Returns
    -------
    ndarray, shape (B, N)

    Raises
    ------
    ValueError
        Lengths differ, a value is not finite, or weights are no resamples of N people.

    Examples
    --------
    >>> risks([0.9, 0.5, 0.1], [0.0, 0.0, 1.0])[0].round(2).tolist()
    [0.0, 0.0, 0.33]
    >>> risks([0.5, 0.5, 0.5], [0.0, 0.0, 1.0])[0].round(2).tolist()
    [0.33, 0.33, 0.33]
    """
    certainty, loss = (np.asarray(v, dtype=np.float64) for v in (certainty_N, loss_N))
    n = len(loss)
    if certainty.shape != (n,) or loss.shape != (n,) or n == 0:
        raise ValueError(
            f"certainties of shape {certainty.shape} and losses of {loss.shape}"
        )
    if not (np.isfinite(certainty).all() and np.isfinite(loss).all()):
        raise ValueError("certainty and loss must be finite")
    if weights_BN is None:
        weights_BN = np.ones((1, n))
    weights = np.asarray(weights_BN, dtype=np.float64)
    if (weights != weights.round()).any() or (weights.sum(1) != n).any():
        raise ValueError(
            f"weights must be resamples of {n} people with one scan each; rows sum to "
            f"{weights.sum(1).min():g} to {weights.sum(1).max():g}"
        )
    _, group = np.unique(-certainty, return_inverse=True)  # the most certain first
    member = (group[:, None] == np.arange(group.max() + 1)[None]).astype(np.float64)
    people_BG = weights @ member
    with np.errstate(invalid="ignore"):
        mean_BG = (weights * loss) @ member / people_BG
    place = np.tile(np.arange(member.shape[1]), len(weights))
    times = people_BG.round().astype(int).ravel()
    entries_BN = np.repeat(place, times).reshape(len(weights), n)
    kept = np.take_along_axis(mean_BG, entries_BN, axis=1)
    return np.cumsum(kept, axis=1) / np.arange(1, n + 1)


def aurc_statistic(values_2N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    """Area under the risk-coverage curve per resample, shape (B,). Less is better.

    Parameters
    ----------
    values_2N : ndarray, shape (2, N)
        Certainty and loss. The mean of `risks` over all coverages.
    weights_BN : ndarray, shape (B, N)

    Examples
    --------
    >>> area = lambda certainty: aurc_statistic(
    ...     np.array([certainty, [0.0, 0.0, 1.0, 1.0]]), np.ones((1, 4))
    ... ).round(2).item()
    >>> area([4, 3, 2, 1]), area([1, 1, 1, 1]), area([1, 2, 3, 4])
    (0.21, 0.5, 0.79)
    """
    return risks(*values_2N, weights_BN).mean(1)


def gain_statistic(values_2N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    """Share of what an oracle gains over random refusal, per resample, shape (B,).

    One: as good as knowing every loss. Zero: as refusing at random. Below: worse.
    NaN where the oracle gains nothing, since all losses are equal.

    Parameters as in `aurc_statistic`.
    """
    certainty, loss = np.asarray(values_2N, dtype=np.float64)
    chance = weights_BN @ loss / weights_BN.sum(1)
    best = risks(-loss, loss, weights_BN).mean(1)
    mine = risks(certainty, loss, weights_BN).mean(1)
    room = chance - best
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(room > 1e-12, (chance - mine) / room, np.nan)


def risk_at(coverage: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Statistic: mean loss if this share of the people is kept.

    Parameters
    ----------
    coverage : float
        In (0, 1]; the number of people is rounded up.

    Returns
    -------
    callable (values_2N, weights_BN) -> ndarray, shape (B,)
        As in `aurc_statistic`.

    Examples
    --------
    >>> values = np.array([[3.0, 2.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]])
    >>> risk_at(0.5)(values, np.ones((1, 4))).tolist()
    [0.5]
    """
    coverage = number("coverage", coverage, 0, 1)
    if coverage == 0:
        raise ValueError("coverage is 0: nobody is kept")

    def statistic(values_2N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
        curve = risks(*values_2N, weights_BN)
        return curve[:, math.ceil(coverage * curve.shape[1] - 1e-9) - 1]

    return statistic
