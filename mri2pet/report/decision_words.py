"""What a probability is worth, in tables and sentences written by the results.

A sentence about who is better, or about what helps, is chosen by the planned tests of
the stage `certainty` (Holm-adjusted) or by an interval, never typed.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mri2pet.report.case_words import LABELS as CASE_LABELS
from mri2pet.report.discussion import BETTER, OPEN, WORSE, interval
from mri2pet.report.tables import FEW_PEOPLE, cell, lookup, people_of

MAIN = ("mri2pet", "corrected")
ROWS = (
    MAIN,
    ("regression_unet", ""),
    ("mean_template", ""),
    ("covariates", ""),
    ("prevalence", ""),
)
LABELS = {
    **CASE_LABELS,
    "real_pet": "Real PET",
    "covariates": "Age, sex and APOE",
    "prevalence": "The same for everybody",
}
_INSIDE = {
    "real_pet": "the real PET",
    "covariates": "age, sex and APOE",
    "prevalence": "one probability for everybody",
    "regression_unet": "the regression U-Net",
    "mean_template": "the mean template",
}
# What a row is at a threshold, in words. With a difference of 0 in every resample it
# acts on the same people as a reference does.
_USE = {
    BETTER: "of use",
    WORSE: "worse than acting on everybody or on nobody",
    "treat_all": "it acts on everybody",
    "treat_none": "it acts on nobody",
    OPEN: "not resolved",
}
_LESS_IS_BETTER = ("brier", "aurc")


def name(row: str) -> str:
    """Name of a row within a sentence."""
    return _INSIDE.get(row, LABELS.get(row, row))


def thresholds(
    tidy: pd.DataFrame,
    letter: str = "t",
    metric: str = "net_benefit",
    key: tuple[str, str] = ("treat_all", ""),
) -> np.ndarray:
    """Values at which a metric was computed, from the variants, ascending."""
    mine = tidy[
        (tidy["row"] == key[0])
        & (tidy["design"] == key[1])
        & (tidy["metric"] == metric)
        & tidy["variant"].str.startswith(f"{letter}=")
    ]
    found = mine["variant"].str.removeprefix(f"{letter}=").astype(float)
    return np.sort(found.unique())


def verdict(test: pd.Series, level: float = 0.05) -> str:
    """Better, worse or not resolved, by an adjusted p-value."""
    if not test["p_holm"] < level:
        return OPEN
    less = test["metric"] in _LESS_IS_BETTER
    return BETTER if (test["value"] < 0) == less else WORSE


def scores_table(tidy: pd.DataFrame) -> pd.DataFrame:
    """Brier score, calibration error, area under the curve, refusal, of every row."""
    columns = {
        "Brier score": ("brier", 3),
        "ECE": ("ece", 3),
        "Positivity AUC": ("positivity_auc", 2),
        "Gain of refusing": ("refusal_gain_call", 2),
    }
    lines = []
    for row, design in (*ROWS, ("real_pet", "")):
        if lookup(tidy, row, design, "brier", "composite") is None:
            continue
        line = {"Probability from": LABELS[row]}
        for heading, (metric, digits) in columns.items():
            line[heading] = cell(lookup(tidy, row, design, metric, "composite"), digits)
            if metric == "ece":
                where = (row, design, "ece", "composite")
                floor = lookup(tidy, *where, variant="if_calibrated")
                line["ECE by chance"] = cell(floor, 3)
        lines.append(line)
    return pd.DataFrame(lines)


def notes_words(notes: pd.DataFrame) -> str:
    """What is missing, few or filled in, as a list; empty if nothing is."""
    lines = []
    for note in notes.fillna("").to_dict("records"):
        who = f"{LABELS.get(note['row'], note['row'])}: " if note["row"] else ""
        lines.append(f"- {who}{note['note']}.")
    return "\n".join(lines)


def decision_words(tidy: pd.DataFrame, tests: pd.DataFrame) -> list[str]:
    """Paragraphs that say what the probabilities are worth, and no more.

    Parameters
    ----------
    tidy, tests : DataFrame
        `results/certainty.csv` and `results/certainty_tests.csv`.

    Returns
    -------
    list of str
        How sure this is; calibration; the Brier score; the decision; refusal.
    """
    paragraphs = [
        _opening(tidy),
        _calibration(tidy),
        _brier(tidy, tests),
        _use(tests),
        _refusal(tidy, tests),
    ]
    return [text for text in paragraphs if text]


def _opening(tidy: pd.DataFrame) -> str:
    n = people_of(tidy)
    text = f"All intervals are over the same {n} test people, one visit each. "
    mine = lookup(tidy, *MAIN, "fitted_positive", "")
    if mine is None:
        return text + "The method itself gives no probability (see the notes)."
    known = int(mine["n"])
    text += (
        f"The calibration of rows that read a PET rests on {known} validation people, "
        f"{mine['value']:.0f} of them with amyloid"
    )
    without = lookup(tidy, *MAIN, "brier", "composite", variant="leave_one_out")
    if without is not None:
        text += (
            f"; without one of these, in turn, the Brier score of MRI2PET lies between "
            f"{without['low']:.3f} and {without['high']:.3f}"
        )
    text += ". "
    if min(n, known) < FEW_PEOPLE:
        text += "With so few people the directions may change with others."
    return text.strip()


def _calibration(tidy: pd.DataFrame) -> str:
    off, fine = [], []
    for key in (*ROWS, ("real_pet", "")):
        mine = lookup(tidy, *key, "ece", "composite")
        if mine is None:
            continue
        floor = lookup(tidy, *key, "ece", "composite", variant="if_calibrated")
        text = (
            f"{name(key[0])} {mine['value']:.2f} (by chance up to {floor['high']:.2f})"
        )
        (off if mine["value"] > floor["high"] else fine).append(text)
    text = "**Calibration.** "
    if off:
        text += f"The announced chances are off for {'; '.join(off)}. "
    if fine:
        text += (
            "A calibration error is there, but right chances would show as much in so "
            f"many people, for {'; '.join(fine)}. "
        )
    return text.strip()


def _brier(tidy: pd.DataFrame, tests: pd.DataFrame) -> str:
    mine = lookup(tidy, *MAIN, "brier", "composite")
    if mine is None:
        return ""
    text = f"**Error.** The Brier score of MRI2PET is {cell(mine, 3)}. "
    groups: dict[str, list[str]] = {BETTER: [], WORSE: [], OPEN: []}
    for test in _tests(tests, "brier"):
        size = interval(test["value"], test["low"], test["high"], 3)
        groups[verdict(test)].append(f"{name(test['comparison'])} {size}")
    for key, words in (
        (BETTER, "It is lower, so better, than that of"),
        (WORSE, "It is higher, so worse, than that of"),
        (OPEN, "Not resolved, after Holm's adjustment, against"),
    ):
        if groups[key]:
            text += f"{words} {'; '.join(groups[key])}. "
    return text.strip()


def _use(tests: pd.DataFrame) -> str:
    """Of use at a threshold: better than acting on everybody and than on nobody."""
    found = {}
    for key in (MAIN, ("regression_unet", ""), ("covariates", ""), ("real_pet", "")):
        mine = tests[
            (tests["metric"] == "net_benefit")
            & (tests["row"] == key[0])
            & (tests["design"].fillna("") == key[1])
        ]
        groups: dict[str, list[str]] = {key: [] for key in _USE}
        for variant, pair in mine.groupby("variant", sort=False):
            words = {verdict(test) for _, test in pair.iterrows()}
            same = pair[(pair["low"] == 0) & (pair["high"] == 0)]["comparison"]
            if WORSE in words:
                found_here = WORSE
            elif len(same):
                found_here = same.iloc[0]
            else:
                found_here = BETTER if words == {BETTER} else OPEN
            groups[found_here].append(variant.removeprefix("t="))
        if len(mine):
            found[name(key[0])] = groups
    if not found:
        return ""
    parts = []
    for who, groups in found.items():
        said = [
            f"{words} at {', '.join(groups[key])}"
            for key, words in _USE.items()
            if groups[key]
        ]
        parts.append(f"{who[0].upper()}{who[1:]}: {'; '.join(said)}.")
    return (
        "**Decision.** Judged at three thresholds that were fixed beforehand, against "
        f"acting on everybody and against acting on nobody. {' '.join(parts)}"
    )


def _refusal(tidy: pd.DataFrame, tests: pd.DataFrame) -> str:
    words = {
        BETTER: "helps",
        WORSE: "does harm: it refuses the wrong people",
        OPEN: "is not shown to help",
    }
    titles = {
        "call": "Refusing people whose probability is near one half",
        "suvr": "Refusing people whose samples spread most",
    }
    text = "**Refusal.** "
    for test in _tests(tests, "aurc"):
        kind = test["variant"]
        gain = lookup(tidy, *MAIN, f"refusal_gain_{kind}", "composite")
        text += f"{titles[kind]} {words[verdict(test)]}"
        if gain is not None and np.isfinite(gain["value"]):
            text += (
                f" (of what an oracle could gain it gains {_share(gain['value'])} % "
                f"[{_share(gain['low'])}, {_share(gain['high'])}])"
            )
        text += ". "
    return text.strip() if text != "**Refusal.** " else ""


def _share(value: float) -> str:
    return f"{round(100 * value) + 0:d}"


def _tests(tests: pd.DataFrame, metric: str) -> list[pd.Series]:
    """Tests of the method in one metric."""
    mine = tests[(tests["metric"] == metric) & (tests["row"] == MAIN[0])]
    return [test for _, test in mine.iterrows()]
