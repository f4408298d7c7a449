"""Planted failures are found, each by its name; what looks real is left in peace."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from mri2pet.evaluation.failure import FAILURES, failure_note, failures

GRID = (8, 16, 16)
BRAIN = (
    np.hypot.reduce(np.meshgrid(*[np.linspace(-1, 1, n) for n in GRID], indexing="ij"))
    < 0.9
)


def smooth(rng, n, sd):
    noise = rng.standard_normal((n, *GRID))
    noise = gaussian_filter(noise, (0, 1.5, 1.5, 1.5))
    return sd * noise / noise.std()


@pytest.fixture(scope="module")
def scans():
    """PETs like the phantoms': people correlate with 0.5, two visits with 0.98."""
    rng = np.random.default_rng(0)
    template = 1.2 + smooth(rng, 1, 0.3)
    people = (template + smooth(rng, 30, 0.3)).clip(0) * BRAIN
    inside = people[:, BRAIN]
    r = np.corrcoef(inside)[~np.eye(30, dtype=bool)]
    assert 0.4 < r.mean() < 0.6 and r.max() < 0.9
    visit = people[:1] + smooth(rng, 1, 0.06) * BRAIN
    assert 0.97 < np.corrcoef(visit[0][BRAIN], inside[0])[0, 1] < 0.985
    return people[:18], people[18:], visit


def curve(start, end, n=100, name="loss"):
    return [{"step": i, name: v} for i, v in enumerate(np.linspace(start, end, n))]


def critic(penalty, wasserstein, n=100, spread=0.05):
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "critic_loss": rng.standard_normal(n),
            "penalty": penalty + spread * rng.standard_normal(n),
            "wasserstein": wasserstein + spread * rng.standard_normal(n),
        }
    )


def test_real_people_are_no_failure(scans):
    train, test, visit = scans
    assert failures(test, train, BRAIN, curve(1.0, 0.1)) == []
    assert failures(test, train, np.stack([BRAIN] * len(test))) == []
    # Nor is a new scan of a person of the training set, nor noise or blur.
    assert failures(np.concatenate([test, visit]), train, BRAIN) == []
    noisy = test + 0.2 * np.random.default_rng(2).standard_normal(test.shape)
    assert failures(noisy, train, BRAIN) == []
    assert failures(gaussian_filter(test, (0, 1, 1, 1)), train, BRAIN) == []


@pytest.mark.parametrize("wobble", [0.0, 0.03])
def test_one_picture_for_everybody_is_collapsed(scans, wobble):
    train, test, _ = scans
    one = np.repeat(train.mean(axis=0)[None], len(test), axis=0)
    one = one + smooth(np.random.default_rng(3), len(test), wobble or 1) * wobble
    assert failures(one, train, BRAIN) == ["collapsed"]


def test_a_constant_picture_is_collapsed_too(scans):
    train, test, _ = scans
    assert failures(np.full_like(test, 1.1), train, BRAIN) == ["collapsed"]


def test_two_visits_of_one_person_may_be_alike(scans):
    train, test, visit = scans
    twice = np.stack([test[0], test[0] + (visit[0] - train[0])])
    assert failures(twice[[0, 0]], train, BRAIN) == ["collapsed"]
    assert failures(twice[[0, 0]], train, BRAIN, patients=["a", "a"]) == []


def test_people_who_hardly_differ_in_truth_may_hardly_differ(scans):
    train, test, _ = scans
    template = train.mean(axis=0)
    alike = [template + 0.05 * (x - template) for x in (train, test)]
    assert np.corrcoef(alike[1][:, BRAIN]).min() > 0.98
    assert failures(alike[1], alike[0], BRAIN) == []
    closer = template + 0.01 * (test - template)
    assert failures(closer, alike[0], BRAIN) == ["collapsed"]
    copy = np.concatenate([alike[1], alike[0][:1]])
    assert failures(copy, alike[0], BRAIN) == ["copied"]


def test_nothing_in_the_brain_is_empty(scans):
    train, test, _ = scans
    assert failures(0.05 * test, train, BRAIN) == ["empty"]
    half = test.copy()
    half[: len(half) // 2 + 1] *= 0.01
    assert "empty" in failures(half, train, BRAIN)
    half[2 : len(half) // 2 + 1] *= 100
    assert failures(half, train, BRAIN) == []
    outside = np.random.default_rng(4).random(test.shape) * ~BRAIN
    assert "empty" in failures(outside, train, BRAIN)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_has_diverged(scans, value):
    train, test, _ = scans
    bad = test.copy()
    bad[1, 0, 0, 0] = value
    assert failures(bad, train, BRAIN) == ["diverged"]
    history = [*curve(1.0, 0.1), {"step": 100, "loss": value}]
    assert failures(test, train, BRAIN, history) == ["diverged"]


def test_values_far_out_of_range_have_diverged(scans):
    train, test, _ = scans
    rng = np.random.default_rng(5)
    width = float(np.ptp(train))
    assert failures(200 * rng.standard_normal(test.shape), train, BRAIN) == ["diverged"]
    assert failures(test + 0.5 * width * BRAIN, train, BRAIN) == []  # wrong, not wild
    assert failures(test + 2.5 * width * BRAIN, train, BRAIN) == ["diverged"]
    one = test.copy()
    one[0, 0, 0, 0] = 100.0  # a single voxel of 24,576
    assert failures(one, train, BRAIN) == []


def test_a_loss_that_grew_has_diverged(scans):
    train, test, _ = scans
    assert failures(test, train, BRAIN, curve(0.1, 5.0)) == ["diverged"]
    assert failures(test, train, BRAIN, curve(0.1, 0.5)) == []
    heavy = np.exp(
        2 * np.random.default_rng(6).standard_normal(200)
    )  # a few large ones
    assert failures(test, train, BRAIN, [{"loss": v} for v in heavy]) == []
    assert failures(test, train, BRAIN, curve(0.1, 5.0, n=8)) == []  # too short to tell
    # A Wasserstein critic's loss is unbounded, and a generator may pause.
    game = [
        {"critic_loss": -float(i)} | ({"generator_loss": 50.0 * i} if i % 2 else {})
        for i in range(100)
    ]
    assert failures(test, train, BRAIN, game) == []


def test_a_copy_is_found_even_with_the_noise_that_sampling_leaves(scans):
    train, test, _ = scans
    made = test.copy()
    made[3] = train[5]
    assert failures(made, train, BRAIN) == ["copied"]
    # sqrt(beta_0) = 0.039 of the SD over all voxels (audit, section 2.6)
    noise = 0.039 * train.std() * np.random.default_rng(7).standard_normal(GRID)
    made[3] = train[5] + noise
    assert failures(made, train, BRAIN) == ["copied"]
    made[3] = 1.2 * train[5]
    assert failures(made, train, BRAIN) == ["copied"]


def test_a_flat_critic_is_saturated_and_a_steep_or_good_one_is_not(scans):
    train, test, _ = scans
    assert failures(test, train, BRAIN, critic(1.0, 0.0)) == ["saturated"]
    assert failures(test, train, BRAIN, critic(0.97, 0.9)) == ["saturated"]
    assert failures(test, train, BRAIN, critic(1.1, 40.0)) == []  # slope 2
    assert failures(test, train, BRAIN, critic(0.02, 4.0)) == []
    assert failures(test, train, BRAIN, critic(0.02, 0.1)) == []
    late = pd.concat([critic(1.0, 0.0, 90), critic(0.1, 5.0, 90)])
    assert failures(test, train, BRAIN, late) == []


def test_several_failures_come_in_a_fixed_order_with_a_note(scans):
    train, _, _ = scans
    found = failures(train[[0, 0]] * 0.01, train, BRAIN, critic(1.0, 0.0))
    assert found == ["empty", "collapsed", "copied", "saturated"]
    note = failure_note(found)
    assert note.startswith("Failed: empty (") and note.endswith("teach).")
    assert all(name in note and FAILURES[name] in note for name in found)
    assert failure_note([]) == ""


def test_bad_input_is_refused_with_its_value(scans):
    train, test, _ = scans
    with pytest.raises(ValueError, match=r"samples have shape \(8, 16, 16\)"):
        failures(test[0], train, BRAIN)
    with pytest.raises(ValueError, match="grids differ"):
        failures(test[:, :4], train, BRAIN)
    with pytest.raises(ValueError, match="brain is empty"):
        failures(test, train, np.zeros(GRID))
    with pytest.raises(ValueError, match="NaN"):
        failures(test, train * np.nan, BRAIN)
    with pytest.raises(ValueError, match="12 samples but 2 patients"):
        failures(test, train, BRAIN, patients=["a", "b"])
    with pytest.raises(ValueError, match="'bored' is no failure"):
        failure_note(["bored"])
