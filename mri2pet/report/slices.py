"""Slices of the common box, chosen in MNI millimetres.

Shape suffixes: D H W = z y x.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mri2pet.cohort.geometry import BOX_CENTRE_MM, BOX_MM, axis_coordinates

PLANES = ("axial", "coronal", "sagittal")  # perpendicular to z, y, x
# Axial levels that a reader of amyloid PET looks at: temporal lobes and cerebellum,
# basal ganglia, lateral ventricles, precuneus and parietal cortex.
LEVELS_MM = (-20.0, 4.0, 20.0, 40.0)
# The part of the box that is drawn: every brain, and a little of its border.
_SHOWN_MM = {"z": (-76.0, 86.0), "y": (-117.0, 84.0), "x": (-82.0, 82.0)}


def normal_axis(plane: str) -> int:
    """Axis of a volume that a plane is perpendicular to.

    Raises
    ------
    ValueError
        On another plane than axial, coronal, sagittal.
    """
    if plane not in PLANES:
        raise ValueError(f"plane {plane!r}: expected one of {', '.join(PLANES)}")
    return PLANES.index(plane)


def middle_mm(plane: str) -> float:
    """Coordinate of the slice through the middle of the box."""
    return BOX_CENTRE_MM[normal_axis(plane)]


def slice_of(
    volume_DHW: np.ndarray, plane: str = "axial", mm: float = 0.0
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """One slice of a volume, and where it lies.

    Parameters
    ----------
    volume_DHW : ndarray, shape (D, H, W)
        A volume on any grid of the box.
    plane : {"axial", "coronal", "sagittal"}
    mm : float
        MNI coordinate of the slice; linear between the centres of two voxels.

    Returns
    -------
    image : ndarray
        Rows grow upwards in the picture, columns to the right.
    extent : tuple (left, right, bottom, top) in MNI mm
        For ``imshow(..., origin="lower", extent=extent)``.

    Raises
    ------
    ValueError
        On another plane, another rank, or a coordinate outside the box.
    """
    volume = np.asarray(volume_DHW)
    axis = normal_axis(plane)
    if volume.ndim != 3:
        raise ValueError(f"a volume has 3 axes (z, y, x); got shape {volume.shape}")
    low = BOX_CENTRE_MM[axis] - BOX_MM[axis] / 2
    if not low <= mm <= low + BOX_MM[axis]:
        raise ValueError(
            f"{plane} slice at {mm} mm lies outside the box "
            f"({low} to {low + BOX_MM[axis]} mm)"
        )
    centres = axis_coordinates(volume.shape)[axis]
    position = np.interp(mm, centres, np.arange(len(centres)))
    below = int(np.floor(position))
    above = min(below + 1, len(centres) - 1)
    share = position - below
    image = (1 - share) * volume.take(below, axis) + share * volume.take(above, axis)
    vertical, horizontal = (a for a in range(3) if a != axis)
    edges = []
    for a in (horizontal, vertical):
        edges += [BOX_CENTRE_MM[a] - BOX_MM[a] / 2, BOX_CENTRE_MM[a] + BOX_MM[a] / 2]
    return image, tuple(edges)


def nearest_levels(
    shape_DHW: tuple[int, int, int],
    wanted_mm: Sequence[float] = LEVELS_MM,
    plane: str = "axial",
) -> tuple[float, ...]:
    """Coordinates of the slices of a grid nearest to those wanted, without repeats.

    The PET grid is the coarser one: at the centres of its slices no PET is blended
    from two slices, and the MRI beside it shows the same millimetres.
    """
    centres = axis_coordinates(shape_DHW)[normal_axis(plane)]
    levels = [float(centres[np.abs(centres - mm).argmin()]) for mm in wanted_mm]
    return tuple(dict.fromkeys(levels))


def window(plane: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Horizontal and vertical range (mm) of the part of a plane that is drawn."""
    names = [
        n for n, axis in zip("zyx", range(3), strict=True) if axis != normal_axis(plane)
    ]
    vertical, horizontal = names
    return _SHOWN_MM[horizontal], _SHOWN_MM[vertical]
