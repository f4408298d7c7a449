"""From a raw T1 and PET to prepared volumes in the common box, every map kept.

T1: bias field, brain, rigid alignment to MNI152 at the person's own size, one
interpolation (windowed sinc), mean over the cells of the grid, [0, 1]. PET: motion
between frames, rigid alignment to the person's T1, one interpolation of each frame
(cubic splines: a PET is smooth, and a sinc costs ten times as much), SUVR by the whole
cerebellum. `published=True` does what the release did instead (audit, 1.2 and 1.3).

Shape suffixes: D, H, W = z, y, x of a grid of the box; R regions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mri2pet.cohort import geometry, registration
from mri2pet.cohort.alignment import align_pet
from mri2pet.cohort.brain import Brain, find_brain
from mri2pet.cohort.motion import Motion
from mri2pet.cohort.normalise import brain_cells, unit_range
from mri2pet.cohort.regions import REFERENCE, REGIONS, template_places, weigh
from mri2pet.cohort.registration import Volume
from mri2pet.cohort.tissue import tissue_shares

ALIGNMENTS = ("rigid", "affine")
PET_WORK_MM = 2.0  # finer than any PET scanner resolves


@dataclass(frozen=True)
class PreparedT1:
    """A T1 in the box.

    Attributes
    ----------
    mri_DHW : ndarray, float32
        In [0, 1], 0 outside the brain, on the MRI grid.
    brain_DHW : ndarray, float32
        0 or 1, on the PET grid.
    regions_RDHW : ndarray, float32
        Weights of `REGIONS` on the PET grid, in the person's own shape.
    brain : Brain
        In the T1's own space.
    box_from_t1 : ndarray, shape (4, 4)
    """

    mri_DHW: np.ndarray
    brain_DHW: np.ndarray
    regions_RDHW: np.ndarray
    brain: Brain
    box_from_t1: np.ndarray


def prepare_t1(
    t1: Volume,
    grid_mri: tuple[int, int, int],
    grid_pet: tuple[int, int, int],
    *,
    alignment: str = "rigid",
    published: bool = False,
) -> PreparedT1:
    """Bring a raw T1 into the box.

    Parameters
    ----------
    t1 : Volume
        Values >= 0, axes in any order.
    grid_mri, grid_pet : tuple of int
        (z, y, x).
    alignment : {"rigid", "affine"}
        To MNI152; an affine one takes the person's size away.
    published : bool
        Sample the grid without averaging, and scale from the least to the largest
        voxel of the scan.

    Raises
    ------
    ValueError
        No head in it, or no brain.
    """
    if alignment not in ALIGNMENTS:
        raise ValueError(f"alignment {alignment!r}: expected {' or '.join(ALIGNMENTS)}")
    brain = find_brain(t1)
    box_from_t1 = (
        brain.box_from_t1 if alignment == "rigid" else brain.affine_box_from_t1
    )
    t1_from_box = np.linalg.inv(box_from_t1)
    work = geometry.work_shape(geometry.default_work_mm(grid_mri))
    signal, mask = (
        torch.from_numpy(_in_box(volume, work, t1_from_box, how)).clamp(min=0)
        for volume, how in (
            (brain.t1, "sinc"),
            (t1.with_data(brain.mask.astype(np.float32)), "linear"),
        )
    )
    mask = mask.clamp(max=1)
    if published:
        mri = _published_mri(brain, grid_mri, t1_from_box)
    else:
        mri = unit_range(*brain_cells(signal, mask, grid_mri)).numpy()
    _, inside = brain_cells(signal, mask, grid_pet)
    regions = _regions(brain, signal, mask, t1_from_box, grid_pet)
    return PreparedT1(mri, inside.float().numpy(), regions, brain, box_from_t1)


def _in_box(volume: Volume, shape, volume_from_box, interpolation) -> np.ndarray:
    """A volume on a grid of the box, (z, y, x), smoothed first if that is coarser."""
    smooth = registration.coarser(volume, min(geometry.voxel_mm(shape)))
    return registration.resample(
        smooth,
        shape[::-1],
        geometry.grid_affine(shape),
        volume_from_box,
        interpolation=interpolation,
    ).T.copy()


def _published_mri(brain: Brain, grid_mri, t1_from_box) -> np.ndarray:
    masked = brain.t1.with_data(brain.t1.data * brain.mask)
    mri = registration.resample(
        masked, grid_mri[::-1], geometry.grid_affine(grid_mri), t1_from_box
    ).T
    return ((mri - mri.min()) / (mri.max() - mri.min())).astype(np.float32)


def _regions(brain: Brain, signal, mask, t1_from_box, grid_pet) -> np.ndarray:
    """Region weights: places from the template, tissue from the person's own T1."""
    shape = tuple(mask.shape)
    affine = t1_from_box @ geometry.grid_affine(shape)
    points = brain.shape.template_points(shape[::-1], affine).transpose(2, 1, 0, 3)
    places, *expected = template_places(points)
    shares = tissue_shares(signal.numpy(), mask.numpy() > 0.5, *expected)
    gm, wm = map(torch.from_numpy, shares)
    stack = torch.from_numpy(np.stack([places[name] for name in REGIONS]))
    weights = geometry.apply_axes(
        weigh(stack, gm, wm), geometry.resampling(tuple(grid_pet), shape)
    )
    return weights.clamp(0, 1).numpy()


@dataclass(frozen=True)
class PreparedPet:
    """A PET in the box.

    Attributes
    ----------
    pet_DHW : ndarray, float32
        SUVR (in [0, 1] with ``published``).
    t1_from_pet : ndarray, shape (4, 4)
        From the space of the motion-corrected mean.
    motion : Motion
    reference : float
        Mean of the reference region in the units of the scan.
    numbers : dict
        What quality control looks at.
    """

    pet_DHW: np.ndarray
    t1_from_pet: np.ndarray
    motion: Motion
    reference: float
    numbers: dict[str, Any]


def prepare_pet(
    motion: Motion,
    t1: PreparedT1,
    grid_pet: tuple[int, int, int],
    *,
    published: bool = False,
) -> PreparedPet:
    """Bring a PET, its motion corrected, into the box of its T1.

    Parameters
    ----------
    motion : Motion
        Of `mri2pet.cohort.motion.correct_motion`.
    t1 : PreparedT1
        Of the same person.
    grid_pet : tuple of int
    published : bool
        Affine to the T1, N4 on the PET, scaled from the least to the largest voxel.

    Raises
    ------
    ValueError
        The registration failed, or the reference region is empty or has no uptake.
    """
    mean = motion.mean
    found = align_pet(mean, t1.brain, affine=published)
    t1_from_pet = found.t1_from_pet
    frames, weights = motion.frames, motion.weights
    if published:
        frames, weights = [_published_pet(motion.mean)], np.ones(1)
        moves = [np.eye(4)]
    else:
        moves = motion.mean_from_frame
    work = geometry.work_shape(PET_WORK_MM)
    pet_from_box = np.linalg.inv(t1.box_from_t1 @ t1_from_pet)
    total = sum(
        w * _in_box(f, work, np.linalg.inv(move) @ pet_from_box, "spline")
        for w, f, move in zip(weights, frames, moves, strict=True)
    )
    cells = geometry.apply_axes(
        torch.from_numpy(np.clip(total, 0, None).astype(np.float32)),
        geometry.resampling(tuple(grid_pet), work),
    ).numpy()
    place = t1.regions_RDHW[REGIONS.index(REFERENCE)]
    reference = float((cells * place).sum() / max(place.sum(), 1e-6))
    if not reference > 0:
        raise ValueError(f"the reference region's mean uptake is {reference:g}")
    if published:
        cells = cells * t1.brain_DHW
        pet = (cells - cells.min()) / (cells.max() - cells.min())
    else:
        pet = cells / reference
    core = cells[place > 0.5 * place.max()]
    numbers = {
        "pet_information": found.information,
        "mirror_gain": found.mirror_gain,
        "reference_noise": float(core.std() / core.mean()),
        "motion_mm": motion.largest_mm,
        "motion_degrees": motion.largest_degrees,
    }
    return PreparedPet(pet.astype(np.float32), t1_from_pet, motion, reference, numbers)


def _published_pet(mean: Volume) -> Volume:
    """N4 on a PET, as released: it takes slow differences of uptake for a bias."""
    return registration.unbiased(mean, mean.data > 0.1 * np.quantile(mean.data, 0.98))
