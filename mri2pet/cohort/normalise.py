"""Intensity rules that phantoms and real scans share."""

import numpy as np
import torch

from mri2pet.cohort import geometry

BRIGHTEST = 0.998  # quantile of the brain that becomes 1


def unit_range(mri, brain):
    """Scale a T1 so that the brain's 99.8th percentile is 1, zero outside the brain.

    Parameters
    ----------
    mri : torch.Tensor, any shape
        Intensities >= 0.
    brain : torch.Tensor of bool, same shape

    Returns
    -------
    torch.Tensor
        float32 in [0, 1], exactly 0 outside ``brain``.

    Raises
    ------
    ValueError
        If the brain is empty or all dark.
    """
    inside = mri[brain].numpy()
    if inside.size == 0:
        raise ValueError("the brain mask is empty")
    rank = min(inside.size - 1, int(BRIGHTEST * inside.size))
    top = float(np.partition(inside, rank)[rank])
    if not top > 0:
        raise ValueError(f"the brain's brightest intensity is {top}")
    return torch.where(brain, (mri / top).clamp(0, 1), torch.zeros(())).float()


def brain_cells(signal, mask, grid):
    """Mean signal of the brain in each cell of a grid of the box.

    Parameters
    ----------
    signal, mask : torch.Tensor, shape (..., D, H, W)
        On a finer grid of the box; share of brain in [0, 1].
    grid : tuple of int
        (z, y, x).

    Returns
    -------
    image : torch.Tensor, shape (..., *grid)
        Over the brain's part of a cell.
    brain : torch.Tensor of bool
        Cells of which more than half is brain.
    """
    matrices = geometry.resampling(tuple(grid), tuple(mask.shape[-3:]))
    image, share = geometry.apply_axes(torch.stack([signal * mask, mask]), matrices)
    return image / share.clamp(min=0.5), share > 0.5
