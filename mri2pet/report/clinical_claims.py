"""Verdicts on what the paper claims about Tables 2 and 3, made from results.

The rule, for each comparison in a claim:

1. Something must have been learned: one of the two settings must be above guessing,
   with its whole interval over people (macro AUROC above one half; r with MMSE above
   0). Where a claim is that two are alike it must be the second, since two coins are
   alike, too; and what two predictions have in common is diagnostic only if the
   predictor predicts. Otherwise the comparison is *not testable at this budget*.
2. The paired difference decides, by its interval **over people**: it lies on the
   claimed side of 0 (*reproduced*), on the other side (*not reproduced*), or touches 0
   (*not resolved*). The interval over seeds decides nothing.

With fewer than 30 people any verdict is marked *illustrative*. A claim of several
comparisons is as weak as its weakest part (`mri2pet.report.claims.combine`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import yaml

from mri2pet import paths
from mri2pet.evaluation import published as paper
from mri2pet.report.claims import (
    NOT_REPRODUCED,
    NOT_RESOLVED,
    NOT_RUN,
    NOT_TESTABLE,
    REPRODUCED,
    combine,
)
from mri2pet.report.discussion import interval, some
from mri2pet.report.downstream import (
    BETTER,
    HEADINGS,
    MORE_IS_BETTER,
    OPEN,
    difference,
    is_illustrative,
    label_of,
    outcome,
    value_of,
)
from mri2pet.report.tables import lookup

CHANCE = "chance"
ILLUSTRATIVE = " (illustrative)"
_TABLES = {"table2": "all", "table3": "mmse_20", "agreement": "mmse_20"}
_KEYS = {"id", "table", "where", "idea", "pairs", "metrics", "direction"}
_OPTIONAL = {"region", "margin"}


@dataclass(frozen=True)
class ClinicalClaim:
    """One sentence of the paper, as data (see `data/claims_clinical.yaml`)."""

    id: str
    table: str
    where: str
    idea: str
    pairs: tuple[tuple[str, str], ...]
    metrics: tuple[str, ...]
    direction: str
    region: str
    margin: float = 0.0


def load_clinical_claims(*tables: str, path: Path | None = None) -> list[ClinicalClaim]:
    """Read the claims about some tables, all by default.

    Raises
    ------
    ValueError
        On an unknown or missing key, table or direction, or a repeated id.
    """
    path = paths.data_dir() / "claims_clinical.yaml" if path is None else Path(path)
    found = _load(path, path.stat().st_mtime_ns)
    return [claim for claim in found if not tables or claim.table in tables]


@cache
def _load(path: Path, _changed: int) -> tuple[ClinicalClaim, ...]:
    claims: dict[str, ClinicalClaim] = {}
    for item in yaml.safe_load(path.read_text(encoding="utf-8")):
        name = item.get("id")
        wrong = (_KEYS - item.keys()) | (item.keys() - _KEYS - _OPTIONAL)
        if wrong:
            raise ValueError(f"{path}: {name}: keys {sorted(wrong)}")
        if item["table"] not in _TABLES:
            raise ValueError(f"{path}: {name}: table {item['table']!r}")
        if item["direction"] not in ("better", "similar"):
            raise ValueError(f"{path}: {name}: direction {item['direction']!r}")
        if name in claims:
            raise ValueError(f"{path}: {name} stands twice")
        region = item.get("region", _TABLES[item["table"]])
        pairs = tuple((row, other) for row, other in item["pairs"])
        lists = {"pairs": pairs, "metrics": tuple(item["metrics"]), "region": region}
        claims[name] = ClinicalClaim(**{**item, **lists})
    return tuple(claims.values())


def judge_clinical(
    tables: Mapping[str, pd.DataFrame],
    claims: list[ClinicalClaim] | None = None,
    designs: tuple[str, ...] = ("corrected",),
) -> pd.DataFrame:
    """All comparisons of all claims, with verdicts.

    Parameters
    ----------
    tables : mapping
        "table2", "table3", "agreement" -> tidy frame; those that the claims are about.
        `agreement` needs `table3`, too.
    claims : list of ClinicalClaim, optional
    designs : tuple of str
        Of the generator.

    Returns
    -------
    DataFrame
        claim, design, row, comparison, metric, region, value, low, high, published (the
        paper's difference), illustrative, blocked (settings not above guessing),
        verdict; and ``overall``, the verdict on the claim in that design.
    """
    blocks = []
    for design in designs:
        for claim in load_clinical_claims() if claims is None else claims:
            lines = [
                _judge_one(tables, claim, row, other, metric, design)
                for row, other in claim.pairs
                for metric in claim.metrics
            ]
            overall = combine([line["verdict"] for line in lines])
            blocks += [{**line, "overall": overall} for line in lines]
    return pd.DataFrame(blocks)


def _judge_one(tables, claim, row, other, metric, design) -> dict:
    tidy = tables[claim.table]
    found = _find(tidy, claim, row, other, metric, design)
    line = {
        "claim": claim.id,
        "design": design,
        "row": row,
        "comparison": other,
        "metric": metric,
        "region": claim.region,
        **dict.fromkeys(("value", "low", "high"), math.nan),
        "published": _paper_difference(claim, row, other, metric),
        "illustrative": is_illustrative(tidy, claim.region),
        "blocked": "",
    }
    if found is None:
        return {**line, "verdict": NOT_RUN}
    line |= {k: found[k] for k in ("value", "low", "high")}
    line["blocked"] = _blocked(tables, claim, row, other, design)
    if line["blocked"]:
        return {**line, "verdict": NOT_TESTABLE}
    if claim.direction == "similar":
        base = value_of(tidy, other, metric, claim.region, design=design)
        return {**line, "verdict": _alike(found, claim.margin * abs(base["value"]))}
    side = outcome(found, metric)
    verdict = {BETTER: REPRODUCED, OPEN: NOT_RESOLVED}.get(side, NOT_REPRODUCED)
    return {**line, "verdict": verdict}


def _find(tidy, claim, row, other, metric, design) -> pd.Series | None:
    if claim.table != "agreement":
        return difference(tidy, row, other, metric, claim.region, design=design)
    # Here the design is that of the synthetic PETs, whatever the setting.
    part = tidy[tidy["interval"] == "people"]
    if other == CHANCE:
        return lookup(part, row, design, metric, claim.region)
    variant = other.partition("/")[2]
    line = lookup(part, row, design, metric, claim.region, row, variant)
    if line is None:
        return None
    turned = {"value": -line["value"], "low": -line["high"], "high": -line["low"]}
    return pd.Series({**line.to_dict(), **turned})


def _alike(line: pd.Series, margin: float) -> str:
    if -margin <= line["low"] and line["high"] <= margin:
        return REPRODUCED
    apart = line["low"] > margin or line["high"] < -margin
    return NOT_REPRODUCED if apart else NOT_RESOLVED


def above_guessing(
    tidy: pd.DataFrame, row: str, region: str, design: str = "corrected"
) -> bool:
    """Whether a setting tells people apart, with its whole interval over people."""
    metric = "auroc_macro" if region == "all" else "pearson_r"
    line = value_of(tidy, row, metric, region, design=design)
    return line is not None and line["low"] > HEADINGS[metric][2]


def _blocked(tables, claim, row, other, design) -> str:
    """Settings that would have to be above guessing; empty if one is."""
    if claim.table == "agreement":
        # That two predictions correlate can be seen whatever they are worth.
        tidy, rows = tables["table3"], () if other == CHANCE else (row,)
    else:
        tidy = tables[claim.table]
        rows = (other,) if claim.direction == "similar" else (row, other)
    above = [above_guessing(tidy, r, claim.region, design) for r in rows]
    return "" if any(above) or not rows else ";".join(rows)


def _paper_difference(claim, row, other, metric) -> float:
    if claim.table == "agreement":
        return paper.fact("r_real_generated") if other == CHANCE else math.nan
    if claim.region == "full_range":
        return math.nan
    try:
        a, b = (paper.value(claim.table, r, metric) for r in (row, other))
    except ValueError:
        return math.nan
    return a - b


def verdicts_table(judged: pd.DataFrame, claims: list[ClinicalClaim]) -> pd.DataFrame:
    """One line per claim, for readers: idea, where, verdict."""
    designs = list(dict.fromkeys(judged["design"]))
    lines = []
    for claim in claims:
        line = {"The paper says": claim.idea, "Where": claim.where}
        for design in designs:
            mine = _of(judged, claim.id, design).iloc[0]
            head = "Verdict" if len(designs) == 1 else f"Verdict ({design})"
            line[head] = _verdict(mine)
        lines.append(line)
    return pd.DataFrame(lines)


def _verdict(line) -> str:
    few = line["illustrative"] and line["overall"] not in (NOT_RUN, NOT_TESTABLE)
    return line["overall"] + ILLUSTRATIVE * bool(few)


def _of(judged: pd.DataFrame, claim_id: str, design: str) -> pd.DataFrame:
    mine = judged[(judged["claim"] == claim_id) & (judged["design"] == design)]
    if mine.empty:
        raise ValueError(f"claim {claim_id!r} was not judged in design {design!r}")
    return mine


def explain_clinical(
    judged: pd.DataFrame, claim_id: str, design: str = "corrected"
) -> str:
    """One Markdown sentence: the claim's verdict, and the numbers that decided it.

    Raises
    ------
    ValueError
        If the claim was not judged in that design.
    """
    mine = _of(judged, claim_id, design)
    overall, verdict = mine["overall"].iloc[0], _verdict(mine.iloc[0])
    if overall == NOT_TESTABLE:
        blocked = (row for rows in mine["blocked"] for row in rows.split(";") if row)
        names = dict.fromkeys(label_of(row) for row in blocked)
        reason = (
            f"not above guessing with the whole interval: {some(names, 'settings')}"
        )
        return f"**{verdict.capitalize()}**: {reason}."
    reasons = dict.fromkeys(
        _reason(line)
        for line in mine.to_dict("records")
        if overall == REPRODUCED or line["verdict"] == overall
    )
    return f"**{verdict.capitalize()}**: {some(reasons, 'comparisons')}."


def _reason(line: dict) -> str:
    row, other = label_of(line["row"]), label_of(line["comparison"])
    if line["verdict"] == NOT_RUN:
        return f"{row} or {other} was not run here"
    heading, digits, _ = HEADINGS[line["metric"]]
    name = heading.split(" [")[0]
    found = interval(line["value"], line["low"], line["high"], digits)
    if line["comparison"] == CHANCE:
        return f"{name} between the two predictions of {row} is {found}"
    better = "" if MORE_IS_BETTER[line["metric"]] else " (less is better)"
    return f"{name} of {row} minus {other} is {found}{better}"
