"""Raw scans of a phantom: a whole head in a T1 scanner, then moving in a PET scanner.

The same person, anatomy and uptake as in prepared form, before any preparation: heads
lie turned and shifted in the scanner, the T1 has a bias field, the PET comes in frames
between which the head moves. Every map that preparation has to find is known.

Spaces, in RAS mm: *box* (MNI152 orientation and origin, the person's own size), *t1*
and *pet* (the scanners'). Shape suffixes: D, H, W = z, y, x; X, Y, Z as nibabel has it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from mri2pet.cohort import geometry
from mri2pet.cohort.phantom import anatomy, mri, pet
from mri2pet.cohort.phantom import constants as k
from mri2pet.cohort.phantom import raw_constants as r
from mri2pet.cohort.phantom.atlas import load_atlases
from mri2pet.cohort.phantom.disease import RAW, SCANNER, person_generator
from mri2pet.cohort.phantom.head import Head, build_head
from mri2pet.cohort.rigid import rigid

_CENTRE = tuple(geometry.BOX_CENTRE_MM[::-1])  # x, y, z
# A person's streams of one visit: how they lie and what the scanners add.
_T1, _PET, _HEAD = range(3)


@dataclass(frozen=True)
class RawScan:
    """The raw images of one visit and what is true of them.

    Attributes
    ----------
    t1 : Nifti1Image
        int16, whole head, axes in any order and direction.
    pet : Nifti1Image or None
        float32, Bq/mL, (x, y, z, frames), decay-corrected; None without a PET.
    brain : Nifti1Image
        uint8, the true brain on the T1's grid.
    bias : Nifti1Image
        float32, by what the scanner multiplied the T1's signal, on the T1's grid.
    box_from_t1 : ndarray, shape (4, 4)
    box_from_pet : ndarray or None
        Of the first frame.
    first_from_frame : tuple of ndarray
        Where the head of each frame lay in the first frame; the first is the identity.
    known : dict
        Volumes and thickness, and with a PET the noise-free regional SUVR.
    """

    t1: nib.Nifti1Image
    pet: nib.Nifti1Image | None
    brain: nib.Nifti1Image
    bias: nib.Nifti1Image
    box_from_t1: np.ndarray
    box_from_pet: np.ndarray | None
    first_from_frame: tuple[np.ndarray, ...]
    known: dict[str, float]


def scan(
    person,
    *,
    seed: int,
    t1_mm: float = 1.0,
    pet_mm: float = 2.0,
    frames: int = r.FRAME_COUNT,
    anatomies: str = "",
    variability: float = 1.0,
) -> RawScan:
    """Scan one person at one visit.

    Parameters
    ----------
    person : row of `mri2pet.cohort.phantom.plan.plan`
        With person, visit, A, V and has_pet.
    seed : int
        Of the cohort.
    t1_mm, pet_mm : float
        Voxels of the scanners, 0.8 to 6 mm.
    frames : int
        Of the PET; with 1 it is static.
    anatomies : str
        Folder of segmented brains, or "" for MNI152.
    variability : float
        Multiplies the anatomical differences between people.

    Raises
    ------
    ValueError
        Voxels or frames out of range.
    """
    check_scanners(t1_mm, pet_mm, frames)
    tissues, shape = _brain(person, seed, t1_mm, anatomies, variability)
    head_rng = person_generator(seed, person.person, RAW, _HEAD)
    head = build_head(tissues.mask[0], shape.scale, head_rng)
    rng = person_generator(seed, person.person, RAW, 3 * person.visit + 3 + _T1)
    t1, brain, bias, box_from_t1 = _t1(tissues, head, person, seed, t1_mm, rng)
    [known] = anatomy.measures(tissues)
    if not person.has_pet:
        return RawScan(t1, None, brain, bias, box_from_t1, None, (), known)
    rng = person_generator(seed, person.person, RAW, 3 * person.visit + 3 + _PET)
    uptake, truth = _uptake(tissues, head, person, seed)
    dynamic, box_from_pet, moves = _pet(uptake, head, pet_mm, frames, rng)
    known |= truth
    return RawScan(t1, dynamic, brain, bias, box_from_t1, box_from_pet, moves, known)


def check_scanners(t1_mm: float, pet_mm: float, frames: int) -> None:
    """Refuse scanners that there are not.

    Raises
    ------
    ValueError
        Voxels or frames out of range.
    """
    for name, mm in (("T1", t1_mm), ("PET", pet_mm)):
        if not 0.8 <= mm <= 6:
            raise ValueError(f"the voxel of the {name} is {mm} mm: expected 0.8 to 6")
    if not 1 <= frames <= 30:
        raise ValueError(f"frames is {frames}: expected 1 to 30")


def _brain(person, seed, t1_mm, anatomies, variability):
    """Tissues in the box, the pose of prepared phantoms undone."""
    work_mm = float(np.clip(t1_mm, 1.0, 3.0))
    atlases = load_atlases(anatomies, work_mm)
    shape = anatomy.draw_shape(person.person, seed=seed, variability=variability)
    shape = dataclasses.replace(shape, shift_mm=np.zeros(3), degrees=np.zeros(3))
    atlas = atlases[shape.brain % len(atlases)]
    work = geometry.work_shape(work_mm)
    return anatomy.build(atlas, [shape], [person.V], work), shape


def _t1(tissues, head: Head, person, seed, t1_mm, rng):
    scanner = person_generator(seed, person.person, SCANNER, 2 * person.visit)
    signal = mri.contrast(tissues, [scanner])[0]
    inside = head.widened(tissues.mask[0])
    whole = head.widened(signal * tissues.mask[0]) + head.t1_DHW * (1 - inside)
    scanner_from_box = _pose(rng)
    grid, affine = _field_of_view(head, scanner_from_box, t1_mm)
    maps = torch.stack([whole, inside])
    sampled = _sample(maps, head, np.linalg.inv(scanner_from_box) @ affine, grid)
    image, brain = sampled
    bias = np.exp(r.BIAS_SD * _smooth_field(grid, t1_mm, rng))
    image = image * bias
    noise = rng.standard_normal((2, *grid), dtype=np.float32)
    noise *= k.T1_NOISE * k.T1_MEANS["wm"]
    image = np.hypot(image + noise[0], noise[1])
    level = rng.uniform(*r.T1_LEVEL) / k.T1_MEANS["wm"]
    order = _any_orientation(rng)
    t1 = _stored(np.round(image * level).astype(np.int16), affine, order)
    mask = _stored((brain > 0.5).astype(np.uint8), affine, order)
    bias = _stored(bias.astype(np.float32), affine, order)
    return t1, mask, bias, np.linalg.inv(scanner_from_box)


def _uptake(tissues, head: Head, person, seed):
    """Uptake of the whole head as the scanner blurs it, and its truth by region."""
    base, amyloid, skin = pet.sharp_uptake(tissues, people=[person.person], seed=seed)
    inside = head.widened(tissues.mask[0])
    base = head.widened(base[0]) + head.uptake_DHW * skin[0] * (1 - inside)
    maps = torch.stack([base, head.widened(amyloid[0])])
    blur = tuple(
        torch.from_numpy(
            geometry.gaussian_matrix(n, n, n * mm, k.PSF_FWHM / 2.3548).astype("f4")
        )
        for n, mm in zip(head.t1_DHW.shape, head.size_mm, strict=True)
    )
    base, amyloid = geometry.apply_axes(maps, blur)
    box = tuple(
        slice(low, n - high)
        for (low, high), n in zip(head.margin, base.shape, strict=True)
    )
    weights, brain = pet.region_weights(tissues, tissues.work_shape)
    known = pet.Uptake(base[box][None], amyloid[box][None], weights, brain)
    [truth] = pet.truth(known, [person.A])
    image = base + float(person.A) * amyloid
    reference = float((weights[0, -2] * image[box]).sum() / weights[0, -2].sum())
    return image / reference, truth


def _pet(uptake, head: Head, pet_mm, frames, rng):
    scanner_from_box = _pose(rng)
    grid, affine = _field_of_view(head, scanner_from_box, pet_mm)
    centre = (scanner_from_box @ (*_CENTRE, 1.0))[:3]
    level = rng.uniform(*r.PET_LEVEL)
    images, moves = [], []
    for frame in range(frames):
        moved = _motion(rng, frame, centre)
        box_from_voxel = np.linalg.inv(moved @ scanner_from_box) @ affine
        [clean] = _sample(uptake[None], head, box_from_voxel, grid)
        noise = gaussian_filter(
            rng.standard_normal(grid, dtype=np.float32),
            k.PET_NOISE_FWHM / 2.3548 / pet_mm,
            mode="wrap",
        )
        # The frames together are as noisy as a prepared phantom's PET.
        noise *= k.PET_NOISE * np.sqrt(frames) / noise.std()
        image = clean + noise * np.sqrt(np.clip(clean, 0.02, None))
        images.append(level * r.FRAME_CHANGE**frame * np.clip(image, 0.0, None))
        moves.append(np.linalg.inv(moved))
    data = np.stack(images, axis=-1) if frames > 1 else images[0]
    image = nib.Nifti1Image(data.astype(np.float32), affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = r.FRAME_SECONDS
    return image, np.linalg.inv(scanner_from_box), tuple(moves)


def _pose(rng) -> np.ndarray:
    """How a head lies in a scanner: scanner_from_box."""
    turn = np.clip(r.TURN_SD * rng.standard_normal(3), -r.TURN_MAX, r.TURN_MAX)
    shift = np.clip(r.SHIFT_SD * rng.standard_normal(3), -r.SHIFT_MAX, r.SHIFT_MAX)
    return rigid(turn, shift, _CENTRE)


def _motion(rng, frame, centre) -> np.ndarray:
    """Where the head of a frame lies compared with the first frame."""
    direction = rng.standard_normal((2, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    size = rng.uniform(0.1, 1.0, size=2) * (frame > 0)
    turn, shift = size[0] * r.MOTION_DEGREES, size[1] * r.MOTION_MM
    return rigid(turn * direction[0], shift * direction[1], centre)


def _field_of_view(head: Head, scanner_from_box, voxel):
    """Grid (x, y, z) and RAS affine of a scanner around the head."""
    extent = np.array(head.t1_DHW.shape) * head.size_mm
    low = np.array(head.first_mm) - np.array(head.size_mm) / 2
    extent[0], low[0] = extent[0] - r.UNSEEN_BELOW_MM, low[0] + r.UNSEEN_BELOW_MM
    centre = (scanner_from_box @ (*(low + extent / 2)[::-1], 1.0))[:3]
    grid = tuple(int(n) for n in np.ceil(extent[::-1] / voxel))
    affine = np.diag([voxel] * 3 + [1.0])
    affine[:3, 3] = np.round(centre) - voxel * (np.array(grid) - 1) / 2
    return grid, affine


def _sample(maps_CDHW, head: Head, box_from_voxel, grid) -> np.ndarray:
    """Maps of the head grid at the voxels of a scanner: (C, X, Y, Z)."""
    out = np.empty((len(maps_CDHW), *grid), dtype=np.float32)
    y, z = np.meshgrid(*(np.arange(n) for n in grid[1:]), indexing="ij")
    for x in range(grid[0]):  # a slab at a time: positions take much memory
        voxel = np.stack([np.full_like(y, x), y, z, np.ones_like(y)]).reshape(4, -1)
        world = (box_from_voxel @ voxel)[2::-1].reshape(3, 1, *y.shape)
        where = geometry.normalised(
            torch.from_numpy(world.astype(np.float32))[None],
            *(head.first_mm, head.size_mm, maps_CDHW.shape[1:]),
        )
        slab = torch.nn.functional.grid_sample(
            maps_CDHW[None], where, align_corners=False
        )
        out[:, x] = slab[0, :, 0].numpy()
    return out


def _smooth_field(grid, voxel, rng) -> np.ndarray:
    """Cubic-spline field of SD 1 on a scanner's grid."""
    field = rng.standard_normal([int(n * voxel / r.BIAS_SPACING) + 4 for n in grid])
    for axis, n in enumerate(grid):
        basis = geometry.spline_matrix(n, field.shape[axis], n * voxel, r.BIAS_SPACING)
        field = np.moveaxis(np.tensordot(basis, field, (1, axis)), 0, axis)
    return field.astype(np.float32)


def _any_orientation(rng) -> np.ndarray:
    """One of the 48 ways to store a volume: axes in any order and direction."""
    axes = rng.permutation(3)
    return np.stack([axes, rng.choice([-1, 1], size=3)], axis=1)


def _stored(data, affine, order) -> nib.Nifti1Image:
    image = nib.Nifti1Image(data, affine).as_reoriented(order)
    image.header.set_xyzt_units("mm")
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    return image
