"""The rest of a head around a phantom's brain: skull, scalp, face, eyes, neck.

nilearn's template is skull-stripped, so what preprocessing has to remove is modelled:
layers by distance from the brain, and a few solids. It is no anatomy to learn from; it
is there so that brain extraction and registration have to work.

Shape suffixes: D, H, W = z, y, x of the head grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, zoom

from mri2pet.cohort import geometry
from mri2pet.cohort.phantom import raw_constants as k

_LAYER_MM = 2.0  # grid on which distances are measured
_THICKNESS_KNOTS = 4


@dataclass(frozen=True)
class Head:
    """Everything of a head but the brain, on the head grid.

    Attributes
    ----------
    first_mm, size_mm : tuple of float
        First cell centre and cell (z, y, x), in the millimetres of the box.
    margin : tuple of (int, int)
        Cells that the head grid adds to the box's work grid, along z, y, x.
    t1_DHW, uptake_DHW : torch.Tensor
        T1 signal (white matter near 0.87) and uptake of what is not brain.
    outline_DHW : torch.Tensor
        1 inside the head, brain included.
    """

    first_mm: tuple[float, ...]
    size_mm: tuple[float, ...]
    margin: tuple[tuple[int, int], ...]
    t1_DHW: torch.Tensor
    uptake_DHW: torch.Tensor
    outline_DHW: torch.Tensor

    def widened(self, volume_dhw: torch.Tensor) -> torch.Tensor:
        """A volume of the box's work grid on the head grid, 0 beyond the box."""
        z, y, x = self.margin
        return torch.nn.functional.pad(volume_dhw, (*x, *y, *z))


def build_head(mask_dhw: torch.Tensor, scale, rng: np.random.Generator) -> Head:
    """Model a head around a brain.

    Parameters
    ----------
    mask_dhw : torch.Tensor
        Brain, on a work grid of the box.
    scale : sequence of float
        The person's size (z, y, x), for what is placed by MNI coordinates.
    rng : Generator
        Draws the thickness of the scalp.

    Returns
    -------
    Head
    """
    shape = tuple(mask_dhw.shape)
    size = geometry.voxel_mm(shape)
    margin = tuple(
        tuple(int(np.ceil(mm / s)) for mm in side)
        for side, s in zip(k.MARGIN_MM, size, strict=True)
    )
    first = tuple(
        c[0] - m[0] * s
        for c, m, s in zip(geometry.axis_coordinates(shape), margin, size, strict=True)
    )
    brain = np.pad(mask_dhw.numpy() > 0.5, margin)
    depth = _distance(brain, size)
    thickness = _scalp_thickness(brain.shape, rng)
    axes = [
        f + s * np.arange(n) for f, s, n in zip(first, size, brain.shape, strict=True)
    ]
    z, y, x = (
        (a - c) / f + c
        for a, c, f in zip(
            np.meshgrid(*axes, indexing="ij", sparse=True),
            geometry.BOX_CENTRE_MM,
            scale,
            strict=True,
        )
    )
    solids = _solids(z, y, x, max(size))
    t1, uptake, outline = _layers(depth, thickness, solids, max(size))
    return Head(
        *(first, size, margin),
        *(torch.from_numpy(v.astype(np.float32)) for v in (t1, uptake, outline)),
    )


def _distance(brain: np.ndarray, size) -> np.ndarray:
    """Distance from the brain in mm, on a coarser grid where that is enough."""
    step = max(1, round(_LAYER_MM / min(size)))
    coarse = distance_transform_edt(
        ~brain[::step, ::step, ::step], sampling=[s * step for s in size]
    )
    if step == 1:
        return coarse
    factors = [n / m for n, m in zip(brain.shape, coarse.shape, strict=True)]
    return zoom(coarse, factors, order=1, mode="nearest", grid_mode=True)


def _scalp_thickness(shape, rng: np.random.Generator) -> np.ndarray:
    low, high = k.SCALP_MM
    knots = rng.uniform(low, high, (_THICKNESS_KNOTS,) * 3)
    factors = [n / _THICKNESS_KNOTS for n in shape]
    return zoom(knots, factors, order=1, mode="nearest", grid_mode=True)


def _edge(distance_mm, width):
    """1 where the distance is positive, 0 where negative, soft over a voxel."""
    return np.clip(0.5 + distance_mm / width, 0.0, 1.0)


def _ellipsoid(z, y, x, centre, radii, width):
    parts = zip((z, y, x), centre, radii, strict=True)
    r = np.sqrt(sum(((v - c) / a) ** 2 for v, c, a in parts))
    return _edge((1 - r) * min(radii), width)


def _solids(z, y, x, width):
    """Face and neck with what is in them, by name, each a share of a voxel."""

    def soft(less):
        column = np.sqrt((x / (54 - less)) ** 2 + ((y + 30) / (60 - less)) ** 2)
        neck = _edge((1 - column) * (54 - less), width) * _edge(-55 - z, width)
        radii = (56 - less, 52 - less, 58 - less)
        return np.maximum(neck, _ellipsoid(z, y, x, (-62, 32, 0), radii, width))

    nose = _ellipsoid(z, y, x, (-62, 58, 0), (20, 18, 11), width)
    throat = _ellipsoid(z, y, x, (-100, 16, 0), (30, 8, 9), width)
    sinus = _ellipsoid(z, y, np.abs(x), (-64, 50, 28), (13, 13, 10), width)
    beside_spine = np.sqrt(x**2 + (y + 44) ** 2)
    below = _edge(-78 - z, width)
    return {
        "soft": soft(0),
        "flesh": soft(5),
        "eyes": _ellipsoid(z, y, np.abs(x), (-40, 66, 33), (12, 12, 12), width),
        "air": np.maximum(np.maximum(nose, throat), sinus),
        "spine": _edge(14 - beside_spine, width) * below,
        "cord": _edge(5 - beside_spine, width) * below,
    }


def _layers(depth, thickness, solids, width):
    """T1 signal, uptake and outline from the distance to the brain."""
    rim, bone = k.CSF_RIM_MM, k.CSF_RIM_MM + k.SKULL_MM
    scalp = _edge(bone + thickness - depth, width)
    under_skin = _edge(bone + 0.7 * thickness - depth, width)
    marrow = _edge(1.0 - np.abs(depth - (rim + bone) / 2), width)
    outline = np.maximum(scalp, np.maximum(solids["soft"], solids["eyes"]))
    flesh = solids["flesh"]
    painted = (
        ("skin", outline),
        ("fat", np.maximum(under_skin, solids["soft"])),
        ("muscle", flesh),
        ("eye", solids["eyes"]),
        ("air", solids["air"] * outline),
        ("bone", solids["spine"] * flesh),
        ("csf", solids["cord"] * flesh),
        ("bone", _edge(bone - depth, width)),
        ("marrow", marrow),
        ("csf", _edge(rim - depth, width)),
    )
    signal, uptake = np.zeros((2, *depth.shape), dtype=np.float32)
    for name, share in painted:  # one over the other
        for image, value in zip((signal, uptake), k.HEAD_LEVELS[name], strict=True):
            image += share * (value - image)
    return signal, uptake, outline
