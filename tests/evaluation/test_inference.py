"""Intervals over people: coverage, clustering, and agreement with references."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests

from mri2pet.evaluation.inference import (
    auc_statistic,
    holm,
    jackknife,
    mean_statistic,
    paired_difference,
    patient_bootstrap,
    patient_weights,
    pearson_statistic,
)


def test_resamples_draw_people_and_keep_their_scans_together():
    patients = np.array(["a", "b", "a", "c", "a"])
    w = patient_weights(patients, 300, seed=0)
    assert (w[:, 0] == w[:, 2]).all()
    assert (w[:, 0] == w[:, 4]).all()
    assert (w[:, [0, 1, 3]].sum(1) == 3).all()
    assert set(np.unique(w[:, 1])) == {0, 1, 2, 3}


@pytest.mark.parametrize("statistic", ["mean", "pearson", "auc"])
def test_weighted_statistics_equal_repeating_the_scans(statistic):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, (2, 30)).astype(float)  # with ties
    label = (rng.random(30) < 0.4).astype(float)
    w = patient_weights(np.arange(30) // 2, 20, seed=1)
    values, function, reference = {
        "mean": (x, mean_statistic, lambda i: x[i].mean()),
        "pearson": (
            np.stack([x, y]),
            pearson_statistic,
            lambda i: stats.pearsonr(x[i], y[i])[0],
        ),
        "auc": (
            np.stack([x, label]),
            auc_statistic,
            lambda i: roc_auc_score(label[i], x[i]),
        ),
    }[statistic]
    expected = [reference(np.repeat(np.arange(30), row.astype(int))) for row in w]
    np.testing.assert_allclose(function(values, w), expected, atol=1e-12)


def test_degenerate_resamples_are_left_out_and_counted():
    label = np.array([1.0, 0, 0, 0])
    e = patient_bootstrap(
        np.stack([np.array([4.0, 1, 2, 3]), label]), range(4), auc_statistic, 2000
    )
    # no positive person: (3/4)^4; only positive: (1/4)^4
    assert e.degenerate / 2000 == pytest.approx(0.316 + 0.004, abs=0.04)
    assert (e.value, e.low, e.high) == (1, 1, 1)
    constant = patient_bootstrap(np.ones((2, 5)), range(5), pearson_statistic, 50)
    assert np.isnan(constant.value)
    assert constant.degenerate == 50
    assert np.isnan(constant.low)


def test_ignoring_who_is_who_gives_intervals_that_are_too_short():
    rng = np.random.default_rng(2)
    truth = np.repeat(rng.standard_normal(20), 4)  # four visits, all alike
    values = truth + 0.1 * rng.standard_normal(80)
    people = patient_bootstrap(values, np.repeat(np.arange(20), 4))
    scans = patient_bootstrap(values, np.arange(80))
    assert people.people == 20
    assert people.high - people.low > 1.6 * (scans.high - scans.low)


def test_coverage_of_the_mean_with_two_visits():
    rng = np.random.default_rng(3)
    patients = np.r_[np.arange(40), np.arange(10)]
    hits, naive = 0, 0
    for seed in range(300):
        person = rng.standard_normal(40)
        values = person[patients] + 0.3 * rng.standard_normal(50)
        e = patient_bootstrap(values, patients, n_boot=400, seed=seed)
        hits += e.low <= 0 <= e.high
        e = patient_bootstrap(values, np.arange(50), n_boot=400, seed=seed)
        naive += e.low <= 0 <= e.high
    assert 0.90 <= hits / 300 <= 0.975
    assert naive <= hits


def test_paired_difference_removes_what_both_rows_share():
    rng = np.random.default_rng(4)
    person = rng.standard_normal(60)
    a, b = person + 0.1, person + 0.02 * rng.standard_normal(60)
    e = paired_difference(a, b, range(60))
    assert e.value == pytest.approx((a - b).mean())
    assert 0 < e.low < e.value < e.high
    alone = patient_bootstrap(a, range(60))
    assert e.high - e.low < 0.2 * (alone.high - alone.low)
    assert e.p_value < 0.01
    assert paired_difference(a, a, range(60)).p_value == 1
    flipped = paired_difference(b, a, range(60))
    assert flipped.low == pytest.approx(-e.high)


def test_same_seed_same_interval_and_the_interval_moves_with_the_seed():
    x = np.random.default_rng(5).standard_normal(30)
    one = patient_bootstrap(x, range(30), seed=1)
    assert one == patient_bootstrap(x, range(30), seed=1)
    assert one.low != patient_bootstrap(x, range(30), seed=2).low


def test_jackknife_of_a_mean_is_the_student_interval():
    x = np.random.default_rng(6).standard_normal(15)
    left = np.array([np.delete(x, i).mean() for i in range(15)])
    e = jackknife(x.mean(), left, scans=15)
    low, high = stats.t.interval(0.95, 14, x.mean(), stats.sem(x))
    assert (e.value, e.low, e.high) == pytest.approx((x.mean(), low, high))
    with pytest.raises(ValueError, match="2 people"):
        jackknife(1.0, left[:1], scans=1)


def test_jackknife_corrects_the_bias_of_the_plug_in_variance():
    x = np.random.default_rng(7).standard_normal(12)
    left = np.array([np.delete(x, i).var() for i in range(12)])
    assert jackknife(x.var(), left, scans=12).value == pytest.approx(x.var(ddof=1))


def test_holm_equals_statsmodels_and_leaves_unknown_alone():
    p = np.random.default_rng(8).random(9) ** 3
    expected = multipletests(p, method="holm")[1]
    np.testing.assert_allclose(holm(p), expected)
    with_gap = holm([*p, np.nan])
    np.testing.assert_allclose(with_gap[:-1], expected)
    assert np.isnan(with_gap[-1])


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="3 scans"):
        patient_bootstrap([1.0, 2, 3], ["a", "b"])
    with pytest.raises(ValueError, match="paired"):
        paired_difference([1.0, 2], [1.0], ["a", "b"])
    with pytest.raises(ValueError, match="n_boot"):
        patient_weights(["a"], 0, 0)
    with pytest.raises(ValueError, match="0 or 1"):
        auc_statistic(np.array([[1.0, 2], [0, 2]]), np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"0\.\.1"):
        holm([0.1, 1.2])
