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
