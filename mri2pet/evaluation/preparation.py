"""How far preparation is from the truth, on raw phantoms of which all is known.

Shape suffixes: R regions, D, H, W = z, y, x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mri2pet.cohort import rigid
from mri2pet.cohort.geometry import BOX_CENTRE_MM
from mri2pet.cohort.phantom.raw import RawScan
from mri2pet.cohort.preprocessing import PreparedPet, PreparedT1
from mri2pet.cohort.regions import REGIONS

_EVERY = 50  # of the brain's voxels, for target registration errors
_CENTRE = np.array(BOX_CENTRE_MM[::-1])


@dataclass(frozen=True)
class PreparationErrors:
    """Errors of one prepared scan.

    Attributes
    ----------
    t1_mm, pet_mm : float
        Mean target registration error in the brain: T1 to the box, PET to the T1.
    dice : float
        Overlap of the brain mask with the true brain, 0 to 1.
    motion_mm, motion_degrees : ndarray, shape (frames,)
        Of each frame against the first, at the middle of the brain.
    suvr : dict of str to float
        Relative error of each region, against the noise-free truth after the scanner's
        blur.
    """

    t1_mm: float
    pet_mm: float
    dice: float
    motion_mm: np.ndarray
    motion_degrees: np.ndarray
    suvr: dict[str, float]


def preparation_errors(
    raw: RawScan, t1: PreparedT1, pet: PreparedPet
) -> PreparationErrors:
    """Compare everything that preparation found with the truth.

    Parameters
    ----------
    raw : RawScan
        Of `mri2pet.cohort.phantom.raw.scan`, with a PET.
    t1, pet : PreparedT1, PreparedPet
    """
    inside = np.asarray(raw.brain.dataobj) > 0
    points = rigid.apply(raw.brain.affine, np.argwhere(inside)[::_EVERY])
    t1_from_pet = np.linalg.inv(raw.box_from_t1) @ raw.box_from_pet
    in_pet = rigid.apply(np.linalg.inv(t1_from_pet), points)
    ours = pet.t1_from_pet @ pet.motion.mean_from_frame[0]
    centre = rigid.apply(np.linalg.inv(raw.box_from_pet), _CENTRE)
    left = [
        found @ np.linalg.inv(true)
        for found, true in zip(
            pet.motion.first_from_frame, raw.first_from_frame, strict=True
        )
    ]
    weights = t1.regions_RDHW
    means = (weights * pet.pet_DHW).sum((1, 2, 3)) / weights.sum((1, 2, 3))
    true = np.array([raw.known[f"suvr_{name}"] for name in REGIONS])
    mask = t1.brain.mask
    return PreparationErrors(
        float(rigid.target_error(t1.box_from_t1, raw.box_from_t1, points).mean()),
        float(rigid.target_error(ours, t1_from_pet, in_pet).mean()),
        float(2 * (inside & mask).sum() / (inside.sum() + mask.sum())),
        np.array([np.linalg.norm(rigid.apply(m, centre) - centre) for m in left]),
        np.array([rigid.degrees_of(m) for m in left]),
        dict(zip(REGIONS, (means / true - 1).tolist(), strict=True)),
    )
