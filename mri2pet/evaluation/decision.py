"""From a synthetic PET to a decision: a calibrated probability, and what it is worth.

A reader does not act on an SUVR but on a chance: how likely is it that this person has
amyloid? A logistic regression, fitted on **validation** people only, turns the uptake
of the synthetic PET into such a probability. Training people cannot calibrate it: the
generator has seen their real PETs and is too good on them.

A probability is then judged three times. **Calibration**: of the people with 70 %, do
70 % have amyloid (reliability, expected calibration error)? **Error**: the Brier score.
**Use**: the net benefit of acting on it, against acting on everybody or on nobody.

All functions want one scan per person.

Shape suffixes: N people, F features, B resamples.

References
----------
Platt 1999; Brier 1950, Monthly Weather Review 78(1); Vickers and Elkin 2006, Medical
Decision Making 26(6); Guo et al. 2017, ICML, for the expected calibration error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from mri2pet.checks import number, numbers, whole

PEOPLE_A_BIN = 10


@dataclass(frozen=True)
class Calibrator:
    """A logistic regression of a status on a few numbers.

    Attributes
    ----------
    centre, scale : ndarray, shape (F,)
        Features are standardised with these; a feature without spread has scale 1.
    weights : ndarray, shape (F,)
        Per standard deviation; 0 for a feature without spread.
    intercept : float
    people, positive : int
        Who it was fitted on.
    """

    centre: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercept: float
    people: int
    positive: int

    def __call__(self, features_NF: np.ndarray) -> np.ndarray:
        """Probability of each person, shape (N,)."""
        features = _matrix(features_NF)
        if features.shape[1] != len(self.weights):
            raise ValueError(
                f"{features.shape[1]} features for a fit on {len(self.weights)}"
            )
        logit = (features - self.centre) / self.scale @ self.weights + self.intercept
        return 1 / (1 + np.exp(-logit))


def fit_probability(
    features_NF: np.ndarray, positive_N: Sequence[bool], *, strength: float = 1.0
) -> Calibrator:
    """Fit the probability of a status.

    Parameters
    ----------
    features_NF : ndarray, shape (N, F)
        For example composite SUVR and the SD of its samples.
    positive_N : sequence of N bool
    strength : float
        Inverse weight of the penalty on the slopes (scikit-learn's ``C``), features
        standardised. Without a penalty a few people who happen to be told apart
        would give probabilities of 0 and 1.

    Returns
    -------
    Calibrator
        Without any feature that varies: the share of positive people, for everybody.

    Raises
    ------
    ValueError
        Only one class is there, lengths differ, or a feature is not finite.

    Examples
    --------
    >>> fit = fit_probability([[1.0], [1.1], [1.4], [1.5]], [0, 0, 1, 1])
    >>> fit([[1.0], [1.25], [1.5]]).round(2).tolist()
    [0.23, 0.5, 0.77]
    >>> fit_probability([[1.0], [1.0], [1.0]], [0, 1, 1])([[9.0]]).round(2).tolist()
    [0.67]
    """
    features = _matrix(features_NF)
    positive = _labels(positive_N, len(features))
    strength = number("strength", strength, 0, inside=True)
    if positive.min() == positive.max():
        raise ValueError(
            f"all {len(positive)} people are "
            f"{'positive' if positive[0] else 'negative'}: a probability needs both"
        )
    centre, spread = features.mean(0), features.std(0)
    # Spread below rounding of the values themselves is none.
    varies = spread > 1e-9 * np.maximum(1.0, np.abs(centre))
    scale = np.where(varies, spread, 1.0)
    weights = np.zeros(features.shape[1])
    share = positive.mean()
    intercept = float(np.log(share / (1 - share)))
    if varies.any():
        model = LogisticRegression(C=strength, tol=1e-8, max_iter=1000)
        model.fit(((features - centre) / scale)[:, varies], positive)
        weights[varies] = model.coef_[0]
        intercept = float(model.intercept_[0])
    return Calibrator(
        centre, scale, weights, intercept, len(positive), int(positive.sum())
    )


def brier(probability_N: np.ndarray, positive_N: Sequence[bool]) -> np.ndarray:
    """Squared error of each probability, shape (N,); its mean is the Brier score.

    Examples
    --------
    >>> brier(np.array([0.5, 1.0]), [1, 1]).tolist()
    [0.25, 0.0]
    """
    probability, positive = _forecast(probability_N, positive_N)
    return (probability - positive) ** 2


def probability_bins(probability_N: np.ndarray, bins: int | None = None) -> np.ndarray:
    """Bin of each person, with about equally many in each.

    Parameters
    ----------
    probability_N : ndarray, shape (N,)
    bins : int, optional
        Default: one for every ten people, at least 2 and at most 10. Equal
        probabilities share a bin, so there may be fewer.

    Returns
    -------
    ndarray of int, shape (N,)

    Examples
    --------
    >>> probability_bins(np.array([0.1, 0.2, 0.8, 0.9]), 2).tolist()
    [0, 0, 1, 1]
    """
    probability = numbers("probability", probability_N).astype(np.float64)
    if bins is None:
        bins = min(10, max(2, len(probability) // PEOPLE_A_BIN))
    bins = whole("bins", bins, 1)
    edges = np.quantile(probability, np.linspace(0, 1, bins + 1))
    return np.searchsorted(edges[1:-1], probability)


def ece_statistic(values_3N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    """Expected calibration error per resample, shape (B,).

    The mean distance between the share of positive people in a bin and their mean
    probability, bins weighted by their people.

    Parameters
    ----------
    values_3N : ndarray, shape (3, N)
        Probability, status (0 or 1), and the bin of `probability_bins`.
    weights_BN : ndarray, shape (B, N)

    Examples
    --------
    >>> values = np.array([[0.2, 0.2, 0.9, 0.9], [0, 0, 1, 0], [0, 0, 1, 1]])
    >>> ece_statistic(values, np.ones((1, 4))).round(3).tolist()
    [0.3]
    """
    probability, positive, bins = np.asarray(values_3N, dtype=np.float64)
    member = bins[:, None] == np.unique(bins)[None]
    off = weights_BN @ ((positive - probability)[:, None] * member)
    return np.abs(off).sum(1) / weights_BN.sum(1)


def ece_if_calibrated(
    probability_N: np.ndarray, draws: int = 1000, seed: int = 0
) -> np.ndarray:
    """Calibration errors that right probabilities would show by chance, shape (draws,).

    With few people in a bin the share of positive ones differs from their chance even
    if the chance is right, so an error of 0 is not to be had.

    Parameters
    ----------
    probability_N : ndarray, shape (N,)
    draws, seed : int
        People's status is drawn so often, with these probabilities.
    """
    probability, _ = _forecast(probability_N, np.zeros(len(probability_N)))
    bins = probability_bins(probability)
    member = bins[:, None] == np.unique(bins)[None]
    rng = np.random.default_rng(seed)
    drawn = rng.random((whole("draws", draws, 1), len(probability))) < probability
    return np.abs((drawn - probability) @ member).sum(1) / len(probability)


def net_benefit_statistic(values_3N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    """Net benefit of acting on a probability, per resample, shape (B,).

    Who acts at a probability of t takes (1 - t) / t needless actions for one needed as
    fair. So a needed action counts 1 and a needless one -t / (1 - t); the unit is one
    person with amyloid, found without a needless action, per person asked.

    Parameters
    ----------
    values_3N : ndarray, shape (3, N)
        Probability, status (0 or 1), and the threshold t, the same for all. With
        probabilities of 1 everybody is acted on; of 0, nobody.
    weights_BN : ndarray, shape (B, N)

    Examples
    --------
    >>> values = np.array([[0.9, 0.6, 0.2], [1, 0, 1], [0.5, 0.5, 0.5]])
    >>> net_benefit_statistic(values, np.ones((1, 3))).tolist()
    [0.0]
    """
    probability, positive, threshold = np.asarray(values_3N, dtype=np.float64)
    number("threshold", threshold[0], 0, 1, inside=True)
    cost = threshold[0] / (1 - threshold[0])
    acted = probability >= threshold
    gain = acted * positive - cost * acted * (1 - positive)
    return weights_BN @ gain / weights_BN.sum(1)


def _matrix(features_NF) -> np.ndarray:
    features = numbers("features", features_NF).astype(np.float64)
    if features.ndim != 2 or not features.size:
        raise ValueError(f"features need shape (N, F); got {features.shape}")
    if not np.isfinite(features).all():
        row, column = np.argwhere(~np.isfinite(features))[0]
        raise ValueError(f"feature {column} of person {row} is not finite")
    return features


def _labels(positive_N, people: int) -> np.ndarray:
    positive = np.asarray(positive_N).astype(float)
    if positive.shape != (people,):
        raise ValueError(f"{people} people but labels of shape {positive.shape}")
    if not np.isin(positive, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1; got {sorted(set(positive))[:5]}")
    return positive


def _forecast(probability_N, positive_N) -> tuple[np.ndarray, np.ndarray]:
    probability = numbers("probability", probability_N).astype(np.float64)
    if probability.ndim != 1 or not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("probabilities must lie in 0..1, one for each person")
    return probability, _labels(positive_N, len(probability))
