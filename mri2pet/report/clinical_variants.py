"""What the variants of Tables 2 and 3 say, each sentence chosen by the numbers.

Without cross-fitting, with fewer labelled people, at another rho, with covariates.
"""

from __future__ import annotations

import pandas as pd

from mri2pet.evaluation.inference import Estimate
from mri2pet.report.discussion import interval, some
from mri2pet.report.downstream import (
    BETTER,
    HEADINGS,
    MORE_IS_BETTER,
    OPEN,
    WORSE,
    designs_of,
    difference,
    label_of,
    outcome,
    value_of,
)
from mri2pet.report.tables import cell
from mri2pet.stages.settings import OVER_RHO

WORDS = {BETTER: "ahead", WORSE: "behind", OPEN: "not resolved"}


def main_design(tidy: pd.DataFrame) -> str:
    """The default design of the generators in a table."""
    return next(iter(designs_of(tidy)), "corrected")


def metric_name(metric: str) -> str:
    """Name of a metric in a sentence."""
    name = HEADINGS[metric][0].split(" [")[0]
    return name if MORE_IS_BETTER[metric] else f"{name} (less is better)"


def number_of(line: pd.Series | dict, metric: str) -> str:
    """A difference with its interval."""
    digits = HEADINGS[metric][1]
    return interval(line["value"], line["low"], line["high"], digits)


def crossfit_paragraph(
    tidy: pd.DataFrame,
    metric: str = "auroc_macro",
    region: str = "all",
    memory: dict[str, Estimate] | None = None,
) -> str:
    """Whether it matters that a network draws the people it has learned from."""
    text, found = "**Without cross-fitting**", []
    for row in ("generated_pet", "synthetic_paired"):
        line = difference(
            tidy, f"{row}/no_crossfit", row, metric, region, design=main_design(tidy)
        )
        if line is not None:
            side = outcome(line, metric)
            found.append((side, f"{label_of(row)} {number_of(line, metric)}"))
    if not found:
        return ""
    text += f", in {metric_name(metric)} minus with: "
    text += "; ".join(f"{words} ({WORDS[side]})" for side, words in found) + ". "
    sides = {side for side, _ in found}
    if BETTER in sides:
        text += (
            "The released way flatters the synthetic PETs: they come from a network "
            "that has seen the real ones. "
        )
    elif sides == {OPEN}:
        text += "Whether the leak pays is not resolved here. "
    else:
        text += "The released way is no help here. "
    if memory is not None:
        seen, unseen, change = (memory[k] for k in ("seen", "unseen", "difference"))
        text += (
            "Does the network remember? Across its training people the composite "
            f"uptake of real and synthetic PET correlates with {seen.value:.2f} if the "
            f"network has seen the real one and with {unseen.value:.2f} if not "
            f"(difference {interval(change.value, change.low, change.high, 2)}: "
        )
        text += (
            "it does)."
            if change.low > 0
            else "it follows strangers more closely)."
            if change.high < 0
            else "not resolved)."
        )
    return text.strip()


def people_paragraph(
    tidy: pd.DataFrame, metric: str = "auroc_macro", region: str = "all"
) -> str:
    """Whether fewer labelled people make a setting worse."""
    mine = tidy[tidy["variant"].str.startswith("labelled=")]
    if mine.empty:
        return ""
    fewest = min(float(v.partition("=")[2]) for v in set(mine["variant"]))
    groups: dict[str, list[str]] = {BETTER: [], WORSE: [], OPEN: []}
    for row in dict.fromkeys(mine["row"]):
        line = difference(
            tidy,
            f"{row}/labelled={fewest:g}",
            row,
            metric,
            region,
            design=main_design(tidy),
        )
        if line is not None:
            text = f"{label_of(row)} {number_of(line, metric)}"
            groups[outcome(line, metric)].append(text)
    text = (
        f"**With {fewest:.0%} of the labelled people**, in {metric_name(metric)} minus "
        "with all of them. "
    )
    for side, words in (
        (WORSE, "Behind"),
        (BETTER, "Ahead"),
        (OPEN, "Not resolved"),
    ):
        if groups[side]:
            text += f"{words}: {some(groups[side], 'settings')}. "
    return text.strip()


def rho_paragraph(
    tidy: pd.DataFrame, metric: str = "auroc_macro", region: str = "all"
) -> str:
    """Whether a PET loses its use when amyloid has nothing to do with atrophy."""
    found = []
    for row in OVER_RHO:
        line = difference(tidy, f"{row}/rho=0", row, metric, region)
        if line is not None:
            found.append((outcome(line, metric), row, line))
    if not found:
        return ""
    text = (
        "**At rho = 0** amyloid tells nothing of cognition. In "
        f"{metric_name(metric)} minus the run's own rho: "
    )
    text += "; ".join(
        f"{label_of(row)} {number_of(line, metric)} ({WORDS[side]})"
        for side, row, line in found
    )
    sides = {row: side for side, row, _ in found}
    if sides.get("real_pet") == WORSE:
        text += ". So a real PET is of use here by the amyloid it shows."
    elif sides.get("real_pet") == BETTER:
        text += ". So amyloid is not what a real PET is of use by here."
    else:
        text += (
            ". So whether a real PET is of use by its amyloid, and not by the atrophy "
            "that blurs it, is not resolved."
        )
    return text


def covariates_paragraph(
    tidy: pd.DataFrame, metric: str = "auroc_macro", region: str = "all"
) -> str:
    """What age, sex, education and APOE give alone, and what images add."""
    alone = value_of(tidy, "covariates", metric, region)
    if alone is None:
        return ""
    digits = HEADINGS[metric][1]
    text = (
        f"**Covariates alone** (age, sex, education, APOE) have {metric_name(metric)} "
        f"{cell(alone, digits)}. "
    )
    found = []
    for row in ("real_mri", "mri_covariates", "augmented_paired"):
        line = difference(
            tidy, row, "covariates", metric, region, design=main_design(tidy)
        )
        if line is not None:
            number = number_of(line, metric)
            found.append(f"{label_of(row)} {number} ({WORDS[outcome(line, metric)]})")
    if found:
        text += f"Minus them: {'; '.join(found)}."
    return text.strip()
