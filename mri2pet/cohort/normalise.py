"""Intensity rules that phantoms and real scans share."""

import numpy as np
import torch

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
