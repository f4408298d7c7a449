"""The one box in which every prepared volume lies, and resampling inside it.

Arrays index (z, y, x): index grows to superior, anterior and right (RAS+ once
transposed to x, y, z). The box is `BOX_MM` wide and `BOX_CENTRE_MM` is its centre
in MNI152 millimetres. A grid (D, H, W) cuts it into D * H * W equal cells and a
value stands for the cell's centre.

Every blur and every resampling between grids of the box is one small matrix per
axis (a GEMM), which on a CPU is several times faster than a 3-D convolution.

Shape suffixes: B batch, C channels, D, H, W = z, y, x.
"""

from functools import lru_cache
from math import log, sqrt

import numpy as np
import torch

BOX_MM = (168.0, 208.0, 176.0)
# The MNI152 brain spans z -72..82, y -107..73, x -72..73 mm; this centres it.
BOX_CENTRE_MM = (5.0, -17.0, 0.0)

_FWHM_TO_SIGMA = 1.0 / sqrt(8.0 * log(2.0))


def check_shape(shape):
    """Return ``shape`` as a tuple of three positive integers (z, y, x).

    Raises
    ------
    ValueError
        If there are not three integers of at least 2.
    """
    shape = tuple(shape)
    if len(shape) != 3 or any(int(n) != n or n < 2 for n in shape):
        raise ValueError(f"a grid is three integers >= 2 (z, y, x); got {shape}")
    return tuple(int(n) for n in shape)


def voxel_mm(shape):
    """Voxel size in mm (z, y, x) of a grid ``shape`` over the box."""
    return tuple(w / n for w, n in zip(BOX_MM, check_shape(shape), strict=True))


def work_shape(work_mm):
    """Grid (z, y, x) whose voxels are as near as possible to ``work_mm`` mm."""
    if not 0.5 <= work_mm <= 8:
        raise ValueError(f"work_mm must lie in 0.5..8 mm; got {work_mm}")
    return tuple(round(w / work_mm) for w in BOX_MM)


def default_work_mm(grid):
    """Work voxel for a grid: 3 mm at 64 in plane, 2 at 96, 1.5 at 144."""
    finest = min(voxel_mm(grid))
    return float(np.clip(np.round(2.24 * finest) / 2, 1.0, 3.0))


def axis_coordinates(shape):
    """Cell centres along z, y and x in MNI mm: three float64 arrays."""
    return tuple(
        centre - width / 2 + (np.arange(n) + 0.5) * width / n
        for centre, width, n in zip(
            BOX_CENTRE_MM, BOX_MM, check_shape(shape), strict=True
        )
    )


def grid_affine(shape_zyx):
    """Affine of the array **transposed to (x, y, z)**, as nibabel wants it.

    Parameters
    ----------
    shape_zyx : tuple of int
        Grid of the box, (z, y, x).

    Returns
    -------
    numpy.ndarray, shape (4, 4)
        Voxel (x, y, z) to MNI152 millimetres, RAS+.
    """
    size = voxel_mm(shape_zyx)
    first = [c[0] for c in axis_coordinates(shape_zyx)]
    affine = np.eye(4)
    for column, axis in enumerate((2, 1, 0)):
        affine[column, column] = size[axis]
        affine[column, 3] = first[axis]
    return affine


def _rows_to_one(weights):
    return weights / weights.sum(axis=1, keepdims=True)


def gaussian_matrix(n_out, n_in, width, sigma):
    """Blur and sample one axis of ``width`` mm: shape (n_out, n_in).

    Output cells are the mean over the cell of a Gaussian blur (SD ``sigma`` mm,
    none if 0) of the input's cells. Rows sum to one, so a constant stays constant
    up to the box's faces.
    """
    cell_in, cell_out = width / n_in, width / n_out
    # A cell mean is a box filter; several sub-cells integrate it well enough.
    sub = max(1, int(np.ceil(2 * cell_out / cell_in)))
    fine = (np.arange(n_out * sub) + 0.5) * cell_out / sub
    centres = (np.arange(n_in) + 0.5) * cell_in
    distance = np.abs(fine[:, None] - centres[None]) / cell_in
    weights = _rows_to_one(np.clip(1.0 - distance, 0.0, None))
    if sigma > 0:
        distance = (fine[:, None] - centres[None]) / sigma
        # Cut at 5 SD: smaller weights end as denormal floats, which are slow.
        blurred = np.exp(-0.5 * distance**2) * (np.abs(distance) < 5.0)
        # Below half a cell a sampled Gaussian aliases: keep the linear weights.
        weights = _rows_to_one(blurred) if sigma > 0.5 * cell_in else weights
    return _rows_to_one(weights.reshape(n_out, sub, n_in).mean(axis=1))


def spline_matrix(n_out, knots, width, spacing):
    """Cubic B-splines, ``spacing`` mm apart, at ``n_out`` cell centres.

    Scaled so that white coefficients of SD 1 give a field of SD 1 (on average over
    positions). Shape (n_out, knots); the knots are centred on the axis.
    """
    x = (np.arange(n_out) + 0.5) * width / n_out - width / 2
    knot = (np.arange(knots) - (knots - 1) / 2) * spacing
    t = np.abs(x[:, None] - knot[None]) / spacing
    near = 2 / 3 - t**2 + t**3 / 2
    far = (2 - t) ** 3 / 6
    basis = np.where(t < 1, near, np.where(t < 2, far, 0.0))
    return basis / sqrt(151 / 315)  # mean of the sum of squares of the basis


@lru_cache(maxsize=64)
def resampling(shape_out, shape_in, fwhm_mm=0.0):
    """Three matrices (z, y, x) from grid to grid, with a Gaussian blur.

    Parameters
    ----------
    shape_out, shape_in : tuple of int
        Grids of the box.
    fwhm_mm : float
        Full width at half maximum of the blur in mm.

    Returns
    -------
    tuple of torch.Tensor
        float32, to be given to :func:`apply_axes`.
    """
    sigma = fwhm_mm * _FWHM_TO_SIGMA
    return tuple(
        torch.from_numpy(gaussian_matrix(o, i, w, sigma).astype(np.float32))
        for o, i, w in zip(
            check_shape(shape_out), check_shape(shape_in), BOX_MM, strict=True
        )
    )


def spline_knots(spacing):
    """Number of knots along z, y, x that cover the box with cubic B-splines."""
    return tuple(int(np.ceil(w / spacing)) + 3 for w in BOX_MM)


@lru_cache(maxsize=32)
def splines(shape, spacing):
    """Three matrices (z, y, x) from spline coefficients to the grid ``shape``."""
    return tuple(
        torch.from_numpy(spline_matrix(n, k, w, spacing).astype(np.float32))
        for n, k, w in zip(
            check_shape(shape), spline_knots(spacing), BOX_MM, strict=True
        )
    )


def apply_axes(volume, matrices):
    """Apply one matrix per axis to the last three axes of ``volume``.

    Parameters
    ----------
    volume : torch.Tensor, shape (..., D, H, W)
    matrices : tuple of torch.Tensor
        (D', D), (H', H) and (W', W).

    Returns
    -------
    torch.Tensor, shape (..., D', H', W')
    """
    along_z, along_y, along_x = matrices
    # Shrink z first when it shrinks: the later products are then smaller.
    if along_z.shape[0] <= along_z.shape[1]:
        volume = _along_z(volume, along_z)
        return torch.matmul(along_y, volume) @ along_x.T
    volume = torch.matmul(along_y, volume @ along_x.T)
    return _along_z(volume, along_z)


def _along_z(volume, matrix):
    *lead, _, h, w = volume.shape
    flat = torch.matmul(matrix, volume.reshape(*lead, volume.shape[-3], h * w))
    return flat.reshape(*lead, matrix.shape[0], h, w)


def world_grid(shape):
    """Cell centres in MNI mm: tensor (3, D, H, W), components z, y, x."""
    z, y, x = (torch.from_numpy(c).float() for c in axis_coordinates(shape))
    return torch.stack(torch.meshgrid(z, y, x, indexing="ij"))


def normalised(world, first_mm, size_mm, shape):
    """World mm (B, 3, D, H, W) to ``grid_sample`` coordinates (B, D, H, W, 3).

    ``first_mm``, ``size_mm`` and ``shape`` (z, y, x) describe the sampled array: its
    first cell centre, its voxel and its extent. Uses ``align_corners=False``.
    """
    first = torch.tensor(first_mm, dtype=world.dtype).view(3, 1, 1, 1)
    size = torch.tensor(size_mm, dtype=world.dtype).view(3, 1, 1, 1)
    count = torch.tensor(shape, dtype=world.dtype).view(3, 1, 1, 1)
    unit = (2.0 / count) * ((world - first) / size + 0.5) - 1.0
    return unit.flip(1).permute(0, 2, 3, 4, 1)
