"""From volumes to the tidy table."""

import numpy as np
import pandas as pd
import pytest

from mri2pet.cohort.regions import REGIONS
from mri2pet.evaluation.quality import hf_ratio, mae, psnr, ssim_3d
from mri2pet.evaluation.scans import score_every_subject, score_scans
from mri2pet.evaluation.scoring import COLUMNS, comparisons_of, summarise

N, SHAPE = 10, (8, 12, 12)


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    amyloid = np.linspace(0.9, 1.7, N)
    z, y, x = np.ogrid[-1:1:8j, -1:1:12j, -1:1:12j]
    brain = np.broadcast_to(z**2 + y**2 + x**2 < 0.8, (N, *SHAPE)).astype(np.float32)
    real = 0.3 + brain * (amyloid[:, None, None, None] - 0.3)
    real = (real + 0.05 * rng.standard_normal(real.shape)).astype(np.float32)
    regions = np.stack([brain] * len(REGIONS), axis=1)
    patients = [f"sub-{max(i, 1)}" for i in range(N)]  # the first two are one person
    ids = [f"{p}_ses-{i}" for i, p in enumerate(patients)]
    return real, brain, regions, ids, patients, rng


def _score(world, synthetic):
    real, brain, regions, ids, patients, _ = world
    return score_scans(real, synthetic, brain, regions, ids, patients)


@pytest.fixture(scope="module")
def rows(world):
    real, rng = world[0], world[-1]
    noisy = real + 0.3 * rng.standard_normal(real.shape)
    return {
        ("mean_template", ""): np.broadcast_to(real.mean(0), real.shape),
        ("random_subject", ""): real[::-1],
        ("mri2pet", "published"): noisy,
        ("mri2pet", "corrected"): real + 0.02 * rng.standard_normal(real.shape),
        ("vanilla", "published"): noisy + 0.2,
    }


@pytest.fixture(scope="module")
def tidy(world, rows):
    label = dict(zip(world[3], np.arange(N) > 5, strict=True))
    features = {k: v.reshape(N, 8, -1)[:, :, :3] for k, v in rows.items()}
    return summarise(
        {k: _score(world, v) for k, v in rows.items()},
        positive=label,
        features=features,
        real_features_NSF=world[0].reshape(N, 8, -1)[:, :, :3],
        published={("mri2pet", "ssim"): (0.857, "Table 1")},
        samples={("mri2pet", "corrected"): 4},
        n_boot=200,
        rho=0.67,
    )


def _line(tidy, row, design, metric, region, comparison=""):
    keys = ["row", "design", "metric", "region", "comparison"]
    found = tidy[(tidy[keys] == [row, design, metric, region, comparison]).all(axis=1)]
    assert len(found) == 1
    return found.iloc[0]


def test_scores_equal_the_single_functions(world, rows):
    real, brain, *_ = world
    synthetic = rows["mri2pet", "published"]
    frame = _score(world, synthetic)
    pair = real[3], synthetic[3].astype(np.float32)
    line = frame.iloc[3]
    for name, function in (
        ("ssim", ssim_3d),
        ("psnr", psnr),
        ("mae", mae),
        ("hf_ratio", hf_ratio),
    ):
        assert line[f"{name}_whole"] == pytest.approx(function(*pair), rel=1e-5)
        assert line[f"{name}_brain"] == pytest.approx(
            function(*pair, brain[3]), rel=1e-5
        )
    inside = brain[3] > 0
    assert line["suvr_real_composite"] == pytest.approx(real[3][inside].mean())
    assert line["suvr_synthetic_motor"] == pytest.approx(synthetic[3][inside].mean())


def test_tidy_columns_and_provenance(tidy):
    assert list(tidy.columns) == COLUMNS
    assert set(tidy["n"]) == {N - 1}  # people, not scans
    assert set(tidy["interval"]) == {"people"}
    assert not tidy.duplicated(COLUMNS[:6]).any()
    assert _line(tidy, "mri2pet", "corrected", "ssim", "brain")["k"] == 4
    assert _line(tidy, "mri2pet", "published", "ssim", "brain")["k"] == 1


def test_published_values_stand_beside_the_published_whole_volume_only(tidy):
    assert _line(tidy, "mri2pet", "published", "ssim", "whole")["published"] == 0.857
    for design, region in (("published", "brain"), ("corrected", "whole")):
        line = _line(tidy, "mri2pet", design, "ssim", region)
        assert np.isnan(line["published"])
        assert line["source"] == ""


def test_values_are_means_over_scans_and_differences_are_paired(world, rows, tidy):
    a = _score(world, rows["vanilla", "published"])["ssim_brain"]
    b = _score(world, rows["mri2pet", "published"])["ssim_brain"]
    line = _line(tidy, "vanilla", "published", "ssim", "brain", "mri2pet")
    assert line["value"] == pytest.approx((a - b).mean())
    assert line["low"] <= line["value"] <= line["high"] < 0
    for name in ("mean_template", "random_subject"):
        _line(tidy, "mri2pet", "corrected", "suvr_r", "composite", name)
    better = _line(tidy, "mri2pet", "corrected", "mae", "brain", "mri2pet/published")
    assert better["high"] < 0


def test_uptake_metrics(tidy):
    good = _line(tidy, "mri2pet", "corrected", "positivity_auc", "composite")
    assert good["value"] == 1
    template = _line(tidy, "mean_template", "", "positivity_auc", "composite")
    assert template["value"] == 0.5  # one picture for all: only ties
    assert np.isnan(_line(tidy, "mean_template", "", "suvr_r", "composite")["value"])
    assert _line(tidy, "random_subject", "", "suvr_r", "composite")["value"] < -0.9
    key = ("mean_template", "", "", "suvr_r", "composite", "")
    assert tidy.attrs["degenerate"][key] == 200


def test_frechet_has_values_and_paired_differences(tidy):
    e = _line(tidy, "vanilla", "published", "fid_random", "whole", "mri2pet")
    a = _line(tidy, "vanilla", "published", "fid_random", "whole")
    b = _line(tidy, "mri2pet", "published", "fid_random", "whole")
    assert e["value"] == pytest.approx(a["value"] - b["value"])


def test_comparisons_of_designs_and_variants():
    keys = {
        ("mean_template", "", ""),
        ("mri2pet", "published", ""),
        ("mri2pet", "corrected", ""),
        ("mri2pet", "corrected", "v"),
        ("no_loss", "corrected", ""),
    }
    assert comparisons_of(("no_loss", "corrected", ""), keys) == {
        "mean_template": ("mean_template", "", ""),
        "mri2pet": ("mri2pet", "corrected", ""),
    }
    assert "mri2pet" not in comparisons_of(("mri2pet", "corrected", ""), keys)
    variant = comparisons_of(("mri2pet", "corrected", "v"), keys)
    assert variant["mri2pet"] == ("mri2pet", "corrected", "")
    assert comparisons_of(("mean_template", "", ""), keys) == {}


def test_every_subject_is_the_mean_over_training_people(world):
    real, brain, regions, ids, patients, _ = world
    train = real[:3][:, ::-1]
    frame = score_every_subject(real, train, brain, ids, patients)
    single = [
        score_scans(real, np.stack([t] * N), brain, regions, ids, patients)
        for t in train
    ]
    expected = np.mean([s["psnr_brain"] for s in single], axis=0)
    np.testing.assert_allclose(frame["psnr_brain"], expected)
    tidy = summarise({("random_subject", "", "every_subject"): frame}, n_boot=50)
    assert set(tidy["metric"]) == {"ssim", "psnr", "mae", "hf_ratio"}


def test_bad_input_is_refused(world, rows):
    real, brain, regions, ids, patients, _ = world
    with pytest.raises(ValueError, match="grids differ"):
        score_scans(real, real[:, :4], brain, regions, ids, patients)
    with pytest.raises(ValueError, match="ids"):
        score_scans(real, real, brain, regions, ids[:3], patients)
    mask = brain.copy()
    mask[2] = 0
    with pytest.raises(ValueError, match=f"mask of {ids[2]} is empty"):
        score_scans(real, real, mask, regions, ids, patients)
    with pytest.raises(ValueError, match="NaN"):
        score_scans(real, real * np.nan, brain, regions, ids, patients)
    frame = _score(world, rows["vanilla", "published"])
    with pytest.raises(ValueError, match="different scans"):
        summarise({("a", ""): frame, ("b", ""): frame.iloc[::-1]})
    with pytest.raises(ValueError, match="no amyloid label"):
        summarise({("a", ""): frame}, positive=pd.Series({ids[0]: True}))
