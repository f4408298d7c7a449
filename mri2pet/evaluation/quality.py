"""Image quality of one scan: SSIM, PSNR, MAE, high-frequency ratio.

All volumes are in SUVR and all scores use one fixed data range of 2.5 SUVR, so
that no score depends on a scan's own minimum and maximum.

Distances between two sets of scans live in `frechet` and are re-exported here.

Shape suffixes: N scans, D H W = z y x of the PET grid.

References
----------
SSIM: Wang, Bovik, Sheikh and Simoncelli 2004, IEEE Transactions on Image Processing
13(4).
"""

from __future__ import annotations

import numpy as np
import torch
from skimage.metrics import structural_similarity

from mri2pet.evaluation.checks import check_volumes
from mri2pet.evaluation.frechet import (
    RandomFeatures,
    frechet_difference,
    frechet_distance,
    frechet_floor,
    frechet_jackknife,
)
from mri2pet.loss import laplacian_pyramid

__all__ = [
    "DATA_RANGE",
    "SSIM_WINDOW",
    "RandomFeatures",
    "frechet_difference",
    "frechet_distance",
    "frechet_floor",
    "frechet_jackknife",
    "hf_ratio",
    "high_band",
    "mae",
    "psnr",
    "ssim_3d",
    "ssim_map",
    "ssim_window",
]

DATA_RANGE = 2.5  # SUVR; white matter at 1.6 and strong amyloid at 2 lie inside
SSIM_WINDOW = 7  # voxels, uniform: scikit-image's default, as in the released code


def _pair(real_DHW: np.ndarray, synthetic_DHW: np.ndarray, mask_DHW):
    real = check_volumes("real", real_DHW, 3)
    synthetic = check_volumes("synthetic", synthetic_DHW, 3)
    if real.shape != synthetic.shape:
        raise ValueError(
            f"real has shape {real.shape} but synthetic has {synthetic.shape}"
        )
    if mask_DHW is None:
        return real, synthetic, None
    mask = np.asarray(mask_DHW) > 0.5
    if mask.shape != real.shape:
        raise ValueError(f"mask has shape {mask.shape}, the scan has {real.shape}")
    if not mask.any():
        raise ValueError("mask is empty: no voxel is inside the brain")
    return real, synthetic, mask


def ssim_window(shape: tuple[int, ...]) -> int:
    """Edge of the cubic SSIM window for a grid: 7, or the largest odd one that fits.

    Examples
    --------
    >>> ssim_window((16, 32, 32)), ssim_window((6, 32, 32))
    (7, 5)
    """
    smallest = min(shape)
    if smallest < 3:
        raise ValueError(f"a grid of {shape} is too small for SSIM: 3 voxels at least")
    return min(SSIM_WINDOW, smallest if smallest % 2 else smallest - 1)


def ssim_map(
    real_DHW: np.ndarray,
    synthetic_DHW: np.ndarray,
    *,
    data_range: float = DATA_RANGE,
    sample_covariance: bool = True,
) -> tuple[float, np.ndarray]:
    """3-D SSIM of one scan and its map.

    A cubic uniform window of `ssim_window` voxels, K1 = 0.01, K2 = 0.03.

    Parameters
    ----------
    real_DHW, synthetic_DHW : ndarray, shape (D, H, W)
        SUVR.
    data_range : float
        SUVR; fixed for the whole cohort.
    sample_covariance : bool
        Divide (co)variances by M - 1 instead of M, M the voxels of a window
        (scikit-image's default; MONAI divides by M).

    Returns
    -------
    whole : float
        Mean over all windows that lie wholly inside the volume.
    map_DHW : ndarray, shape (D, H, W)
        SSIM at each voxel, edges mirrored.
    """
    real, synthetic, _ = _pair(real_DHW, synthetic_DHW, None)
    whole, full = structural_similarity(
        real.astype(np.float64),
        synthetic.astype(np.float64),
        win_size=ssim_window(real.shape),
        data_range=data_range,
        use_sample_covariance=sample_covariance,
        full=True,
    )
    return float(whole), full


def ssim_3d(
    real_DHW: np.ndarray,
    synthetic_DHW: np.ndarray,
    mask_DHW: np.ndarray | None = None,
    **kwargs,
) -> float:
    """3-D SSIM over the whole volume, or the mean of its map inside a mask.

    Raises
    ------
    ValueError
        On shapes that differ, an empty mask, or values that are not finite.

    Examples
    --------
    >>> x = np.linspace(0, 2, 8 * 9 * 10).reshape(8, 9, 10)
    >>> round(ssim_3d(x, x), 6)
    1.0
    """
    _, _, mask = _pair(real_DHW, synthetic_DHW, mask_DHW)
    whole, full = ssim_map(real_DHW, synthetic_DHW, **kwargs)
    return whole if mask is None else float(full[mask].mean())


def mae(real_DHW, synthetic_DHW, mask_DHW=None) -> float:
    """Mean absolute error in SUVR, over the volume or inside a mask."""
    real, synthetic, mask = _pair(real_DHW, synthetic_DHW, mask_DHW)
    error = np.abs(real.astype(np.float64) - synthetic)
    return float(error.mean() if mask is None else error[mask].mean())


def psnr(real_DHW, synthetic_DHW, mask_DHW=None, data_range=DATA_RANGE) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal volumes.

    ``10 log10(data_range^2 / MSE)`` over the volume or inside a mask.

    Examples
    --------
    >>> round(psnr(np.zeros((3, 3, 3)), np.full((3, 3, 3), 0.25)), 9)
    20.0
    """
    real, synthetic, mask = _pair(real_DHW, synthetic_DHW, mask_DHW)
    error = (real.astype(np.float64) - synthetic) ** 2
    mse = float(error.mean() if mask is None else error[mask].mean())
    return float("inf") if mse == 0 else float(10 * np.log10(data_range**2 / mse))


def high_band(volumes_NDHW: np.ndarray) -> np.ndarray:
    """Finest band of the Laplacian pyramid of each axial slice, as in the loss."""
    volumes = check_volumes("volumes", volumes_NDHW, 4)
    tensor = torch.from_numpy(np.array(volumes, dtype=np.float32))
    return laplacian_pyramid(tensor, levels=1)[0].numpy()


def hf_ratio(real_DHW, synthetic_DHW, mask_DHW=None) -> float:
    """High-frequency energy of a synthetic scan over that of the real one.

    The energy is the mean square of `high_band` inside the mask: 1 = as much
    detail as the real scan, below 1 = blurred, above 1 = noisy. It says nothing
    about whether the detail is in the right place.

    Raises
    ------
    ValueError
        If the real scan has no high-frequency energy at all.
    """
    real, synthetic, mask = _pair(real_DHW, synthetic_DHW, mask_DHW)
    mask = np.ones(real.shape, bool) if mask is None else mask
    band_real, band_synthetic = high_band(np.stack([real, synthetic]))
    energy = float((band_real[mask].astype(np.float64) ** 2).mean())
    if energy == 0:
        raise ValueError("the real scan is flat: its high-frequency energy is 0")
    return float((band_synthetic[mask].astype(np.float64) ** 2).mean()) / energy
