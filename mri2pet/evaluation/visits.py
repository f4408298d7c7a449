"""Two visits of the test people: whether the synthetic change follows the real one.

Beside the rows stand `truth`, the change of the noise-free uptake of a phantom, which
shows how far even the best answer is from a measured change, and `no_change`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mri2pet.evaluation.cases import visit_pairs
from mri2pet.evaluation.changes import CLEAR_CHANGE, same_sign, slope_statistic
from mri2pet.evaluation.inference import (
    mean_statistic,
    paired_difference,
    patient_bootstrap,
)
from mri2pet.evaluation.lines import Lines

MAIN = "mri2pet"
FEW = 30  # people; below, a result only illustrates


def change_lines(
    lines: Lines, truth: pd.DataFrame | None, scans: pd.DataFrame
) -> list[tuple[str, str, str, str, str]]:
    """Change of the composite from first to last visit, of each person and over all.

    Parameters
    ----------
    lines : Lines
        Receives a line for each person and row (``suvr_change``, ``change_sd``), and
        over all people (variant ``two_visits``) and over those with a clear real
        change (``clear_change``) the sign, the size and the error.
    truth : DataFrame or None
        Of the store.
    scans : DataFrame
        A line for each test scan and row: row, design, k, scan_id, participant_id,
        days, and ``real_composite``, ``mean_composite``, ``sd_composite``.

    Returns
    -------
    list of (row, design, variant, kind, note)
        Where people are few or missing.
    """
    test = scans[scans["row"] == MAIN].set_index("scan_id")
    pairs, _ = visit_pairs(test)
    if pairs.empty:
        return [("", "", "two_visits", "missing", "no test person has two visits")]
    first, last = list(pairs["first"]), list(pairs["last"])

    def moved(values: pd.Series) -> np.ndarray:
        return values[last].to_numpy(float) - values[first].to_numpy(float)

    changes = {("real_pet", ""): moved(test["real_composite"])}
    if truth is not None:
        changes["truth", ""] = moved(truth["suvr_composite"])
    sds, many = {}, {}
    for (row, design), group in scans.groupby(["row", "design"], sort=False):
        mine = group.set_index("scan_id")
        changes[row, design] = moved(mine["mean_composite"])
        spread = mine["sd_composite"]
        sds[row, design] = np.hypot(spread[first].to_numpy(), spread[last].to_numpy())
        many[row, design] = int(mine["k"].iloc[0])
    for key, change in changes.items():
        for scan, value in zip(last, change, strict=True):
            k = many.get(key, 1)
            lines.add(key, scan, "suvr_change", "composite", value, k=k)
        for scan, value in zip(last, sds.get(key, ()), strict=False):
            if np.isfinite(value):
                lines.add(key, scan, "change_sd", "composite", value, k=many[key])
    real = changes.pop(("real_pet", ""))
    clear = np.abs(real) >= CLEAR_CHANGE
    for variant, kept in (
        ("two_visits", np.ones(len(real), bool)),
        ("clear_change", clear),
    ):
        if kept.any():
            _agreement(lines, variant, real, changes, kept, many)
    notes = []
    for variant, n, what in (
        ("two_visits", len(real), "people with two visits"),
        ("clear_change", int(clear.sum()), "of them with a clear real change"),
    ):
        if n < FEW:
            text = f"{what}: {n}, so this illustrates only"
            notes.append(("", "", variant, "few", text))
    return notes


def _agreement(lines: Lines, variant, real, changes, kept, many) -> None:
    """Sign, size and error of the synthetic change over people, each with interval."""
    people = np.flatnonzero(kept)
    truth = real[kept]
    unchanged = np.abs(truth)
    errors = {key: np.abs(change[kept] - truth) for key, change in changes.items()}
    nothing = patient_bootstrap(unchanged, people, **lines.plan)
    lines.estimate(("no_change", ""), variant, "change_error", nothing)
    for key, change in changes.items():
        k = {"k": many.get(key, 1)}
        mine = change[kept]
        sign = same_sign(truth, mine)
        lines.estimate(key, variant, "change_sign", sign, **k)
        pair = np.stack([truth, mine])
        slope = patient_bootstrap(pair, people, slope_statistic, **lines.plan)
        lines.estimate(key, variant, "change_slope", slope, **k)
        e = patient_bootstrap(errors[key], people, mean_statistic, **lines.plan)
        lines.estimate(key, variant, "change_error", e, **k)
        others = {"no_change": unchanged}
        others |= {row: errors[row, d] for row, d in errors if row != "truth"}
        for name, other in others.items():
            if name != key[0] and key[0] != "truth":
                e = paired_difference(errors[key], other, people, **lines.plan)
                lines.estimate(key, variant, "change_error", e, name, **k)
