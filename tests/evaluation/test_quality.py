"""Image quality of one scan: against closed forms, scikit-image and MONAI."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mri2pet.evaluation.quality import (
    DATA_RANGE,
    hf_ratio,
    high_band,
    mae,
    psnr,
    ssim_3d,
    ssim_map,
    ssim_window,
)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    real = rng.random((9, 12, 14)).astype(np.float32) * 2
    return real, (real + 0.2 * rng.standard_normal(real.shape)).astype(np.float32)


def test_ssim_of_a_scan_with_itself_is_one(pair):
    mask = np.zeros(pair[0].shape)
    mask[2:5] = 1
    assert ssim_3d(pair[0], pair[0]) == pytest.approx(1, abs=1e-12)
    assert ssim_3d(pair[0], pair[0], mask) == pytest.approx(1, abs=1e-12)


def test_ssim_is_three_dimensional_scikit_image(pair):
    expected = structural_similarity(*pair, data_range=2.5, win_size=7)
    assert ssim_3d(*pair) == pytest.approx(expected, abs=1e-5)
    # an error that is constant within a slice is structure only in 3-D
    real = pair[0]
    steps = real + 0.4 * np.sign(np.sin(2.0 * np.arange(len(real))))[:, None, None]
    slices = zip(real, steps, strict=True)
    per_slice = [structural_similarity(a, b, data_range=2.5) for a, b in slices]
    assert abs(ssim_3d(real, steps) - np.mean(per_slice)) > 0.02


def test_masked_ssim_is_the_mean_of_the_map_inside(pair):
    real, synthetic = pair
    synthetic = real.copy()
    synthetic[:, :, 7:] += 0.5 * np.sin(np.arange(7))  # wrong on one side only
    left, right = np.zeros(real.shape), np.zeros(real.shape)
    left[:, :, :3], right[:, :, 10:] = 1, 1
    full = ssim_map(real, synthetic)[1]
    assert ssim_3d(real, synthetic, left) == pytest.approx(1)
    assert ssim_3d(real, synthetic, right) < 0.95
    expected = full[right.astype(bool)].mean()
    assert ssim_3d(real, synthetic, right) == pytest.approx(expected)


def test_ssim_equals_monai(pair):
    monai = pytest.importorskip("monai.metrics.regression")
    tensors = [torch.from_numpy(v)[None, None].double() for v in pair]
    ssim, _ = monai.compute_ssim_and_cs(
        *tensors,
        spatial_dims=3,
        kernel_size=(7, 7, 7),
        kernel_sigma=(1, 1, 1),  # unused by a uniform window
        data_range=DATA_RANGE,
        kernel_type="uniform",
    )
    ours = ssim_map(*pair, sample_covariance=False)[0]
    assert ours == pytest.approx(float(ssim.mean()), abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "window"), [((16, 32, 32), 7), ((6, 9, 9), 5), ((3, 9, 9), 3)]
)
def test_window_fits_the_grid(shape, window):
    assert ssim_window(shape) == window


def test_psnr_and_mae(pair):
    expected = peak_signal_noise_ratio(*pair, data_range=2.5)
    assert psnr(*pair) == pytest.approx(expected, abs=1e-4)
    assert psnr(pair[0], pair[0]) == np.inf
    mask = np.zeros(pair[0].shape)
    mask[4] = 1
    assert mae(pair[0], pair[0] + 0.3 * mask, mask) == pytest.approx(0.3, abs=1e-6)
    whole = mae(pair[0], pair[0] + 0.3 * mask)
    assert whole == pytest.approx(0.3 / len(mask), abs=1e-6)
    assert psnr(pair[0], pair[0] + 0.25 * mask, mask) == pytest.approx(20, abs=1e-4)


def test_hf_ratio_falls_with_blur_and_rises_with_noise():
    rng = np.random.default_rng(1)
    real = rng.random((4, 16, 16))
    blurred = (real + np.roll(real, 1, 2) + np.roll(real, -1, 2)) / 3
    assert hf_ratio(real, real) == pytest.approx(1)
    assert hf_ratio(real, blurred) < 0.7
    assert hf_ratio(real, real + rng.standard_normal(real.shape)) > 2
    # energy, not amplitude: twice the detail is four times the energy
    assert hf_ratio(real, 2 * real) == pytest.approx(4, rel=1e-5)


def test_high_band_has_no_constant():
    assert np.abs(high_band(np.full((1, 2, 8, 8), 3.0))).max() < 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v[:, :, :-1], "shape"),
        (lambda v: np.where(v > 1, np.nan, v), "NaN"),
        (lambda v: v[0], "expected 3 axes"),
    ],
)
def test_bad_volumes_are_refused(pair, change, message):
    with pytest.raises(ValueError, match=message):
        ssim_3d(pair[0], change(pair[1]))


def test_bad_masks_are_refused(pair):
    with pytest.raises(ValueError, match="empty"):
        psnr(*pair, np.zeros(pair[0].shape))
    with pytest.raises(ValueError, match="mask has shape"):
        psnr(*pair, np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match="flat"):
        hf_ratio(np.ones((2, 8, 8)), pair[0][:2, :8, :8])
