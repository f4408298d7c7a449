"""The scaled MRI of pre-training: an MRI on the PET grid."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def scaled_mri(mri_NDHW: np.ndarray, pet_shape: tuple[int, int, int]) -> np.ndarray:
    """MRI on the PET grid: quintic splines, clipped to [0, 1] (section 4.2).

    Parameters
    ----------
    mri_NDHW : ndarray, shape (N, D, H, W)
    pet_shape : tuple of int
        (d, h, w).

    Returns
    -------
    ndarray, shape (N, d, h, w), float32
    """
    factors = [
        new / old for new, old in zip(pet_shape, mri_NDHW.shape[1:], strict=True)
    ]
    scaled = [
        ndimage.zoom(volume, factors, order=5, mode="nearest", grid_mode=True)
        for volume in mri_NDHW
    ]
    return np.clip(np.stack(scaled), 0.0, 1.0).astype(np.float32)
