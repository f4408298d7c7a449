"""Shape of a person's brain: size, pose, warps, folding, atrophy.

A phantom's tissue maps are the template's, pulled back once through

    t(x) = grow_V( scale^-1 pose^-1 ( x + u(x) ) ),

with u the flow of a random stationary velocity field on three scales and grow_V the
flow that widens the ventricles. Every piece is a diffeomorphism.

Shape suffixes: B batch, C channels, D, H, W = z, y, x.
"""

from dataclasses import dataclass

import numpy as np
import torch

from mri2pet.cohort import geometry
from mri2pet.cohort.phantom import constants as k
from mri2pet.cohort.phantom.atlas import COARSE, compose, exponential, grid_frame
from mri2pet.cohort.phantom.disease import SHAPE, person_generator

# Mirroring left and right turns the sign of the component along x (z, y, x).
_CLIP, _CLIPPED_SD = 1.5, 0.8819  # SD of N(0, 1) clipped at 1.5
_MIRROR = np.float32([1, 1, -1])[:, None, None, None]


@dataclass(frozen=True)
class Shape:
    """What is a person's own and never changes: drawn once, used at every visit."""

    brain: int  # which atlas, as a share of 2**31 (modulo the number of atlases)
    scale: np.ndarray  # (3,) z, y, x
    shift_mm: np.ndarray  # (3,)
    degrees: np.ndarray  # (3,) about z, y, x
    warp: tuple  # spline coefficients (3, kz, ky, kx) of each scale, mm
    ribbon: np.ndarray  # spline coefficients (2, kz, ky, kx): sulci, inner border


def draw_shape(person, *, seed, variability=1.0):
    """Draw a person's shape; the same whatever the grids.

    Parameters
    ----------
    person, seed : int
    variability : float
        Multiplies every spread between people (1 = the calibrated cohort).
    """
    if not 0 <= variability <= 2:
        raise ValueError(f"variability must lie in 0..2; got {variability}")
    rng = person_generator(seed, person, SHAPE)
    brain = int(rng.integers(2**31))
    scale = np.clip(k.SCALE_SD * variability * rng.standard_normal(3), -1, 1)
    scale = 1.0 + np.clip(scale, -k.SCALE_MAX, k.SCALE_MAX)
    shift = k.POSE_MM * rng.standard_normal(3) / np.sqrt(3)
    degrees = k.POSE_DEGREES * rng.standard_normal(3) / np.sqrt(3)
    warp = []
    for sd, mm, share in zip(k.WARP_SD, k.WARP_SPACING, k.WARP_SYMMETRY, strict=True):
        knots = (3, *geometry.spline_knots(mm))
        field = rng.standard_normal(knots, dtype=np.float32)
        mirror = field[..., ::-1] * _MIRROR
        common = (field + mirror) * np.float32(np.sqrt(share / 2))
        own = rng.standard_normal(knots, dtype=np.float32)
        own *= np.float32(np.sqrt(1 - share))
        # Clipped draws, widened again: spread without freaks.
        field = np.clip(common + own, -_CLIP, _CLIP) / np.float32(_CLIPPED_SD)
        warp.append(field * np.float32(sd * variability))
    knots = geometry.spline_knots(k.RIBBON_SPACING)
    ribbon = rng.standard_normal((2, *knots), dtype=np.float32)
    ribbon *= np.float32([k.RIBBON_SD, k.GREY_WHITE_SD])[:, None, None, None]
    return Shape(
        brain, scale, shift, degrees, tuple(warp), ribbon * np.float32(variability)
    )


def _rotation(degrees):
    """Rotation (components z, y, x) about the three axes, in turn."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        i, j = [a for a in range(3) if a != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix


def _place(atlas, velocity, person):
    """Warp, size and pose of one person, damped until the box holds the brain.

    Returns template positions (3, D, H, W) in mm before the ventricles grow. The
    damping looks at the person's own shape alone, so every visit gets the same.
    """
    base, shape = atlas.base_CDHW, atlas.warp_shape
    centre = torch.tensor(geometry.BOX_CENTRE_MM).view(3, 1)
    shift = torch.from_numpy(person.shift_mm).float().view(3, 1)
    turn = _rotation(person.degrees).T
    damping = 1.0
    for _ in range(8):
        place = base + exponential(damping * velocity[None], base, shape)[0]
        linear = np.diag(1 / (1 + damping * (person.scale - 1))) @ turn
        flat = torch.from_numpy(linear).float() @ (
            place.reshape(3, -1) - centre - shift
        )
        place = (flat + centre).reshape(place.shape)
        if atlas.covered(place) >= k.INSIDE_BOX:
            break
        damping *= k.DAMPING
    return place


def pull_back(atlas, shapes, v):
    """Where in the template each cell of the warp grid comes from.

    Parameters
    ----------
    atlas : Atlas
    shapes : list of Shape, length B
    v : sequence of float, length B
        What the MRI shows of neurodegeneration.

    Returns
    -------
    torch.Tensor, shape (B, 3, D, H, W)
        Template position in MNI mm (z, y, x) on ``atlas.warp_shape``.
    """
    shape, base = atlas.warp_shape, atlas.base_CDHW
    velocity = 0
    for number, spacing in enumerate(k.WARP_SPACING):
        knots = torch.from_numpy(np.stack([s.warp[number] for s in shapes]))
        matrices = geometry.splines(shape, spacing)
        velocity = velocity + geometry.apply_axes(knots, matrices)
    velocity = atlas.without_rigid(velocity)
    moved = torch.stack(
        [_place(atlas, v, s) for v, s in zip(velocity, shapes, strict=True)]
    )
    grow = torch.stack([atlas.ventricle_field(value) for value in v])
    return base + compose(moved - base, grow, base, shape)


@dataclass
class Tissues:
    """A batch of brains on the work grid, and region maps on the warp grid."""

    gm: torch.Tensor  # (B, D, H, W) fractions after atrophy
    wm: torch.Tensor
    csf: torch.Tensor
    mask: torch.Tensor
    texture: torch.Tensor
    coarse: torch.Tensor  # (B, C, d, h, w), channels COARSE
    position: torch.Tensor  # (B, 3, d, h, w) template mm on the warp grid

    @property
    def work_shape(self):
        """Grid (z, y, x) of the tissue maps."""
        return tuple(self.gm.shape[1:])

    def region(self, name):
        """One map of `COARSE`, (B, d, h, w)."""
        return self.coarse[:, COARSE.index(name)]

    def to_work(self, maps):
        """Maps of the warp grid (..., d, h, w) on the work grid."""
        warp_shape = tuple(self.coarse.shape[2:])
        return geometry.apply_axes(
            maps, geometry.resampling(self.work_shape, warp_shape)
        )


def build(atlas, shapes, v, work_shape):
    """Warp the atlas and apply atrophy.

    Parameters
    ----------
    atlas : Atlas
    shapes : list of Shape, length B
    v : sequence of float, length B
    work_shape : tuple of int
        Work grid (z, y, x).

    Returns
    -------
    Tissues
    """
    position = pull_back(atlas, shapes, v)
    warp_shape = atlas.warp_shape
    base_work = geometry.world_grid(work_shape)
    # Interpolate the smooth displacement, not the position: exact up to the faces.
    shift = geometry.apply_axes(
        position - atlas.base_CDHW, geometry.resampling(work_shape, warp_shape)
    )
    where = geometry.normalised(
        base_work + shift, atlas.first_mm, atlas.size_mm, atlas.fine_CDHW.shape[1:]
    )
    fine = torch.nn.functional.grid_sample(
        atlas.fine_CDHW.expand(len(shapes), -1, -1, -1, -1), where, align_corners=False
    )
    first_mm, size_mm = grid_frame(atlas.coarse_shape)
    where = geometry.normalised(position, first_mm, size_mm, atlas.coarse_shape)
    coarse = torch.nn.functional.grid_sample(
        atlas.coarse_CDHW.expand(len(shapes), -1, -1, -1, -1),
        where,
        align_corners=False,
    )
    gm, wm, mask, texture = fine.unbind(1)
    tissues = Tissues(gm, wm, mask - gm - wm, mask, texture, coarse, position)
    return atrophy(tissues, shapes, v)


def atrophy(tissues, shapes, v):
    """Vary the folding of each person and thin the cortex with V.

    Both act at the outer edge of the tissue: grey matter turns into CSF or CSF into
    grey matter there. The inner border moves between grey and white matter.
    """
    shape = tissues.work_shape
    knots = torch.from_numpy(np.stack([s.ribbon for s in shapes]))
    ribbon = geometry.apply_axes(knots, geometry.splines(shape, k.RIBBON_SPACING))
    sulci, inner = ribbon.unbind(1)
    gm, wm = tissues.gm, tissues.wm
    swap = inner.clamp(-1, 1) * gm * wm
    gm, wm = gm - swap, wm + swap
    blur = geometry.resampling(shape, shape, k.EDGE_BLUR)
    tissue = geometry.apply_axes(gm + wm, blur)
    edge = (2 * (1 - tissue)).clamp(0, 1)
    stage = torch.tensor(np.clip(v, *k.V_RANGE), dtype=torch.float32)
    medial, ventricles = tissues.to_work(
        torch.stack([tissues.region("medial_temporal"), tissues.region("ventricles")])
    )
    rate = k.THINNING * (1 + (k.THINNING_MEDIAL_TEMPORAL - 1) * medial)
    loss = (rate * stage.view(-1, 1, 1, 1) + sulci) * edge
    csf = tissues.mask - gm - wm
    gain = csf * tissue * (1 - ventricles).clamp(0, 1)
    gm = gm - loss.clamp(0, 0.9) * gm + (-loss).clamp(0, 0.9) * gain
    tissues.gm, tissues.wm = gm, wm
    tissues.csf = (tissues.mask - gm - wm).clamp(min=0)
    return tissues


def measures(tissues):
    """Volumes and cortical thickness of each brain: a list of dicts.

    Returns
    -------
    list of dict
        ``brain_ml``, ``gm_ml``, ``wm_ml``, ``csf_ml``, ``ventricle_ml``,
        ``medial_temporal_ml`` (grey matter) and ``cortex_mm`` (grey matter of the
        cortical regions over the area of its inner border, an index: the work grid
        blurs the folded border, so it is about twice the thickness of life).
    """
    size = geometry.voxel_mm(tissues.work_shape)
    ml = float(np.prod(size)) / 1000
    names = ("ventricles", "medial_temporal", "striatum", "thalamus", "cerebellum")
    maps = tissues.to_work(torch.stack([tissues.region(n) for n in names]))
    ventricles, medial, *deep = maps
    cortex = (1 - sum(deep)).clamp(0, 1)
    slope = torch.stack(torch.gradient(tissues.wm, spacing=size, dim=(1, 2, 3)))
    area = (slope.square().sum(0).sqrt() * cortex).sum((1, 2, 3)) * float(np.prod(size))
    total = {
        "brain_ml": tissues.mask,
        "gm_ml": tissues.gm,
        "wm_ml": tissues.wm,
        "csf_ml": tissues.csf,
        "ventricle_ml": ventricles,
        "medial_temporal_ml": tissues.gm * medial,
    }
    sums = {name: m.sum((1, 2, 3)) * ml for name, m in total.items()}
    sums["cortex_mm"] = (tissues.gm * cortex).sum((1, 2, 3)) * float(np.prod(size))
    sums["cortex_mm"] = sums["cortex_mm"] / area
    return [
        {name: float(values[i]) for name, values in sums.items()}
        for i in range(len(tissues.gm))
    ]
