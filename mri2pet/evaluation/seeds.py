"""Spread over trainings: the same row, trained again with other seeds."""

from __future__ import annotations

import re

import pandas as pd
from scipy import stats

_SEED = re.compile(r"seed\d+")


def over_seeds(tidy: pd.DataFrame, *, level: float = 0.95) -> list[dict]:
    """Means over trainings, and differences to `mri2pet` paired by seed.

    Parameters
    ----------
    tidy : DataFrame
        Columns of `mri2pet.evaluation.scoring.summarise`. A row's trainings are its
        default line and the variants ``seed1``, ``seed2``...
    level : float
        Of the Student intervals.

    Returns
    -------
    list of dict
        Lines of a tidy table with ``variant="seeds"``, ``interval="seeds"`` and ``n``
        the number of trainings; empty if no row was trained twice.

    Examples
    --------
    >>> base = {"row": "vanilla", "design": "corrected", "metric": "ssim",
    ...         "region": "brain", "comparison": ""}
    >>> values = {"": 0.80, "seed1": 0.82, "seed2": 0.84}
    >>> lines = [{**base, "variant": k, "value": v} for k, v in values.items()]
    >>> [line] = over_seeds(pd.DataFrame(lines))
    >>> print(f"{line['n']} trainings: {line['value']:.2f} to {line['high']:.2f}")
    3 trainings: 0.82 to 0.87
    """
    value = tidy[tidy["comparison"].fillna("") == ""]
    number = value["variant"].fillna("")
    value = value[(number == "") | number.str.fullmatch(_SEED)]
    found = value.pivot_table(
        index=["row", "design", "metric", "region"],
        columns="variant",
        values="value",
        sort=False,
    )
    found = found[found.notna().sum(axis=1) > 1]
    lines = []
    for (row, design, metric, region), values in found.iterrows():
        base = {"row": row, "design": design, "metric": metric, "region": region}
        lines.append({**base, "comparison": "", **_student(values, level)})
        reference = ("mri2pet", design, metric, region)
        if row != "mri2pet" and reference in found.index:
            gap = values - found.loc[reference]
            if gap.notna().sum() > 1:
                lines.append({**base, "comparison": "mri2pet", **_student(gap, level)})
    return lines


def _student(values: pd.Series, level: float) -> dict:
    values = values.dropna()
    n = len(values)
    half = stats.t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / n**0.5
    mean = values.mean()
    ends = {"value": mean, "low": mean - half, "high": mean + half}
    return {"variant": "seeds", **ends, "interval": "seeds", "n": n}
