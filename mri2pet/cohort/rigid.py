"""Rigid and affine maps between spaces, as 4 x 4 matrices in RAS millimetres.

One convention for everything that is moved: ``b_from_a`` takes a point of space a to
space b, so that ``c_from_b @ b_from_a`` is ``c_from_a``. Matrices are written into JSON
as they are; ITK's own files (LPS, backwards) never leave `mri2pet.cohort.registration`.
"""

from __future__ import annotations

import numpy as np


def rigid(degrees, shift_mm, centre_mm=(0.0, 0.0, 0.0)) -> np.ndarray:
    """Rotation about a centre (x, then y, then z), then a shift.

    Parameters
    ----------
    degrees, shift_mm, centre_mm : sequence of 3 floats
        About and along x, y and z (right, anterior, superior).

    Returns
    -------
    ndarray, shape (4, 4)

    Examples
    --------
    >>> rigid((0, 0, 90), (0, 0, 5)).round() @ (1, 0, 0, 1)
    array([0., 1., 5., 1.])
    """
    turn = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(np.asarray(degrees, dtype=float))):
        i, j = ((1, 2), (2, 0), (0, 1))[axis]
        one = np.eye(3)
        one[i, i] = one[j, j] = np.cos(angle)
        one[i, j], one[j, i] = -np.sin(angle), np.sin(angle)
        turn = one @ turn
    matrix = np.eye(4)
    centre = np.asarray(centre_mm, dtype=float)
    matrix[:3, :3] = turn
    matrix[:3, 3] = centre - turn @ centre + np.asarray(shift_mm, dtype=float)
    return matrix


def apply(matrix: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    """Move points, shape (..., 3)."""
    return points_mm @ matrix[:3, :3].T + matrix[:3, 3]


def degrees_of(matrix: np.ndarray) -> float:
    """Angle of a rigid map's rotation."""
    cosine = (np.trace(matrix[:3, :3]) - 1) / 2
    return float(np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0))))


def target_error(found: np.ndarray, true: np.ndarray, points_mm) -> np.ndarray:
    """Target registration error: how far apart two maps put the same points, mm.

    Parameters
    ----------
    found, true : ndarray, shape (4, 4)
        From one space to another.
    points_mm : ndarray, shape (N, 3)
        In the first space.

    Returns
    -------
    ndarray, shape (N,)
    """
    points = np.asarray(points_mm, dtype=float)
    return np.linalg.norm(apply(found, points) - apply(true, points), axis=1)


def nearest_rigid(points_mm: np.ndarray, moved_mm: np.ndarray) -> np.ndarray:
    """The rigid map that moves points most nearly to where they went (least squares).

    A brain keeps its own size and shape when it is moved by this part of its alignment
    to a template (Kabsch 1976).

    Parameters
    ----------
    points_mm, moved_mm : ndarray, shape (N, 3)
        Points that count, for example the brain's voxels, in both spaces.

    Returns
    -------
    ndarray, shape (4, 4)
    """
    here, there = points_mm.mean(axis=0), moved_mm.mean(axis=0)
    u, _, vt = np.linalg.svd((moved_mm - there).T @ (points_mm - here))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    result = np.eye(4)
    result[:3, :3] = u @ flip @ vt
    result[:3, 3] = there - result[:3, :3] @ here
    return result


def nearest_affine(points_mm: np.ndarray, moved_mm: np.ndarray) -> np.ndarray:
    """The affine map that moves points most nearly to where they went (least squares).

    Parameters
    ----------
    points_mm, moved_mm : ndarray, shape (N, 3)
        As in :func:`nearest_rigid`.

    Returns
    -------
    ndarray, shape (4, 4)
    """
    here = np.column_stack([points_mm, np.ones(len(points_mm))])
    result = np.eye(4)
    result[:3] = np.linalg.lstsq(here, moved_mm, rcond=None)[0].T
    return result
