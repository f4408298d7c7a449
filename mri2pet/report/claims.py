"""Verdicts on what the paper claims about Table 1, made from results.

The rule, for each comparison in a claim:

1. Both rows must have learned to show a person: their masked SSIM must lie above that
   of `random_subject`, interval apart from interval, and the checks for failures
   (collapsed, copied...) must have found nothing. Otherwise the comparison is *not
   testable at this budget*.
2. The paired difference decides: its interval lies on the claimed side of 0
   (*reproduced*), on the other side (*not reproduced*), or covers 0 (*not resolved*).

A claim of several comparisons is reproduced if all are, and not reproduced if one is
refuted; in between it is as weak as its weakest part. The same claim is judged in
both designs; the paper's own is `published`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import yaml

from mri2pet import paths
from mri2pet.evaluation import published as paper
from mri2pet.report.discussion import interval, shows_a_brain, some
from mri2pet.report.labels import ROW_LABELS
from mri2pet.report.tables import lookup

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
NOT_RESOLVED = "not resolved"
NOT_TESTABLE = "not testable at this budget"
NOT_RUN = "not yet run"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, NOT_RESOLVED, NOT_TESTABLE, NOT_RUN)

# Metrics of which less is better; the paper's name of a metric where it differs.
LOWER_IS_BETTER = {"mae", "fid_random", "suvr_error"}
PAPER_METRIC = {"fid_random": "fid"}
METRIC_NAMES = {
    "ssim": ("masked SSIM", "", 3),
    "psnr": ("masked PSNR", " dB", 2),
    "fid_random": ("Frechet distance (random features)", "", 1),
}
# SSIM and PSNR are judged inside the brain: the empty border of the box, which every
# method gets right, would otherwise decide.
REGION = {"fid_random": "whole"}
GATE = ("ssim", "brain")
_KEYS = {"id", "where", "idea", "row", "against", "metrics", "direction"}
_OPTIONAL = {"at_least", "margin"}


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper, as data (see `data/claims.yaml`)."""

    id: str
    where: str
    idea: str
    row: str
    against: tuple[str, ...]
    metrics: tuple[str, ...]
    direction: str
    at_least: float = 0.0
    margin: float = 0.0


def load_claims(path: Path | None = None) -> list[Claim]:
    """Read the claims.

    Raises
    ------
    ValueError
        On an unknown or missing key, a repeated id, or another direction than
        better, worse, similar.
    """
    path = paths.data_dir() / "claims.yaml" if path is None else Path(path)
    return list(_load(path, path.stat().st_mtime_ns))


@cache
def _load(path: Path, _changed: int) -> tuple[Claim, ...]:
    claims: dict[str, Claim] = {}
    for item in yaml.safe_load(path.read_text(encoding="utf-8")):
        wrong = (_KEYS - item.keys()) | (item.keys() - _KEYS - _OPTIONAL)
        if wrong:
            raise ValueError(f"{path}: {item.get('id')}: keys {sorted(wrong)}")
        if item["direction"] not in ("better", "worse", "similar"):
            raise ValueError(f"{path}: {item['id']}: direction {item['direction']!r}")
        if item["id"] in claims:
            raise ValueError(f"{path}: {item['id']} stands twice")
        lists = {k: tuple(item[k]) for k in ("against", "metrics")}
        claims[item["id"]] = Claim(**{**item, **lists})
    return tuple(claims.values())


def _difference(
    tidy: pd.DataFrame, claim: Claim, other: str, metric: str, design: str
) -> tuple[float, float, float] | None:
    """``row - other`` with its interval, whichever way round the table has it."""
    region = REGION.get(metric, "brain")
    other_design = _design_of(tidy, other, design)
    line = lookup(tidy, claim.row, design, metric, region, other)
    if line is not None:
        return line["value"], line["low"], line["high"]
    line = lookup(tidy, other, other_design, metric, region, claim.row)
    if line is not None:
        return -line["value"], -line["high"], -line["low"]
    return None


def _design_of(tidy: pd.DataFrame, row: str, design: str) -> str:
    designs = set(tidy.loc[tidy["row"] == row, "design"].fillna(""))
    return design if design in designs or not designs else ""


def _has(tidy: pd.DataFrame, row: str, design: str) -> bool:
    return lookup(tidy, row, _design_of(tidy, row, design), *GATE) is not None


def judge_comparison(
    tidy: pd.DataFrame,
    claim: Claim,
    other: str,
    metric: str,
    design: str,
    failed: Collection[tuple[str, str]] = (),
) -> dict:
    """Verdict on one comparison of a claim, with the numbers behind it.

    Returns
    -------
    dict
        claim, design, row, comparison, metric, region, value, low, high, gate (did
        both rows pass step 1), blocked (which did not), published (the paper's
        difference), verdict.
    """
    region = REGION.get(metric, "brain")
    nan = float("nan")
    line = {
        "claim": claim.id,
        "design": design,
        "row": claim.row,
        "comparison": other,
        "metric": metric,
        "region": region,
        "value": nan,
        "low": nan,
        "high": nan,
        "gate": False,
        "blocked": "",
        "published": _paper_difference(claim.row, other, metric),
    }
    if not (_has(tidy, claim.row, design) and _has(tidy, other, design)):
        return {**line, "verdict": NOT_RUN}
    found = _difference(tidy, claim, other, metric, design)
    if found is None:
        return {**line, "verdict": NOT_RUN}
    value, low, high = found
    line |= {"value": value, "low": low, "high": high}
    blocked = [
        row
        for row in (claim.row, other)
        if (row, design) in failed
        or not shows_a_brain(tidy, row, _design_of(tidy, row, design))
    ]
    line |= {"gate": not blocked, "blocked": ";".join(blocked)}
    if not line["gate"]:
        return {**line, "verdict": NOT_TESTABLE}
    base = lookup(tidy, other, _design_of(tidy, other, design), metric, region)
    scale = abs(base["value"]) if base is not None else nan
    return {**line, "verdict": _decide(claim, metric, low, high, scale)}


def _decide(claim: Claim, metric: str, low: float, high: float, scale: float) -> str:
    if claim.direction == "similar":
        margin = claim.margin * scale
        if -margin <= low and high <= margin:
            return REPRODUCED
        return NOT_REPRODUCED if low > margin or high < -margin else NOT_RESOLVED
    up = (claim.direction == "better") != (metric in LOWER_IS_BETTER)
    if not up:  # turn it so that the claim is: the difference is positive
        low, high = -high, -low
    needed = claim.at_least * scale
    if low > needed:
        return REPRODUCED
    return NOT_REPRODUCED if high < needed else NOT_RESOLVED


def _paper_difference(row: str, other: str, metric: str) -> float:
    name = PAPER_METRIC.get(metric, metric)
    try:
        a, b = (paper.value("table1", r, name) for r in (row, other))
    except ValueError:
        return float("nan")
    return a - b


def combine(verdicts: list[str]) -> str:
    """Verdict on a claim from those on its comparisons.

    Examples
    --------
    >>> combine(["reproduced", "not resolved"]), combine(["reproduced"] * 2)
    ('not resolved', 'reproduced')
    """
    for verdict in (NOT_REPRODUCED, NOT_TESTABLE, NOT_RUN, NOT_RESOLVED):
        if verdict in verdicts:
            return verdict
    return REPRODUCED


def judge(
    tidy: pd.DataFrame,
    claims: list[Claim] | None = None,
    designs: tuple[str, ...] = ("published", "corrected"),
    failed: Collection[tuple[str, str]] = (),
) -> pd.DataFrame:
    """All comparisons of all claims in each design, with verdicts.

    Parameters
    ----------
    tidy : DataFrame
        The columns of `mri2pet.evaluation.scoring.summarise`.
    failed : collection of (row, design)
        Rows that the checks have found to have failed
        (`mri2pet.report.tables.noted`).

    Returns
    -------
    DataFrame
        One line per comparison (columns of `judge_comparison`), plus ``overall``, the
        verdict on the whole claim in that design.
    """
    claims = load_claims() if claims is None else claims
    blocks = []
    for design in designs:
        for claim in claims:
            lines = [
                judge_comparison(tidy, claim, other, metric, design, failed)
                for other in claim.against
                for metric in claim.metrics
            ]
            overall = combine([line["verdict"] for line in lines])
            blocks += [{**line, "overall": overall} for line in lines]
    return pd.DataFrame(blocks)


def claims_table(judged: pd.DataFrame, claims: list[Claim] | None = None):
    """One line per claim, for readers: idea, where, verdict in each design."""
    claims = load_claims() if claims is None else claims
    lines = []
    for claim in claims:
        mine = judged[judged["claim"] == claim.id]
        line = {"The paper says": claim.idea, "Where": claim.where}
        for design, part in mine.groupby("design", sort=False):
            line[f"Verdict ({design})"] = part["overall"].iloc[0]
        lines.append(line)
    return pd.DataFrame(lines)


def explain(judged: pd.DataFrame, claim_id: str, design: str) -> str:
    """One Markdown sentence: the claim's verdict in a design, and why.

    Raises
    ------
    ValueError
        If the claim was not judged in that design.
    """
    mine = judged[(judged["claim"] == claim_id) & (judged["design"] == design)]
    if mine.empty:
        raise ValueError(f"claim {claim_id!r} was not judged in design {design!r}")
    verdict = mine["overall"].iloc[0]
    if verdict == NOT_TESTABLE:
        blocked = dict.fromkeys(r for b in mine["blocked"] for r in b.split(";") if r)
        names = some([ROW_LABELS.get(r, r) for r in blocked], "rows")
        return (
            f"**{verdict.capitalize()}**: not above a random person's PET, or failed "
            f"in a check: {names}."
        )
    reasons = [
        _reason(line)
        for line in mine.to_dict("records")
        if verdict == REPRODUCED or line["verdict"] == verdict
    ]
    return f"**{verdict.capitalize()}**: {some(dict.fromkeys(reasons), 'comparisons')}."


def _reason(line: dict) -> str:
    row, other = (ROW_LABELS.get(line[k], line[k]) for k in ("row", "comparison"))
    if line["verdict"] == NOT_RUN:
        return f"{other} was not run here"
    name, unit, digits = METRIC_NAMES.get(line["metric"], (line["metric"], "", 3))
    found = interval(line["value"], line["low"], line["high"], digits)
    return f"{name} of {row} minus {other} is {found}{unit}"
