"""From volumes to scores: one line per scan for one row of a table.

`mri2pet.evaluation.scoring` turns the lines of all rows into values with intervals.

Shape suffixes: N scans, M training scans, R regions, D H W = z y x of the PET grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mri2pet.cohort.regions import REGIONS
from mri2pet.evaluation.checks import check_volumes
from mri2pet.evaluation.expectation import mean_over_subjects
from mri2pet.evaluation.quality import DATA_RANGE, high_band, ssim_map
from mri2pet.evaluation.uptake import composite_suvr, regional_suvr


def score_scans(
    real_NDHW: np.ndarray,
    synthetic_NDHW: np.ndarray,
    brain_NDHW: np.ndarray,
    regions_NRDHW: np.ndarray,
    scan_ids: Sequence[str],
    patients: Sequence[str],
    *,
    region_names: Sequence[str] = REGIONS,
) -> pd.DataFrame:
    """Scores of one row of a table, one line per scan.

    Parameters
    ----------
    real_NDHW, synthetic_NDHW : ndarray, shape (N, D, H, W)
        SUVR.
    brain_NDHW : ndarray, shape (N, D, H, W)
        Above 0.5 inside the brain.
    regions_NRDHW : ndarray, shape (N, R, D, H, W)
        Weights of each scan's own regions.
    scan_ids, patients : sequences of length N

    Returns
    -------
    DataFrame, index ``scan_id``
        ``participant_id``; ``<metric>_<whole|brain>`` for ssim, psnr (dB), mae
        (SUVR), hf_ratio; ``suvr_real_<region>`` and ``suvr_synthetic_<region>`` for
        every region and ``composite``.

    Raises
    ------
    ValueError
        If shapes disagree, a mask or a region is empty, or a value is not finite.
    """
    real, synthetic, inside = _checked(
        real_NDHW, synthetic_NDHW, brain_NDHW, scan_ids, patients
    )
    if len(synthetic) != len(real):
        raise ValueError(f"{len(real)} real scans but {len(synthetic)} synthetic")
    band_real = high_band(real).astype(np.float64)
    band_synthetic = high_band(synthetic).astype(np.float64)
    frame = pd.DataFrame(
        [
            _image_scores(*args)
            for args in zip(
                real, synthetic, inside, band_real, band_synthetic, strict=True
            )
        ],
        index=pd.Index(list(scan_ids), name="scan_id"),
    )
    frame.insert(0, "participant_id", list(patients))
    for kind, volumes in (("real", real), ("synthetic", synthetic)):
        regional = regional_suvr(volumes, regions_NRDHW, region_names)
        for i, name in enumerate(region_names):
            frame[f"suvr_{kind}_{name}"] = regional[:, i]
        frame[f"suvr_{kind}_composite"] = composite_suvr(regional, region_names)
    return frame


def score_every_subject(
    real_NDHW: np.ndarray,
    train_pets_MDHW: np.ndarray,
    brain_NDHW: np.ndarray,
    scan_ids: Sequence[str],
    patients: Sequence[str],
    *,
    subjects: int | None = None,
) -> pd.DataFrame:
    """Image scores of `random_subject` in expectation: the mean over training people.

    Takes the luck out of the one draw. Correlations and areas under the curve have
    no such mean (they would be 0 and one half), so only image metrics are given.

    Parameters
    ----------
    train_pets_MDHW : ndarray, shape (M, D, H, W)
        One scan per training person.
    subjects : int, optional
        Use this many of them, evenly spaced (time grows with N x M).

    Returns
    -------
    DataFrame, index ``scan_id``
        ``participant_id`` and the image columns of `score_scans`.
    """
    real, train, inside = _checked(
        real_NDHW, train_pets_MDHW, brain_NDHW, scan_ids, patients
    )
    if subjects is not None and subjects < len(train):
        train = train[np.linspace(0, len(train) - 1, subjects).astype(int)]
    band_real, band_train = (high_band(v).astype(np.float64) for v in (real, train))
    frame = mean_over_subjects(
        lambda i, j: _image_scores(
            real[i], train[j], inside[i], band_real[i], band_train[j]
        ),
        len(real),
        range(len(train)),
    )
    frame.index = pd.Index(list(scan_ids), name="scan_id")
    frame.insert(0, "participant_id", list(patients))
    return frame


def _image_scores(real, synthetic, inside, band_real, band_synthetic) -> dict:
    whole, full = ssim_map(real, synthetic)
    error = real.astype(np.float64) - synthetic
    scores = {"ssim_whole": whole, "ssim_brain": float(full[inside].mean())}
    everywhere = np.ones_like(inside)
    for area, mask in (("whole", everywhere), ("brain", inside)):
        mse = float((error[mask] ** 2).mean())
        psnr = 10 * np.log10(DATA_RANGE**2 / mse) if mse > 0 else np.inf
        energy = float((band_real[mask] ** 2).mean())
        if energy == 0:
            raise ValueError(f"the real scan is flat ({area}): hf_ratio is undefined")
        scores[f"psnr_{area}"] = float(psnr)
        scores[f"mae_{area}"] = float(np.abs(error[mask]).mean())
        scores[f"hf_ratio_{area}"] = float((band_synthetic[mask] ** 2).mean()) / energy
    return scores


def _checked(real, synthetic, brain, scan_ids, patients):
    real = check_volumes("real", real, 4)
    synthetic = check_volumes("synthetic", synthetic, 4)
    inside = np.asarray(brain) > 0.5
    if synthetic.shape[1:] != real.shape[1:] or inside.shape != real.shape:
        raise ValueError(
            f"grids differ: real {real.shape}, synthetic {synthetic.shape}, "
            f"brain {inside.shape}"
        )
    if not (len(real) == len(scan_ids) == len(patients)):
        raise ValueError(
            f"{len(real)} scans, {len(scan_ids)} ids, {len(patients)} patients"
        )
    empty = np.flatnonzero(~inside.any(axis=(1, 2, 3)))
    if len(empty):
        raise ValueError(f"the brain mask of {scan_ids[empty[0]]} is empty")
    return real, synthetic, inside
