"""AV45 (florbetapir) PET of a phantom, in SUVR by the whole cerebellum.

Uptake is non-specific binding (white matter high, grey matter about 1) plus amyloid,
blurred by the scanner; atrophy lowers it because the blur acts on thinned cortex.
The noise-free image is linear in the amyloid load: P = P0 + A P1.

Shape suffixes: B batch, R regions, D, H, W = z, y, x.
"""

from dataclasses import dataclass

import numpy as np
import torch

from mri2pet.cohort import geometry
from mri2pet.cohort.phantom import constants as k
from mri2pet.cohort.phantom.disease import GAIN, SCANNER, person_generator
from mri2pet.cohort.regions import COMPOSITE, REFERENCE, REGIONS, weigh

_TARGETS = [name for name in k.AMYLOID_UPTAKE if name != "rest"]
_FINE_PET_MM = 3.0  # finer PETs need region weights on the work grid


@dataclass
class Uptake:
    """Noise-free parts of a PET on its grid, before reference scaling."""

    base: torch.Tensor  # (B, D, H, W) at A = 0
    amyloid: torch.Tensor  # (B, D, H, W) per unit of A
    regions: torch.Tensor  # (B, R, D, H, W) weights in [0, 1]
    brain: torch.Tensor  # (B, D, H, W) 0 or 1

    def regional(self, load):
        """Noise-free SUVR at amyloid ``load`` (B,): (B, R) float64."""
        load = torch.tensor(np.asarray(load), dtype=torch.float64).view(-1, 1)
        weights = self.regions.double().flatten(2)
        total = weights.sum(2)
        base = (weights * self.base.double().flatten(1)[:, None]).sum(2) / total
        extra = (weights * self.amyloid.double().flatten(1)[:, None]).sum(2) / total
        mean = base + load * extra
        return mean / mean[:, [REGIONS.index(REFERENCE)]]


def sharp_uptake(tissues, *, people, seed):
    """Uptake on the work grid before the scanner blurs it.

    Returns
    -------
    base, amyloid : torch.Tensor, shape (B, D, H, W)
        Inside the brain, at A = 0 and per unit of A.
    skin : torch.Tensor, shape (B, 1, 1, 1)
        The person's level of uptake outside the brain, relative to the mean one.
    """
    gains = np.stack(
        [
            person_generator(seed, p, GAIN).standard_normal(len(_TARGETS) + 4)
            for p in people
        ]
    ).astype(np.float32)
    gains = torch.from_numpy(gains)[:, :, None, None, None]
    level = dict(k.UPTAKE)
    white = 1 + k.UPTAKE_WM_SD * gains[:, -1]
    grey = 1 + k.UPTAKE_GM_SD * gains[:, -2]
    skin = (1 + 0.2 * gains[:, -3]).clamp(min=0.2)
    cerebellum, stem = tissues.region("cerebellum"), tissues.region("brainstem")
    deep = tissues.region("striatum") + tissues.region("thalamus")
    # The spread of grey matter spares the cerebellum, else the reference removes it.
    in_grey = 1 + (grey - 1) * (1 - cerebellum)
    in_grey = in_grey * (
        level["gm"]
        + (level["cerebellar_gm"] - level["gm"]) * cerebellum
        + (level["deep_gm"] - level["gm"]) * deep
        + (level["brainstem"] - level["gm"]) * stem
    )
    in_white = white * (
        level["wm"]
        + (level["cerebellar_wm"] - level["wm"]) * cerebellum
        + (level["brainstem"] - level["wm"]) * stem
    )
    amyloid = k.AMYLOID_UPTAKE["rest"] * (1 - cerebellum - stem)
    for number, name in enumerate(_TARGETS):
        own = (1 + k.REGION_GAIN_SD * gains[:, number]).clamp(min=0.2)
        target = k.AMYLOID_UPTAKE[name] * own - k.AMYLOID_UPTAKE["rest"]
        amyloid = amyloid + target * tissues.region(name)
    amyloid = amyloid.clamp(min=0)
    in_grey, in_white, amyloid = tissues.to_work(
        torch.stack([in_grey, in_white, amyloid])
    )
    base = in_grey * tissues.gm + in_white * tissues.wm + level["csf"] * tissues.csf
    return base, amyloid * tissues.gm, skin


def render_uptake(tissues, grid, *, people, seed):
    """Noise-free uptake of each person's brain on the PET ``grid``.

    The regional gains and the level of non-specific binding are the person's own and
    the same at every visit.
    """
    grid = tuple(grid)
    base, amyloid, skin = sharp_uptake(tissues, people=people, seed=seed)
    scalp = k.UPTAKE["scalp"] * skin * tissues.region("scalp")
    base = base + tissues.to_work(scalp) * (1 - tissues.mask)
    maps = torch.stack([base, amyloid])
    blur = geometry.resampling(grid, tissues.work_shape, k.PSF_FWHM)
    base, amyloid = geometry.apply_axes(maps, blur)
    weights, brain = region_weights(tissues, grid)
    return Uptake(base, amyloid, weights, brain)


def region_weights(tissues, grid):
    """Region weights (B, R, D, H, W) in [0, 1] and brain mask on the PET grid."""
    warp_shape = tuple(tissues.coarse.shape[2:])
    maps = tissues.coarse[:, : len(REGIONS)]
    gm, wm = tissues.gm, tissues.wm
    if min(geometry.voxel_mm(grid)) < _FINE_PET_MM:
        maps, shape = tissues.to_work(maps), tissues.work_shape
    else:
        # Regions are smooth: their product with tissue needs no finer grid.
        down = geometry.resampling(warp_shape, tissues.work_shape)
        gm, wm = geometry.apply_axes(torch.stack([gm, wm]), down)
        shape = warp_shape
    weights = geometry.apply_axes(
        weigh(maps, gm, wm), geometry.resampling(tuple(grid), shape)
    )
    share = geometry.apply_axes(
        tissues.mask, geometry.resampling(tuple(grid), tissues.work_shape)
    )
    return weights.clamp(0, 1), (share > 0.5).float()


def measure(uptake, load, *, people, visits, seed):
    """Add the scanner's noise and scale by the measured reference region.

    Parameters
    ----------
    uptake : Uptake, batch B
    load : sequence of float, length B
        Amyloid load A.
    people, visits : sequence of int, length B
    seed : int

    Returns
    -------
    torch.Tensor, shape (B, D, H, W)
        SUVR, float32, >= 0.
    """
    load = torch.tensor(np.asarray(load), dtype=torch.float32).view(-1, 1, 1, 1)
    clean = uptake.base + load * uptake.amyloid
    grid = tuple(clean.shape[1:])
    noise = torch.from_numpy(
        np.stack(
            [
                person_generator(seed, p, SCANNER, 2 * v + 1).standard_normal(
                    grid, dtype=np.float32
                )
                for p, v in zip(people, visits, strict=True)
            ]
        )
    )
    blur = geometry.resampling(grid, grid, k.PET_NOISE_FWHM)
    spread = [m.square().sum(1).sqrt() for m in blur]
    spread = spread[0][:, None, None] * spread[1][:, None] * spread[2]
    noise = geometry.apply_axes(noise, blur) / spread
    # Counting noise: the variance follows the uptake.
    image = clean + k.PET_NOISE * noise * clean.clamp(min=0.02).sqrt()
    reference = uptake.regions[:, REGIONS.index(REFERENCE)]
    mean = (image * reference).sum((1, 2, 3)) / reference.sum((1, 2, 3))
    return image.clamp(min=0) / mean.view(-1, 1, 1, 1)


def truth(uptake, load):
    """Noise-free SUVR by region at A, at A = 0 and at A = 1: a list of dicts."""
    count = len(uptake.base)
    chosen = [REGIONS.index(name) for name in COMPOSITE]
    rows = [{} for _ in range(count)]
    for prefix, value in (
        ("suvr", load),
        ("suvr0", np.zeros(count)),
        ("suvr1", np.ones(count)),
    ):
        table = uptake.regional(np.asarray(value, dtype=float)).numpy()
        for row, values in zip(rows, table, strict=True):
            named = zip(REGIONS, values, strict=True)
            row.update({f"{prefix}_{name}": float(v) for name, v in named})
            row[f"{prefix}_composite"] = float(values[chosen].mean())
    for row in rows:
        row["suvr_positive"] = row["suvr_composite"] > k.SUVR_CUT
    return rows
