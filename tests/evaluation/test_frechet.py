"""Frechet distances: closed forms, the jackknife, the features."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from mri2pet.evaluation.frechet import (
    RandomFeatures,
    frechet_difference,
    frechet_distance,
    frechet_floor,
    frechet_jackknife,
)


def _exact(rng, n, mean, cov):
    """Draw a sample with exactly this mean and covariance."""
    x = rng.standard_normal((n, len(mean)))
    x -= x.mean(0)
    x @= np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return x @ np.linalg.cholesky(cov).T + mean


def test_distance_of_a_sample_from_itself_is_zero():
    x = np.random.default_rng(0).standard_normal((50, 6))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    flat = np.c_[x, x[:, :2]]  # singular covariance
    assert frechet_distance(flat, flat) == pytest.approx(0, abs=1e-6)


def test_closed_form_for_commuting_gaussians():
    rng = np.random.default_rng(1)
    a = _exact(rng, 40, np.array([1.0, 2.0]), np.diag([4.0, 9.0]))
    b = _exact(rng, 60, np.array([0.0, 0.0]), np.diag([1.0, 25.0]))
    # |m|^2 + sum (sd_a - sd_b)^2
    expected = 5 + (2 - 1) ** 2 + (3 - 5) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_equals_the_matrix_square_root_for_general_covariances():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 80, 5)) @ rng.standard_normal((2, 5, 5))
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    gap = a.mean(0) - b.mean(0)
    expected = gap @ gap + np.trace(ca + cb - 2 * sqrtm(ca @ cb).real)
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_jackknife_equals_deleting_people_by_hand_and_keeps_visits_together():
    rng = np.random.default_rng(3)
    real, fake = rng.standard_normal((2, 6, 5, 3))
    people = np.array(["a", "b", "b", "c", "d", "d"])
    full = frechet_distance(real, fake)
    left = [frechet_distance(real[people != p], fake[people != p]) for p in "abcd"]
    e = frechet_jackknife(real, fake, people)
    assert e.people == 4
    assert e.scans == 6
    assert e.value == pytest.approx(4 * full - 3 * np.mean(left))
    se = (3 / 4 * ((left - np.mean(left)) ** 2).sum()) ** 0.5
    assert e.high - e.value == pytest.approx(3.182446 * se, rel=1e-5)


def test_jackknife_removes_most_of_the_bias_at_small_n():
    rng = np.random.default_rng(4)
    plain, corrected = [], []
    for _ in range(40):
        a, b = rng.standard_normal((2, 12, 4, 6))
        plain.append(frechet_distance(a, b))
        corrected.append(frechet_jackknife(a, b, range(12)).value)
    assert np.mean(plain) > 0.5  # the truth is 0
    assert abs(np.mean(corrected)) < 0.3 * np.mean(plain)


def test_difference_is_paired():
    rng = np.random.default_rng(5)
    real = rng.standard_normal((10, 8, 4))
    fake = real + 0.5 * rng.standard_normal(real.shape)
    same = frechet_difference(real, fake, fake, range(10))
    assert same.value == pytest.approx(0, abs=1e-9)
    assert same.high == pytest.approx(0, abs=1e-9)
    worse = frechet_difference(real, fake + 1, fake, range(10))
    assert worse.low > 0


def test_floor_uses_as_many_people_on_both_sides_and_covers_zero():
    rng = np.random.default_rng(6)
    real, other = rng.standard_normal((20, 6, 4)), rng.standard_normal((12, 6, 4))
    e = frechet_floor(real, [f"a{i}" for i in range(20)], other, list("bcdefghijklm"))
    assert e.people == 12
    assert e.low < 0 < e.high
    shifted = frechet_floor(real, list(range(20)), other + 2, list(range(20, 32)))
    assert shifted.low > 8  # 4 features, each shifted by 2: 16
    with pytest.raises(ValueError, match="both sides"):
        frechet_floor(real, list(range(20)), other, list(range(12)))


@pytest.fixture(scope="module")
def pets():
    rng = np.random.default_rng(7)
    z, y, x = np.ogrid[-1:1:8j, -1:1:16j, -1:1:16j]
    size = rng.uniform(0.6, 0.9, (12, 1, 1, 1))
    brain = (z**2 + y**2 + x**2)[None] < size**2
    return (0.3 + brain * rng.uniform(0.8, 1.6, (12, 1, 1, 1))).astype(np.float32)


def test_features_depend_on_seed_and_scan_only(pets):
    network = RandomFeatures(dims=8, seed=1).fit(pets)
    features = network(pets)
    assert features.shape == (12, 8, 8)
    again = RandomFeatures(dims=8, seed=1).fit(pets)(pets[3:4])
    np.testing.assert_array_equal(features[3:4], again)
    other = RandomFeatures(dims=8, seed=2).fit(pets)(pets)
    assert np.abs(features - other).max() > 0.1
    # whitened on the training slices
    cov = np.cov(features.reshape(-1, 8), rowvar=False)
    np.testing.assert_allclose(cov, np.eye(8), atol=1e-6)


def test_features_see_blur_and_level(pets):
    network = RandomFeatures(dims=8).fit(pets)
    real, people = network(pets), range(12)
    blurred = (pets + np.roll(pets, 1, 3) + np.roll(pets, -1, 3)) / 3
    small = frechet_jackknife(real, network(1.05 * pets), people).value
    large = frechet_jackknife(real, network(1.3 * pets), people).value
    assert 0 < small < large
    assert frechet_jackknife(real, network(blurred), people).low > 0.1


def test_bad_features_are_refused(pets):
    with pytest.raises(ValueError, match="1 to 32"):
        RandomFeatures(dims=33)
    with pytest.raises(ValueError, match="fit"):
        RandomFeatures()(pets)
    with pytest.raises(ValueError, match="slices cannot span"):
        RandomFeatures(dims=32).fit(pets[:2])
    with pytest.raises(ValueError, match="NaN"):
        RandomFeatures(dims=4).fit(np.where(pets > 1, np.nan, pets))
    with pytest.raises(ValueError, match="dimensions"):
        frechet_distance(np.zeros((5, 3)), np.zeros((5, 4)))
    with pytest.raises(ValueError, match="scans, slices, features"):
        frechet_jackknife(np.zeros((5, 2, 3)), np.zeros((5, 2, 3)), range(4))
