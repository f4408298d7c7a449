"""The controls look at nothing of the test people, or at their MRI only."""

import numpy as np
import pytest

from mri2pet.baselines.controls import (
    first_scans,
    mean_template,
    nearest_subject,
    random_subject,
)


def test_mean_template_is_the_mean_in_double_precision():
    rng = np.random.default_rng(0)
    pets = rng.random((7, 2, 3, 4)).astype(np.float32)
    template = mean_template(pets)
    assert template.dtype == np.float32
    np.testing.assert_allclose(template, pets.mean(0, dtype=np.float64), rtol=1e-6)


def test_random_subject_does_not_depend_on_who_else_is_tested():
    train = [f"sub-{i}" for i in range(20)]
    test = [f"sub-9{i}" for i in range(30)]
    picks = random_subject(test, train, seed=5)
    np.testing.assert_array_equal(picks[7:9], random_subject(test[7:9], train, seed=5))
    assert (picks != random_subject(test, train, seed=6)).any()
    assert len(set(picks)) > 10  # spread over the training people
    assert picks.min() >= 0
    assert picks.max() < 20


def test_all_visits_get_the_same_person_and_that_persons_first_scan():
    train = ["a", "a", "b", "b", "c"]
    picks = random_subject(["x", "y", "x"] + [f"p{i}" for i in range(40)], train)
    assert picks[0] == picks[2]
    assert set(picks) == {0, 2, 4}


def heads(n, seed=0, shape=(4, 6, 5)):
    """MRIs with brains of different outlines, 0 outside."""
    rng = np.random.default_rng(seed)
    inside = rng.random((n, *shape)) < rng.uniform(0.4, 0.9, (n, 1, 1, 1))
    return np.where(inside, rng.uniform(0.1, 1.0, inside.shape), 0).astype(np.float32)


def test_first_scans_name_every_person_once():
    assert first_scans(["b", "a", "b", "c", "a"]).tolist() == [1, 0, 3]


def test_nearest_subject_maximises_the_correlation_in_the_union_of_the_brains():
    test, train = heads(6), heads(9, seed=1)
    test[:, 0], train[:, 0] = 0, 0  # a common background that must not count
    expected = []
    for a in test:
        found = [
            np.corrcoef(a[(a > 0) | (b > 0)], b[(a > 0) | (b > 0)])[0, 1] for b in train
        ]
        expected.append(int(np.argmax(found)))
    names = [f"t{i}" for i in range(6)], [f"s{i}" for i in range(9)]
    picks = nearest_subject(test, train, *names)
    assert picks.tolist() == expected
    assert len(set(expected)) > 2
    alone = nearest_subject(test[2:3], train, names[0][2:3], names[1])
    assert alone[0] == picks[2]  # whoever else is tested


def test_nearest_subject_finds_the_same_head_at_another_gain():
    """A squared error would choose somebody else with the same gain."""
    [head] = heads(1)
    noise = 0.2 * np.random.default_rng(1).standard_normal(head.shape)
    other = np.where(head > 0, (head + noise).clip(0.01), 0)
    train = np.stack([other, 0.3 * head])
    assert np.square(head - train).mean(axis=(1, 2, 3)).argmin() == 0
    assert nearest_subject(head[None], train, ["t"], ["a", "b"])[0] == 1


def test_nearest_subject_breaks_ties_by_the_order_of_the_training_scans():
    [twin], others = heads(1), heads(2, seed=1)
    train = np.stack([others[0], twin, twin, others[1], twin])
    test = np.concatenate([heads(3, seed=2), twin[None]])
    assert nearest_subject(test, train, list("wxyz"), list("abcde"))[3] == 1


def test_nearest_subject_never_shows_the_same_person():
    test, train = heads(2), heads(3, seed=1)
    train[2] = test[0]
    with pytest.raises(ValueError, match=r"training people: \['p'\]"):
        nearest_subject(test, train, ["p", "q"], ["a", "b", "p"])


def test_nearest_subject_refuses_what_it_cannot_correlate():
    test, train = heads(1), heads(2, seed=1)
    for value, match in ((np.nan, "MRI 1 spans nan"), (-0.5, r"MRI 1 spans -0\.5")):
        bad = train.copy()
        bad[1, 0, 0, 0] = value
        with pytest.raises(ValueError, match=match):
            nearest_subject(test, bad, ["t"], ["a", "b"])
    with pytest.raises(ValueError, match="test MRI 0 is flat"):
        nearest_subject(np.ones_like(test), train, ["t"], ["a", "b"])
    with pytest.raises(ValueError, match="grids must agree"):
        nearest_subject(test[:, :3], train, ["t"], ["a", "b"])
    with pytest.raises(ValueError, match="for 1 patients"):
        nearest_subject(test, train, ["t"], ["a"])
    with pytest.raises(ValueError, match="empty"):
        nearest_subject(test, train[:0], ["t"], [])


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="among the training people"):
        random_subject(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="empty"):
        random_subject(["a"], [])
    with pytest.raises(ValueError, match="expected"):
        mean_template(np.zeros((0, 2, 2, 2)))
    with pytest.raises(ValueError, match="NaN"):
        mean_template(np.full((2, 2, 2, 2), np.nan))
