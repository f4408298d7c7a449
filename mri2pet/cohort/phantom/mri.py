"""T1-weighted MRI of a phantom: contrast, bias field, noise, sampling.

Shape suffixes: B batch, D, H, W = z, y, x.
"""

import numpy as np
import torch

from mri2pet.cohort import geometry
from mri2pet.cohort.normalise import brain_cells, unit_range
from mri2pet.cohort.phantom import constants as k
from mri2pet.cohort.phantom.disease import SCANNER, person_generator


def contrast(tissues, draws):
    """T1 signal of the tissues on the work grid: no bias field, no noise.

    Parameters
    ----------
    tissues : Tissues, batch B
    draws : list of Generator, length B
        Four numbers are drawn from each: a scanner's contrast at this visit.

    Returns
    -------
    torch.Tensor, shape (B, D, H, W)
    """
    spread = np.stack([rng.standard_normal(4) for rng in draws]).astype(np.float32)
    csf, gm, wm = (
        torch.from_numpy(mean * (1 + k.T1_TISSUE_SD * spread[:, i])).view(-1, 1, 1, 1)
        for i, mean in enumerate(k.T1_MEANS.values())
    )
    signal = csf * tissues.csf + gm * tissues.gm + wm * tissues.wm + tissues.texture
    gamma = torch.from_numpy(np.exp(k.T1_GAMMA_SD * spread[:, 3])).view(-1, 1, 1, 1)
    return wm * (signal.clamp(min=1e-4) / wm) ** gamma


def render(tissues, grid, *, people, visits, seed):
    """Brain-extracted T1 on ``grid``.

    Parameters
    ----------
    tissues : Tissues, batch B
    grid : tuple of int
        Of the MRI, (z, y, x).
    people, visits : sequence of int, length B
        Scanner noise, contrast and bias field are those of the person's visit.
    seed : int

    Returns
    -------
    torch.Tensor, shape (B, D, H, W)
        float32 in [0, 1], exactly 0 outside the brain.
    """
    draws = [
        person_generator(seed, p, SCANNER, 2 * v)
        for p, v in zip(people, visits, strict=True)
    ]
    signal = contrast(tissues, draws)
    image, brain = brain_cells(signal, tissues.mask, grid)
    knots = geometry.spline_knots(k.T1_BIAS_SPACING)
    field = np.stack([rng.standard_normal(knots, dtype=np.float32) for rng in draws])
    bias = geometry.apply_axes(
        torch.from_numpy(field), geometry.splines(tuple(grid), k.T1_BIAS_SPACING)
    )
    image = image * torch.exp(k.T1_BIAS_SD * bias)
    noise = np.stack(
        [rng.standard_normal((2, *grid), dtype=np.float32) for rng in draws], axis=1
    )
    real, imaginary = torch.from_numpy(noise) * (k.T1_NOISE * k.T1_MEANS["wm"])
    image = torch.sqrt((image + real) ** 2 + imaginary**2)
    return torch.stack(
        [unit_range(one, mask) for one, mask in zip(image, brain, strict=True)]
    )
