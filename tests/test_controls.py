"""The controls look at nothing of the test people."""

import numpy as np
import pytest

from mri2pet.baselines.controls import mean_template, random_subject


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


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="among the training people"):
        random_subject(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="empty"):
        random_subject(["a"], [])
    with pytest.raises(ValueError, match="expected"):
        mean_template(np.zeros((0, 2, 2, 2)))
    with pytest.raises(ValueError, match="NaN"):
        mean_template(np.full((2, 2, 2, 2), np.nan))
