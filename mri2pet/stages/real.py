"""A real T1 through a trained network, and its PET back in the T1's own space.

For T1s that are brain-extracted and lie in MNI orientation and origin. Raw heads
need registration and brain extraction first.

Legend: B batch, K samples, D H W voxels of the MRI grid, d h w of the PET grid.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import torch
from nilearn.image import resample_img, smooth_img
from scipy import ndimage

import mri2pet
from mri2pet import provenance
from mri2pet.cohort.geometry import grid_affine, voxel_mm
from mri2pet.cohort.images import read_t1
from mri2pet.cohort.normalise import unit_range
from mri2pet.schedule import NoiseSchedule
from mri2pet.stages.learn import finetune
from mri2pet.stages.learned import Learned, load_learned
from mri2pet.stages.sample import person_seed
from mri2pet.synthesis import synthesize

if TYPE_CHECKING:
    from mri2pet.run import Run

INSIDE = 0.02  # of the T1's range; below it is background
BRAIN_LITRES = (0.5, 2.6)  # plausible volume of what is not background


@dataclass(frozen=True)
class RealSynthesis:
    """A synthetic PET in the space of its T1.

    Attributes
    ----------
    pet, sd : Nifti1Image
        SUVR, grid and affine of the T1; `sd` over samples (zeros when K is 1).
    t1 : Nifti1Image
        The input.
    card : dict
        What goes into the JSON sidecar.
    """

    pet: nib.Nifti1Image
    sd: nib.Nifti1Image
    t1: nib.Nifti1Image
    card: dict[str, Any]


def to_network(t1: nib.Nifti1Image, mri_shape: tuple[int, int, int]) -> np.ndarray:
    """Bring a T1 to the network's grid and to [0, 1].

    Parameters
    ----------
    t1 : Nifti1Image
        Brain-extracted, in MNI orientation and origin.
    mri_shape : tuple of int
        (D, H, W).

    Returns
    -------
    ndarray, shape (D, H, W), float32
    """
    target = voxel_mm(mri_shape)[::-1]  # x, y, z
    sizes = nib.affines.voxel_sizes(t1.affine)
    # Smooth to the coarser voxel before sampling it, as the phantoms are.
    fwhm = np.sqrt(np.clip(np.square(target) - np.square(sizes), 1e-6, None))
    mask = nib.Nifti1Image(head_mask(t1).astype(np.float32), t1.affine)
    mri, inside = (
        resample_img(
            smooth_img(image, fwhm),
            target_affine=grid_affine(mri_shape),
            target_shape=mri_shape[::-1],
            interpolation="linear",
        )
        for image in (t1, mask)
    )
    volume = np.asarray(mri.dataobj, dtype=np.float32).transpose(2, 1, 0)
    brain = np.asarray(inside.dataobj).transpose(2, 1, 0) > 0.5
    scaled = unit_range(torch.from_numpy(volume.copy()), torch.from_numpy(brain))
    return scaled.numpy()


def head_mask(t1: nib.Nifti1Image) -> np.ndarray:
    """Return where the T1 is not background, in its own grid."""
    data = np.asarray(t1.dataobj)
    bright = data > data.min() + INSIDE * (data.max() - data.min())
    return ndimage.binary_fill_holes(bright)


def check_plausible(t1: nib.Nifti1Image, path: str | Path) -> None:
    """Refuse what is not a brain-extracted head near the MNI origin."""
    mask = head_mask(t1)
    voxel_ml = abs(np.linalg.det(t1.affine[:3, :3])) / 1000
    litres = mask.sum() * voxel_ml / 1000
    if not BRAIN_LITRES[0] < litres < BRAIN_LITRES[1]:
        raise ValueError(
            f"{path}: {litres:.2f} litres are not background, a brain has "
            f"{BRAIN_LITRES[0]} to {BRAIN_LITRES[1]}; extract the brain first "
            "and set the background to 0"
        )
    centre = nib.affines.apply_affine(t1.affine, np.argwhere(mask).mean(axis=0))
    distance = float(np.linalg.norm(centre - np.array([0.0, -18.0, 8.0])))
    if distance > 25:
        raise ValueError(
            f"{path}: the brain's centre lies {distance:.0f} mm from that of MNI152; "
            "align the scan rigidly to MNI152 first"
        )


def synthesize_t1(
    path: str | Path,
    *,
    run: Run | None = None,
    checkpoint: str | Path | None = None,
    samples: int = 1,
    calls: int | None = None,
    seed: int = 4,
) -> RealSynthesis:
    """Make a synthetic PET of a T1, in the T1's own grid.

    Parameters
    ----------
    path : str or Path
        NIfTI; brain-extracted, in MNI orientation and origin.
    run : Run, optional
        Use this run's `mri2pet` network (design corrected), computed if needed.
    checkpoint : str or Path, optional
        A folder with `weights.pt` and `card.json` instead.
    samples : int
        K; the PET is their mean.
    calls : int, optional
        Network calls per sample; the run's own number, or 25.
    seed : int

    Returns
    -------
    RealSynthesis
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}: expected at least 1")
    t1 = read_t1(path)
    check_plausible(t1, path)
    if checkpoint is not None:
        learned = load_learned(checkpoint)
    elif run is not None:
        learned = finetune(run, "mri2pet", "corrected")
    else:
        raise ValueError("neither a run nor a checkpoint is given")
    card = json.loads((learned.path.parent / "card.json").read_text(encoding="utf-8"))
    if calls is None:
        calls = run.profile.sampling.calls if run is not None else 25
    mri = to_network(t1, tuple(learned.network["mri_shape"]))
    made = synthesize(
        learned.model(),
        NoiseSchedule(),
        mri[None],
        prediction=learned.switches.prediction,
        pet_scale=learned.pet_scale,
        person_seeds=[person_seed(Path(path).name)],
        num_samples=samples,
        seed=seed,
        batch_size=min(samples, 8),
        sampler=learned.switches.sampler,
        num_calls=calls,
        variance=learned.switches.variance,
        clip_x0=learned.clip if learned.switches.clip_x0 else None,
    )
    mask = head_mask(t1)
    pet = to_t1(made.mean_NDHW[0].numpy(), t1, mask)
    sd = nib.Nifti1Image(np.zeros(t1.shape, dtype=np.float32), t1.affine)
    if samples > 1:
        sd = to_t1(made.sd_NDHW[0].numpy(), t1, mask)
    return RealSynthesis(
        pet, sd, t1, _sidecar(path, learned, card, samples, calls, seed)
    )


def to_t1(
    volume_dhw: np.ndarray, t1: nib.Nifti1Image, mask: np.ndarray
) -> nib.Nifti1Image:
    """Bring a volume of the box back to the T1's grid; zero outside the head."""
    image = nib.Nifti1Image(
        volume_dhw.transpose(2, 1, 0), grid_affine(volume_dhw.shape)
    )
    back = resample_img(
        image,
        target_affine=t1.affine,
        target_shape=t1.shape,
        interpolation="linear",
    )
    data = np.where(mask, np.clip(np.asarray(back.dataobj), 0.0, None), 0.0)
    result = nib.Nifti1Image(data.astype(np.float32), t1.affine)
    result.header.set_xyzt_units("mm")
    result.header["descrip"] = b"synthetic PET, SUVR, research use only"
    return result


def _sidecar(
    path: str | Path,
    learned: Learned,
    card: dict[str, Any],
    samples: int,
    calls: int,
    seed: int,
) -> dict[str, Any]:
    phantoms = card["trained_on"] == "phantoms"
    notice = "Research use only."
    if phantoms:
        notice += " The network was trained on digital phantoms, not on people."
    return {
        "Description": "Synthetic amyloid (AV45) PET from a T1-weighted MRI",
        "Units": "SUVR",
        "Reference": "whole cerebellum of the training data",
        "Sources": [Path(path).name],
        "Model": learned.name,
        "CheckpointSHA256": provenance.file_digest(learned.path),
        "TrainedOn": card["trained_on"],
        "Profile": card["profile"],
        "Samples": samples,
        "NetworkCalls": calls,
        "Seed": seed,
        "GeneratedBy": {"Name": "mri2pet", "Version": mri2pet.__version__},
        "Notice": notice,
    }
