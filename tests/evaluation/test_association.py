"""Correlations per resample and slopes within people, against other programs."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mri2pet.evaluation.association import (
    associate,
    mean_over_people,
    partial_statistic,
    person_slopes,
    rms_ratio_statistic,
    slope,
    slope_statistic,
    spearman_statistic,
)
from mri2pet.evaluation.inference import patient_weights, pearson_statistic

RNG = np.random.default_rng(0)
N = 30
X = RNG.normal(size=N).round(1)  # with ties
Y = 0.5 * X + RNG.normal(size=N)
Z = 0.7 * X + 0.4 * Y + RNG.normal(size=N)
WEIGHTS = patient_weights(range(N), 5, 0)


def _resampled(values, weights):
    return np.repeat(values, weights.astype(int))


def test_rank_correlation_is_scipys_in_every_resample():
    found = spearman_statistic(np.stack([X, Y]), WEIGHTS)
    truth = [
        stats.spearmanr(_resampled(X, w), _resampled(Y, w)).statistic for w in WEIGHTS
    ]
    np.testing.assert_allclose(found, truth)


def test_slope_is_numpys_in_every_resample():
    found = slope_statistic(np.stack([X, Y]), WEIGHTS)
    truth = [np.polyfit(_resampled(X, w), _resampled(Y, w), 1)[0] for w in WEIGHTS]
    np.testing.assert_allclose(found, truth)


def test_partial_correlation_is_that_of_the_residuals():
    found = partial_statistic(np.stack([X, Y, Z]), WEIGHTS)
    for w, value in zip(WEIGHTS, found, strict=True):
        x, y, z = (_resampled(v, w) for v in (X, Y, Z))
        rest = [v - np.polyval(np.polyfit(z, v, 1), z) for v in (x, y)]
        assert value == pytest.approx(np.corrcoef(*rest)[0, 1])


def test_ratio_of_root_mean_squares():
    one = np.ones((1, N))
    found = rms_ratio_statistic(np.stack([X, Y]), one)[0]
    assert found == pytest.approx((np.mean(X**2) / np.mean(Y**2)) ** 0.5)
    assert np.isnan(rms_ratio_statistic(np.stack([X, 0 * Y]), one)[0])


@pytest.mark.parametrize(
    "statistic", [spearman_statistic, slope_statistic, pearson_statistic]
)
def test_what_is_constant_has_no_correlation(statistic):
    one = np.ones((1, N))
    assert np.isnan(statistic(np.stack([X, np.full(N, 0.3)]), one)[0])
    assert np.isnan(statistic(np.stack([np.full(N, 0.3), X]), one)[0])
    follows = np.stack([X, Y, 2 * X])
    assert np.isnan(partial_statistic(follows, one)[0])


def test_incomplete_scans_are_left_out_and_visits_stay_together():
    x = np.append(X, [np.nan, 5.0])
    y = np.append(Y, [9.0, 5.0])
    people = [*range(N), N, N - 1]
    e = associate([x, y], people, n_boot=50)
    assert e.people == N
    assert e.scans == N + 1
    assert e.value == pytest.approx(np.corrcoef(np.append(X, 5), np.append(Y, 5))[0, 1])
    assert e.low < e.value < e.high


def test_two_people_have_no_correlation():
    e = associate([[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]], ["a", "a", "b"])
    assert np.isnan([e.value, e.low, e.high]).all()
    assert (e.people, e.scans) == (2, 3)


def test_an_effect_that_never_changes_has_a_slope_of_exactly_zero():
    assert slope([0.1, 0.4, 0.9], [0.1 + 0.2] * 3) == 0.0
    assert np.isnan(slope([1.0, 1.0], [1.0, 2.0]))
    assert np.isnan(slope([1.0, 2.0], [1.0, np.nan]))
    assert slope(X, Y) == pytest.approx(np.polyfit(X, Y, 1)[0])


def test_slopes_are_within_people():
    """Between people the effect falls with the cause, within each it rises."""
    lines = [
        {"participant_id": p, "cause": p + x, "effect": 2 * x - 5 * p}
        for p in range(4)
        for x in (0.0, 0.5, 1.0)
    ]
    frame = pd.DataFrame(lines)
    found = person_slopes(frame, "cause", ["effect"])
    assert list(found.index) == [0, 1, 2, 3]
    np.testing.assert_allclose(found["effect"], 2.0)
    assert slope(frame["cause"], frame["effect"]) < 0


def test_the_interval_of_a_mean_is_students():
    e = mean_over_people([*Y[:8], np.nan])
    low, high = stats.t.interval(0.95, 7, Y[:8].mean(), stats.sem(Y[:8]))
    assert (e.value, e.low, e.high) == pytest.approx((Y[:8].mean(), low, high))
    assert e.people == 8


def test_means_of_nobody_of_one_and_of_equals():
    assert np.isnan(mean_over_people([np.nan]).value)
    alone = mean_over_people([2.0])
    assert alone.value == 2.0
    assert np.isnan(alone.low)
    same = mean_over_people([0.0, 0.0, 0.0])
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_students_interval_covers_where_few_people_are():
    """2,000 experiments on eight people: near 95 % hold the truth."""
    rng = np.random.default_rng(1)
    inside = 0
    for values in rng.normal(0.3, 1.0, size=(2000, 8)):
        e = mean_over_people(values)
        inside += e.low <= 0.3 <= e.high
    assert abs(inside / 2000 - 0.95) < 0.02
