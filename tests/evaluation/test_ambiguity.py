"""Entropy of a call, spread of samples, and the perfect reader."""

import numpy as np
import pytest
from scipy.stats import entropy

from mri2pet.cohort.phantom.disease import draw_people
from mri2pet.evaluation.ambiguity import (
    binary_entropy,
    call_entropy,
    ideal_ambiguity,
    sample_spread,
)

V = np.array([-0.4, 0.0, 0.4, 0.8, 1.2])


def test_entropy_is_scipys():
    shares = np.linspace(0, 1, 11)
    truth = [entropy([p, 1 - p], base=2) for p in shares]
    np.testing.assert_allclose(binary_entropy(shares), truth, atol=1e-12)


def test_a_call_counts_samples_above_the_threshold():
    composite = np.array([[1.10, 1.12, 1.2, 1.3], [1.0, 1.0, 1.0, 1.1]])
    np.testing.assert_allclose(call_entropy(composite), [binary_entropy(0.75), 0.0])


def test_spread_is_the_root_of_the_mean_variance_in_the_brain():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(2, 4, 3, 5, 5))
    brain = rng.random((2, 3, 5, 5)) > 0.5
    found = sample_spread(samples, brain)
    for i in range(2):
        inside = samples[i].reshape(4, -1)[:, brain[i].ravel()]
        truth = np.mean([np.var(v, ddof=1) for v in inside.T]) ** 0.5
        assert found[i] == pytest.approx(truth)


def test_without_a_link_atrophy_says_nothing():
    found = ideal_ambiguity(V, 0.0)
    share = draw_people(range(4000), seed=3, rho=0.0)["status"].mean()
    np.testing.assert_allclose(found["positive"], share, atol=0.05)


def test_with_a_link_doubt_is_greatest_in_between():
    found = ideal_ambiguity(V, 0.9)
    assert (np.diff(found["positive"]) > 0).all()
    assert found["entropy"].idxmax() in (0.4, 0.8)
    assert found["entropy"].iloc[0] < found["entropy"].max() - 0.1
    assert found["entropy"].iloc[-1] < found["entropy"].max() - 0.1
    weak = ideal_ambiguity(V, 0.3)
    assert np.ptp(weak["positive"]) < np.ptp(found["positive"])


def test_the_perfect_reader_agrees_with_people_of_that_atrophy():
    found = ideal_ambiguity([0.6], 0.67).iloc[0]
    other = draw_people(range(4000), seed=9, rho=0.67)
    alike = other[(other["V"] - 0.6).abs() < 0.1]
    assert found["positive"] == pytest.approx(alike["status"].mean(), abs=0.06)
    assert found["amyloid"] == pytest.approx(alike["A"].mean(), abs=0.06)
    assert found["amyloid_sd"] == pytest.approx(alike["A"].std(), abs=0.06)


def test_beyond_everybody_the_nearest_answer():
    found = ideal_ambiguity([9.0, 5.0], 0.67)
    assert np.isfinite(found.to_numpy()).all()


def test_an_impossible_rho_is_refused():
    with pytest.raises(ValueError, match="rho must lie in"):
        ideal_ambiguity([0.0], 1.0)
