"""Learning curves: after how many samples a row passes a control."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

PASSED = ("random_subject", "mean_template", "regression_unet")


def crossings(
    curves: pd.DataFrame,
    controls: Sequence[str] = PASSED,
    *,
    metric: str = "ssim",
    region: str = "brain",
) -> pd.DataFrame:
    """Samples after which a row is above a control, interval apart from interval.

    Parameters
    ----------
    curves : DataFrame
        Columns row, design, metric, region, samples, value, low, high. A control is
        taken at its last line.
    controls : sequence of str
        Rows without a design.
    metric, region : str
        Score of which more is better.

    Returns
    -------
    DataFrame
        Columns row, design, samples (the most that were seen), value, low, high (at
        these), and a column for each control: the fewest samples from which the row
        stays above it, NaN where it is not above at the end.

    Raises
    ------
    ValueError
        A control is not among the curves.

    Examples
    --------
    >>> def line(row, samples, value, design=""):
    ...     where = {"row": row, "design": design, "metric": "ssim", "region": "brain"}
    ...     ends = {"value": value, "low": value - 0.01, "high": value + 0.01}
    ...     return {**where, "samples": samples, **ends}
    >>> lines = [line("mean_template", 0, 0.8)]
    >>> lines += [line("gan", n, v, "corrected") for n, v in ((10, 0.7), (100, 0.9))]
    >>> crossings(pd.DataFrame(lines), ["mean_template"])["mean_template"].tolist()
    [100.0]
    """
    part = curves[(curves["metric"] == metric) & (curves["region"] == region)]
    part = part.sort_values("samples")
    lines = []
    bars = {}
    for control in controls:
        mine = part[part["row"] == control]
        if mine.empty:
            raise ValueError(f"{control!r} is not among {sorted(set(part['row']))}")
        bars[control] = mine.iloc[-1]["high"]
    learning = part[part["design"].fillna("") != ""]
    for (row, design), curve in learning.groupby(["row", "design"], sort=False):
        last = curve.iloc[-1]
        line = {"row": row, "design": design}
        line |= {k: last[k] for k in ("samples", "value", "low", "high")}
        for control, bar in bars.items():
            below = curve["samples"][~(curve["low"] > bar)]
            after = curve[curve["samples"] > below.max()] if len(below) else curve
            line[control] = float(after["samples"].min())  # NaN if it never is
        lines.append(line)
    columns = ["row", "design", "samples", "value", "low", "high", *controls]
    return pd.DataFrame(lines, columns=columns)
