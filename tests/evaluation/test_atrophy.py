"""Sharpness, edges and the stand-in for atrophy, against what is known."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from mri2pet.cohort.geometry import voxel_mm
from mri2pet.cohort.phantom.disease import draw_people
from mri2pet.cohort.phantom.simulation import simulate
from mri2pet.cohort.regions import REGIONS
from mri2pet.evaluation.atrophy import (
    CORTEX,
    MEASURES,
    band_products,
    detail_levels,
    edge_strength,
    fine_bands,
    scan_measures,
    ventricle_proxy,
)
from mri2pet.evaluation.quality import hf_ratio

GRIDS = {"grid_mri": (32, 64, 64), "grid_pet": (16, 32, 32)}
PEOPLE = 12


def _simulated(people):
    plan = people.reset_index().assign(has_pet=True)
    return simulate(plan, **GRIDS, seed=1, work_mm=4.0)


@pytest.fixture(scope="module")
def phantoms():
    """Volumes by kind of a few people, and their truth."""
    people = draw_people(range(PEOPLE), seed=1)
    made = _simulated(people)
    volumes = {k: np.stack([v[k] for v, _ in made]) for k in made[0][0]}
    truth = pd.DataFrame([known for _, known in made])
    return volumes, truth.assign(V=people["V"].to_numpy())


@pytest.fixture(scope="module")
def blurred(phantoms):
    """Measures of real PETs that were blurred more and more, and of noisy ones."""
    volumes, _ = phantoms
    pet = volumes["pet"]
    rng = np.random.default_rng(0)
    kinds = {
        f"blur {s}": np.stack([gaussian_filter(p, (0, s, s)) for p in pet])
        for s in (0.4, 0.8, 1.6)
    }
    kinds["noise"] = pet + 0.2 * rng.standard_normal(pet.shape)
    kinds["same"] = pet
    return {
        name: scan_measures(pet, v[:, None], volumes["brain"], volumes["regions"])
        for name, v in kinds.items()
    }


def test_blur_lowers_every_measure_of_sharpness(blurred):
    for measure in ("sharpness", "aligned", "detail", "edge", "sharpness_mean"):
        values = [
            blurred[name][measure].to_numpy()
            for name in ("same", "blur 0.4", "blur 0.8", "blur 1.6")
        ]
        assert (np.diff(values, axis=0) < 0).all(), measure


def test_the_real_scan_itself_scores_one(blurred):
    same = blurred["same"]
    for measure in ("sharpness", "aligned", "sharpness_mean", "ssim"):
        np.testing.assert_allclose(same[measure], 1)
    np.testing.assert_allclose(same["error_composite"], 0, atol=1e-12)


def test_noise_looks_sharp_but_is_no_detail_at_its_place(blurred):
    noisy = blurred["noise"]
    assert (noisy["sharpness"] > 1.5).all()
    assert (np.abs(noisy["aligned"] - 1) < 0.25).all()


def test_one_sample_has_no_ambiguity(blurred):
    assert blurred["same"][["spread", "spread_composite", "entropy"]].isna().all().all()


def test_energy_of_samples_is_that_of_their_mean_and_of_their_spread(phantoms):
    """What the chapter teaches: averaging takes exactly the spread's energy away."""
    volumes, _ = phantoms
    rng = np.random.default_rng(0)
    pet, brain = volumes["pet"][:2], volumes["brain"][:2]
    samples = pet[:, None] + 0.1 * rng.standard_normal((2, 5, *pet.shape[1:]))
    mean = samples.mean(axis=1)
    each = np.mean(
        [band_products(samples[:, k], samples[:, k], brain) for k in range(5)], axis=0
    )
    rest = np.mean(
        [
            band_products(samples[:, k] - mean, samples[:, k] - mean, brain)
            for k in range(5)
        ],
        axis=0,
    )
    np.testing.assert_allclose(each, band_products(mean, mean, brain) + rest)
    found = scan_measures(pet, samples, brain, volumes["regions"][:2])
    assert (found["sharpness_mean"] < found["sharpness"]).all()


def test_samples_that_are_the_same_are_not_ambiguous(phantoms):
    volumes, _ = phantoms
    pet = volumes["pet"]
    samples = np.repeat(pet[:, None], 3, axis=1)
    found = scan_measures(pet, samples, volumes["brain"], volumes["regions"])
    assert (found[["spread", "spread_composite", "entropy"]] == 0).all().all()


def test_the_finest_band_is_that_of_the_detail_of_table_1(phantoms):
    volumes, _ = phantoms
    pet, brain = volumes["pet"], volumes["brain"]
    soft = np.stack([gaussian_filter(p, (0, 1, 1)) for p in pet])
    ours = band_products(soft, soft, brain, 1) / band_products(pet, pet, brain, 1)
    theirs = [hf_ratio(p, s, b) for p, s, b in zip(pet, soft, brain, strict=True)]
    np.testing.assert_allclose(ours[:, 0], theirs, rtol=1e-5)


def test_bands_are_the_same_millimetres_on_every_grid():
    for shape in ((16, 32, 32), (16, 48, 48), (32, 64, 64), (32, 128, 128)):
        pixel = max(voxel_mm(shape)[1:]) * 2 ** (detail_levels(shape) - 1)
        assert 4.5 < pixel <= 9.0
        assert len(fine_bands(np.zeros((1, *shape)))) == detail_levels(shape)


def test_a_scan_without_detail_has_no_relative_sharpness(phantoms):
    volumes, _ = phantoms
    pet = volumes["pet"][:2].copy()
    pet[1] = 1.0
    found = scan_measures(
        pet, pet[:, None], volumes["brain"][:2], volumes["regions"][:2]
    )
    assert np.isfinite(found["sharpness"]).tolist() == [True, False]
    assert np.isfinite(found["detail"]).all()


def test_edge_is_the_slope_of_a_ramp():
    shape = (8, 16, 16)
    size = voxel_mm(shape)
    ramp = np.broadcast_to(0.3 * size[1] / 10 * np.arange(16)[:, None], shape)
    regions = np.zeros((1, len(REGIONS), *shape))
    regions[0, 0] = 1.0
    assert edge_strength(ramp[None], regions)[0] == pytest.approx(0.3)
    regions[0, 0], regions[0, REGIONS.index("white_matter")] = 0, 1
    assert "white_matter" not in CORTEX
    with pytest.raises(ValueError, match="scan 0 has no cortex"):
        edge_strength(ramp[None], regions)


def test_shapes_that_do_not_fit_are_refused():
    scans = np.ones((2, 8, 16, 16))
    with pytest.raises(ValueError, match="expected the same"):
        band_products(scans, scans, np.ones((2, 8, 16, 8)))
    with pytest.raises(ValueError, match="brain of scan 1 is empty in band 0"):
        band_products(
            scans, scans, np.stack([np.ones((8, 16, 16)), np.zeros((8, 16, 16))])
        )
    with pytest.raises(ValueError, match="do not fit"):
        edge_strength(scans, np.ones((2, len(REGIONS), 8, 16, 8)))


def test_the_stand_in_follows_the_ventricles(phantoms):
    volumes, truth = phantoms
    found = ventricle_proxy(volumes["mri"])
    assert spearmanr(found, truth["ventricle_ml"]).statistic > 0.6
    person = draw_people([3], seed=1)
    levels = pd.concat([person.assign(V=v) for v in (-0.4, 0.4, 1.2)])
    made = [volumes["mri"] for volumes, _ in _simulated(levels)]
    assert (np.diff(ventricle_proxy(np.stack(made))) > 0).all()


def test_measures_are_named_once():
    found = scan_measures(
        np.ones((1, 8, 16, 16)) + np.arange(16) % 2,
        np.ones((1, 2, 8, 16, 16)),
        np.ones((1, 8, 16, 16)),
        np.ones((1, len(REGIONS), 8, 16, 16)),
    )
    assert set(found) == {*MEASURES, "error_composite"}
