"""The paper's numbers, each with the place where it stands.

Prose, tables and figures take the paper's values from here and from nowhere else,
so that a digit can be wrong in one file only (`data/published/*.csv`).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mri2pet import paths

TABLES = (
    *("table1", "table2", "table3", "table4", "table5"),
    *("log_table1", "log_table3"),
)

# Rows of ours whose value in the paper stands under another row id.
_SAME_METHOD = {"mri2pet_published": "mri2pet"}


@dataclass(frozen=True)
class Entry:
    """One printed number.

    Attributes
    ----------
    value : float
    plus_minus : float or None
        As printed. In Tables 1-3 it is no 95 % interval (see the audit page); in
        Table 5 a standard deviation.
    stars : str
        As printed.
    source : str
        Where it stands.
    """

    value: float
    plus_minus: float | None
    stars: str
    source: str


def _directory() -> Path:
    return paths.data_dir() / "published"


@cache
def _read(table: str) -> dict[tuple[str, str], Entry]:
    if table not in TABLES:
        raise ValueError(f"no published table {table!r}; there are {', '.join(TABLES)}")
    path = _directory() / f"{table}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    entries: dict[tuple[str, str], Entry] = {}
    for line in lines:
        key = line["row"], line["metric"]
        if key in entries:
            raise ValueError(f"{path}: {key} stands twice")
        entries[key] = Entry(
            float(line["value"]),
            float(line["plus_minus"]) if line["plus_minus"] else None,
            line["stars"],
            line["source"],
        )
    return entries


def entry(table: str, row: str, metric: str) -> Entry:
    """Everything the paper prints in one cell.

    Raises
    ------
    ValueError
        If the table, the row or the metric does not exist; names what does.
    """
    entries = _read(table)
    if (row, metric) not in entries:
        rows = sorted({r for r, _ in entries})
        metrics = sorted({m for r, m in entries if r == row})
        known = f"row {row!r} has {metrics}" if metrics else f"rows are {rows}"
        raise ValueError(f"{table} has no {metric!r} of {row!r}: {known}")
    return entries[row, metric]


def value(table: str, row: str, metric: str) -> float:
    """One published number.

    Examples
    --------
    >>> value("table1", "mri2pet", "ssim")
    0.857
    """
    return entry(table, row, metric).value


def table(name: str):
    """Return a published table: row, metric, and the fields of `Entry`."""
    import pandas as pd

    return pd.DataFrame(
        [
            {"row": row, "metric": metric, **vars(e)}
            for (row, metric), e in _read(name).items()
        ]
    )


def beside_table1() -> dict[tuple[str, str], tuple[float, str]]:
    """(row, metric) -> (value, source): what stands beside the rows of `table1`.

    The ablation that the paper leaves out (`self_pretrained`) comes from the log that
    was released with the code, and its source says so.
    """
    found = {}
    for (row, metric), e in _read("table1").items():
        found[row, metric] = (e.value, f"paper, {e.source}")
    for metric in ("fid", "ssim", "psnr"):
        e = entry("log_table1", "self_pretrained", metric)
        found["self_pretrained", metric] = (e.value, e.source)
        for ours, theirs in _SAME_METHOD.items():
            found[ours, metric] = found[theirs, metric]
    return found


@cache
def _facts() -> dict[str, tuple[float, str, str]]:
    path = _directory() / "facts.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return {
            line["id"]: (float(line["value"]), line["unit"], line["source"])
            for line in csv.DictReader(file)
        }


def fact(name: str) -> float:
    """A single published or audited number by its id (`data/published/facts.csv`).

    Raises
    ------
    ValueError
        If there is no such id; names close ones.
    """
    return _fact(name)[0]


def fact_source(name: str) -> str:
    """Where a fact stands."""
    return _fact(name)[2]


def _fact(name: str) -> tuple[float, str, str]:
    facts = _facts()
    if name not in facts:
        from difflib import get_close_matches

        close = get_close_matches(name, facts, n=3, cutoff=0.4)
        raise ValueError(f"no fact {name!r} in facts.csv; did you mean {close}?")
    return facts[name]
