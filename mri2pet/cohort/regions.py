"""Brain regions, defined once in MNI152 millimetres.

nilearn bundles no label atlas, so each region is a smooth set bounded by planes and
ellipsoids (edges about 3 mm wide) and is then weighted by the tissue maps: cortical
regions by grey matter, the cerebellum by grey and white matter, white matter by
itself. The landmarks follow Talairach and Tournoux (1988) as placed in MNI152, the
choice of the composite follows Landau et al., Annals of Neurology 72 (2012): frontal,
cingulate and precuneus, lateral parietal, lateral temporal cortex, over the whole
cerebellum.
"""

from functools import lru_cache

import numpy as np
import torch

from mri2pet.cohort import geometry, template

REGIONS = (
    "frontal",
    "precuneus_pcc",
    "lateral_parietal",
    "lateral_temporal",
    "medial_temporal",
    "occipital",
    "motor",
    "striatum",
    "cerebellum",
    "white_matter",
)
COMPOSITE = REGIONS[:4]
REFERENCE = "cerebellum"
EDGE_MM = 1.5  # scale of the logistic edge
DEEP_WHITE_FWHM = 8.0  # mm: white matter this far from cortex counts as deep
_TEMPLATE_MM = 2.0


def _half(distance_mm):
    """1 well inside (positive distance), 0 well outside."""
    return 1.0 / (1.0 + np.exp(-np.clip(distance_mm / EDGE_MM, -40, 40)))


def _ellipsoid(x, y, z, centre, radii):
    r = np.sqrt(
        sum(
            ((v - c) / a) ** 2 for v, c, a in zip((x, y, z), centre, radii, strict=True)
        )
    )
    return _half((1.0 - r) * min(radii))


def _between(value, low, high):
    return _half(value - low) * _half(high - value)


def spatial_maps(x, y, z):
    """Where each region may lie, before tissue weighting.

    Parameters
    ----------
    x, y, z : numpy.ndarray
        Coordinates in MNI mm (they broadcast).

    Returns
    -------
    dict of str to numpy.ndarray
        Values in [0, 1]: all names of `REGIONS` except white matter, plus
        ``thalamus``, ``brainstem`` and ``ventricles`` (the search region of the
        lateral and third ventricles).
    """
    x, y, z = np.broadcast_arrays(x, y, z)
    side = np.abs(x)
    # The tentorium: a tent, high on the midline, sloping down to the sides.
    tent = -18 - 0.25 * side + np.clip(0.55 - 0.013 * side, 0, None) * (y + 90)
    tent = np.minimum(tent, 2.0)
    front = np.where(side < 14, -39.0, -39.0 + np.minimum(side - 14, 8.0))
    cerebellum = _half(tent - z) * _half(front - y) * _half(58 - side)
    above = 1.0 - cerebellum
    central = -8.0 - 0.4 * (z - 20.0)  # y of the central sulcus
    striatum = np.maximum(
        _ellipsoid(side, y, z, (26, 2, 1), (8, 18, 12)),
        _ellipsoid(side, y, z, (12, 12, 9), (8, 14, 13)),
    )
    thalamus = _ellipsoid(side, y, z, (11, -18, 8), (12, 14, 11))
    medial = _ellipsoid(side, y, z, (26, -16, -19), (13, 25, 12))
    precuneus = np.maximum(
        _half(18 - side) * _between(y, -76, -40) * _between(z, 12, 62),
        _half(13 - side) * _between(y, -52, -22) * _between(z, 22, 46),
    )
    parietal = _half(side - 24) * _between(y, -80, -36) * _between(z, 20, 64)
    parietal = parietal * _half(central - 11 - y)
    temporal = _half(side - 38) * _between(y, -62, 12) * _between(z, -42, 8)
    motor = _between(y, central - 10, central + 10) * _half(z - 20)
    motor = motor * np.maximum(_half(side - 32), _half(z - 44)) * _half(side - 3)
    frontal = _half(y - central - 12) * _half(z - 18) + _half(y - 22) * _half(18 - z)
    frontal = np.clip(frontal, 0, 1) * np.maximum(_half(y - 26), _half(z + 12))
    occipital = np.maximum(_half(-78 - y), _half(-66 - y) * _half(14 - z))
    # Earlier names win where two overlap, so the regions never count a voxel twice.
    claimed = np.zeros(x.shape)
    maps = {}
    for name, raw in (
        ("cerebellum", cerebellum),
        ("striatum", striatum * above),
        ("thalamus", thalamus * above),
        ("medial_temporal", medial * above),
        ("precuneus_pcc", precuneus * above),
        ("motor", motor * above),
        ("lateral_parietal", parietal * above),
        ("lateral_temporal", temporal * above),
        ("occipital", occipital * above),
        ("frontal", frontal * above),
    ):
        maps[name] = np.minimum(raw, 1.0 - claimed)
        claimed = claimed + maps[name]
    maps["brainstem"] = _half(17 - side) * _between(y, -44, -8) * _half(-6 - z)
    body = _half(30 - side) * _between(y, -50, 36) * _between(z, -8, 32)
    body = body * np.clip(1 - _half(side - 22) * _half(y + 8), 0, 1)
    # Behind the third ventricle the midline holds cisterns, which do not widen.
    body = body * (1 - _half(7 - side) * _half(-26 - y) * _half(12 - z))
    body = body * _half(28 - 0.35 * np.clip(y, 0, None) - z + 4)
    atrium = _ellipsoid(side, y, z, (26, -42, 8), (10, 16, 16))
    horn = _ellipsoid(side, y, z, (32, -24, -12), (8, 18, 10))
    maps["ventricles"] = np.clip(np.maximum(body, np.maximum(atrium, horn)), 0, 1)
    return {name: m.astype(np.float32) for name, m in maps.items()}


def deep_white(wm_blurred, cerebellum):
    """Region of supratentorial white matter away from cortex, from a blurred map."""
    inside = 1.0 / (1.0 + np.exp(-(wm_blurred - 0.80) / 0.04))
    return (inside * (1.0 - cerebellum)).astype(np.float32)


@lru_cache(maxsize=1)
def _template_maps():
    """Tissue and mask of MNI152 on the box, and where each region may lie in it."""
    fine = geometry.work_shape(_TEMPLATE_MM)
    brain = template.mni152()
    maps = np.stack([brain.gm, brain.wm, brain.mask])
    gm, wm, mask = template.on_box(brain, maps, fine)
    spatial = spatial_maps(*grid_coordinates(fine))
    wide = geometry.apply_axes(wm, geometry.resampling(fine, fine, DEEP_WHITE_FWHM))
    spatial["white_matter"] = deep_white(wide.numpy(), spatial["cerebellum"])
    return gm, wm, mask, spatial


def template_places(points):
    """Where each region may lie, and the template's tissue, at points of MNI152.

    Parameters
    ----------
    points : numpy.ndarray, shape (..., 3)
        MNI mm, x, y, z.

    Returns
    -------
    places : dict of str to numpy.ndarray
        Like `spatial_maps`, and the template's deep white matter: a person's own
        tissue map, blurred, would call more of a brain deep the sharper it is.
    gm, wm : numpy.ndarray
        Tissue shares of the template.
    """
    from scipy.ndimage import map_coordinates

    gm, wm, _, spatial = _template_maps()
    deep = spatial["white_matter"]
    to_voxel = np.linalg.inv(geometry.grid_affine(deep.shape))
    index = np.moveaxis(points @ to_voxel[:3, :3].T + to_voxel[:3, 3], -1, 0)
    deep, gm, wm = (
        map_coordinates(m.T, index, order=1) for m in (deep, gm.numpy(), wm.numpy())
    )
    return spatial_maps(*np.moveaxis(points, -1, 0)) | {"white_matter": deep}, gm, wm


def template_regions(shape):
    """Region weights of the MNI152 template on a grid of the box.

    For scans whose own tissue maps are not known: a real T1 aligned to MNI152.

    Parameters
    ----------
    shape : tuple of int
        Grid (z, y, x).

    Returns
    -------
    regions_RDHW : numpy.ndarray, float32, shape (10, D, H, W)
        Weights in [0, 1] in the order of `REGIONS`.
    brain_DHW : numpy.ndarray, float32
        The template's brain mask, 0 or 1.
    """
    fine = geometry.work_shape(_TEMPLATE_MM)
    gm, wm, mask, spatial = _template_maps()
    stack = torch.from_numpy(np.stack([spatial[name] for name in REGIONS]))
    stack = torch.cat([weigh(stack, gm, wm), mask[None]])
    matrices = geometry.resampling(geometry.check_shape(shape), fine)
    out = geometry.apply_axes(stack, matrices).numpy()
    return out[:-1].clip(0, 1), (out[-1] > 0.5).astype(np.float32)


def weigh(regions, gm, wm):
    """Tissue-weighted regions.

    Parameters
    ----------
    regions : torch.Tensor, shape (..., 10, D, H, W)
        Spatial maps in the order of `REGIONS`.
    gm, wm : torch.Tensor, shape (..., D, H, W)

    Returns
    -------
    torch.Tensor, shape (..., 10, D, H, W)
    """
    cortex = regions[..., :8, :, :, :] * gm.unsqueeze(-4)
    reference = regions[..., 8, :, :, :] * (gm + wm)
    white = regions[..., 9, :, :, :] * wm
    return torch.cat([cortex, torch.stack([reference, white], dim=-4)], dim=-4)


def grid_coordinates(shape):
    """x, y, z in MNI mm as arrays that broadcast to (D, H, W)."""
    z, y, x = geometry.axis_coordinates(shape)
    return x[None, None, :], y[None, :, None], z[:, None, None]
