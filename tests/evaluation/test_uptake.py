"""Regional uptake, composite and positivity."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mri2pet.cohort.regions import COMPOSITE, REGIONS
from mri2pet.evaluation.uptake import (
    composite_suvr,
    positivity_auc,
    regional_suvr,
    rereference,
    suvr_error,
    suvr_r,
)


def test_regional_value_is_the_weighted_mean():
    pet = np.array([[[[1.0, 2.0, 3.0, 4.0]]]])
    weights = np.array([[[[[1, 0, 0, 0.5]]], [[[0, 1, 1, 0]]]]])
    values = regional_suvr(pet, weights, names=("a", "b"))
    np.testing.assert_allclose(values, [[(1 + 0.5 * 4) / 1.5, 2.5]])


def test_composite_is_the_mean_of_its_regions_only():
    regional = np.arange(len(REGIONS), dtype=float)[None]
    chosen = [REGIONS.index(name) for name in COMPOSITE]
    assert composite_suvr(regional)[0] == np.mean(chosen)
    with pytest.raises(ValueError, match="composite"):
        composite_suvr(regional[:, :2], names=("frontal", "motor"))


def test_synthetic_scans_are_not_rereferenced_unless_asked():
    pet = np.full((1, 2, 2, 2), 1.5)
    weights = np.ones((1, len(REGIONS), 2, 2, 2))
    regional = regional_suvr(pet, weights)
    np.testing.assert_allclose(regional, 1.5)
    np.testing.assert_allclose(rereference(regional), 1.0)
    with pytest.raises(ValueError, match="positive"):
        rereference(regional * 0)


def test_error_and_correlation():
    real, synthetic = np.array([1.0, 1.2, 1.6]), np.array([1.1, 1.1, 1.5])
    assert suvr_error(real, synthetic) == pytest.approx(0.1)
    expected = np.corrcoef(real, synthetic)[0, 1]
    assert suvr_r(real, synthetic) == pytest.approx(expected)
    assert np.isnan(suvr_r(real, np.ones(3)))


def test_auc_counts_ties_as_a_half_like_scikit_learn():
    rng = np.random.default_rng(0)
    score, label = rng.integers(0, 4, 60), rng.integers(0, 2, 60)
    expected = roc_auc_score(label, score)
    assert positivity_auc(score, label) == pytest.approx(expected)
    assert positivity_auc(np.ones(60), label) == 0.5
    assert np.isnan(positivity_auc(score, np.ones(60)))


def test_bad_regions_are_refused():
    pet, weights = np.ones((2, 2, 2, 2)), np.ones((2, len(REGIONS), 2, 2, 2))
    weights[1, 3] = 0
    with pytest.raises(ValueError, match="lateral_temporal of scan 1"):
        regional_suvr(pet, weights)
    with pytest.raises(ValueError, match="regions have shape"):
        regional_suvr(pet, weights[:, :4])
