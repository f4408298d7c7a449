"""The released evaluation, rebuilt to show what it hides (audit, section 7).

Each generated volume is stretched to [0, 1] by its own minimum and maximum before it is
scored. So a generator whose uptake is everywhere twice too high, or shifted, loses
nothing. The SSIM looks at one slice at a time. And the number behind "+-" is neither a
standard error nor a confidence interval. For scores that mean something see `quality`
and `inference`; nothing here enters a verdict.

Shape suffixes: N scans, D H W = z y x of the PET grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mri2pet.evaluation.checks import check_volumes
from mri2pet.evaluation.quality import SSIM_WINDOW


def min_max(volumes_NDHW: np.ndarray) -> np.ndarray:
    """Stretch each volume to [0, 1] by its own minimum and maximum.

    Parameters
    ----------
    volumes_NDHW : ndarray, shape (N, D, H, W)
        Any unit.

    Returns
    -------
    ndarray, same shape, float64

    Raises
    ------
    ValueError
        If a volume is flat, where the released code divides by zero, or not finite.

    Examples
    --------
    >>> min_max(np.array([[[[1.0, 2.0, 5.0]]]])).tolist()
    [[[[0.0, 0.25, 1.0]]]]
    """
    volumes = check_volumes("volumes", volumes_NDHW, 4).astype(np.float64)
    low = volumes.min(axis=(1, 2, 3), keepdims=True)
    span = volumes.max(axis=(1, 2, 3), keepdims=True) - low
    flat = np.flatnonzero(span == 0)
    if len(flat):
        i = flat[0]
        raise ValueError(f"volume {i} is {low[i].item():g} everywhere: no range")
    return (volumes - low) / span


def slice_ssim(real_DHW: np.ndarray, synthetic_DHW: np.ndarray) -> float:
    """Mean of the 2-D SSIM over the axial slices, empty ones included.

    scikit-image's window of 7 x 7 pixels, data range 1. The released call does this in
    old versions of scikit-image. Newer ones ignore the argument that asks for it and
    give a 3-D SSIM (audit, section 7); which version made the paper's is not known.

    Parameters
    ----------
    real_DHW, synthetic_DHW : ndarray, shape (D, H, W)
        In [0, 1]; H and W at least 7.

    Returns
    -------
    float
        At most 1.

    Raises
    ------
    ValueError
        If the shapes differ, slices are smaller than the window, or a value is not
        finite or outside [0, 1].

    Examples
    --------
    One slice of two is right:

    >>> real = np.zeros((2, 8, 8))
    >>> real[1] = 1.0
    >>> round(slice_ssim(real, np.zeros((2, 8, 8))), 3)
    0.5
    """
    real, synthetic = _unit_pair(real_DHW, synthetic_DHW)
    if min(real.shape[1:]) < SSIM_WINDOW:
        raise ValueError(
            f"slices of {real.shape[1:]} are smaller than the window of {SSIM_WINDOW}"
        )
    return float(
        structural_similarity(
            real, synthetic, win_size=SSIM_WINDOW, data_range=1.0, channel_axis=0
        )
    )


def unit_psnr(real_DHW: np.ndarray, synthetic_DHW: np.ndarray) -> float:
    """Peak signal-to-noise ratio of volumes in [0, 1], over the whole box.

    Parameters
    ----------
    real_DHW, synthetic_DHW : ndarray, shape (D, H, W)
        In [0, 1].

    Returns
    -------
    float
        dB; infinite for equal volumes.

    Raises
    ------
    ValueError
        If the shapes differ, or a value is not finite or outside [0, 1].

    Examples
    --------
    >>> unit_psnr(np.zeros((1, 1, 2)), np.full((1, 1, 2), 0.1))
    20.0
    """
    real, synthetic = _unit_pair(real_DHW, synthetic_DHW)
    with np.errstate(divide="ignore"):  # equal volumes: infinite
        return float(peak_signal_noise_ratio(real, synthetic, data_range=1.0))


def released_scores(
    real_NDHW: np.ndarray, synthetic_NDHW: np.ndarray, scan_ids: Sequence[str]
) -> pd.DataFrame:
    """SSIM and PSNR as released: both volumes stretched by their own range.

    Parameters
    ----------
    real_NDHW, synthetic_NDHW : ndarray, shape (N, D, H, W)
        SUVR, or any unit.
    scan_ids : sequence of length N
        For the index.

    Returns
    -------
    DataFrame, index ``scan_id``
        Columns ``ssim_released`` and ``psnr_released`` (dB).

    Raises
    ------
    ValueError
        If numbers or grids disagree, or a volume is flat or not finite.

    Examples
    --------
    >>> pet = np.random.default_rng(0).random((1, 2, 8, 8))
    >>> released_scores(pet, 2 * pet + 1, ["s"])["psnr_released"].item() > 300
    True
    """
    if not len(real_NDHW) == len(synthetic_NDHW) == len(scan_ids):
        raise ValueError(
            f"{len(real_NDHW)} real and {len(synthetic_NDHW)} synthetic scans, "
            f"{len(scan_ids)} ids"
        )
    pairs = list(zip(min_max(real_NDHW), min_max(synthetic_NDHW), strict=True))
    return pd.DataFrame(
        {
            "ssim_released": [slice_ssim(*pair) for pair in pairs],
            "psnr_released": [unit_psnr(*pair) for pair in pairs],
        },
        index=pd.Index(list(scan_ids), name="scan_id"),
    )


def released_plus_minus(
    scores_N: Sequence[float], n_boot: int = 100, seed: int = 0
) -> tuple[float, float]:
    """Mean and "+-" of a list of scores, as released.

    The means of ``n_boot`` resamples are appended to the list of scores **while it is
    being resampled**; mean and SD are taken over the longer list, and "+-" is
    SD / sqrt(n_boot). For N scores of standard error se that is about
    ``se * N / sqrt(n_boot * (N + n_boot))``: 1.34 se for the paper's 250 scans, 0.095
    se for ten, and ever less with more resamples.

    Parameters
    ----------
    scores_N : sequence of float
        One score per scan.
    n_boot : int
        Resamples.
    seed : int
        Of the resamples.

    Returns
    -------
    mean, plus_minus : float

    Raises
    ------
    ValueError
        Without two finite scores and a resample.

    Examples
    --------
    >>> scores = np.linspace(0.8, 0.9, 250)
    >>> mean, plus_minus = released_plus_minus(scores)
    >>> print(f"{plus_minus / (scores.std() / 250**0.5):.1f}")
    1.3
    """
    scores = np.asarray(scores_N, dtype=np.float64)
    if scores.ndim != 1 or len(scores) < 2 or not np.isfinite(scores).all():
        raise ValueError(f"expected two finite scores or more; got {scores_N}")
    if n_boot < 1:
        raise ValueError(f"n_boot = {n_boot}: at least one resample is needed")
    rng = np.random.default_rng(seed)
    polluted = list(scores)
    for _ in range(n_boot):
        again = rng.choice(polluted, size=len(polluted), replace=True)
        polluted.append(again.mean())
    return float(np.mean(polluted)), float(np.std(polluted) / n_boot**0.5)


def released_lines(
    key: tuple[str, str, str],
    real_NDHW: np.ndarray,
    synthetic_NDHW: np.ndarray,
    scan_ids: Sequence[str],
) -> list[dict]:
    """SSIM and PSNR of a row as the release would have printed them.

    Parameters
    ----------
    key : (row, design, variant)
        Of the row.
    real_NDHW, synthetic_NDHW : ndarray, shape (N, D, H, W)
        SUVR, or any unit.
    scan_ids : sequence of length N

    Returns
    -------
    list of dict
        Lines of a tidy table with ``variant="released_scoring"``; ``low`` and ``high``
        are value -+ the released "+-", which is no interval (``interval="released"``).

    Raises
    ------
    ValueError
        As `released_scores`.

    Examples
    --------
    >>> pet = np.random.default_rng(0).random((3, 2, 8, 8))
    >>> lines = released_lines(("gan", "published", ""), pet, pet[[1, 2, 0]], "abc")
    >>> [(line["metric"], line["interval"]) for line in lines]
    [('ssim', 'released'), ('psnr', 'released')]
    """
    scores = released_scores(real_NDHW, synthetic_NDHW, scan_ids)
    base = {"row": key[0], "design": key[1], "variant": "released_scoring"}
    lines = []
    for metric in ("ssim", "psnr"):
        value, width = released_plus_minus(scores[f"{metric}_released"])
        spread = {"value": value, "low": value - width, "high": value + width}
        where = {"metric": metric, "region": "whole", "comparison": ""}
        about = {"interval": "released", "n": len(scores)}
        lines.append({**base, **where, **spread, **about})
    return lines


def _unit_pair(real_DHW, synthetic_DHW) -> tuple[np.ndarray, np.ndarray]:
    """Both volumes in float64, refused outside [0, 1]."""
    pair = []
    for name, volume in (("real", real_DHW), ("synthetic", synthetic_DHW)):
        volume = check_volumes(name, volume, 3).astype(np.float64)
        if volume.min() < 0 or volume.max() > 1:
            raise ValueError(
                f"{name} spans {volume.min():g}..{volume.max():g}, expected 0..1: "
                "see min_max"
            )
        pair.append(volume)
    if pair[0].shape != pair[1].shape:
        raise ValueError(
            f"real has shape {pair[0].shape} but synthetic has {pair[1].shape}"
        )
    return pair[0], pair[1]
