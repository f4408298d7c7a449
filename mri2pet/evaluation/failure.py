"""Which rows of a table have failed, so that nobody reads their scores as a method's.

A generator that shows everybody the same picture, or one person's scan to another, may
still have a fair SSIM. The checks here are coarse on purpose. Their limits lie far from
what real scans do: of the phantoms' PETs, two people correlate with 0.5 inside the
brain on average and with 0.84 at most, two visits of one person with 0.98. A failure
says that the scores are no evidence about the method, not why: a network that has
hardly been trained has failed too.

The controls `mean_template` (collapsed), `random_subject` and `nearest_subject`
(copied) do on purpose what is a failure elsewhere; the caller leaves them out.

Shape suffixes: N synthetic scans, M training scans, D H W = z y x of the PET grid, V
voxels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mri2pet.evaluation.checks import check_volumes

FAILURES = {
    "diverged": "values far outside the range of real scans, or a loss that grew",
    "empty": "nothing inside the brain",
    "collapsed": "the same picture for everybody",
    "copied": "a training scan in place of an own one",
    "saturated": "a critic too flat to teach",
}

SAME = 0.98  # mean correlation between people
COPY = 0.995  # above two visits; below a copy with the noise that sampling leaves
WILD = 1e-3  # share of voxels
FAINT = 0.1  # of the training scans' uptake
GROWTH = 10.0  # of the loss
FLAT = 0.9  # gradient penalty of a critic whose slope is 0.05
JUDGED_FROM = 30  # records of a history


def failures(
    samples_NDHW: np.ndarray,
    real_train_MDHW: np.ndarray,
    brain: np.ndarray,
    losses: pd.DataFrame | Sequence[Mapping[str, float]] | None = None,
    *,
    patients: Sequence[str] | None = None,
) -> list[str]:
    """Name the failures of a row.

    Parameters
    ----------
    samples_NDHW : ndarray, shape (N, D, H, W)
        Synthetic PETs in SUVR, one per test scan; may hold NaN.
    real_train_MDHW : ndarray, shape (M, D, H, W)
        Training PETs in SUVR.
    brain : ndarray, shape (N, D, H, W) or (D, H, W)
        Above 0.5 inside the brain, of each synthetic scan or of all.
    losses : DataFrame or sequence of mappings, optional
        ``history`` of `mri2pet.training.Trained`, judged if it has 30 records.
    patients : sequence of length N, optional
        The person of each synthetic scan; without it each is another's.

    Returns
    -------
    list of str
        Keys of `FAILURES`, in their order; empty if nothing was found.

        - ``diverged``: a value or loss is not finite; more than one voxel in a thousand
          lies further outside the training scans' range than this range is wide; or a
          single player's loss ends ten times higher than it began (medians of a tenth
          of the steps).
        - ``empty``: in half of the scans or more, the mean absolute uptake inside the
          brain is below a tenth of the training scans'.
        - ``collapsed``: scans of different people correlate with 0.98 or more on
          average, inside at least half of the brains, and differ at most half as much
          as the training scans do.
        - ``copied``: a scan correlates with a training scan with 0.995 or more there,
          and is four times closer to it than training scans are to their nearest.
        - ``saturated``: over the last tenth of the steps, a critic's gradient penalty
          (slope - 1)^2 is 0.9 or more on average and its scores of real and generated
          scans differ by 1 or less. So its slope is near 0. A slope of 2 or more would
          cost as much, but set the scores further apart.

    Raises
    ------
    ValueError
        If shapes disagree, the brain is empty, or a training scan is not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> train, brain = rng.random((5, 4, 6, 6)), np.ones((4, 6, 6))
    >>> failures(rng.random((3, 4, 6, 6)), train, brain)
    []
    >>> failures(train[[2, 2, 2]], train, brain)
    ['collapsed', 'copied']
    """
    samples, train, inside, patients = _checked(
        samples_NDHW, real_train_MDHW, brain, patients
    )
    curve = pd.DataFrame([] if losses is None else losses)
    found = set()
    if _grew(curve) or not np.isfinite(samples).all() or _wild(samples, train):
        found.add("diverged")
    if _flat(curve):
        found.add("saturated")
    if np.isfinite(samples).all():
        common = inside.mean(axis=0) >= 0.5
        made_NV = samples[:, common].astype(np.float64)
        real_MV = train[:, common].astype(np.float64)
        if _empty(samples, inside, np.abs(real_MV).mean()):
            found.add("empty")
        usual, nearest = _among(real_MV)
        others = patients[:, None] != patients[None]
        between = _correlations(made_NV, made_NV)[others]
        # Where real people hardly differ, a good generator's do not either.
        if others.any() and between.mean() >= max(SAME, (1 + usual) / 2):
            found.add("collapsed")
        if _correlations(made_NV, real_MV).max() >= max(COPY, (3 + nearest) / 4):
            found.add("copied")
    return [name for name in FAILURES if name in found]


def failure_note(found: Sequence[str]) -> str:
    """Note for a table, empty if nothing has failed.

    Parameters
    ----------
    found : sequence of str
        What `failures` gave.

    Returns
    -------
    str
        One sentence.

    Raises
    ------
    ValueError
        On a name that is not in `FAILURES`.

    Examples
    --------
    >>> failure_note(["collapsed"])
    'Failed: collapsed (the same picture for everybody).'
    """
    unknown = [name for name in found if name not in FAILURES]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no failure; known: {', '.join(FAILURES)}")
    reasons = "; ".join(f"{name} ({FAILURES[name]})" for name in found)
    return f"Failed: {reasons}." if reasons else ""


def _checked(samples, train, brain, patients):
    samples = np.asarray(samples)
    train = check_volumes("real_train", train, 4)
    if samples.ndim != 4 or not len(samples) or not len(train):
        raise ValueError(
            f"samples have shape {samples.shape}, training scans {train.shape}; "
            "expected (scans, D, H, W) with a scan each"
        )
    inside = np.asarray(brain) > 0.5
    if inside.ndim == 3:
        inside = np.broadcast_to(inside, samples.shape[:1] + inside.shape)
    if inside.shape != samples.shape or samples.shape[1:] != train.shape[1:]:
        raise ValueError(
            f"grids differ: samples {samples.shape}, training scans {train.shape}, "
            f"brain {np.shape(brain)}"
        )
    if not (inside.mean(axis=0) >= 0.5).any() or not inside.any(axis=(1, 2, 3)).all():
        raise ValueError("the brain is empty, of a scan or of all")
    patients = np.arange(len(samples)) if patients is None else np.asarray(patients)
    if len(patients) != len(samples):
        raise ValueError(f"{len(samples)} samples but {len(patients)} patients")
    return samples, train, inside, patients


def _wild(samples, train) -> bool:
    low, high = float(train.min()), float(train.max())
    width = high - low
    return np.mean((samples < low - width) | (samples > high + width)) > WILD


def _empty(samples, inside, usual: float) -> bool:
    uptake = [np.abs(x[m]).mean() for x, m in zip(samples, inside, strict=True)]
    return np.median(uptake) < FAINT * usual


def _among(real_MV) -> tuple[float, float]:
    """Mean correlation of training scans; the median of each one's highest."""
    if len(real_MV) < 2:
        return 0.0, 0.0
    others = _correlations(real_MV, real_MV)[~np.eye(len(real_MV), dtype=bool)]
    others = others.reshape(len(real_MV), -1)
    return float(others.mean()), float(np.median(others.max(axis=1)))


def _correlations(a_NV, b_MV) -> np.ndarray:
    """Pearson correlations of rows, shape (N, M); two flat rows count as equal."""
    units, flat = [], []
    for rows in (a_NV, b_MV):
        centred = rows - rows.mean(axis=1, keepdims=True)
        size = np.linalg.norm(centred, axis=1, keepdims=True)
        flat.append(size[:, 0] <= 1e-9 * np.linalg.norm(rows, axis=1))
        units.append(centred / np.where(size > 0, size, 1))
    both = flat[0][:, None] & flat[1][None]
    return np.where(both, 1.0, units[0] @ units[1].T)


def _grew(curve: pd.DataFrame) -> bool:
    losses = curve[[c for c in curve if c == "loss" or c.endswith("_loss")]]
    losses = losses.to_numpy(float)
    # A player that pauses has no loss in that record, which reads as NaN.
    if np.isinf(losses).any() or (losses.size and np.isnan(losses).all(axis=1).any()):
        return True
    if "loss" not in curve or len(curve) < JUDGED_FROM:
        return False
    tenth = len(curve) // 10
    first, last = curve["loss"].head(tenth).median(), curve["loss"].tail(tenth).median()
    return last > GROWTH * abs(first)


def _flat(curve: pd.DataFrame) -> bool:
    if not {"penalty", "wasserstein"} <= set(curve) or len(curve) < JUDGED_FROM:
        return False
    last = curve[["penalty", "wasserstein"]].tail(len(curve) // 10).mean()
    return bool(last["penalty"] >= FLAT and abs(last["wasserstein"]) <= 1)
