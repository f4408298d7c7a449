"""Two visits in sentences: whether the synthetic change follows the real one.

With fewer than six people no direction is named: even if all agreed, a sign test could
not tell that from luck.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from mri2pet.evaluation.changes import CLEAR_CHANGE
from mri2pet.report.case_words import LABELS, MAIN, ROWS, plain
from mri2pet.report.discussion import BETTER, OPEN, WORSE, interval, signed
from mri2pet.report.tables import FEW_PEOPLE, lookup

LEAST = 6  # people; 2 / 2**5 is above 0.05


def judged(
    line: Mapping[str, float] | pd.Series, at: float, *, more_is_better: bool = True
) -> str:
    """Better, worse or not resolved, against a value; open with too few people.

    Examples
    --------
    >>> line = {"low": 0.6, "high": 0.9, "n": 20}
    >>> judged(line, 0.5), judged(line, 0.7), judged({**line, "n": 5}, 0.5)
    ('better', 'not resolved', 'not resolved')
    """
    if line["n"] < LEAST or not math.isfinite(line["low"]):
        return OPEN
    above, below = line["low"] > at, line["high"] < at
    if not more_is_better:
        above, below = below, above
    return BETTER if above else WORSE if below else OPEN


def visits_words(tidy: pd.DataFrame) -> list[str]:
    """Whether the synthetic PET changes as the real one, over all with two visits."""
    change = tidy[(tidy["metric"] == "suvr_change") & (tidy["row"] == "real_pet")]
    real = change["value"].to_numpy(float)
    if len(real) == 0:
        return ["No test person has two visits, so nothing can be said about change."]
    clear = int((np.abs(real) >= CLEAR_CHANGE).sum())
    opening = (
        f"{len(real)} test people have two visits. Their real composite changes by "
        f"{signed(real.min(), 2)} to {signed(real.max(), 2)} SUVR, and in {clear} of "
        f"them by {CLEAR_CHANGE:g} or more, which a repeated scan would hardly show."
    )
    if len(real) < LEAST:
        opening += (
            f" With {len(real)} people no direction can be judged: the numbers below "
            "only illustrate."
        )
    elif len(real) < FEW_PEOPLE:
        opening += f" With {len(real)} people the intervals below only illustrate."
    paragraphs = [opening, _signs(tidy), _change_errors(tidy)]
    if len(real) >= LEAST:  # the slope of a few people is any number
        paragraphs.insert(2, _sizes(tidy))
    return [text for text in paragraphs if text]


def _rows(tidy: pd.DataFrame, metric: str, *, truth: bool = True):
    keys = [*ROWS, ("truth", "")] if truth else ROWS
    for key in keys:
        line = lookup(tidy, *key, metric, "composite", variant="two_visits")
        if line is not None and math.isfinite(line["value"]):
            yield key, line


def _signs(tidy: pd.DataFrame) -> str:
    said = {
        BETTER: "more often than a coin",
        WORSE: "less often than a coin",
        OPEN: "which a coin could do",
    }
    parts = []
    for key, line in _rows(tidy, "change_sign"):
        hits, n = round(line["value"] * line["n"]), int(line["n"])
        parts.append(
            f"{_name(key[0])} {hits} of {n} ({_percent(line)}), "
            f"{said[judged(line, 0.5)]}"
        )
    return f"**Sign.** The change has the real one's sign in: {'; '.join(parts)}."


def _sizes(tidy: pd.DataFrame) -> str:
    parts = []
    for key, line in _rows(tidy, "change_slope"):
        none, whole = judged(line, 0.0), judged(line, 1.0)
        if none == OPEN:
            word = "a relation is not resolved"
        elif none == WORSE:
            word = "the wrong way round"
        elif whole == WORSE:
            word = "too small"
        elif whole == BETTER:
            word = "too large"
        else:
            word = "the right size within its interval"
        text = interval(line["value"], line["low"], line["high"], 2)
        parts.append(f"{_name(key[0])} {text}, {word}")
    if not parts:
        return ""
    text = (
        "**Size.** For a real change of 1 SUVR the synthetic PET changes by: "
        f"{'; '.join(parts)}."
    )
    if any(key[0] == "truth" for key, _ in _rows(tidy, "change_slope")):
        text += (
            " The noise-free uptake shows the best slope that can be had, since a part "
            "of each measured change is noise."
        )
    return text


def _change_errors(tidy: pd.DataFrame) -> str:
    base = lookup(tidy, "no_change", "", "change_error", "composite", "", "two_visits")
    words = {BETTER: "less wrong", WORSE: "more wrong", OPEN: "not resolved"}
    parts = []
    for key, _ in _rows(tidy, "change_error", truth=False):
        where = (*key, "change_error", "composite", "no_change", "two_visits")
        line = lookup(tidy, *where)
        found = judged(line, 0.0, more_is_better=False)
        text = interval(line["value"], line["low"], line["high"], 3)
        parts.append(f"{_name(key[0])} {text}, {words[found]}")
    if not parts:
        return ""
    text = (
        f"**Error.** To say that nothing changes errs by {base['value']:.3f} SUVR on "
        f"average. Against that: {'; '.join(parts)}."
    )
    line = lookup(tidy, *MAIN, "change_error", "composite", "no_change", "two_visits")
    found = judged(line, 0.0, more_is_better=False)
    meaning = {
        BETTER: "So the synthetic PET of the method tells something of the change.",
        WORSE: "So who wants to know the change errs less without the synthetic PET.",
        OPEN: "So it is not shown that the synthetic PET tells of the change.",
    }
    return f"{text} {meaning[found]}"


def _percent(line: pd.Series) -> str:
    value, low, high = (f"{100 * line[k]:.0f}" for k in ("value", "low", "high"))
    return f"{value} % [{low}, {high}]"


def _name(row: str) -> str:
    return LABELS[row] if row == "mri2pet" else f"the {plain(row)}"
