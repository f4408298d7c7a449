"""Rigid alignment of a PET to the T1 of the same person.

The T1 is shown without skull and scalp, which PET does not see as an MRI does; mutual
information takes care of the rest. The same is then tried with the PET's mirror image:
a scan whose left and right were swapped fits better that way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mri2pet.cohort import registration
from mri2pet.cohort.brain import Brain
from mri2pet.cohort.registration import Volume
from mri2pet.cohort.rigid import rigid

WORK_MM = 3.0
# Levels (shrink factor, smoothing in mm) and share of the voxels.
COARSE, FINE = (((2, 4.0),), 1.0), (((1, 2.0),), 0.3)
_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Alignment:
    """How a PET lies on a T1.

    Attributes
    ----------
    t1_from_pet : ndarray, shape (4, 4)
    information : float
        Mutual information of the two.
    mirror_gain : float
        How much more there is with the PET's mirror image; above 0 for a PET of which
        left and right were swapped.
    """

    t1_from_pet: np.ndarray
    information: float
    mirror_gain: float


def align_pet(mean: Volume, brain: Brain, *, affine: bool = False) -> Alignment:
    """Find where a PET lies on its T1.

    Parameters
    ----------
    mean : Volume
        Motion-corrected mean.
    brain : Brain
        Of the T1.
    affine : bool
        Twelve parameters, as released, not six.

    Raises
    ------
    ValueError
        The registration failed.
    """
    inside = registration.coarser(
        brain.t1.with_data(brain.mask.astype(np.float32)), WORK_MM
    )
    fixed = registration.coarser(brain.t1, WORK_MM)
    fixed = fixed.with_data(fixed.data * (inside.data > 0.5))
    # A little around the brain too, so that its edge counts.
    near = ndimage.binary_dilation(inside.data > 0.5, iterations=3)
    moving = registration.coarser(mean, WORK_MM)

    def refine(pet: Volume, start: np.ndarray, step, kind="rigid"):
        levels, sampling = step
        return registration.register(
            *(fixed, pet),
            start=start,
            kind=kind,
            fixed_mask=near,
            levels=levels,
            sampling=sampling,
        )

    shift = registration.middle(moving) - registration.middle(fixed)
    starts = registration.best_starts(
        fixed, moving, rigid((0, 0, 0), shift), fixed_mask=near
    )
    tried = [refine(moving, start, COARSE) for start in starts]
    best, coarsely = max(tried, key=lambda pair: pair[1])
    pet_from_t1, information = refine(moving, best, FINE)
    # The same point on the other side of the head, in the PET's mirror image.
    mirrored = Volume(moving.data, _MIRROR @ moving.affine)
    across = np.linalg.inv(brain.box_from_t1) @ _MIRROR @ brain.box_from_t1
    _, other = refine(mirrored, _MIRROR @ pet_from_t1 @ across, COARSE)
    if affine:
        pet_from_t1, _ = refine(moving, pet_from_t1, FINE, "affine")
    return Alignment(np.linalg.inv(pet_from_t1), information, other - coarsely)
