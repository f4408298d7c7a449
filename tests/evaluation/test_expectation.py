"""The mean over all training people is what one draw gives on average."""

import numpy as np
import pytest

from mri2pet.baselines.controls import first_scans, random_subject
from mri2pet.evaluation.expectation import mean_over_subjects
from mri2pet.evaluation.quality import psnr


def test_it_is_the_expectation_of_random_subject_over_its_seeds():
    rng = np.random.default_rng(0)
    test, train = rng.random((3, 4, 5, 5)), rng.random((7, 4, 5, 5)) ** 2
    patients = list("aabcdde")  # seven scans, five people

    def score(i, j):
        return {"psnr": psnr(test[i], train[j]), "scan": j}

    frame = mean_over_subjects(score, 3, first_scans(patients))
    drawn = [
        [
            score(i, j)["psnr"]
            for i, j in enumerate(random_subject("xyz", patients, seed=s))
        ]
        for s in range(400)
    ]
    np.testing.assert_allclose(
        frame["psnr"], np.mean(drawn, axis=0), atol=4 * np.std(drawn) / 20
    )
    assert frame["scan"].tolist() == [np.mean([0, 2, 3, 4, 6])] * 3
    assert (np.std(drawn, axis=0) > 0.01).all()  # one draw alone depends on its luck


def test_no_more_than_one_pair_is_asked_for_at_a_time():
    asked = []
    mean_over_subjects(lambda i, j: asked.append((i, j)) or {"m": 0.0}, 2, iter([5, 1]))
    assert asked == [(0, 5), (0, 1), (1, 5), (1, 1)]


def test_bad_input_is_refused_with_its_value():
    with pytest.raises(ValueError, match="0 subjects"):
        mean_over_subjects(lambda i, j: {"m": 0.0}, 2, [])
    with pytest.raises(ValueError, match="0 scans"):
        mean_over_subjects(lambda i, j: {"m": 0.0}, 0, [1])
    with pytest.raises(ValueError, match=r"\[1, 2, 1\]"):
        mean_over_subjects(lambda i, j: {"m": 0.0}, 2, [1, 2, 1])
