"""How sharp a PET is, how ambiguous its samples are, how much a brain has shrunk.

The paper says by eye that synthetic PETs are sharp where the MRI shows atrophy, and
blurred where it does not. Here are numbers for the three words.

*Sharp*: the energy of fine detail in the Laplacian bands of axial slices, the pyramid
that is also the paper's loss. A noisy scan has energy, too, so beside it stands the
share of the real scan's detail that is found at the right place, and the slope of the
uptake at the cortex.

*Ambiguous*: how much K synthetic PETs of one MRI differ, in all voxels of the brain, in
the composite, and in the call that a reader would make from it.

*Atrophy*: from the truth of a phantom, or, where there is none, from the MRI.

Shape suffixes: N scans, K samples of a scan, R regions, L bands, D H W = z y x of the
PET grid (of the MRI for `ventricle_proxy`).

References
----------
Laplacian pyramid: Burt and Adelson 1983, IEEE Transactions on Communications 31(4).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from mri2pet.cohort.geometry import voxel_mm
from mri2pet.cohort.regions import REGIONS, grid_coordinates, spatial_maps
from mri2pet.evaluation.ambiguity import call_entropy, sample_spread
from mri2pet.evaluation.checks import check_volumes
from mri2pet.evaluation.quality import ssim_3d
from mri2pet.evaluation.uptake import composite_suvr, regional_suvr
from mri2pet.loss import laplacian_pyramid

# Bands whose pixels are at most this wide: structures narrower than about 30 mm, such
# as folds and the walls of the ventricles, on every grid of the profiles.
FINEST_MM = 9.0
SEARCH_MM, DARK = 5.0, 0.5  # of `ventricle_proxy`
CORTEX = tuple(name for name in REGIONS[:7])
# What `scan_measures` gives for each scan, and where in the brain it is taken.
MEASURES = {
    "sharpness": "brain",
    "aligned": "brain",
    "detail": "brain",
    "edge": "cortex",
    "sharpness_mean": "brain",
    "ssim": "brain",
    "composite": "composite",
    "spread": "brain",
    "spread_composite": "composite",
    "entropy": "composite",
}
AMBIGUITY = ("spread", "spread_composite", "entropy")


def detail_levels(shape_DHW: Sequence[int]) -> int:
    """How many bands of a grid count as fine detail, at least one.

    Examples
    --------
    >>> detail_levels((16, 32, 32)), detail_levels((16, 48, 48))
    (1, 2)
    >>> detail_levels((32, 128, 128))
    3
    """
    pixel = max(voxel_mm(shape_DHW)[1:])
    fitting = [i for i in range(8) if pixel * 2**i <= FINEST_MM]
    return max(1, len(fitting))


def fine_bands(volumes_NDHW: np.ndarray, levels: int | None = None) -> list[np.ndarray]:
    """Bands of the Laplacian pyramid of each axial slice, finest first.

    Parameters
    ----------
    volumes_NDHW : ndarray, shape (N, D, H, W)
        SUVR.
    levels : int, optional
        How many; by default `detail_levels` of the grid.

    Returns
    -------
    list of L ndarrays, shapes (N, D, H / 2**i, W / 2**i), float64
    """
    volumes = check_volumes("volumes", volumes_NDHW, 4)
    levels = detail_levels(volumes.shape[1:]) if levels is None else levels
    tensor = torch.from_numpy(np.array(volumes, dtype=np.float64))
    return [band.numpy() for band in laplacian_pyramid(tensor, levels)]


def band_products(
    first_NDHW: np.ndarray,
    second_NDHW: np.ndarray,
    brain_NDHW: np.ndarray,
    levels: int | None = None,
) -> np.ndarray:
    """Mean product of the bands of two sets of scans inside the brain.

    Of a set with itself it is the **energy** of each band.

    Parameters
    ----------
    first_NDHW, second_NDHW : ndarray, shape (N, D, H, W)
        SUVR.
    brain_NDHW : ndarray, shape (N, D, H, W)
        Above 0.5 inside the brain. In a coarser band a pixel belongs to the brain if at
        least half of it does.
    levels : int, optional
        As in `fine_bands`.

    Returns
    -------
    ndarray, shape (N, L)
        SUVR squared.

    Raises
    ------
    ValueError
        If shapes differ, or a brain has no voxel in a band.
    """
    first = fine_bands(first_NDHW, levels)
    second = fine_bands(second_NDHW, levels)
    if first[0].shape != second[0].shape or first[0].shape != np.shape(brain_NDHW):
        raise ValueError(
            f"scans of shapes {first[0].shape} and {second[0].shape} with a brain of "
            f"{np.shape(brain_NDHW)}: expected the same"
        )
    share = torch.from_numpy((np.asarray(brain_NDHW) > 0.5).astype(np.float64))
    found = []
    for a, b in zip(first, second, strict=True):
        inside = (share.numpy() >= 0.5).reshape(len(a), -1)
        if not inside.any(axis=1).all():
            scan = int(np.flatnonzero(~inside.any(axis=1))[0])
            raise ValueError(f"the brain of scan {scan} is empty in band {len(found)}")
        product = (a * b).reshape(len(a), -1) * inside
        found.append(product.sum(1) / inside.sum(1))
        share = torch.nn.functional.avg_pool2d(share, 2)
    return np.stack(found, axis=1)


def edge_strength(pet_NDHW: np.ndarray, regions_NRDHW: np.ndarray) -> np.ndarray:
    """Mean slope of the uptake at the cortex, in SUVR per centimetre.

    Parameters
    ----------
    pet_NDHW : ndarray, shape (N, D, H, W)
        SUVR on a grid of the common box.
    regions_NRDHW : ndarray, shape (N, R, D, H, W)
        Region weights; the slope is averaged over the cortical ones (`CORTEX`).

    Returns
    -------
    ndarray, shape (N,)

    Raises
    ------
    ValueError
        If a scan has no cortex.
    """
    pet = check_volumes("pet", pet_NDHW, 4).astype(np.float64)
    columns = [REGIONS.index(name) for name in CORTEX]
    weight = np.asarray(regions_NRDHW, dtype=np.float64)[:, columns].sum(1)
    if weight.shape != pet.shape:
        raise ValueError(f"regions {weight.shape} do not fit scans {pet.shape}")
    total = weight.reshape(len(pet), -1).sum(1)
    if (total <= 0).any():
        raise ValueError(f"scan {int(np.argmin(total))} has no cortex in its regions")
    slopes = np.gradient(pet, *voxel_mm(pet.shape[1:]), axis=(1, 2, 3))
    size = np.sqrt(sum(s**2 for s in slopes))
    return 10 * (size * weight).reshape(len(pet), -1).sum(1) / total


def scan_measures(
    real_NDHW: np.ndarray,
    samples_NKDHW: np.ndarray,
    brain_NDHW: np.ndarray,
    regions_NRDHW: np.ndarray,
) -> pd.DataFrame:
    """Sharpness and ambiguity of the synthetic PETs of each scan.

    Parameters
    ----------
    real_NDHW : ndarray, shape (N, D, H, W)
        SUVR.
    samples_NKDHW : ndarray, shape (N, K, D, H, W)
        SUVR. For the real scans themselves: ``real_NDHW[:, None]``.
    brain_NDHW, regions_NRDHW : ndarray
        Of each scan, as in a store.

    Returns
    -------
    DataFrame, N lines
        ``sharpness``: energy of the fine bands of a sample over that of the real scan
        (mean over the samples); NaN where the real scan has none. ``aligned``: share of
        the real scan's detail found in a sample at its place. ``detail``: root mean
        square of the bands of a sample, SUVR. ``edge``: `edge_strength` of a sample.
        ``sharpness_mean``: as sharpness, of the mean of the samples. ``ssim``: of the
        first sample. ``composite``: mean composite SUVR. ``spread``: root mean variance
        over samples in the brain. ``spread_composite``: SD of the composite.
        ``entropy``: `call_entropy`. The last three are NaN where K is 1.
        ``error_composite``: real composite minus ``composite``.
    """
    real = check_volumes("real", real_NDHW, 4)
    samples = check_volumes("samples", samples_NKDHW, 5)
    n, k = samples.shape[:2]
    truth = band_products(real, real, brain_NDHW).sum(1)
    truth = np.where(truth > 0, truth, np.nan)
    energy, same, edge, composite = np.empty((4, n, k))
    for number in range(k):
        one = samples[:, number]
        energy[:, number] = band_products(one, one, brain_NDHW).sum(1)
        same[:, number] = band_products(one, real, brain_NDHW).sum(1)
        edge[:, number] = edge_strength(one, regions_NRDHW)
        composite[:, number] = composite_suvr(regional_suvr(one, regions_NRDHW))
    mean = samples.mean(axis=1)
    inside = np.asarray(brain_NDHW) > 0.5
    nothing = np.full(n, np.nan)
    apart = composite - composite[:, :1]  # exactly 0 if the samples are the same
    frame = {
        "sharpness": energy.mean(1) / truth,
        "aligned": same.mean(1) / truth,
        "detail": np.sqrt(energy.mean(1)),
        "edge": edge.mean(1),
        "sharpness_mean": band_products(mean, mean, brain_NDHW).sum(1) / truth,
        "ssim": [
            ssim_3d(r, s, b)
            for r, s, b in zip(real, samples[:, 0], inside, strict=True)
        ],
        "composite": composite.mean(1),
        "spread": sample_spread(samples, inside) if k > 1 else nothing,
        "spread_composite": apart.std(axis=1, ddof=1) if k > 1 else nothing,
        "entropy": call_entropy(composite) if k > 1 else nothing,
        "error_composite": composite_suvr(regional_suvr(real, regions_NRDHW))
        - composite.mean(1),
    }
    return pd.DataFrame(frame)


def ventricle_proxy(mri_NDHW: np.ndarray) -> np.ndarray:
    """Dark volume where ventricles lie, in millilitres, from the MRI alone.

    A stand-in for scans without tissue maps: the voxels of a fixed search region in the
    middle of the brain (the ventricles of MNI152, `SEARCH_MM` wider) that are darker
    than half of the brain's brightest, which lies midway between fluid and grey matter.
    It knows no anatomy. On phantoms it follows the true volume, but not closely.

    Parameters
    ----------
    mri_NDHW : ndarray, shape (N, D, H, W)
        T1 in [0, 1], 0 outside the brain, rigidly aligned in the common box.

    Returns
    -------
    ndarray, shape (N,)
    """
    from scipy.ndimage import distance_transform_edt

    mri = check_volumes("mri", mri_NDHW, 4)
    size = voxel_mm(mri.shape[1:])
    inner = spatial_maps(*grid_coordinates(mri.shape[1:]))["ventricles"] > 0.5
    search = distance_transform_edt(~inner, sampling=size) <= SEARCH_MM
    dark = (mri > 0) & (mri < DARK) & search
    return dark.reshape(len(mri), -1).sum(1) * float(np.prod(size)) / 1000
