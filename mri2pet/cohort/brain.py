"""Where the brain is in a T1 of a head: alignment to MNI152, then its mask.

No weights are needed. The template is a brain alone, so the alignment looks only at
the template's brain and a little around it; that is enough for a mask, and skull, scalp
and neck do not pull (mutual information, Mattes et al. 2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import ndimage

from mri2pet.cohort import registration, rigid, template
from mri2pet.cohort.deformation import Deformation, deform
from mri2pet.cohort.registration import Volume

WORK_MM = 2.0  # voxel on which heads are aligned
AROUND_MM = 8.0  # around the template's brain, what the alignment looks at
HEAD_MM = 150.0  # from the crown down; the neck below is not the same in two scans


@dataclass(frozen=True)
class Brain:
    """A T1 with its brain found.

    Attributes
    ----------
    t1 : Volume
        Bias-corrected, as oriented in the file.
    mask : ndarray of bool
        The brain, on the T1's grid.
    box_from_t1 : ndarray, shape (4, 4)
        Rigid: the brain keeps its own size.
    affine_box_from_t1 : ndarray, shape (4, 4)
        Affine: the brain takes the template's size.
    shape : Deformation
        From MNI152 to the T1.
    """

    t1: Volume
    mask: np.ndarray
    box_from_t1: np.ndarray
    affine_box_from_t1: np.ndarray
    shape: Deformation


@cache
def mni(mm: float = WORK_MM) -> tuple[Volume, np.ndarray, np.ndarray]:
    """The template's T1, its brain mask and what the alignment looks at."""
    whole = template.mni152()
    affine = np.diag([*whole.size_mm[::-1], 1.0])
    affine[:3, 3] = whole.first_mm[::-1]
    t1 = registration.coarser(Volume(whole.t1.transpose(2, 1, 0), affine), mm)
    mask = registration.coarser(Volume(whole.mask.transpose(2, 1, 0), affine), mm)
    brain = mask.data > 0.5
    distance = ndimage.distance_transform_edt(~brain, sampling=mm)
    return t1, brain, distance < AROUND_MM


def find_brain(t1: Volume) -> Brain:
    """Correct the bias field of a T1, align it and find its brain.

    Parameters
    ----------
    t1 : Volume
        A whole head or a brain alone, values >= 0, axes in any order.

    Raises
    ------
    ValueError
        No head in it, or the alignment failed.
    """
    head = head_mask(t1)
    small = registration.coarser(t1, WORK_MM)
    small_head = (
        registration.resample(
            t1.with_data(head.astype(np.float32)),
            small.data.shape,
            small.affine,
            interpolation="linear",
        )
        > 0.5
    )
    small = registration.unbiased(small, small_head, mm=6.0, iterations=(30, 30))
    shape = _align(small, small_head)
    mask = _brain_mask(t1, shape)
    fixed, brain, _ = mni()
    points = rigid.apply(fixed.affine, np.argwhere(brain)[::17])
    # Points of the template are those of the box: both are MNI152 millimetres.
    moved = shape.to_t1(points)
    return Brain(
        registration.unbiased(t1, mask),
        mask,
        rigid.nearest_rigid(moved, points),
        rigid.nearest_affine(moved, points),
        shape,
    )


def head_mask(t1: Volume) -> np.ndarray:
    """Everything that is not air, without holes (Otsu's threshold)."""
    from skimage.filters import threshold_otsu

    data = t1.data
    low, high = np.quantile(data[::2, ::2, ::2], [0.01, 0.998])
    if not high > low:
        raise ValueError("the image has no contrast")
    clipped = np.clip(data, low, high)
    # Half of Otsu's cut: a head's dark parts are brighter than air.
    bright = clipped > low + 0.5 * (threshold_otsu(clipped[::2, ::2, ::2]) - low)
    bright = ndimage.binary_opening(bright, iterations=1)
    labels, count = ndimage.label(bright)
    if count == 0:
        raise ValueError("no head in the image")
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return ndimage.binary_fill_holes(labels == sizes.argmax())


def whole_head(t1: Volume) -> np.ndarray:
    """The head with its bone: what its outline encloses in a slice of any direction.

    The skull is as dark as air, and open where the image ends, so that three dimensions
    enclose less than two.
    """
    inside = head_mask(t1)
    for axis in range(3):
        slices = np.moveaxis(inside, axis, 0)
        inside = np.moveaxis(
            np.stack([ndimage.binary_fill_holes(one) for one in slices]), 0, axis
        )
    return inside


def _align(t1: Volume, head: np.ndarray) -> Deformation:
    """From a first guess to a deformation, each step from the last one's result."""
    fixed, brain, around = mni()
    start = _first_guess(t1, head, fixed, brain)
    found = [
        registration.register(
            *(fixed, t1),
            start=guess,
            fixed_mask=around,
            levels=((4, 4.0),),
            sampling=1.0,
        )
        for guess in registration.best_starts(fixed, t1, start, fixed_mask=around)
    ]
    best = max(found, key=lambda pair: pair[1])[0]
    best, _ = registration.register(
        *(fixed, t1),
        start=best,
        fixed_mask=around,
        levels=((2, 2.0),),
        sampling=1.0,
    )
    stretched, _ = registration.register(
        *(fixed, t1),
        start=best,
        kind="affine",
        fixed_mask=around,
        levels=((4, 4.0), (2, 2.0)),
        sampling=1.0,
    )
    return deform(fixed, t1, [stretched, best], around)


def _first_guess(t1: Volume, head, fixed: Volume, brain) -> np.ndarray:
    """Shift that lays the upper part of the head on the template's brain."""
    points = rigid.apply(t1.affine, np.argwhere(head))
    crown = np.quantile(points[:, 2], 0.999)
    upper = points[points[:, 2] > crown - HEAD_MM]
    middle = (upper.min(axis=0) + upper.max(axis=0)) / 2
    middle[:2] = upper[:, :2].mean(axis=0)
    target = rigid.apply(fixed.affine, np.argwhere(brain)).mean(axis=0)
    return rigid.rigid((0, 0, 0), middle - target)


def _brain_mask(t1: Volume, shape: Deformation) -> np.ndarray:
    """The template's brain on the T1's grid, as the deformation has it."""
    fixed, brain, _ = mni()
    soft = ndimage.gaussian_filter(brain.astype(np.float32), 0.5)
    points = shape.template_points(t1.data.shape, t1.affine)
    voxel = rigid.apply(np.linalg.inv(fixed.affine), points)
    return ndimage.map_coordinates(soft, np.moveaxis(voxel, -1, 0), order=1) > 0.5
