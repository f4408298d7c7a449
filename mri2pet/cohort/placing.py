"""A T1 brought to a network's grid, and what the network makes brought back.

A raw head is prepared as a cohort is (`mri2pet.cohort.preprocessing`). A T1 that is
brain-extracted and lies in MNI orientation and origin already can skip that.

Legend: D H W voxels of the MRI grid, d h w of the PET grid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from nilearn.image import resample_img, smooth_img
from scipy import ndimage

from mri2pet.cohort import brain, registration
from mri2pet.cohort.geometry import grid_affine, voxel_mm
from mri2pet.cohort.images import check_t1, read_image, read_t1
from mri2pet.cohort.normalise import unit_range
from mri2pet.cohort.preprocessing import prepare_t1
from mri2pet.cohort.qc import judge, t1_numbers
from mri2pet.cohort.registration import Volume

INSIDE = 0.02  # of a prepared T1's range; below it is background
BRAIN_LITRES = (0.5, 2.6)  # plausible volume of what is not background
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Placed:
    """A T1 on a network's grid, and the way back.

    Attributes
    ----------
    mri_DHW : ndarray, float32
        In [0, 1], 0 outside the brain.
    t1 : Nifti1Image
        The input, as given.
    head, brain : ndarray of bool
        On the T1's own grid.
    box_from_t1 : ndarray, shape (4, 4)
        Rigid, RAS mm.
    verdict : {"pass", "look"}
    reasons : list of str
        Why somebody should look.
    numbers : dict
        Of quality control.
    """

    mri_DHW: np.ndarray
    t1: nib.Nifti1Image
    head: np.ndarray
    brain: np.ndarray
    box_from_t1: np.ndarray
    verdict: str = "pass"
    reasons: list[str] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)

    def to_t1(self, volume_dhw: np.ndarray) -> nib.Nifti1Image:
        """Bring a volume of the box back to the T1's grid; zero outside the head."""
        volume = Volume(volume_dhw.T, grid_affine(volume_dhw.shape))
        back = registration.resample(
            *(volume, self.t1.shape[:3], self.t1.affine, self.box_from_t1),
            interpolation="linear",
        )
        data = np.where(self.head, np.clip(back, 0.0, None), 0.0).astype(np.float32)
        result = nib.Nifti1Image(data, self.t1.affine)
        result.header.set_xyzt_units("mm")
        result.header["descrip"] = b"synthetic PET, SUVR, research use only"
        return result


def place_raw(path: str | Path, mri_shape: Shape, pet_shape: Shape) -> Placed:
    """Prepare a raw T1 of a head: bias field, alignment, brain, grid.

    Parameters
    ----------
    path : str or Path
        NIfTI in any orientation; a whole head, or a brain alone.
    mri_shape, pet_shape : tuple of int
        Of the network.

    Raises
    ------
    ValueError
        Not an image, no T1 of a head, or the alignment failed.
    """
    raw = read_image(path, "T1")
    check_t1(raw)
    volume = Volume(np.clip(raw.data, 0, None), raw.affine)
    try:
        made = prepare_t1(volume, mri_shape, pet_shape)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; is it a T1 of a head?") from None
    numbers = t1_numbers(made.brain, made.box_from_t1)
    verdict, reasons = judge(numbers)
    if verdict == "fail":
        raise ValueError(f"{path}: {'; '.join(reasons)}; no PET is made of it")
    if raw.remarks and verdict == "pass":
        verdict = "look"
    return Placed(
        made.mri_DHW,
        nib.Nifti1Image(raw.data, raw.affine),
        brain.whole_head(volume),
        made.brain.mask,
        made.box_from_t1,
        verdict,
        [*reasons, *raw.remarks],
        numbers,
    )


def place_prepared(path: str | Path, mri_shape: Shape) -> Placed:
    """Take a brain-extracted T1 that lies in MNI orientation and origin as it is.

    Raises
    ------
    ValueError
        Not an image, or no brain near MNI152.
    """
    t1 = read_t1(path)
    mask = _not_background(t1)
    _check_plausible(t1, mask, path)
    return Placed(_sampled(t1, mask, mri_shape), t1, mask, mask, np.eye(4))


def _sampled(t1: nib.Nifti1Image, mask: np.ndarray, mri_shape: Shape) -> np.ndarray:
    target = voxel_mm(mri_shape)[::-1]  # x, y, z
    sizes = nib.affines.voxel_sizes(t1.affine)
    # Smooth to the coarser voxel before sampling it, as the phantoms are.
    fwhm = np.sqrt(np.clip(np.square(target) - np.square(sizes), 1e-6, None))
    inside = nib.Nifti1Image(mask.astype(np.float32), t1.affine)
    volume, share = (
        np.asarray(
            resample_img(
                smooth_img(image, fwhm),
                target_affine=grid_affine(mri_shape),
                target_shape=mri_shape[::-1],
                interpolation="linear",
            ).dataobj,
            dtype=np.float32,
        ).transpose(2, 1, 0)
        for image in (t1, inside)
    )
    scaled = unit_range(torch.from_numpy(volume.copy()), torch.from_numpy(share > 0.5))
    return scaled.numpy()


def _not_background(t1: nib.Nifti1Image) -> np.ndarray:
    data = np.asarray(t1.dataobj)
    bright = data > data.min() + INSIDE * (data.max() - data.min())
    return ndimage.binary_fill_holes(bright)


def _check_plausible(t1: nib.Nifti1Image, mask: np.ndarray, path: str | Path) -> None:
    voxel_ml = abs(np.linalg.det(t1.affine[:3, :3])) / 1000
    litres = mask.sum() * voxel_ml / 1000
    if not BRAIN_LITRES[0] < litres < BRAIN_LITRES[1]:
        raise ValueError(
            f"{path}: {litres:.2f} litres are not background, a brain has "
            f"{BRAIN_LITRES[0]} to {BRAIN_LITRES[1]}; leave --prepared away, so that "
            "the brain is found"
        )
    centre = nib.affines.apply_affine(t1.affine, np.argwhere(mask).mean(axis=0))
    distance = float(np.linalg.norm(centre - np.array([0.0, -18.0, 8.0])))
    if distance > 25:
        raise ValueError(
            f"{path}: the brain's centre lies {distance:.0f} mm from that of MNI152; "
            "leave --prepared away, so that the scan is aligned"
        )
