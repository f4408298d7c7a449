"""Scores of predicted diagnoses and MMSE, with intervals over people and over seeds.

The paper's plus-minus is the standard error over 25 trainings, all tested on the same
people: it says how much the training varies and nothing about other people. Both
spreads are given here. The value is the mean over trainings; the interval over people
resamples people and takes the mean over trainings in each resample; the interval over
seeds is Student's.

The interval over people is a percentile interval, expanded as Hesterberg proposes since
plain percentiles are too narrow for few people; that of a correlation is made on
Fisher's scale, with the spread of the resamples. What they cover is a test.

References
----------
Hesterberg 2015, The American Statistician 69(4), section 5; Fisher 1921, Metron 1.

Shape suffixes: S seeds, N people (scans), B resamples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mri2pet.evaluation.inference import (
    auc_statistic,
    mean_statistic,
    patient_weights,
    pearson_statistic,
)

# Metric -> whether more is better.
CLASSIFICATION = {
    "accuracy": True,
    "f1_macro": True,
    "balanced_accuracy": True,
    "auroc_macro": True,
}
REGRESSION = {"mse": False, "pearson_r": True}


@dataclass(frozen=True)
class Scored:
    """One metric of one setting.

    Attributes
    ----------
    seeds_S : ndarray
        Its value for each training.
    people_B : ndarray
        Its mean over trainings on each resample of people; NaN where undefined.
    people : int
        How many there are.
    correlation : bool
        Whether it is a correlation (and not a difference of two).
    bounds : tuple of float
        Between which it lies by definition; an interval over few seeds ends there.
    """

    seeds_S: np.ndarray
    people_B: np.ndarray
    people: int
    correlation: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)

    @property
    def value(self) -> float:
        """Mean over trainings."""
        return float(self.seeds_S.mean())

    def over_people(self, level: float = 0.95) -> tuple[float, float]:
        """Interval over people, expanded percentiles or on Fisher's scale."""
        good = self.people_B[np.isfinite(self.people_B)]
        if len(good) < 2 or self.people < 4:
            return float("nan"), float("nan")
        if self.correlation:
            half = stats.t.ppf((1 + level) / 2, self.people - 3)
            half *= _fisher(good).std(ddof=1)
            middle = _fisher(self.value)
            return float(np.tanh(middle - half)), float(np.tanh(middle + half))
        wide = stats.t.ppf((1 - level) / 2, self.people - 1)
        tail = stats.norm.cdf(wide * (self.people / (self.people - 1)) ** 0.5)
        low, high = np.quantile(good, [tail, 1 - tail])
        return float(low), float(high)

    def over_seeds(self, level: float = 0.95) -> tuple[float, float]:
        """Student's interval over trainings; undefined for one."""
        count = len(self.seeds_S)
        if count < 2:
            return float("nan"), float("nan")
        half = stats.t.ppf((1 + level) / 2, count - 1) / count**0.5
        if self.correlation:
            z = _fisher(self.seeds_S)
            low, high = np.tanh(z.mean() + half * z.std(ddof=1) * np.array([-1, 1]))
            return float(low), float(high)
        half *= self.seeds_S.std(ddof=1)
        low, high = np.clip([self.value - half, self.value + half], *self.bounds)
        return float(low), float(high)

    @property
    def undefined(self) -> int:
        """Resamples on which the metric is undefined; they are left out."""
        return int((~np.isfinite(self.people_B)).sum())

    def minus(self, other: Scored) -> Scored:
        """Return the paired difference: same seeds, same resamples."""
        if self.seeds_S.shape != other.seeds_S.shape:
            raise ValueError(
                f"{len(self.seeds_S)} and {len(other.seeds_S)} seeds cannot be paired"
            )
        return Scored(
            self.seeds_S - other.seeds_S, self.people_B - other.people_B, self.people
        )

    def p_value(self) -> float:
        """Two-sided p-value of 0 over people, at least 2 / (B + 1)."""
        good = self.people_B[np.isfinite(self.people_B)]
        if len(good) == 0:
            return float("nan")
        side = min((good <= 0).sum(), (good >= 0).sum())
        return float(min(1.0, 2 * (side + 1) / (len(good) + 1)))


def _fisher(r):
    return np.arctanh(np.clip(r, -1 + 1e-9, 1 - 1e-9))


def score_classes(
    probability_SNC: np.ndarray,
    truth_N: np.ndarray,
    people: Sequence[str],
    *,
    n_boot: int,
    seed: int,
) -> dict[str, Scored]:
    """Score predicted classes.

    Parameters
    ----------
    probability_SNC : ndarray
        Of each training.
    truth_N : ndarray of int
    people : sequence of length N
    n_boot, seed : int
        Resamples of people.

    Returns
    -------
    dict metric -> Scored
        Accuracy, macro F1, balanced accuracy (macro recall), macro one-versus-rest
        area under the ROC curve. Macro means run over the classes that occur among
        these people; resamples without one of them are undefined.
    """
    _check(probability_SNC, truth_N)
    weights_BN = patient_weights(people, n_boot, seed)
    return _both(
        {metric: CLASS_STATISTICS[metric] for metric in CLASSIFICATION},
        probability_SNC,
        truth_N,
        people,
        weights_BN,
    )


def score_values(
    predicted_SN: np.ndarray,
    truth_N: np.ndarray,
    people: Sequence[str],
    *,
    n_boot: int,
    seed: int,
) -> dict[str, Scored]:
    """Score predicted values: mean squared error and Pearson's r.

    A prediction that is the same for everybody has r = 0: it tells people apart as
    little as chance does.

    Parameters and returns as in `score_classes`.
    """
    _check(predicted_SN, truth_N)
    weights_BN = patient_weights(people, n_boot, seed)
    return _both(
        {"mse": _mse, "pearson_r": _pearson}, predicted_SN, truth_N, people, weights_BN
    )


def agree(
    first_SN: np.ndarray,
    second_SN: np.ndarray,
    people: Sequence[str],
    *,
    n_boot: int,
    seed: int,
) -> Scored:
    """Correlate two predictions of the same people, training by training.

    Parameters
    ----------
    first_SN, second_SN : ndarray
        A row of each belongs together: one model on two images of a person, or two
        models on one image. A prediction that is the same for everybody has r = 0.
    people, n_boot, seed
        As in `score_classes`.
    """
    if first_SN.shape != second_SN.shape:
        raise ValueError(f"predictions of shapes {first_SN.shape}, {second_SN.shape}")
    _check(first_SN, people)
    weights_BN = patient_weights(people, n_boot, seed)
    one = np.ones((1, len(people)))
    pairs = list(zip(first_SN, second_SN, strict=True))
    seeds = np.array([_correlate(a, b, one)[0] for a, b in pairs])
    resampled = np.mean([_correlate(a, b, weights_BN) for a, b in pairs], axis=0)
    return Scored(seeds, resampled, len(set(people)), correlation=True)


def _correlate(first_N, second_N, weights_BN):
    if np.ptp(first_N) == 0 or np.ptp(second_N) == 0:
        return np.zeros(len(weights_BN))
    return pearson_statistic(np.stack([first_N, second_N]), weights_BN)


def _check(predicted: np.ndarray, truth_N: np.ndarray) -> None:
    if predicted.shape[1] != len(truth_N):
        raise ValueError(
            f"predictions of shape {predicted.shape} for {len(truth_N)} people"
        )
    if not np.isfinite(predicted).all():
        raise ValueError("predictions hold NaN or infinite values")


Score = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _both(scores: dict[str, Score], predicted, truth_N, people, weights_BN):
    count = len(set(people))
    one = np.ones((1, len(truth_N)))
    found = {}
    for metric, score in scores.items():
        seeds = np.array([score(p, truth_N, one)[0] for p in predicted])
        resampled = [score(p, truth_N, weights_BN) for p in predicted]
        found[metric] = Scored(
            seeds,
            np.mean(resampled, axis=0),
            count,
            correlation=metric == "pearson_r",
            bounds=(0.0, np.inf if metric == "mse" else 1.0),
        )
    return found


def _mse(predicted_N, truth_N, weights_BN):
    return mean_statistic((predicted_N - truth_N) ** 2, weights_BN)


def _pearson(predicted_N, truth_N, weights_BN):
    return _correlate(predicted_N, truth_N, weights_BN)


def _accuracy(probability_NC, truth_N, weights_BN):
    right = probability_NC.argmax(1) == truth_N
    return mean_statistic(right.astype(float), weights_BN)


def _counts(probability_NC, truth_N, weights_BN):
    """Weighted true positives, predicted and true members of each class, (B, C)."""
    classes = np.arange(probability_NC.shape[1])
    said = probability_NC.argmax(1)[:, None] == classes
    true = truth_N[:, None] == classes
    return (weights_BN @ (said & true), weights_BN @ said, weights_BN @ true)


def _f1(probability_NC, truth_N, weights_BN):
    hits, said, true = _counts(probability_NC, truth_N, weights_BN)
    occurs = np.isin(np.arange(probability_NC.shape[1]), truth_N)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = 2 * hits / (said + true)
    # As scikit-learn: a class that is said but never true counts with 0.
    counted = occurs | (said.sum(0) > 0)
    mean = np.where(np.isnan(f1), 0.0, f1)[:, counted].mean(1)
    return np.where((true[:, occurs] > 0).all(1), mean, np.nan)


def _recall(probability_NC, truth_N, weights_BN):
    hits, _, true = _counts(probability_NC, truth_N, weights_BN)
    occurs = np.isin(np.arange(probability_NC.shape[1]), truth_N)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (hits / true)[:, occurs].mean(1)


def _auroc(probability_NC, truth_N, weights_BN):
    areas = []
    for number in range(probability_NC.shape[1]):
        label = truth_N == number
        if label.any() and not label.all():
            pair = np.stack([probability_NC[:, number], label.astype(float)])
            areas.append(auc_statistic(pair, weights_BN))
    if not areas:
        return np.full(len(weights_BN), np.nan)
    return np.mean(areas, axis=0)


CLASS_STATISTICS: dict[str, Score] = {
    "accuracy": _accuracy,
    "f1_macro": _f1,
    "balanced_accuracy": _recall,
    "auroc_macro": _auroc,
}
