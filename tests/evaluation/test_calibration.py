"""Coverage, ranks and conformal intervals: exact cases, guarantees, bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri2pet.evaluation.calibration import (
    conformal_interval,
    conformal_quantile,
    coverage,
    largest_level,
    rank_histogram,
    sample_interval,
)


@pytest.mark.parametrize(
    ("k", "level", "places", "nominal"),
    [(4, 0.6, (0, 3), 0.6), (4, 0.2, (1, 2), 0.2), (9, 0.8, (0, 8), 0.8),
     (19, 0.8, (1, 17), 0.8), (19, 0.85, (0, 18), 0.9)],
)  # fmt: skip
def test_interval_lies_between_order_statistics(k, level, places, nominal):
    samples = np.random.default_rng(0).permuted(np.tile(np.arange(k), (3, 1)), axis=1)
    low, high, found = sample_interval(samples, level)
    assert low.tolist() == [places[0]] * 3 and high.tolist() == [places[1]] * 3
    assert found == pytest.approx(nominal) and found >= level - 1e-9


@settings(max_examples=10, deadline=None)
@given(k=st.integers(3, 12), seed=st.integers(0, 10**6))
def test_exchangeable_draws_are_covered_as_announced(k, seed):
    """Whatever the distribution; the bound is five binomial standard errors."""
    rng = np.random.default_rng(seed)
    draws = rng.gamma(2.0, size=(4000, k + 1)) * rng.uniform(0.5, 5, size=(4000, 1))
    low, high, nominal = sample_interval(draws[:, 1:], 0.5 * (k - 1) / (k + 1))
    found = coverage(draws[:, 0], low, high)
    tolerance = 5 * (nominal * (1 - nominal) / 4000) ** 0.5
    assert found.value == pytest.approx(nominal, abs=tolerance)
    assert found.low <= found.value <= found.high
    counts = rank_histogram(draws[:, 0], draws[:, 1:])
    assert counts.sum() == 4000
    expected = 4000 / (k + 1)
    assert np.abs(counts - expected).max() < 5 * expected**0.5


def test_ranks_show_narrow_and_biased_samples():
    rng = np.random.default_rng(1)
    truth, samples = rng.normal(size=2000), rng.normal(size=(2000, 4))
    narrow = rank_histogram(truth, 0.3 * samples)
    assert narrow[0] + narrow[-1] > 2 * narrow[1:-1].sum()
    low_biased = rank_histogram(truth, samples - 2)
    assert low_biased[-1] > 0.5 * low_biased.sum()


def test_binomial_interval_against_its_definition():
    """Clopper-Pearson: at the ends, the tail has a chance of 2.5 %."""
    from scipy.stats import binom

    e = coverage(np.r_[np.zeros(7), np.full(3, 9.0)], np.full(10, -1), np.ones(10))
    assert (e.value, e.people) == (0.7, 10)
    assert binom.sf(6, 10, e.low) == pytest.approx(0.025, abs=1e-6)
    assert binom.cdf(7, 10, e.high) == pytest.approx(0.025, abs=1e-6)


@settings(max_examples=8, deadline=None)
@given(n=st.integers(4, 40), seed=st.integers(0, 10**6))
def test_conformal_intervals_hold_for_any_spread(n, seed):
    """Centre and spread may be wrong: the chance over new people is still kept."""
    rng = np.random.default_rng(seed)
    level, inside, trials = 0.8, 0, 1500
    for _ in range(trials):
        truth = rng.standard_t(3, size=n + 1)
        centre, spread = 0.3 * truth + 1, rng.uniform(0.1, 2, size=n + 1)
        low, high = conformal_interval(
            truth[:n], centre[:n], spread[:n], centre[n:], spread[n:], level
        )
        inside += low[0] <= truth[n] <= high[0]
    exact = np.ceil((n + 1) * level - 1e-9) / (n + 1)
    tolerance = 5 * (exact * (1 - exact) / trials) ** 0.5 + 1e-9
    assert inside / trials == pytest.approx(exact, abs=tolerance)


def test_the_largest_level_is_allowed_and_nothing_above():
    scores = np.arange(16.0)
    assert conformal_quantile(scores, largest_level(16)) == 15
    with pytest.raises(ValueError, match="at least 17 people"):
        conformal_quantile(scores, largest_level(16) + 0.001)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_interval(np.zeros((2, 4)), 0.8), "at least 9 samples.*got 4"),
        (lambda: sample_interval(np.zeros((2, 4)), 1.0), "level.*1.0"),
        (lambda: sample_interval(np.zeros(4), 0.5), r"shape \(4,\)"),
        (lambda: sample_interval(np.full((2, 4), np.nan), 0.5), "8 values"),
        (lambda: conformal_quantile(np.zeros(4), 0.9), "at least 9 people.*got 4"),
        (lambda: coverage(np.zeros(2), np.zeros(1), np.zeros(2)), "2 true values, 1"),
        (lambda: rank_histogram(np.zeros(2), np.zeros((3, 4))), "2 true values, but 3"),
        (
            lambda: conformal_interval(
                *[np.zeros(4)] * 3, np.zeros(1), np.ones(1), 0.5
            ),
            "spread_N must be positive; got 0",
        ),
    ],
)
def test_bad_arguments_name_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
