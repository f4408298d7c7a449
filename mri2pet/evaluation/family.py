"""Several comparisons at once: paired differences with Holm's adjustment.

Of twenty comparisons without any difference, one is expected below 0.05. Which
comparisons belong to a family is decided before the results are seen.

Shape suffixes: N scans, B resamples.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd

from mri2pet.evaluation.inference import (
    Statistic,
    holm,
    mean_statistic,
    paired_difference,
    patient_weights,
)


def paired_family(
    pairs: Mapping[Hashable, tuple[np.ndarray, np.ndarray]],
    patients: Sequence,
    statistic: Statistic = mean_statistic,
    n_boot: int = 10_000,
    seed: int = 0,
    *,
    level: float = 0.95,
) -> pd.DataFrame:
    """Paired differences of a family, on the same resampled people, and p-values.

    Parameters
    ----------
    pairs : mapping name -> (values, comparison)
        Two arrays of shape (..., N) on the same scans in the same order. The value of
        a comparison is ``statistic(values) - statistic(comparison)``.
    patients : sequence of length N
        The person of each scan.
    statistic : callable
        As in `mri2pet.evaluation.inference.patient_bootstrap`.
    n_boot, seed : int
        Resamples of people, and the seed of their draw.
    level : float
        Of the intervals, which are **not** adjusted.

    Returns
    -------
    DataFrame, a line for each name in order
        ``value``, ``low``, ``high``, ``p`` (two-sided, bootstrap), ``p_holm`` (adjusted
        over the family), ``people``. A difference that is undefined has p-values of
        NaN and is not counted in the family.

    Raises
    ------
    ValueError
        If the family is empty, lengths disagree, or so few resamples are asked for
        that nothing could be significant after the adjustment.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> base = rng.normal(size=40)
    >>> better = base + 0.2 + 0.1 * rng.normal(size=40)
    >>> alike = base + 0.1 * rng.normal(size=40)
    >>> pairs = {"better": (better, base), "alike": (alike, base)}
    >>> (paired_family(pairs, range(40))["p_holm"] < 0.05).tolist()
    [True, False]
    """
    if not pairs:
        raise ValueError("pairs is empty: a family needs one comparison at least")
    smallest = 2 * len(pairs) / (n_boot + 1)
    if smallest >= 1 - level:
        raise ValueError(
            f"n_boot = {n_boot} gives adjusted p-values of {smallest:.3g} at least for "
            f"{len(pairs)} comparisons; use {math.ceil(2 * len(pairs) / (1 - level))} "
            "resamples or more"
        )
    weights_BN = patient_weights(patients, n_boot, seed)
    lines = []
    for values, comparison in pairs.values():
        e = paired_difference(
            values,
            comparison,
            patients,
            statistic,
            level=level,
            weights_BN=weights_BN,
        )
        p = e.p_value if np.isfinite(e.value) else np.nan
        lines.append((e.value, e.low, e.high, p, e.people))
    frame = pd.DataFrame(
        lines,
        columns=["value", "low", "high", "p", "people"],
        index=pd.Index(list(pairs), tupleize_cols=False),
    )
    frame.insert(4, "p_holm", holm(frame["p"].to_numpy(float)))
    return frame


# Of a table of images: scores with a value for each scan.
TESTED = ("ssim_brain", "psnr_brain")
AGAINST = ("mean_template", "regression_unet", "mri2pet")
TEST_COLUMNS = [
    *("row", "design", "metric", "region", "comparison"),
    *("value", "low", "high", "p", "p_holm", "n", "family"),
]


def table_tests(
    scores: Mapping[tuple[str, str, str], pd.DataFrame],
    rows: Sequence[tuple[str, str]],
    *,
    n_boot: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Paired tests of the rows of a table, adjusted within families.

    A family is fixed before the results are seen: all rows of one design, one score,
    one comparison.

    Parameters
    ----------
    scores : mapping (row, design, variant) -> DataFrame
        Of `mri2pet.evaluation.scans.score_scans`, all on the same scans.
    rows : sequence of (row, design)
        The learned rows; those without scores are left out.
    n_boot, seed : int
        Resamples of people, and the seed of their draw.

    Returns
    -------
    DataFrame with `TEST_COLUMNS`
        A line for each row, score and comparison; ``family`` is the number of
        comparisons that the p-value was adjusted for.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> def row(mean):
    ...     ssim = mean + 0.01 * rng.normal(size=30)
    ...     return pd.DataFrame(
    ...         {"participant_id": range(30), "ssim_brain": ssim, "psnr_brain": ssim}
    ...     )
    >>> scores = {
    ...     ("mean_template", "", ""): row(0.8),
    ...     ("gan", "corrected", ""): row(0.6),
    ...     ("vanilla", "corrected", ""): row(0.8),
    ... }
    >>> tests = table_tests(scores, [("gan", "corrected"), ("vanilla", "corrected")])
    >>> tests.loc[tests["metric"] == "ssim", ["row", "family"]].values.tolist()
    [['gan', 2], ['vanilla', 2]]
    >>> bool(tests["p_holm"].min() < 0.001)
    True
    """
    lines = []
    for design in dict.fromkeys(design for _, design in rows):
        mine = {r: scores.get((r, design, "")) for r, d in rows if d == design}
        mine = {row: frame for row, frame in mine.items() if frame is not None}
        for column in TESTED:
            metric, _, region = column.partition("_")
            for other in AGAINST:
                control = scores.get((other, "", ""), mine.get(other))
                pairs = {
                    row: (frame[column].to_numpy(), control[column].to_numpy())
                    for row, frame in mine.items()
                    if control is not None and row != other
                }
                if not pairs:
                    continue
                people = control["participant_id"]
                tests = paired_family(pairs, people, n_boot=n_boot, seed=seed)
                tests = tests.rename(columns={"people": "n"}).assign(
                    row=tests.index,
                    design=design,
                    metric=metric,
                    region=region,
                    comparison=other,
                    family=len(pairs),
                )
                lines.append(tests)
    if not lines:
        return pd.DataFrame(columns=TEST_COLUMNS)
    return pd.concat(lines, ignore_index=True)[TEST_COLUMNS]
