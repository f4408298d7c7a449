"""Scores of predictions against scikit-learn and scipy, and what intervals cover."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from mri2pet.evaluation.utility import Scored, score_classes, score_values

N, SEEDS = 60, 3


def _some(rng, n=N):
    truth = rng.integers(0, 3, n)
    logits = rng.normal(size=(SEEDS, n, 3)) + 1.2 * np.eye(3)[truth]
    p = np.exp(logits)
    return p / p.sum(2, keepdims=True), truth


def test_class_scores_are_those_of_scikit_learn():
    p, truth = _some(np.random.default_rng(0))
    found = score_classes(p, truth, range(N), n_boot=10, seed=0)
    for s in range(SEEDS):
        said = p[s].argmax(1)
        expected = {
            "accuracy": metrics.accuracy_score(truth, said),
            "f1_macro": metrics.f1_score(truth, said, average="macro"),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, said),
            "auroc_macro": metrics.roc_auc_score(truth, p[s], multi_class="ovr"),
        }
        for metric, value in expected.items():
            assert found[metric].seeds_S[s] == pytest.approx(value, abs=1e-12), metric


def test_a_class_that_nobody_has_is_handled_as_scikit_learn_does():
    rng = np.random.default_rng(1)
    p, _ = _some(rng)
    truth = rng.integers(0, 2, N)  # no AD among these people
    found = score_classes(p, truth, range(N), n_boot=10, seed=0)
    said = p[0].argmax(1)
    assert found["f1_macro"].seeds_S[0] == pytest.approx(
        metrics.f1_score(truth, said, average="macro")
    )
    recalls = [(said[truth == k] == k).mean() for k in (0, 1)]
    assert found["balanced_accuracy"].seeds_S[0] == pytest.approx(np.mean(recalls))
    areas = [metrics.roc_auc_score(truth == k, p[0][:, k]) for k in (0, 1)]
    assert found["auroc_macro"].seeds_S[0] == pytest.approx(np.mean(areas))


def test_resamples_are_scored_as_repeated_people():
    rng = np.random.default_rng(2)
    p, truth = _some(rng, 20)
    people = [f"sub-{i // 2}" for i in range(20)]  # two scans each
    from mri2pet.evaluation.inference import patient_weights

    weights = patient_weights(people, 30, 5).astype(int)
    found = score_classes(p, truth, people, n_boot=30, seed=5)
    checked = 0
    for b, counts in enumerate(weights):
        again = np.repeat(np.arange(20), counts)
        if set(truth[again]) != {0, 1, 2}:
            assert np.isnan(found["auroc_macro"].people_B[b])
            continue
        checked += 1
        for metric, score in (
            ("balanced_accuracy", metrics.balanced_accuracy_score),
            ("accuracy", metrics.accuracy_score),
        ):
            expected = np.mean([score(truth[again], q[again].argmax(1)) for q in p])
            assert found[metric].people_B[b] == pytest.approx(expected)
        f1 = np.mean(
            [
                metrics.f1_score(
                    truth[again], q[again].argmax(1), average="macro", labels=[0, 1, 2]
                )
                for q in p
            ]
        )
        assert found["f1_macro"].people_B[b] == pytest.approx(f1)
        auc = np.mean(
            [
                metrics.roc_auc_score(truth[again], q[again], multi_class="ovr")
                for q in p
            ]
        )
        assert found["auroc_macro"].people_B[b] == pytest.approx(auc)
    assert checked > 10


def test_values_against_scipy_and_a_constant_prediction():
    rng = np.random.default_rng(3)
    truth = rng.normal(25, 3, N)
    predicted = 0.4 * truth + rng.normal(size=(SEEDS, N))
    found = score_values(predicted, truth, range(N), n_boot=10, seed=0)
    for s in range(SEEDS):
        assert found["pearson_r"].seeds_S[s] == pytest.approx(
            stats.pearsonr(predicted[s], truth)[0]
        )
        assert found["mse"].seeds_S[s] == pytest.approx(
            metrics.mean_squared_error(truth, predicted[s])
        )
    flat = score_values(np.full((2, N), 25.0), truth, range(N), n_boot=10, seed=0)
    assert (
        flat["pearson_r"].value == 0 and np.isfinite(flat["pearson_r"].people_B).all()
    )


def test_the_interval_over_seeds_is_students():
    seeds = np.array([0.6, 0.7, 0.65, 0.72])
    low, high = Scored(seeds, np.zeros(3), 9).over_seeds()
    expected = stats.t.interval(
        0.95, len(seeds) - 1, loc=seeds.mean(), scale=stats.sem(seeds)
    )
    assert (low, high) == pytest.approx(expected)


def _classes(rng, n=64):
    truth = rng.integers(0, 3, n)
    p = np.exp(rng.normal(size=(n, 3)) + 1.2 * np.eye(3)[truth])
    return p / p.sum(1, keepdims=True), truth


@pytest.mark.parametrize(
    "metric",
    [
        "auroc_macro",
        "pearson_r",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("accuracy", "mse", "difference of r")
        ),
    ],
)
def test_the_interval_over_people_covers_the_truth(metric):
    """2,000 studies of 64 people: within 2 points of 95 %."""
    rng = np.random.default_rng(7)
    p, truth = _classes(rng, 200_000)
    true = {
        "auroc_macro": metrics.roc_auc_score(truth, p, multi_class="ovr"),
        "accuracy": metrics.accuracy_score(truth, p.argmax(1)),
        "pearson_r": 0.5,
        "mse": 4.0,
        "difference of r": 0.8 / 1.64**0.5 - 0.5,
    }[metric]
    covered, people = 0, range(64)
    for study in range(2000):
        keys = {"n_boot": 400, "seed": study}
        if metric in ("auroc_macro", "accuracy"):
            p, truth = _classes(rng)
            found = score_classes(p[None], truth, people, **keys)[metric]
        else:
            x = rng.normal(size=64)
            y = 0.5 * x + 0.75**0.5 * rng.normal(size=64)
            if metric == "mse":
                found = score_values(x[None] + 2 * x, x, people, **keys)["mse"]
            else:
                found = score_values(y[None], x, people, **keys)["pearson_r"]
            if metric == "difference of r":
                z = 0.8 * x + rng.normal(size=64)
                other = score_values(z[None], x, people, **keys)["pearson_r"]
                found = other.minus(found)
        low, high = found.over_people()
        covered += low <= true <= high
    assert abs(covered / 2000 - 0.95) <= 0.02, covered / 2000


def test_seeds_are_paired_and_lengths_are_checked():
    a = Scored(np.array([0.7, 0.8]), np.array([0.7, 0.8, np.nan]), 9)
    b = Scored(np.array([0.6, 0.6]), np.array([0.6, 0.9, 0.7]), 9)
    difference = a.minus(b)
    np.testing.assert_allclose(difference.seeds_S, [0.1, 0.2])
    assert difference.undefined == 1
    with pytest.raises(ValueError, match="2 and 1 seeds"):
        a.minus(Scored(np.array([0.1]), np.zeros(3), 9))
    with pytest.raises(ValueError, match="for 3 people"):
        score_values(np.zeros((1, 2)), np.zeros(3), "abc", n_boot=3, seed=0)
    with pytest.raises(ValueError, match="NaN"):
        score_values(np.full((1, 2), np.nan), np.zeros(2), "ab", n_boot=3, seed=0)


def test_p_values_of_a_difference():
    rng = np.random.default_rng(0)
    clear = Scored(np.array([1.0]), rng.normal(5, 1, 999), 9)
    none = Scored(np.array([0.0]), rng.normal(0, 1, 999), 9)
    assert clear.p_value() == pytest.approx(2 / 1000)
    assert none.p_value() > 0.5
