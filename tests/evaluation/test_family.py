"""A family of comparisons: paired p-values and their adjustment."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mri2pet.evaluation.family import paired_family
from mri2pet.evaluation.inference import paired_difference, pearson_statistic


def family(m, n, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    base = rng.standard_normal(n)
    return {
        f"row {i}": (base + shift * i + 0.3 * rng.standard_normal(n), base)
        for i in range(m)
    }


def test_lines_are_paired_differences_and_the_adjustment_is_that_of_statsmodels():
    pairs, patients = family(6, 50, seed=0, shift=0.04), np.arange(50) // 2
    frame = paired_family(pairs, patients, n_boot=2000, seed=3)
    assert list(frame.index) == list(pairs)
    for name, (values, comparison) in pairs.items():
        e = paired_difference(values, comparison, patients, n_boot=2000, seed=3)
        line = frame.loc[name]
        assert (line["value"], line["low"], line["high"]) == (e.value, e.low, e.high)
        assert line["p"] == e.p_value
    np.testing.assert_allclose(
        frame["p_holm"], multipletests(frame["p"], method="holm")[1]
    )
    assert (frame["people"] == 25).all()
    assert (frame["p_holm"] >= frame["p"]).all()
    assert frame["p_holm"].nunique() > 2


def test_p_values_are_close_to_the_paired_t_test():
    pairs = family(5, 80, seed=1, shift=0.02)
    frame = paired_family(pairs, range(80), n_boot=20_000)
    expected = [stats.ttest_rel(*pair).pvalue for pair in pairs.values()]
    np.testing.assert_allclose(frame["p"], expected, atol=0.02)


def test_the_family_is_rarely_wrong_where_single_tests_often_are():
    """Eight rows without a difference; how often is any of them called different?"""
    single = adjusted = 0
    for seed in range(150):
        frame = paired_family(family(8, 40, seed=100 + seed), range(40), n_boot=800)
        single += (frame["p"] < 0.05).any()
        adjusted += (frame["p_holm"] < 0.05).any()
    assert single / 150 > 0.2
    assert adjusted / 150 < 0.11


def test_an_undefined_comparison_is_not_counted():
    rng = np.random.default_rng(2)
    real, good, bad = rng.standard_normal((3, 30))
    good = real + 0.3 * good
    constant = np.ones(30)
    pairs = {
        "good": (np.stack([real, good]), np.stack([real, bad])),
        "constant": (np.stack([real, constant]), np.stack([real, bad])),
    }
    frame = paired_family(pairs, range(30), pearson_statistic)
    assert np.isnan(frame.loc["constant", ["p", "p_holm"]].to_numpy(float)).all()
    assert frame.loc["good", "p_holm"] == frame.loc["good", "p"] < 0.05


def test_names_may_be_tuples():
    pairs = {("cdc", "corrected"): (np.arange(9.0), np.arange(9.0) - 1)}
    assert list(paired_family(pairs, range(9)).index) == list(pairs)


def test_bad_input_is_refused_with_its_value():
    with pytest.raises(ValueError, match="pairs is empty"):
        paired_family({}, range(3))
    with pytest.raises(ValueError, match=r"n_boot = 100 .* 6 comparisons; use 240"):
        paired_family(family(6, 10, 0), range(10), n_boot=100)
    paired_family(family(6, 10, 0), range(10), n_boot=240)
    with pytest.raises(ValueError, match="10 scans"):
        paired_family(family(2, 10, 0), range(9))
