"""Which of the paper's sentences on ambiguous atrophy survive, judged by rule.

The rule, for each measure of a claim:

1. A synthetic row must show a brain: its masked SSIM must lie above that of a random
   person's PET, interval apart from interval. Otherwise, and where the number does not
   exist (no truth, no spread, nobody left), the measure is *not testable*, and the
   reason is given. Only the largest change of a voxel passes without: whether a network
   that sees the same MRI makes the same PET does not depend on how good it is.
2. The interval decides. *positive* and *negative*: on that side of 0. *nonzero*: apart
   from 0, or for the largest change of a voxel, not 0. *zero*: within the margin.
   *below_one*: below 1. On the other side the measure is *not reproduced*; a number
   that is exactly 0 in everybody is no effect, so it refutes one. In between it is *not
   resolved*.

A claim is reproduced if all its measures are, and not reproduced if one is refuted; in
between it is as weak as its weakest measure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import yaml

from mri2pet import paths
from mri2pet.report.claims import NOT_REPRODUCED, NOT_RESOLVED, REPRODUCED
from mri2pet.report.discussion import shows_a_brain
from mri2pet.report.tables import lookup

NOT_TESTABLE = "not testable"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, NOT_RESOLVED, NOT_TESTABLE)
DIRECTIONS = ("positive", "negative", "nonzero", "zero", "below_one")
ROW = "mri2pet"
_KEYS = {"id", "where", "idea", "asks"}
_OPTIONAL = {"measures", "premise"}
_MEASURE = {"metric", "expects"}
_MEASURE_OPTIONAL = {"row", "variant", "comparison", "margin"}

# What the measures are called in a sentence, with digits.
NAMES = {
    "atrophy": "atrophy",
    "stage": "the clinical stage",
    "amyloid": "amyloid",
    "ventricle_ml": "ventricle volume",
    "cortex_mm": "cortical thickness",
    "gm_ml": "grey matter",
    "ventricle_mri_ml": "dark volume in the MRI",
    "sharpness": "sharpness (detail relative to the real scan)",
    "sharpness_mean": "sharpness of the mean of samples",
    "aligned": "detail at its place",
    "detail": "detail",
    "edge": "slope at the cortex",
    "ssim": "masked SSIM",
    "composite": "composite SUVR",
    "spread": "spread in the brain",
    "spread_composite": "spread of the composite",
    "entropy": "entropy of the amyloid call",
    "dispersion": "spread announced over error made",
}
ROW_NAMES = {
    "mri2pet": "MRI2PET",
    "regression_unet": "Regression U-Net",
    "real_pet": "Real PET",
    "ideal": "Perfect reader",
    "mri": "MRI",
}


@dataclass(frozen=True)
class Measure:
    """One number that a claim is about, and what it should be."""

    metric: str
    expects: str
    row: str = ROW
    variant: str = ""
    comparison: str = ""
    margin: float = 0.0


@dataclass(frozen=True)
class Sentence:
    """One sentence of the paper, as data (see `data/claims_appendix_c.yaml`)."""

    id: str
    where: str
    idea: str
    asks: str
    measures: tuple[Measure, ...] = ()
    premise: str = ""


def load_sentences(path: Path | None = None) -> list[Sentence]:
    """Read the sentences.

    Raises
    ------
    ValueError
        On an unknown or missing key, a repeated id, another direction than
        `DIRECTIONS`, or a sentence with neither measures nor a premise, or with both.
    """
    path = paths.data_dir() / "claims_appendix_c.yaml" if path is None else Path(path)
    return list(_load(path, path.stat().st_mtime_ns))


@cache
def _load(path: Path, _changed: int) -> tuple[Sentence, ...]:
    found: dict[str, Sentence] = {}
    for item in yaml.safe_load(path.read_text(encoding="utf-8")):
        name = f"{path}: {item.get('id')}"
        _check_keys(name, item, _KEYS, _OPTIONAL)
        if item["id"] in found:
            raise ValueError(f"{name} stands twice")
        if ("measures" in item) == ("premise" in item):
            raise ValueError(f"{name}: expected either measures or a premise")
        for measure in item.get("measures", ()):
            _check_keys(name, measure, _MEASURE, _MEASURE_OPTIONAL)
            if measure["expects"] not in DIRECTIONS:
                raise ValueError(f"{name}: expects {measure['expects']!r}")
        measures = tuple(Measure(**m) for m in item.get("measures", ()))
        found[item["id"]] = Sentence(**{**item, "measures": measures})
    return tuple(found.values())


def _check_keys(name: str, item: dict, needed: set[str], optional: set[str]) -> None:
    wrong = (needed - item.keys()) | (item.keys() - needed - optional)
    if wrong:
        raise ValueError(f"{name}: keys {sorted(wrong)}")


def judge(
    tidy: pd.DataFrame,
    notes: pd.DataFrame | None = None,
    sentences: list[Sentence] | None = None,
    designs: tuple[str, ...] = ("corrected", "published"),
) -> pd.DataFrame:
    """Verdicts on all measures of all sentences in each design.

    Parameters
    ----------
    tidy : DataFrame
        Of `mri2pet.stages.appendix_c.appendix_c`.
    notes : DataFrame, optional
        `results/appendix_c_notes.csv`, for the reasons.

    Returns
    -------
    DataFrame
        A line for each measure: claim, design, row, variant, metric, comparison,
        expects, value, low, high, n, verdict, reason (why not testable); and
        ``overall``, the verdict on the sentence in that design.
    """
    sentences = load_sentences() if sentences is None else sentences
    blocks = []
    for design in designs:
        for sentence in sentences:
            lines = [
                _judged(tidy, notes, sentence, measure, design)
                for measure in sentence.measures
            ]
            if sentence.premise:
                lines = [_untested(sentence.id, design, sentence.premise)]
            overall = combine([line["verdict"] for line in lines])
            blocks += [{**line, "overall": overall} for line in lines]
    return pd.DataFrame(blocks)


def _untested(claim: str, design: str, reason: str, **known) -> dict:
    nan = float("nan")
    empty = dict.fromkeys(("row", "variant", "metric", "comparison", "expects"), "")
    numbers = {"value": nan, "low": nan, "high": nan, "n": 0}
    verdict = {"verdict": NOT_TESTABLE, "reason": reason}
    return {"claim": claim, "design": design, **empty, **numbers, **known, **verdict}


def _judged(tidy, notes, sentence: Sentence, measure: Measure, design: str) -> dict:
    own = design if measure.row == ROW else ""
    known = {
        key: getattr(measure, key)
        for key in ("row", "variant", "metric", "comparison", "expects")
    }
    line = find(tidy, measure.row, own, measure.metric, measure.variant,
                measure.comparison)  # fmt: skip
    if line is None:
        return _untested(sentence.id, design, _why(notes, measure, own), **known)
    known |= {key: line[key] for key in ("value", "low", "high", "n")}
    gated = measure.row == ROW and measure.metric != "max_change"
    if gated and not shows_a_brain(tidy, ROW, own):
        reason = "MRI2PET is not above a random person's PET in masked SSIM"
        return _untested(sentence.id, design, reason, **known)
    verdict = decide(measure, line["value"], line["low"], line["high"])
    if verdict == NOT_TESTABLE:
        reason = "it is the same for everybody, or too few people are left"
        return _untested(sentence.id, design, reason, **known)
    about = {"claim": sentence.id, "design": design, **known}
    return {**about, "verdict": verdict, "reason": ""}


def find(
    tidy: pd.DataFrame,
    row: str,
    design: str,
    metric: str,
    variant: str = "",
    comparison: str = "",
) -> pd.Series | None:
    """A line of the table, wherever in the brain the metric is taken."""
    mine = tidy[(tidy["metric"] == metric) & (tidy["row"] == row)]
    if mine.empty:
        return None
    region = mine["region"].iloc[0]
    return lookup(tidy, row, design, metric, region, comparison, variant)


def decide(measure: Measure, value: float, low: float, high: float) -> str:
    """Verdict from a number and its interval, by the rule of this module."""
    if measure.metric == "max_change" and math.isfinite(value):
        nothing = value == 0
        return REPRODUCED if nothing == (measure.expects == "zero") else NOT_REPRODUCED
    if not (math.isfinite(low) and math.isfinite(high)):
        return NOT_TESTABLE
    if measure.expects == "zero":
        if -measure.margin <= low and high <= measure.margin:
            return REPRODUCED
        outside = low > measure.margin or high < -measure.margin
        return NOT_REPRODUCED if outside else NOT_RESOLVED
    if low == high == 0 and measure.expects != "below_one":
        return NOT_REPRODUCED
    if measure.expects == "nonzero":
        return REPRODUCED if low > 0 or high < 0 else NOT_RESOLVED
    if measure.expects == "below_one":
        low, high = 1 - high, 1 - low
    elif measure.expects == "negative":
        low, high = -high, -low
    if low > 0:
        return REPRODUCED
    return NOT_REPRODUCED if high < 0 else NOT_RESOLVED


def _why(notes: pd.DataFrame | None, measure: Measure, design: str) -> str:
    """Why a number is not there."""
    if notes is None:
        return "it was not made here"
    mine = notes[(notes["row"] == measure.row) & (notes["design"] == design)]
    if measure.row != ROW:  # a perfect reader misses what the whole stage misses
        mine = notes
    wanted = measure.variant or measure.comparison.partition("/")[2]
    for kind, variant, note in zip(
        mine["kind"], mine["variant"], mine["note"], strict=True
    ):
        gone = kind == "missing" and (wanted in variant if wanted else not variant)
        if gone or (kind == "missing" and measure.row != ROW):
            return note.rstrip(".")
    for kind, note in zip(mine["kind"], mine["note"], strict=True):
        if kind in ("one_sample", "no_spread"):
            return note.rstrip(".")
    return "it was not made in this design" if design else "it was not made here"


def combine(verdicts: list[str]) -> str:
    """Verdict on a sentence from those on its measures.

    Examples
    --------
    >>> combine(["reproduced", "not resolved"]), combine(["reproduced"] * 2)
    ('not resolved', 'reproduced')
    """
    for verdict in (NOT_REPRODUCED, NOT_TESTABLE, NOT_RESOLVED):
        if verdict in verdicts:
            return verdict
    return REPRODUCED
