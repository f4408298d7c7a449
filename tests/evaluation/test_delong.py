"""DeLong's interval: against its own definition, the bootstrap, and simulation."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from mri2pet.evaluation.delong import auc_interval
from mri2pet.evaluation.inference import auc_statistic, patient_bootstrap


def _groups(rng, positive, negative, shift):
    """Scores of two normal groups, whose area is Phi(shift / sqrt 2)."""
    score = np.r_[rng.normal(shift, 1, positive), rng.normal(0, 1, negative)]
    return score, np.arange(positive + negative) < positive


def test_delong_is_the_variance_of_the_pairwise_kernel():
    rng = np.random.default_rng(10)
    score, label = rng.integers(0, 8, 60).astype(float), rng.random(60) < 0.4  # ties
    wins = np.sign(score[label][:, None] - score[~label][None]) / 2 + 0.5
    variance = sum(
        np.var(wins.mean(axis), ddof=1) / len(wins.mean(axis)) for axis in (0, 1)
    )
    e = auc_interval(score, label, level=0.9)
    half = stats.norm.ppf(0.95) * np.sqrt(variance)
    assert e.value == pytest.approx(roc_auc_score(label, score))
    assert (e.low, e.high) == pytest.approx((e.value - half, e.value + half))
    assert e.people == 60


@pytest.mark.parametrize("shift", [0.0, 0.95])
def test_delong_agrees_with_the_bootstrap(shift):
    score, label = _groups(np.random.default_rng(11), 90, 130, shift)
    e = auc_interval(score, label)
    boot = patient_bootstrap(
        np.stack([score, label.astype(float)]), range(220), auc_statistic, 4000
    )
    assert e.value == pytest.approx(boot.value)
    assert e.high - e.low == pytest.approx(boot.high - boot.low, rel=0.06)
    assert (e.low, e.high) == pytest.approx((boot.low, boot.high), abs=0.012)


@pytest.mark.parametrize(("shift", "level"), [(0.0, 0.95), (0.95, 0.95), (0.0, 0.8)])
def test_coverage_of_the_area(shift, level):
    rng = np.random.default_rng(12)
    truth = stats.norm.cdf(shift / np.sqrt(2))
    draws = [
        auc_interval(*_groups(rng, 60, 80, shift), level=level) for _ in range(1500)
    ]
    hits = np.mean([e.low <= truth <= e.high for e in draws])
    assert hits == pytest.approx(level, abs=0.02)


def test_bonferroni_covers_all_rows_at_once_and_plain_intervals_do_not():
    rng = np.random.default_rng(13)
    rows, covered = 12, {0.95: 0, 1 - 0.05 / 12: 0}
    for _ in range(250):
        draws = [_groups(rng, 90, 110, 0.0) for _ in range(rows)]
        for level in covered:
            intervals = [auc_interval(*draw, level=level) for draw in draws]
            covered[level] += all(e.low <= 0.5 <= e.high for e in intervals)
    assert covered[1 - 0.05 / 12] / 250 >= 0.92
    assert covered[0.95] / 250 < 0.75


def test_areas_without_an_answer():
    empty = auc_interval([1.0, 2, 3], [1, 1, 1])
    assert np.isnan([empty.value, empty.low, empty.high]).all()
    alone = auc_interval([1.0, 2, 3], [0, 0, 1])
    assert (alone.value, np.isnan(alone.low)) == (1, True)
    same = auc_interval([2.0] * 6, [0, 1] * 3)
    assert (same.value, same.low, same.high) == (0.5, 0.5, 0.5)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="labels"):
        auc_interval([1.0, 2], [1])
    with pytest.raises(ValueError, match="score 1 is not finite"):
        auc_interval([1.0, np.nan], [0, 1])
    with pytest.raises(ValueError, match=r"level .* got 1\.0"):
        auc_interval([1.0, 2], [0, 1], level=1.0)
