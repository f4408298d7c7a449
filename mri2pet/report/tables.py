"""Tables for readers, made from the tidy results and from nothing else.

`mri2pet.evaluation.scoring.summarise` makes the tidy frame; `wide_table1` turns it
into the table of chapter 9, and `mri2pet.report.latex.to_latex` that into a file which
a paper can include. All three carry the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from mri2pet.config import CONTROLS
from mri2pet.evaluation import published as paper
from mri2pet.report.labels import METRIC_LABELS, PAPER_LABELS, ROW_LABELS
from mri2pet.report.latex import to_latex

__all__ = [
    "METRIC_LABELS",
    "ROW_LABELS",
    "cell",
    "is_illustrative",
    "lookup",
    "notes_table",
    "paired_table",
    "people_of",
    "sorted_rows",
    "to_latex",
    "wide_table1",
]


NOT_RUN = "not yet run"
NOT_MADE = "not made"
MARK = " †"  # behind the name of a row that has a note
FEW_PEOPLE = 30


def lookup(
    tidy: pd.DataFrame,
    row: str,
    design: str,
    metric: str,
    region: str,
    comparison: str = "",
    variant: str = "",
) -> pd.Series | None:
    """The one line of a tidy frame, or None where it is missing.

    Raises
    ------
    ValueError
        If two lines fit.
    """
    wanted = {
        "row": row,
        "design": design,
        "metric": metric,
        "region": region,
        "comparison": comparison,
        "variant": variant,
    }
    fits = pd.Series(True, index=tidy.index)
    for column, content in wanted.items():
        fits &= tidy[column].fillna("") == content
    if fits.sum() > 1:
        raise ValueError(f"{fits.sum()} lines fit {wanted}")
    return tidy[fits].iloc[0] if fits.any() else None


def people_of(tidy: pd.DataFrame) -> int:
    """How many people stand behind a table (some lines count other things)."""
    return int(tidy.loc[tidy["interval"] == "people", "n"].max())


def is_illustrative(tidy: pd.DataFrame) -> bool:
    """Whether fewer than 30 people stand behind a table: then it only illustrates."""
    return people_of(tidy) < FEW_PEOPLE


def _number(value: float, digits: int) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    if abs(value) >= 1e4:
        return f"{value:.1e}"  # a diverged row: only its size matters
    text = f"{value:.{digits}f}"
    # minus zero is a rounding artefact
    return text.lstrip("-") if float(text) == 0 else text


def enough_digits(low: float, high: float, digits: int) -> int:
    """As many digits, and more if needed to show on which side of 0 an end lies.

    Examples
    --------
    >>> enough_digits(0.0002, 0.037, 3)
    4
    """
    while digits < 6 and any(end and round(end, digits) == 0 for end in (low, high)):
        digits += 1
    return digits


def cell(line: pd.Series | None, digits: int) -> str:
    """``value [low, high]`` of one line; the value alone without an interval."""
    if line is None:
        return ""
    if line["comparison"] and math.isfinite(line["low"]):
        digits = enough_digits(line["low"], line["high"], digits)
    text = _number(line["value"], digits)
    if math.isfinite(line["low"]) and math.isfinite(line["high"]):
        low, high = _number(line["low"], digits), _number(line["high"], digits)
        return f"{text} [{low}, {high}]"
    return text


def sorted_rows(tidy: pd.DataFrame) -> list[tuple[str, str]]:
    """(row, design) of a table as it is read: controls, published, corrected."""
    default = tidy[tidy["variant"].fillna("") == ""]
    keys = zip(default["row"], default["design"].fillna(""), strict=True)
    return _in_order(dict.fromkeys(keys))


def _in_order(keys) -> list[tuple[str, str]]:
    order, designs = list(ROW_LABELS), ["", "published", "corrected"]

    def place(key: tuple[str, str]):
        known = order.index(key[0]) if key[0] in order else len(order)
        return key[0] not in CONTROLS, designs.index(key[1]), known

    return sorted(keys, key=place)


def noted(notes: pd.DataFrame | None, *kinds: str) -> set[tuple[str, str]]:
    """(row, design) of the rows that have a note of one of these kinds."""
    if notes is None:
        return set()
    mine = notes[notes["kind"].isin(kinds) & (notes["variant"].fillna("") == "")]
    return set(zip(mine["row"], mine["design"].fillna(""), strict=True))


def notes_table(notes: pd.DataFrame) -> pd.DataFrame:
    """Notes of a table for readers: what has failed and what is missing, and why.

    Parameters
    ----------
    notes : DataFrame
        Columns row, design, variant, kind, note (`results/table1_notes.csv`).

    Returns
    -------
    DataFrame of str
        ``Row``, ``Design``, ``Note``; rows with the same note share a line.
    """
    lines: dict[tuple[str, str], list[str]] = {}
    notes = notes.fillna("")
    for line in notes.to_dict("records"):
        name = ROW_LABELS.get(line["row"], line["row"])
        if line["variant"]:
            name += f" ({line['variant'].replace('_', ' ')})"
        text = line["note"].rstrip(".")
        if line["kind"] == "missing":
            text = f"Missing: {text}"
        lines.setdefault((line["design"], text), []).append(name)
    return pd.DataFrame(
        [
            {"Row": ", ".join(names), "Design": design, "Note": text}
            for (design, text), names in lines.items()
        ],
        columns=["Row", "Design", "Note"],
    )


def wide_table1(
    tidy: pd.DataFrame,
    metrics: Mapping | None = None,
    *,
    notes: pd.DataFrame | None = None,
    show_not_run: bool = True,
) -> pd.DataFrame:
    """Table 1 as people read it: one line per row and design, controls on top.

    Parameters
    ----------
    tidy : DataFrame
        The columns of `summarise`.
    metrics : mapping, optional
        A part of `METRIC_LABELS`, in the order wanted.
    notes : DataFrame, optional
        As in `notes_table`: rows that have failed are marked, rows that could not be
        made have a line.
    show_not_run : bool
        Also list the paper's rows that were not run, with the paper's values.

    Returns
    -------
    DataFrame of str
        ``Row``, ``Design``, one column per metric as ``value [low, high]`` and the
        paper's values in columns of their own, marked "paper (ADNI)": they come from
        other data, at another scale, so they stand beside ours and not among them.
    """
    metrics = METRIC_LABELS if metrics is None else metrics
    printed = paper.beside_table1()
    default = tidy[tidy["variant"].fillna("") == ""]
    missing, failed = noted(notes, "missing"), noted(notes, "failure")
    keys = _in_order([*sorted_rows(tidy), *missing])
    if show_not_run:
        ran = {row for row, _ in keys} | set(CONTROLS)
        keys += [(row, None) for row in ROW_LABELS if row not in ran]
    lines = []
    for row, design in keys:
        line = {"Row": ROW_LABELS.get(row, row), "Design": design or ""}
        if (row, design) in failed | missing:
            line["Row"] += MARK
        for (metric, region), (heading, digits, _) in metrics.items():
            if design is None:
                line[heading] = NOT_RUN
            elif (row, design) in missing:
                line[heading] = NOT_MADE
            else:
                found = lookup(default, row, design, metric, region)
                line[heading] = cell(found, digits)
        for metric, (heading, digits) in PAPER_LABELS.items():
            line[heading] = ""
            if (row, metric) in printed and design != "corrected":
                value, source = printed[row, metric]
                line[heading] = _number(value, digits)
                if not source.startswith("paper"):  # the ablation it leaves out
                    line[heading] += " (log)"
        lines.append(line)
    floor = lookup(tidy, "real_pet", "", "fid_random", "whole", variant="floor")
    if floor is not None and ("fid_random", "whole") in metrics:
        heading, digits, _ = metrics["fid_random", "whole"]
        line = dict.fromkeys(lines[0] if lines else [], "")
        line["Row"] = "Other people's real PET (floor)"
        line[heading] = cell(floor, digits)
        lines.insert(0, line)
    return pd.DataFrame(lines)


def paired_table(
    tidy: pd.DataFrame,
    metric: str = "ssim",
    region: str = "brain",
    comparisons: tuple[str, ...] = ("mean_template", "regression_unet", "mri2pet"),
) -> pd.DataFrame:
    """Paired differences of every row to some others, one column per comparison.

    Returns
    -------
    DataFrame of str
        ``Row``, ``Design``, and ``minus <comparison>`` as ``value [low, high]``;
        bold where the interval excludes 0.
    """
    digits = METRIC_LABELS[metric, region][1]
    lines = []
    for row, design in sorted_rows(tidy):
        line = {"Row": ROW_LABELS.get(row, row), "Design": design}
        for other in comparisons:
            found = lookup(tidy, row, design, metric, region, other)
            text = cell(found, digits)
            if found is not None and (found["low"] > 0 or found["high"] < 0):
                text = f"**{text}**"
            line[f"minus {ROW_LABELS.get(other, other)}"] = text
        lines.append(line)
    return pd.DataFrame(lines)
