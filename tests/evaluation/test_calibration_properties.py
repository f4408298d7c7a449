"""Properties of the intervals for any level, number of people and units."""

import numpy as np
from drawing import few, seeds
from hypothesis import given
from hypothesis import strategies as st

from mri2pet.evaluation.calibration import (
    conformal_interval,
    coverage,
    largest_level,
    rank_histogram,
    sample_interval,
)


@few
@given(
    people=st.integers(2, 30),
    shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    shift=st.floats(-5, 5),
    scale=st.floats(0.1, 10),
    seed=seeds,
)
def test_conformal_intervals_grow_with_the_level_and_follow_the_units(
    people, shares, shift, scale, seed
):
    rng = np.random.default_rng(seed)
    truth, centre = rng.normal(size=(2, people))
    spread, new_spread = rng.uniform(0.1, 2, size=(2, people))
    new = rng.normal(size=people)
    low_level, high_level = np.sort(shares) * largest_level(people)
    known = (truth, centre, spread, new, new_spread)
    low, high = conformal_interval(*known, high_level)
    inner_low, inner_high = conformal_interval(*known, low_level)
    assert (low <= inner_low).all() and (inner_high <= high).all()
    assert (inner_low <= new).all() and (new <= inner_high).all()
    moved = (
        shift + scale * truth,
        shift + scale * centre,
        scale * spread,
        shift + scale * new,
        scale * new_spread,
    )
    for end, other in zip(
        (low, high), conformal_interval(*moved, high_level), strict=True
    ):
        np.testing.assert_allclose(other, shift + scale * end, atol=1e-9)


@few
@given(
    people=st.integers(1, 8),
    k=st.integers(3, 40),
    shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    seed=seeds,
)
def test_sample_intervals_grow_with_the_level(people, k, shares, seed):
    samples = np.random.default_rng(seed).normal(size=(people, k))
    levels = np.sort(shares) * (k - 1) / (k + 1)
    low, high, nominal = sample_interval(samples, levels[1])
    inner_low, inner_high, inner_nominal = sample_interval(samples, levels[0])
    assert (low <= inner_low).all() and (inner_high <= high).all()
    assert levels[0] - 1e-9 <= inner_nominal <= nominal < 1
    assert nominal >= levels[1] - 1e-9
    # As many of the K + 1 ranks as the chance says lie between the two ends.
    held = ((samples >= low[:, None]) & (samples <= high[:, None])).sum(1)
    assert (held == round(nominal * (k + 1)) + 1).all()
    inside = coverage(samples[:, 0], low, high)
    assert 0 <= inside.low <= inside.value <= inside.high <= 1
    ranks = rank_histogram(samples[:, 0], samples[:, 1:])
    assert ranks.sum() == people and ranks.shape == (k,)
