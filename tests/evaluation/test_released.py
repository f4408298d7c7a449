"""The released evaluation: what it computes, and what it cannot see."""

import numpy as np
import pytest
from scipy import stats
from scipy.ndimage import uniform_filter
from skimage.metrics import structural_similarity

from mri2pet.evaluation.inference import patient_bootstrap
from mri2pet.evaluation.quality import mae, psnr
from mri2pet.evaluation.released import (
    min_max,
    released_plus_minus,
    released_scores,
    slice_ssim,
    unit_psnr,
)


def volumes(n=3, seed=0, shape=(6, 12, 10)):
    return np.random.default_rng(seed).gamma(2.0, 0.5, (n, *shape))


def test_min_max_uses_each_volumes_own_range():
    x = volumes() * np.array([1, 5, 0.1])[:, None, None, None] + 3
    found = min_max(x)
    assert (found.min(axis=(1, 2, 3)) == 0).all()
    assert (found.max(axis=(1, 2, 3)) == 1).all()
    for a, b in zip(x, found, strict=True):
        np.testing.assert_allclose(b, (a - a.min()) / (a.max() - a.min()))


def test_slice_ssim_is_the_formula_averaged_over_slices():
    """Wang et al. 2004 with a 7 x 7 box, windows wholly inside, covariance / 48."""
    a, b = min_max(volumes(2))

    def one_slice(x, y):
        def window(v):
            return uniform_filter(v, 7)[3:-3, 3:-3]

        mx, my, n = window(x), window(y), 49 / 48
        xx, yy = n * (window(x * x) - mx**2), n * (window(y * y) - my**2)
        xy = n * (window(x * y) - mx * my)
        c1, c2 = 0.01**2, 0.03**2
        return (
            (2 * mx * my + c1) * (2 * xy + c2) / ((mx**2 + my**2 + c1) * (xx + yy + c2))
        ).mean()

    direct = np.mean([one_slice(x, y) for x, y in zip(a, b, strict=True)])
    assert slice_ssim(a, b) == pytest.approx(direct)


def test_slice_ssim_is_not_the_3d_one():
    """The picture changes from slice to slice; within one there is only noise."""
    grid = (8, 12, 12)
    real = np.broadcast_to(np.linspace(0, 1, 8)[:, None, None], grid)
    noise = 0.05 * np.random.default_rng(0).standard_normal(grid)
    noisy = np.clip(real + noise, 0, 1)
    volume = structural_similarity(real, noisy, win_size=7, data_range=1.0)
    assert abs(slice_ssim(real, noisy) - volume) > 0.1


def test_psnr_is_its_formula():
    a, b = min_max(volumes(2))
    expected = -10 * np.log10(((a - b) ** 2).mean())
    assert unit_psnr(a, b) == pytest.approx(expected)
    assert unit_psnr(a, a) == np.inf


def test_a_wrong_level_is_hidden_and_an_outlier_is_not_forgiven():
    real = volumes()
    made = real + 0.1 * np.random.default_rng(1).standard_normal(real.shape)
    honest = released_scores(real, made, list("abc"))
    doubled = released_scores(real, 2 * made + 0.7, list("abc"))
    np.testing.assert_allclose(honest, doubled)
    assert psnr(real[0], made[0]) - psnr(real[0], 2 * made[0] + 0.7) > 15
    assert mae(real[0], 2 * made[0] + 0.7) > 1
    one_voxel = made.copy()
    one_voxel[:, 0, 0, 0] = 20
    spoilt = released_scores(real, one_voxel, list("abc"))
    assert (spoilt["psnr_released"] < honest["psnr_released"] - 5).all()


def test_scores_are_made_of_the_parts():
    real, made = volumes(), volumes(seed=1)
    frame = released_scores(real, made, list("abc"))
    a, b = min_max(real)[1], min_max(made)[1]
    line = frame.loc["b"]
    assert line["ssim_released"] == pytest.approx(slice_ssim(a, b))
    assert line["psnr_released"] == pytest.approx(unit_psnr(a, b))


@pytest.mark.parametrize("n, times", [(250, 1.34), (10, 0.095), (1000, 3.02)])
def test_plus_minus_is_a_wrong_multiple_of_the_standard_error(n, times):
    """1.34 and 0.68 x a 95 % half-width at the paper's size: audit, section 7."""
    rng = np.random.default_rng(n)
    ratios = []
    for seed in range(40):
        scores = rng.normal(24.8, 1.46, n)
        mean, plus_minus = released_plus_minus(scores, seed=seed)
        assert abs(mean - scores.mean()) < 5 * stats.sem(scores)
        ratios.append(plus_minus / stats.sem(scores))
    assert np.mean(ratios) == pytest.approx(times, rel=0.1 if n == 10 else 0.01)
    if n == 250:
        assert np.mean(ratios) / stats.norm.ppf(0.975) == pytest.approx(0.68, abs=0.01)


def test_plus_minus_of_the_paper_follows_from_its_scores():
    """MRI2PET's PSNR, SD 1.46 dB: printed 0.123, true 0.092, half-width 0.18."""
    scores = stats.norm(24.771, 1.46).ppf((np.arange(250) + 0.5) / 250)
    _, plus_minus = released_plus_minus(scores)
    assert plus_minus == pytest.approx(0.123, abs=0.002)
    assert stats.sem(scores) == pytest.approx(0.092, abs=0.001)
    honest = patient_bootstrap(scores, range(250))
    assert (honest.high - honest.low) / 2 == pytest.approx(0.18, abs=0.01)


def test_plus_minus_shrinks_with_the_number_of_resamples():
    scores = np.random.default_rng(0).random(50)
    few, many = (released_plus_minus(scores, n)[1] for n in (100, 3000))
    assert many < few / 20
    assert released_plus_minus(scores, seed=3) == released_plus_minus(scores, seed=3)


def test_bad_input_is_refused_with_its_value():
    with pytest.raises(ValueError, match="volume 1 is 4 everywhere"):
        min_max(np.stack([volumes(1)[0], np.full((6, 12, 10), 4.0)]))
    with pytest.raises(ValueError, match=r"synthetic spans 0\.\d+\.\.\d.*see min_max"):
        unit_psnr(np.zeros((6, 12, 10)), volumes(1)[0])
    with pytest.raises(ValueError, match="window of 7"):
        slice_ssim(np.zeros((4, 6, 9)), np.zeros((4, 6, 9)))
    with pytest.raises(ValueError, match="shape"):
        unit_psnr(np.zeros((4, 7, 7)), np.zeros((4, 7, 8)))
    with pytest.raises(ValueError, match="3 real and 2 synthetic"):
        released_scores(volumes(), volumes(2), list("abc"))
    with pytest.raises(ValueError, match="two finite scores"):
        released_plus_minus([0.5, np.nan, 0.5])
    with pytest.raises(ValueError, match="n_boot = 0"):
        released_plus_minus([0.5, 0.6], 0)
