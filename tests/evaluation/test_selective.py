"""Refusing the least certain: against brute force, and what chance and an oracle do."""

import numpy as np
import pytest

from mri2pet.evaluation.inference import (
    paired_difference,
    patient_bootstrap,
    patient_weights,
)
from mri2pet.evaluation.selective import (
    aurc_statistic,
    gain_statistic,
    risk_at,
    risks,
)

RNG = np.random.default_rng(0)


def by_hand(certainty, loss):
    """Keep 1, 2, ... N, the most certain first; no ties."""
    order = sorted(range(len(loss)), key=lambda i: -certainty[i])
    return [np.mean([loss[i] for i in order[:k]]) for k in range(1, len(loss) + 1)]


def test_risks_are_those_of_a_loop():
    certainty, loss = RNG.random((2, 30))
    np.testing.assert_allclose(risks(certainty, loss)[0], by_hand(certainty, loss))


def test_ties_are_the_mean_over_all_orders():
    certainty = np.array([2, 1, 1, 1, 0, 0.0])
    loss = RNG.random(6)
    orders = [
        by_hand(certainty + 1e-6 * np.random.default_rng(i).random(6), loss)
        for i in range(4000)
    ]
    np.testing.assert_allclose(risks(certainty, loss)[0], np.mean(orders, 0), atol=0.01)


def test_a_resample_is_the_list_of_its_people():
    certainty, loss = RNG.random((2, 12))
    weights = patient_weights(range(12), n_boot=50, seed=1)
    found = risks(certainty, loss, weights)
    for w, curve in zip(weights.astype(int), found, strict=True):
        drawn = np.repeat(np.arange(12), w)
        # people drawn twice are alike, so their order does not matter
        np.testing.assert_allclose(curve, by_hand(certainty[drawn], loss[drawn]))


def test_chance_is_flat_and_the_oracle_is_the_known_area():
    loss = (np.arange(2000) < 600).astype(float)
    random = aurc_statistic(np.stack([np.zeros(2000), loss]), np.ones((1, 2000)))
    assert random[0] == pytest.approx(0.3)
    oracle = aurc_statistic(np.stack([-loss, loss]), np.ones((1, 2000)))
    assert oracle[0] == pytest.approx(0.3 + 0.7 * np.log(0.7), abs=1e-3)


def test_no_certainty_is_better_than_the_oracle():
    loss = RNG.random(20)
    weights = patient_weights(range(20), n_boot=200, seed=0)
    best = aurc_statistic(np.stack([-loss, loss]), weights)
    for _ in range(20):
        mine = aurc_statistic(np.stack([RNG.random(20), loss]), weights)
        assert (mine >= best - 1e-12).all()


def test_gain_is_one_for_the_oracle_zero_for_chance_and_negative_if_upside_down():
    loss, one = RNG.random(15), np.ones((1, 15))
    gains = [
        gain_statistic(np.stack([c, loss]), one)[0] for c in (-loss, np.zeros(15), loss)
    ]
    assert gains[0] == pytest.approx(1)
    assert gains[1] == pytest.approx(0)
    assert gains[2] < -0.5
    assert np.isnan(gain_statistic(np.stack([loss, np.ones(15)]), one)).all()


def test_a_constant_certainty_differs_from_chance_in_no_resample():
    loss = RNG.random(15)
    flat, random = np.stack([np.full(15, 0.2), loss]), np.stack([np.zeros(15), loss])
    e = paired_difference(flat, random, range(15), aurc_statistic, n_boot=100)
    assert (e.value, e.low, e.high) == (0, 0, 0)


def test_risk_at_a_coverage():
    values = np.stack([np.arange(10.0), np.arange(10.0)])
    one = np.ones((1, 10))
    assert risk_at(1.0)(values, one)[0] == 4.5
    assert risk_at(0.2)(values, one)[0] == 8.5  # the two most certain
    assert risk_at(0.11)(values, one)[0] == 8.5  # rounded up
    for bad in (0, 1.2, -1):
        with pytest.raises(ValueError, match="coverage"):
            risk_at(bad)


@pytest.mark.parametrize(
    ("certainty", "loss", "weights", "message"),
    [
        ([1.0], [1.0, 2.0], None, "shape"),
        ([], [], None, "shape"),
        ([np.nan], [1.0], None, "finite"),
        ([1.0, 2.0], [1.0, 2.0], [[1.0, 2.0]], "rows sum to 3"),
        ([1.0, 2.0], [1.0, 2.0], [[0.5, 1.5]], "one scan each"),
    ],
)
def test_bad_input_is_refused(certainty, loss, weights, message):
    with pytest.raises(ValueError, match=message):
        risks(certainty, loss, None if weights is None else np.array(weights))


@pytest.mark.slow
def test_intervals_of_the_area_and_of_its_gain_cover():
    """2,000 samples of 64 people whose error follows their spread, within 2 points."""
    rng, n = np.random.default_rng(1), 64
    weights = patient_weights(range(n), n_boot=3000, seed=9)

    def draw():
        spread = 0.05 + 0.1 * rng.random(n)
        return np.stack([-spread, np.abs(spread * rng.standard_normal(n))])

    def areas(values):
        return aurc_statistic(values, np.ones((1, n)))[0], values[1].mean()

    truth = np.mean([areas(draw()) for _ in range(20_000)], axis=0)
    truth = np.array([truth[0], truth[0] - truth[1]])
    inside = np.zeros(2)
    for _ in range(2000):
        values = draw()
        random = np.stack([np.zeros(n), values[1]])
        found = (
            patient_bootstrap(values, range(n), aurc_statistic, weights_BN=weights),
            paired_difference(
                values, random, range(n), aurc_statistic, weights_BN=weights
            ),
        )
        inside += [e.low <= t <= e.high for e, t in zip(found, truth, strict=True)]
    assert (np.abs(inside / 2000 - 0.95) < 0.02).all(), inside / 2000
