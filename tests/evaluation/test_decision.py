"""Probabilities and what they are worth, against scikit-learn and statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, confusion_matrix
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mri2pet.evaluation.decision import (
    brier,
    ece_if_calibrated,
    ece_statistic,
    fit_probability,
    net_benefit_statistic,
    probability_bins,
)
from mri2pet.evaluation.inference import patient_bootstrap

ONE = np.ones((1, 60))


def people(n=60, seed=0):
    rng = np.random.default_rng(seed)
    suvr = 1.2 + 0.2 * rng.standard_normal(n)
    spread = 0.02 + 0.01 * rng.random(n)
    chance = 1 / (1 + np.exp(-6 * (suvr - 1.2)))
    return np.column_stack([suvr, spread]), rng.random(n) < chance


def test_the_fit_is_that_of_scikit_learn():
    x, y = people()
    pipe = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, tol=1e-8))
    expected = pipe.fit(x, y).predict_proba(x)[:, 1]
    np.testing.assert_allclose(fit_probability(x, y, strength=0.5)(x), expected)


def test_without_a_penalty_it_is_that_of_statsmodels():
    x, y = people(seed=3)
    scaled = (x - x.mean(0)) / x.std(0)
    logit = sm.Logit(y.astype(float), sm.add_constant(scaled)).fit(disp=False)
    fit = fit_probability(x, y, strength=1e9)
    np.testing.assert_allclose(fit(x), logit.predict(), atol=1e-4)
    assert (fit.people, fit.positive) == (60, y.sum())


def test_people_who_are_told_apart_get_no_certainty_from_a_handful():
    p = fit_probability([[1.0], [1.1], [1.5], [1.6]], [0, 0, 1, 1])([[1.0], [1.6]])
    assert 0.1 < p[0] < 0.3 and 0.7 < p[1] < 0.9


def test_a_feature_without_spread_is_ignored():
    x, y = people()
    flat = np.column_stack([x[:, 0], np.full(60, 0.1)])
    np.testing.assert_allclose(fit_probability(flat, y)(flat), fit_probability(
        x[:, :1], y)(x[:, :1]))  # fmt: skip
    constant = fit_probability(np.full((60, 1), 1.3), y)
    np.testing.assert_allclose(constant(x[:, :1]), y.mean())


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[1.0], [2.0]], [1, 1], "all 2 people are positive"),
        ([[1.0], [2.0]], [0, 0], "all 2 people are negative"),
        ([[1.0], [np.nan]], [0, 1], "feature 0 of person 1 is not finite"),
        ([[1.0], [2.0]], [0, 1, 1], "2 people but labels of shape"),
        ([1.0, 2.0], [0, 1], "shape"),
        ([[1.0], [2.0]], [0, 2], "labels must be 0 or 1"),
    ],
)
def test_bad_people_are_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        fit_probability(np.array(x), np.array(y))


def test_brier_score_is_that_of_scikit_learn():
    x, y = people()
    p = fit_probability(x, y)(x)
    assert brier(p, y).mean() == pytest.approx(brier_score_loss(y, p))
    with pytest.raises(ValueError, match="probabilities must lie"):
        brier(np.array([1.2]), [1])


def test_calibration_error_is_that_of_scikit_learns_reliability_curve():
    _, y = people(seed=5)
    p = np.random.default_rng(5).random(60)
    bins = probability_bins(p)
    assert np.bincount(bins).tolist() == [10] * 6
    share, mean = calibration_curve(y, p, n_bins=6, strategy="quantile")
    values = np.stack([p, y, bins])
    expected = np.abs(share - mean).mean()  # ten people in each
    assert ece_statistic(values, ONE)[0] == pytest.approx(expected)
    # a person drawn twice counts twice
    twice = np.concatenate([values, values[:, :30]], axis=1)
    weights = np.concatenate([np.full(30, 2.0), np.ones(30)])[None]
    again = ece_statistic(twice, np.ones((1, 90)))
    np.testing.assert_allclose(ece_statistic(values, weights), again)


def test_right_probabilities_have_a_calibration_error_above_zero_by_chance():
    rng = np.random.default_rng(0)
    p = rng.random(60)
    floor = ece_if_calibrated(p, draws=4000)
    drawn = rng.random((4000, 60)) < p
    values = [np.stack([p, y, probability_bins(p)]) for y in drawn]
    seen = np.array([ece_statistic(v, ONE)[0] for v in values])
    assert floor.mean() == pytest.approx(seen.mean(), rel=0.03)
    np.testing.assert_allclose(
        np.quantile(floor, [0.025, 0.975]), np.quantile(seen, [0.025, 0.975]), atol=0.01
    )
    assert floor.mean() > 0.05


def test_equal_probabilities_share_a_bin():
    assert set(probability_bins(np.full(30, 0.4))) == {0}
    assert len(set(probability_bins(np.array([0.4] * 15 + [0.6] * 15)))) <= 2
    assert len(set(probability_bins(np.linspace(0, 1, 8)))) == 2
    assert len(set(probability_bins(np.linspace(0, 1, 500)))) == 10


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.8])
def test_net_benefit_is_that_of_the_confusion_matrix(threshold):
    _, y = people()
    p = np.random.default_rng(2).random(60)
    _, false, _, true = confusion_matrix(y, p >= threshold).ravel()
    expected = true / 60 - false / 60 * threshold / (1 - threshold)
    t = np.full(60, threshold)
    assert net_benefit_statistic(np.stack([p, y, t]), ONE)[0] == pytest.approx(expected)
    nobody = np.stack([np.zeros(60), y, t])
    assert net_benefit_statistic(nobody, ONE)[0] == 0
    share = y.mean()
    everybody = np.stack([np.ones(60), y, t])
    expected = share - (1 - share) * threshold / (1 - threshold)
    assert net_benefit_statistic(everybody, ONE)[0] == pytest.approx(expected)


def test_a_threshold_outside_zero_and_one_is_refused():
    with pytest.raises(ValueError, match="threshold"):
        net_benefit_statistic(np.ones((3, 4)), np.ones((1, 4)))


def test_intervals_of_net_benefit_and_brier_cover():
    """2,000 samples of 64 people from a truth that is known: 95 % within 2 points."""
    rng = np.random.default_rng(7)
    p = np.linspace(0.02, 0.98, 64)
    t = np.full(64, 0.5)
    truth_benefit = (p * (p >= 0.5) - (1 - p) * (p >= 0.5)).mean()
    truth_brier = (p * (1 - p)).mean()
    inside = np.zeros(2)
    weights = rng.multinomial(64, np.full(64, 1 / 64), size=1000).astype(float)
    for _ in range(2000):
        who = rng.integers(0, 64, 64)
        y = rng.random(64) < p[who]
        values = np.stack([p[who], y, t])
        a = patient_bootstrap(
            values, range(64), net_benefit_statistic, weights_BN=weights
        )
        b = patient_bootstrap(brier(p[who], y), range(64), weights_BN=weights)
        inside += [
            a.low <= truth_benefit <= a.high,
            b.low <= truth_brier <= b.high,
        ]
    assert (np.abs(inside / 2000 - 0.95) < 0.02).all(), inside / 2000
