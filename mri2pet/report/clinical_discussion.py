"""What Tables 2 and 3 say, each sentence chosen by the numbers.

No winner is typed: a paragraph is written for each outcome, and the tidy table picks.
"""

from __future__ import annotations

import pandas as pd

from mri2pet.evaluation.inference import Estimate
from mri2pet.report.clinical_variants import (
    WORDS,
    covariates_paragraph,
    crossfit_paragraph,
    main_design,
    metric_name,
    number_of,
    people_paragraph,
    rho_paragraph,
)
from mri2pet.report.discussion import some
from mri2pet.report.downstream import (
    BETTER,
    HEADINGS,
    OPEN,
    SETTING_LABELS,
    STEPS,
    WORSE,
    difference,
    is_illustrative,
    label_of,
    outcome,
    parts_frame,
    people_behind,
    value_of,
)
from mri2pet.report.tables import FEW_PEOPLE, cell


def opening(tidy: pd.DataFrame, region: str = "all") -> str:
    """How sure the table is."""
    people = people_behind(tidy, region)
    text = (
        f"All differences are paired: the same {people} test people, the same seeds. "
        "A difference counts by its 95 % interval over people; one that covers 0 is "
        "called not resolved."
    )
    if is_illustrative(tidy, region):
        text += (
            f" With {people} people, fewer than {FEW_PEOPLE}, every difference here is "
            "illustrative and may turn round with other people."
        )
    return text


def learned_paragraph(
    tidy: pd.DataFrame, metric: str = "auroc_macro", region: str = "all"
) -> str:
    """Which settings are above guessing, and how far below the ceiling."""
    chance, digits = HEADINGS[metric][2], HEADINGS[metric][1]
    design, above, rest = main_design(tidy), [], []
    for row, label in SETTING_LABELS.items():
        line = value_of(tidy, row, metric, region, design=design)
        if line is None:
            continue
        item = (-line["value"], f"{label} {cell(line, digits)}")
        (above if line["low"] > chance else rest).append(item)
    above, rest = ([text for _, text in sorted(found)] for found in (above, rest))
    text = (
        f"**Above guessing** in {metric_name(metric)}, with the whole interval over "
        "people: "
    )
    text += some(above, "settings") + ". " if above else "no setting. "
    if rest:
        text += f"Not apart from it: {some(rest, 'settings')}. "
    if not above:
        text += (
            "As long as nothing is learned, no comparison of settings says anything "
            "about synthetic PETs. "
        )
    known = tidy[(tidy["row"] == "ceiling") & (tidy["variant"] == "V, age")]
    known = known[(known["metric"] == metric) & (known["region"] == region)]
    if len(known):
        best = known["value"].iloc[0]
        mri = value_of(tidy, "real_mri", metric, region)
        text += (
            f"Whoever knew a phantom's atrophy and age would reach {best:.{digits}f}"
            + (
                f"; the network on MRIs reaches {mri['value']:.{digits}f}"
                if mri is not None
                else ""
            )
            + "."
        )
    return text.strip()


def gain_paragraph(
    tidy: pd.DataFrame, metric: str = "auroc_macro", region: str = "all"
) -> str:
    """The abstract's comparison and its three steps: where a gain comes from."""
    frame = parts_frame(tidy, metric, region, parts=STEPS, design=main_design(tidy))
    total = difference(
        tidy, "augmented_paired", "real_pet", metric, region, design=main_design(tidy)
    )
    if total is None or frame["value"].isna().any():
        return (
            "The abstract's comparison cannot be taken apart here: one of its settings "
            "was not run."
        )
    side = outcome(total, metric)
    steps = "; ".join(
        f"{line['label']} {number_of(line, metric)} ({WORDS[line['outcome']]})"
        for line in frame.to_dict("records")
    )
    text = (
        f"**The abstract's comparison**{'' if region == 'all' else ', for MMSE'}: "
        "Augmented Paired minus Real PET is "
        f"{number_of(total, metric)} in {metric_name(metric)}: {WORDS[side]}. Three "
        f"steps add up to it: {steps}. "
    )
    of = dict(zip(frame["id"], frame["outcome"], strict=True))
    own = of.pop("beyond_template")
    words = dict(zip(frame["id"], frame["label"], strict=True))
    others = [words[name] for name, found in of.items() if found == BETTER]
    if side == BETTER and own == BETTER:
        text += (
            "Part of the gain is the synthetic PETs' own: a template in their place "
            "gives less."
        )
        if others:
            text += (
                f" Another part would be there without them: {' and '.join(others)}."
            )
    elif side == BETTER and own == WORSE:
        text += (
            "The gain is there in spite of the synthetic PETs: a template in their "
            "place gives more."
        )
    elif side == BETTER:
        text += (
            "There is a gain, but what the synthetic PETs add beyond a template is not "
            "resolved"
            + (f"; what does count is {' and '.join(others)}." if others else ".")
        )
    elif side == WORSE:
        text += "The augmented setting is behind, so there is no gain to explain" + (
            ", although its synthetic PETs do more than a template."
            if own == BETTER
            else "."
        )
    else:
        text += (
            "Whether there is a gain at all is not resolved"
            + {
                BETTER: ", although its synthetic PETs do more than a template.",
                WORSE: "; its synthetic PETs do less than a template.",
                OPEN: ", and so is what the synthetic PETs add.",
            }[own]
        )
    return text


def like_for_like_paragraph(
    tidy: pd.DataFrame, metric: str = "auroc_macro", region: str = "all"
) -> str:
    """Generated PETs added where nothing else changes."""
    lines = []
    for row, other, what in (
        ("augmented_pet", "real_pet", "PET alone, more people by generated PETs"),
        ("augmented_paired", "real_mri", "the same people's MRIs, PETs beside them"),
    ):
        found = difference(tidy, row, other, metric, region, design=main_design(tidy))
        if found is not None:
            lines.append((what, label_of(row), label_of(other), found))
    if not lines:
        return ""
    parts = [
        f"{what} ({a} minus {b}): {number_of(line, metric)}, "
        f"{WORDS[outcome(line, metric)]}"
        for what, a, b, line in lines
    ]
    return f"**Like for like**, in {metric_name(metric)}. " + "; ".join(parts) + "."


def holm_paragraph(tests: pd.DataFrame, metric: str, region: str = "all") -> str:
    """How many planned comparisons stand Holm's adjustment."""
    mine = tests[(tests["metric"] == metric) & (tests["region"] == region)]
    if mine.empty:
        return "No comparison could be made."
    apart = int(((mine["low"] > 0) | (mine["high"] < 0)).sum())
    stands = mine[mine["p_holm"] < 0.05]
    names = [
        f"{label_of(line['row'])} - {label_of(line['comparison'])}"
        for line in stands.to_dict("records")
    ]
    text = (
        f"Planned comparisons in {metric_name(metric)}: {len(mine)}. With an interval "
        f"apart from zero: {apart}. Standing Holm's adjustment: {len(stands)}"
    )
    return text + (f": {some(names, 'comparisons')}." if names else ".")


def discuss_clinical(
    tidy: pd.DataFrame,
    metric: str = "auroc_macro",
    region: str = "all",
    memory: dict[str, Estimate] | None = None,
) -> list[str]:
    """Paragraphs of Markdown that say what a table shows, and no more.

    Parameters
    ----------
    tidy : DataFrame
        Table 2 or 3.
    metric, region : str
    memory : dict, optional
        Of `mri2pet.report.crossfit.remembered`.
    """
    keys = {"metric": metric, "region": region}
    paragraphs = [opening(tidy, region)]
    if HEADINGS[metric][2] is not None:
        paragraphs.append(learned_paragraph(tidy, **keys))
    paragraphs += [
        gain_paragraph(tidy, **keys),
        like_for_like_paragraph(tidy, **keys),
        crossfit_paragraph(tidy, memory=memory, **keys),
        people_paragraph(tidy, **keys),
        rho_paragraph(tidy, **keys),
        covariates_paragraph(tidy, **keys),
    ]
    return [text for text in paragraphs if text]
