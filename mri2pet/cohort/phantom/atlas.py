"""One segmented brain made ready for warping: maps, regions, ventricle growth.

Shape suffixes: C channels, D, H, W = z, y, x.
"""

from functools import lru_cache

import numpy as np
import torch

from mri2pet.cohort import geometry, regions, template
from mri2pet.cohort.phantom import constants as k

FINE = ("gm", "wm", "mask", "texture")
COARSE = (
    *regions.REGIONS[:9],
    "white_matter",
    "thalamus",
    "brainstem",
    "ventricles",
    "scalp",
)
_BOX_MAPS_MM = 2.0


def compose(first_BCDHW, then_BCDHW, base_CDHW, shape):
    """Displacement of ``then`` after ``first``, both on one grid of the box, in mm."""
    first_mm, size_mm = grid_frame(shape)
    where = geometry.normalised(base_CDHW + first_BCDHW, first_mm, size_mm, shape)
    then_BCDHW = then_BCDHW.expand(first_BCDHW.shape[0], *then_BCDHW.shape[1:])
    moved = torch.nn.functional.grid_sample(
        then_BCDHW, where, padding_mode="border", align_corners=False
    )
    return first_BCDHW + moved


def exponential(velocity_BCDHW, base_CDHW, shape, squarings=k.SQUARINGS):
    """Flow of a stationary velocity field for unit time, by scaling and squaring."""
    step = velocity_BCDHW / 2**squarings
    for _ in range(squarings):
        step = compose(step, step, base_CDHW, shape)
    return step


def grid_frame(shape):
    """First cell centre and cell size (z, y, x) in mm of a grid of the box."""
    first = tuple(float(c[0]) for c in geometry.axis_coordinates(shape))
    return first, geometry.voxel_mm(shape)


class Atlas:
    """Maps of one segmented brain that a phantom is warped from.

    Parameters
    ----------
    brain : mri2pet.cohort.template.Segmented
    work_mm : float
        Voxel of the work grid; the maps are smoothed so that it does not alias.

    Attributes
    ----------
    fine_CDHW : torch.Tensor
        Channels `FINE` on the brain's own grid, possibly binned.
    coarse_CDHW : torch.Tensor
        Channels `COARSE` on a 2 mm grid of the box.
    growth_CDHW : torch.Tensor
        Velocity (mm, z y x) of the pull-back that grows the ventricles, at V = 1.
    """

    def __init__(self, brain, work_mm):
        self.name = brain.name
        self.warp_shape = geometry.work_shape(k.WARP_GRID_MM)
        self.base_CDHW = geometry.world_grid(self.warp_shape)
        self.fine_CDHW, self.first_mm, self.size_mm = _fine_maps(brain, work_mm)
        self.coarse_shape = geometry.work_shape(_BOX_MAPS_MM)
        self.coarse_CDHW = _coarse_maps(brain, self.coarse_shape)
        self.growth_CDHW = self._growth()
        self.brain_weight = self._brain_weight(brain)
        self._rigid = self._rigid_fields()
        self._table = {0: torch.zeros_like(self.growth_CDHW)}

    def _rigid_fields(self):
        """Translations and rotations about the box's centre, orthonormal in the brain.

        Shape (6, 3 * D * H * W), with the weights that make the fit a dot product.
        """
        z, y, x = self.base_CDHW - torch.tensor(geometry.BOX_CENTRE_MM).view(3, 1, 1, 1)
        one, zero = torch.ones_like(z), torch.zeros_like(z)
        fields = [
            (one, zero, zero),
            (zero, one, zero),
            (zero, zero, one),
            (y, -z, zero),
            (x, zero, -z),
            (zero, x, -y),
        ]
        weight = self.brain_weight.clamp(min=0).repeat(3, 1, 1, 1).reshape(-1)
        basis = []
        for field in fields:
            one = torch.stack(field).reshape(-1)
            for other in basis:
                one = one - other * (other * weight * one).sum()
            basis.append(one / (one.square() * weight).sum().sqrt())
        return torch.stack(basis), weight

    def without_rigid(self, field_BCDHW):
        """Take a field's mean shift and rotation of the brain away.

        Prepared brains are rigidly aligned, so a warp must not undo that.
        """
        basis, weight = self._rigid
        flat = field_BCDHW.reshape(len(field_BCDHW), -1)
        out = [one - (basis @ (weight * one)) @ basis for one in flat]
        return torch.stack(out).reshape(field_BCDHW.shape)

    def jacobian(self, position_CDHW):
        """Determinant of a pull-back's derivative on the warp grid, (D, H, W)."""
        size = geometry.voxel_mm(self.warp_shape)
        slopes = [torch.gradient(one, spacing=size) for one in position_CDHW]
        (a, b, c), (d, e, f), (g, h, i) = slopes
        return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)

    def covered(self, position_CDHW):
        """Share of the template's brain that a pull-back finds inside the box."""
        first_mm, size_mm = grid_frame(self.warp_shape)
        where = geometry.normalised(
            position_CDHW[None], first_mm, size_mm, self.warp_shape
        )
        brain = torch.nn.functional.grid_sample(
            self.brain_weight[None, None], where, align_corners=False
        )[0, 0]
        found = (brain * self.jacobian(position_CDHW)).sum()
        return float(found / self.brain_weight.sum())

    def _brain_weight(self, brain):
        """Share of brain in each cell of the warp grid."""
        fine = template.on_box(brain, brain.mask[None], self.coarse_shape)[0]
        return geometry.apply_axes(
            fine, geometry.resampling(self.warp_shape, self.coarse_shape)
        )

    def _growth(self):
        ventricles = self.coarse_CDHW[COARSE.index("ventricles")]
        matrices = geometry.resampling(
            self.warp_shape, self.coarse_shape, k.VENTRICLE_BLUR
        )
        blurred = geometry.apply_axes(ventricles, matrices)
        size = geometry.voxel_mm(self.warp_shape)
        # The pull-back looks towards the ventricles, up the blurred map's slope.
        slope = torch.stack(torch.gradient(blurred, spacing=size))
        return slope * (k.VENTRICLE_MM / slope.norm(dim=0).max())

    _STEP = 0.1  # of V, between tabulated fields

    def _tabulated(self, number):
        if number not in self._table:
            toward = number - (1 if number > 0 else -1)
            sign = self._STEP if number > 0 else -self._STEP
            small = exponential(
                (sign * self.growth_CDHW)[None], self.base_CDHW, self.warp_shape, 3
            )
            self._table[number] = compose(
                self._tabulated(toward)[None], small, self.base_CDHW, self.warp_shape
            )[0]
        return self._table[number]

    def ventricle_field(self, v):
        """Displacement (3, D, H, W) in mm that the V of a person means."""
        v = float(np.clip(v, *k.V_RANGE)) / self._STEP
        low = int(np.floor(v))
        share = v - low
        return (1 - share) * self._tabulated(low) + share * self._tabulated(low + 1)


def _fine_maps(brain, work_mm):
    """Tissue maps and the T1's texture, smoothed for the work grid and binned."""
    means = k.T1_MEANS
    csf = brain.mask - brain.gm - brain.wm
    texture = brain.t1 - (
        means["csf"] * csf + means["gm"] * brain.gm + means["wm"] * brain.wm
    )
    maps = np.stack([brain.gm, brain.wm, brain.mask, texture])
    sigma = 0.45 * work_mm
    matrices, first, size = [], [], []
    for n, mm, start in zip(brain.t1.shape, brain.size_mm, brain.first_mm, strict=True):
        width = n * mm
        n_out = min(n, int(np.ceil(width / max(mm, work_mm / 2.0))))
        matrix = geometry.gaussian_matrix(n_out, n, width, sigma)
        matrices.append(torch.from_numpy(matrix.astype(np.float32)))
        size.append(width / n_out)
        first.append(start - mm / 2 + width / n_out / 2)
    fine = geometry.apply_axes(torch.from_numpy(maps), tuple(matrices))
    return fine.contiguous(), tuple(first), tuple(size)


def _coarse_maps(brain, shape):
    from scipy.ndimage import distance_transform_edt

    tissue = template.on_box(brain, np.stack([brain.gm, brain.wm, brain.mask]), shape)
    gm, wm, mask = (t.numpy() for t in tissue)
    maps = regions.spatial_maps(*regions.grid_coordinates(shape))
    blur = geometry.resampling(shape, shape, regions.DEEP_WHITE_FWHM)
    wide = geometry.apply_axes(tissue[1], blur).numpy()
    maps["white_matter"] = regions.deep_white(wide, maps["cerebellum"])
    maps["ventricles"] = maps["ventricles"] * (mask - gm - wm).clip(0, 1)
    distance = distance_transform_edt(mask < 0.5, sampling=geometry.voxel_mm(shape))
    scalp = np.exp(-(((distance - k.SCALP_DISTANCE) / k.SCALP_WIDTH) ** 2))
    maps["scalp"] = (scalp * (1 - mask)).astype(np.float32)
    return torch.from_numpy(np.stack([maps[name] for name in COARSE]))


@lru_cache(maxsize=4)
def load_atlases(folder, work_mm):
    """Atlases of a folder of segmented brains, or of MNI152 where it is empty."""
    brains = template.load_anatomies(folder) if folder else (template.mni152(),)
    return tuple(Atlas(brain, work_mm) for brain in brains)
