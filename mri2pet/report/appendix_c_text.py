"""Sentences of chapter 13, made from its results.

No sentence about a direction is typed: each is chosen by an interval, so that another
run gets another text.
"""

from __future__ import annotations

import math

import pandas as pd

from mri2pet.report.ambiguity import (
    NAMES,
    NOT_TESTABLE,
    ROW,
    ROW_NAMES,
    Sentence,
    find,
    load_sentences,
)
from mri2pet.report.claims import REPRODUCED
from mri2pet.report.discussion import interval, some
from mri2pet.report.tables import FEW_PEOPLE

UP, DOWN, OPEN, NONE, UNKNOWN = "rises", "falls", "not resolved", "none", "unknown"


def outcome(line: pd.Series | None) -> str:
    """Say on which side of 0 a number is: rises, falls, not resolved, none, unknown.

    *none* is exactly 0 in everybody, *unknown* a number that does not exist.
    """
    if line is None or not (math.isfinite(line["low"]) and math.isfinite(line["high"])):
        return UNKNOWN
    if line["low"] == line["high"] == 0:
        return NONE
    if line["low"] > 0:
        return UP
    return DOWN if line["high"] < 0 else OPEN


def number(line: pd.Series | None, digits: int = 2) -> str:
    """A number with its interval."""
    if outcome(line) == UNKNOWN:
        return "not known"
    return interval(line["value"], line["low"], line["high"], digits)


def sentences_table(
    judged: pd.DataFrame, sentences: list[Sentence] | None = None
) -> pd.DataFrame:
    """One line per sentence, for readers: idea, what is asked, verdicts."""
    sentences = load_sentences() if sentences is None else sentences
    lines = []
    for sentence in sentences:
        mine = judged[judged["claim"] == sentence.id]
        line = {
            "The paper says": sentence.idea,
            "Where": sentence.where,
            "Measured by asking": sentence.asks,
        }
        for design, part in mine.groupby("design", sort=False):
            line[f"Verdict ({design})"] = part["overall"].iloc[0]
        lines.append(line)
    return pd.DataFrame(lines)


def explain(judged: pd.DataFrame, claim: str, design: str = "corrected") -> str:
    """One Markdown sentence: the verdict on a sentence in a design, and why.

    Raises
    ------
    ValueError
        If it was not judged in that design.
    """
    mine = judged[(judged["claim"] == claim) & (judged["design"] == design)]
    if mine.empty:
        raise ValueError(f"claim {claim!r} was not judged in design {design!r}")
    overall = mine["overall"].iloc[0]
    lines = mine.to_dict("records")
    if overall != REPRODUCED:
        lines = [line for line in lines if line["verdict"] == overall]
    if overall == NOT_TESTABLE:
        reasons = dict.fromkeys(line["reason"] for line in lines)
        return f"**{overall.capitalize()}**: {some(reasons, 'reasons')}."
    reasons = [in_words(line) for line in lines]
    return f"**{overall.capitalize()}**: {some(reasons, 'measures')}."


def in_words(line: dict | pd.Series) -> str:
    """A number of the table with its interval, in words."""
    kind, *names = line["metric"].split(":")
    found = interval(line["value"], line["low"], line["high"], 3)
    named = [NAMES.get(name, name) for name in names]
    who = ROW_NAMES.get(line["row"], line["row"])
    if kind == "max_change":
        return f"the largest change of a voxel in anybody is {line['value']:g} SUVR"
    if kind == "change_r":
        return (
            f"the changes of {who} and of the real PET correlate with {found} "
            f"({line['n']:.0f} people)"
        )
    minus = f" minus that of {line['comparison']}" if line["comparison"] else ""
    if kind in ("pearson_r", "spearman_r"):
        rank = "rank correlation" if kind == "spearman_r" else "correlation"
        return f"{rank} of {named[0]} with {named[1]} ({who}){minus} is {found}"
    if kind == "partial_r":
        return (
            f"correlation of {named[0]} with {named[1]} at equal atrophy ({who}) is "
            f"{found}"
        )
    if kind == "slope":
        unit = "A" if "do(A)" in line["variant"] else "V"
        return (
            f"{named[0]} changes by {found} per unit of {unit} ({who}, "
            f"{line['n']:.0f} people){minus}"
        )
    plain = f"{line['value']:.2f} [{line['low']:.2f}, {line['high']:.2f}]"
    return f"{NAMES.get(kind, kind)} ({who}) is {plain}"


def tell_real(tidy: pd.DataFrame) -> str:
    """What the real scans do by themselves, before any network is asked."""
    line = find(tidy, "real_pet", "", "pearson_r:atrophy:detail")
    found = f"r = {number(line)}"
    return {
        UP: f"Yes. In the **real** PETs, too, detail rises with atrophy ({found}). A "
        "generator that copies what it sees would show the same, sure or unsure.",
        DOWN: f"Yes, the other way round: in the **real** PETs detail falls with "
        f"atrophy ({found}). A generator has to go against that to look sharper.",
    }.get(
        outcome(line),
        f"In the real PETs no relation of detail and atrophy is resolved ({found}).",
    )


def tell_observation(tidy: pd.DataFrame, row: str = ROW, design: str = "corrected"):
    """What goes together with atrophy across people, in one paragraph."""
    groups: dict[str, list[str]] = {UP: [], DOWN: [], OPEN: [], UNKNOWN: []}
    for measure in ("detail", "sharpness", "aligned", "spread_composite", "entropy"):
        line = find(tidy, row, design, f"pearson_r:atrophy:{measure}")
        if line is not None:
            groups[outcome(line)].append(f"{NAMES[measure]} (r = {number(line)})")
    if not any(groups.values()):
        return f"Nothing is known about {ROW_NAMES.get(row, row)}."
    said = f"**{ROW_NAMES.get(row, row)}**{f', {design}' if design else ''}. "
    for key, words in (
        (UP, "With more atrophy rises"),
        (DOWN, "With more atrophy falls"),
        (OPEN, "Not resolved"),
        (UNKNOWN, "The same for everybody, or unknown"),
    ):
        if groups[key]:
            said += f"{words}: {some(groups[key], 'measures')}. "
    return said.strip() + few(tidy)


def few(tidy: pd.DataFrame) -> str:
    """Remark on a small number of people; empty if there are enough."""
    line = find(tidy, "real_pet", "", "pearson_r:atrophy:detail")
    if line is None or line["n"] >= FEW_PEOPLE:
        return ""
    return f" With {line['n']:.0f} people all of this is illustrative."


def tell_ideal(tidy: pd.DataFrame) -> str:
    """Whether the premise holds for a reader who knows all that an MRI can tell."""
    line = find(tidy, "ideal", "", "pearson_r:atrophy:entropy")
    if line is None:
        return (
            "The test people cannot be sorted by a perfect reader's doubt: nobody "
            "knows how much atrophy each of them has."
        )
    found = f"r = {number(line)}"
    return {
        DOWN: f"Across these test people a perfect reader's doubt falls with atrophy "
        f"({found}), as the paper supposes.",
        UP: f"Across these test people a perfect reader's doubt *rises* with atrophy "
        f"({found}): here it is the healthy-looking brains that are the clear cases.",
    }.get(
        outcome(line),
        f"Across these test people a perfect reader's doubt has no resolved trend "
        f"({found}).",
    )


def tell_cause(
    tidy: pd.DataFrame,
    measure: str = "detail",
    row: str = ROW,
    *,
    same_people: bool = True,
) -> str:
    """Whether what goes together across people is there within one person, too.

    With ``same_people=False`` those who were made again are others than those who were
    observed, so the two are not compared.
    """
    design = "corrected" if row == ROW else ""
    seen = find(tidy, row, design, f"slope:{measure}")
    made = find(tidy, row, design, f"slope:{measure}", "do(V)")
    name, who = NAMES[measure], ROW_NAMES.get(row, row)
    if made is None or outcome(made) == UNKNOWN:
        return f"{who}, {name}: no intervention was possible."
    if not same_people:
        words = {UP: "it rises with atrophy", DOWN: "it falls with atrophy"}
        said = words.get(outcome(made), "no effect of atrophy is resolved")
        return (
            f"{who}, {name}: {said} (per unit of V, {number(made, 3)} within one "
            f"phantom, {made['n']:.0f} phantoms)."
        )
    numbers = (
        f"per unit of V, {number(seen, 3)} across people and {number(made, 3)} within "
        f"one person ({made['n']:.0f} people)"
    )
    across, within = outcome(seen), outcome(made)
    directed = (UP, DOWN)
    if across in directed and within == across:
        words = "the correlation stands: atrophy alone does it, too"
    elif across in directed and within in directed:
        words = "the correlation misleads: atrophy alone does the opposite"
    elif across in directed:
        words = "people differ, but that atrophy does it is not shown"
    elif within in directed:
        words = f"it {within} when nothing but atrophy changes, unseen across people"
    else:
        words = "neither is resolved"
    return f"{who}, {name}: {words} ({numbers})."


def tell_amyloid(tidy: pd.DataFrame) -> str:
    """What more amyloid at the same atrophy does to the MRI and to both PETs."""
    change = {
        row: find(tidy, row, design, "max_change", "do(A)")
        for row, design in (("mri", ""), (ROW, "corrected"), ("real_pet", ""))
    }
    if any(line is None for line in change.values()):
        return "No amyloid was changed here."
    moved = {row: line["value"] for row, line in change.items()}
    real = find(tidy, "real_pet", "", "slope:composite", "do(A)")
    said = (
        f"With A from its lowest to its highest value, the real composite SUVR changes "
        f"by {number(real)} per unit of A, and single voxels by up to "
        f"{moved['real_pet']:.2f} SUVR. "
    )
    if moved["mri"] == 0 and moved[ROW] == 0:
        return said + (
            "The MRI does not change in one bit, and neither does the synthetic PET: "
            "whoever is only shown the MRI is blind to amyloid that leaves no trace in "
            "it."
        )
    if moved["mri"] == 0:
        return said + (
            f"The MRI does not change in one bit, **but the synthetic PET does, by up "
            f"to {moved[ROW]:g} SUVR**. That cannot be: something else than the MRI "
            "reaches the network."
        )
    return said + (
        f"The MRI changes, too, by up to {moved['mri']:g}. In these phantoms it should "
        "not."
    )


def tell_invented(tidy: pd.DataFrame) -> str:
    """Whether the synthetic PET shows amyloid because it sees atrophy."""
    made = find(tidy, ROW, "corrected", "slope:composite", "do(V)")
    real = find(tidy, "real_pet", "", "slope:composite", "do(V)")
    gap = find(tidy, ROW, "corrected", "slope:composite", "do(V)", "real_pet")
    if made is None or real is None or gap is None:
        return "No atrophy was changed here."
    numbers = (
        f"Composite SUVR per unit of V at the same amyloid: synthetic {number(made)}, "
        f"real {number(real)}, difference {number(gap)}."
    )
    words = {
        UP: "So the network adds uptake where it sees atrophy, although the amyloid is "
        "the same: it has learned that the two go together.",
        DOWN: "So the network takes away more uptake with atrophy than there is to "
        "lose.",
        OPEN: "Whether the network adds uptake where it sees atrophy is not resolved.",
        NONE: "The network follows the real scan exactly.",
        UNKNOWN: "With so few people no interval can be given.",
    }
    return f"{numbers} {words[outcome(gap)]}"


def tell_rhos(tidy: pd.DataFrame) -> str:
    """What another link between amyloid and atrophy changes."""
    lines = tidy[(tidy["row"] == ROW) & tidy["comparison"].str.contains("rho=")]
    if lines.empty:
        return "No other link between amyloid and atrophy was tried here."
    apart = [line for _, line in lines.iterrows() if outcome(line) in (UP, DOWN)]
    said = (
        f"Of {len(lines)} correlations with atrophy compared with other links, "
        f"{len(apart)} differ from the run's own with their whole interval"
    )
    if not apart:
        return said + ". So nothing here shows that the link makes the pattern."
    listed = some([in_words(line) for line in apart], "differences")
    return f"{said}: {listed}."


def tell_verdicts(judged: pd.DataFrame, design: str = "corrected") -> str:
    """How many of the paper's sentences survive in one design."""
    mine = judged[judged["design"] == design].drop_duplicates("claim")
    counts = mine["overall"].value_counts()
    parts = [f"{count} {verdict}" for verdict, count in counts.items()]
    stands = list(mine.loc[mine["overall"] == REPRODUCED, "claim"])
    ideas = {s.id: s.idea for s in load_sentences()}
    said = f"Of {len(mine)} sentences, {design} design: {', '.join(parts)}."
    if stands:
        listed = some([ideas.get(claim, claim) for claim in stands], "sentences")
        return f"{said} What stands: {listed}."
    return f"{said} None of them stands here."
