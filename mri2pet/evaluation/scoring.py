"""From scores per scan to a tidy table with intervals and paired differences.

`mri2pet.evaluation.scans` makes the lines per scan; `summarise` turns those of all
rows into values, intervals over people and paired differences.

Shape suffixes: N scans, S slices of a scan, F features, B resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mri2pet.evaluation.frechet import frechet_floor, frechet_replicates
from mri2pet.evaluation.inference import (
    Estimate,
    Statistic,
    auc_statistic,
    jackknife,
    mean_statistic,
    paired_difference,
    patient_bootstrap,
    patient_weights,
    pearson_statistic,
)

COLUMNS = [
    *("row", "design", "variant", "metric", "region", "comparison"),
    *("value", "low", "high", "interval", "n", "k", "seed", "rho"),
    *("published", "source"),
]
KEY = COLUMNS[:6]

# Every row is compared with these; `mri2pet` with the one of the same design.
COMPARISONS = ("mean_template", "random_subject", "regression_unet", "mri2pet")
IMAGE_METRICS = ("ssim", "psnr", "mae", "hf_ratio")
AREAS = ("whole", "brain")


def _measures(frame: pd.DataFrame, positive) -> dict[tuple[str, str], tuple]:
    """Per (metric, region): the statistic and the values it takes."""
    found: dict[tuple[str, str], tuple[Statistic, np.ndarray]] = {}
    for metric in IMAGE_METRICS:
        for area in AREAS:
            if f"{metric}_{area}" in frame:
                values = frame[f"{metric}_{area}"].to_numpy(float)
                found[metric, area] = (mean_statistic, values)
    prefix = "suvr_real_"
    regions = [c.removeprefix(prefix) for c in frame if c.startswith(prefix)]
    for region in sorted(regions, key=lambda name: name != "composite"):
        real = frame[prefix + region].to_numpy(float)
        synthetic = frame[f"suvr_synthetic_{region}"].to_numpy(float)
        found["suvr_error", region] = (mean_statistic, np.abs(synthetic - real))
        found["suvr_r", region] = (pearson_statistic, np.stack([real, synthetic]))
        if region == "composite" and positive is not None:
            pair = np.stack([synthetic, positive])
            found["positivity_auc", region] = (auc_statistic, pair)
    return found


def _full_key(key) -> tuple[str, str, str]:
    key = (key,) if isinstance(key, str) else tuple(key)
    if not 1 <= len(key) <= 3:
        raise ValueError(f"key {key}: expected (row, design) or (row, design, variant)")
    return (*key, *[""] * (3 - len(key)))


def comparisons_of(key, keys, fair=None) -> dict[str, tuple[str, str, str]]:
    """Which other rows a row is compared with: comparison's name -> its key.

    The controls and `mri2pet` of the same design; a `corrected` row also with the
    same row as published (named ``<row>/published``), and a variant with its default.
    A row in `fair` also with its partner, as it is and in a variant
    (``<row>/<variant>``).
    """
    row, design, variant = key
    wanted = {name: (name, "", "") for name in COMPARISONS[:-1]}
    if design:
        wanted["mri2pet"] = ("mri2pet", design, "")
    if variant:
        wanted[row] = (row, design, "")
    if design == "corrected":
        wanted[f"{row}/published"] = (row, "published", variant)
    if not variant and row in (fair or {}):
        partner, other = fair[row]
        wanted[partner] = (partner, design, "")
        wanted[f"{partner}/{other}"] = (partner, design, other)
    return {name: k for name, k in wanted.items() if k in keys and k != key}


def summarise(
    scores: Mapping[tuple, pd.DataFrame],
    *,
    positive: pd.Series | Mapping | None = None,
    features: Mapping[tuple, np.ndarray] | None = None,
    real_features_NSF: np.ndarray | None = None,
    floor: tuple[np.ndarray, Sequence[str]] | None = None,
    published: Mapping[tuple[str, str], tuple[float, str]] | None = None,
    samples: Mapping[tuple, int] | None = None,
    fair: Mapping[str, tuple[str, str]] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
    rho: float = float("nan"),
    run_seed: int | None = None,
) -> pd.DataFrame:
    """Values, intervals over people and paired differences of all rows of a table.

    Parameters
    ----------
    scores : mapping (row, design[, variant]) -> DataFrame of `score_scans`
        All on the same scans in the same order.
    positive : Series or mapping scan_id -> bool, optional
        Amyloid positivity; without it there is no ``positivity_auc``.
    features, real_features_NSF : optional
        `RandomFeatures` of each row's scans (same keys) and of the real ones.
    floor : (features of training PETs, their patients), optional
        Adds the real-against-real floor as row ``real_pet``, variant ``floor``.
    published : mapping (row, metric) -> (value, source), optional
        The paper's values; put beside ``published`` rows and rows without a design.
    samples : mapping key -> K, optional
        Samples averaged per scan; 1 where absent.
    fair : mapping row -> (row, variant), optional
        A further opponent of a row within its design, as it is and in a variant.
    n_boot, seed : int
        Resamples of people, and the seed of their draw.
    rho, run_seed
        Copied into the columns ``rho`` and ``seed`` (``run_seed`` = ``seed`` if None).

    Returns
    -------
    DataFrame with `COLUMNS`
        ``attrs["degenerate"]`` maps (row, design, variant, metric, region,
        comparison) to the number of resamples on which a statistic was undefined.

    Raises
    ------
    ValueError
        If two rows were scored on different scans, or a label is missing.
    """
    frames = {_full_key(k): v for k, v in scores.items()}
    if not frames:
        raise ValueError("no scores to summarise")
    features = {_full_key(k): v for k, v in (features or {}).items()}
    samples = {_full_key(k): v for k, v in (samples or {}).items()}
    first_key, first = next(iter(frames.items()))
    for key, frame in frames.items():
        if list(frame.index) != list(first.index):
            raise ValueError(f"{key} and {first_key} were scored on different scans")
    patients = first["participant_id"].to_numpy()
    label = None if positive is None else _labels(positive, first.index)
    weights = patient_weights(patients, n_boot, seed)
    measures = {key: _measures(frame, label) for key, frame in frames.items()}

    left_out = {
        key: frechet_replicates(real_features_NSF, features[key], patients)
        for key in frames
        if key in features
    }

    lines: list[dict] = []
    degenerate: dict[tuple, int] = {}

    def add(key, metric, region, comparison, e: Estimate):
        row, design, _ = key
        paper = (float("nan"), "")
        if published and not comparison and region == "whole" and design != "corrected":
            paper = published.get((row, metric), paper)
        if e.degenerate:
            degenerate[(*key, metric, region, comparison)] = e.degenerate
        values = (*key, metric, region, comparison, e.value, e.low, e.high, "people")
        k, s = samples.get(key, 1), seed if run_seed is None else run_seed
        lines.append(
            dict(zip(COLUMNS, (*values, e.people, k, s, rho, *paper), strict=True))
        )

    for key in frames:
        others = comparisons_of(key, frames, fair)
        for (metric, region), (statistic, values) in measures[key].items():
            e = patient_bootstrap(values, patients, statistic, weights_BN=weights)
            add(key, metric, region, "", e)
            if region not in ("whole", "brain", "composite"):
                continue  # single regions: values only, to keep the table readable
            for name, other in others.items():
                if (metric, region) not in measures[other]:
                    continue
                theirs = measures[other][metric, region][1]
                e = paired_difference(
                    values, theirs, patients, statistic, weights_BN=weights
                )
                add(key, metric, region, name, e)
        if key in left_out:
            full, left = left_out[key]
            e = jackknife(full, left, scans=len(patients))
            add(key, "fid_random", "whole", "", e)
            for name, other in others.items():
                if other in left_out:
                    other_full, other_left = left_out[other]
                    e = jackknife(
                        full - other_full, left - other_left, scans=len(patients)
                    )
                    add(key, "fid_random", "whole", name, e)
    if floor is not None:
        e = frechet_floor(real_features_NSF, patients, *floor, seed=seed)
        add(("real_pet", "", "floor"), "fid_random", "whole", "", e)
    tidy = pd.DataFrame(lines, columns=COLUMNS)
    tidy.attrs["degenerate"] = degenerate
    return tidy


def _labels(positive, scan_ids) -> np.ndarray:
    missing = [s for s in scan_ids if s not in positive]
    if missing:
        raise ValueError(f"no amyloid label for {len(missing)} scans, as {missing[0]}")
    return np.array([bool(positive[s]) for s in scan_ids], dtype=float)
