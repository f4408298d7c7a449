"""Figures of Tables 2 and 3, drawn from the tidy results.

Each function returns ``(figure, caption, alt)``, as in `mri2pet.report.figures`.
"""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mri2pet.evaluation import published as paper
from mri2pet.report.discussion import interval as in_words
from mri2pet.report.downstream import (
    BETTER,
    HEADINGS,
    MORE_IS_BETTER,
    OPEN,
    PARTS,
    REGION_LABELS,
    SETTING_LABELS,
    STEPS,
    WORSE,
    outcome,
    parts_frame,
    people_behind,
    value_of,
)
from mri2pet.report.figures import Drawn
from mri2pet.stages.settings import SETTINGS

# Colour and marker by what a network sees.
LOOK = {
    (): ("#4d4d4d", "s"),
    ("mri",): ("#2166ac", "o"),
    ("pet",): ("#b35806", "D"),
    ("mri", "pet"): ("#762a83", "P"),
}
_SEES = {
    (): "covariates",
    ("mri",): "MRI",
    ("pet",): "PET",
    ("mri", "pet"): "MRI + PET",
}
_SIDES = {BETTER: "#1b7837", WORSE: "#b2182b", OPEN: "#4d4d4d"}
CEILING = {"V, age": "--", "A, age": ":", "all": "-."}


def ceilings_of(
    tidy: pd.DataFrame, metric: str, region: str, rho: float | None = None
) -> dict[str, float]:
    """Information -> what it allows, at a rho or at the run's."""
    mine = tidy[
        (tidy["row"] == "ceiling")
        & (tidy["metric"] == metric)
        & (tidy["region"] == region)
    ]
    tail = "" if rho is None else f", rho={rho:g}"
    found = dict(zip(mine["variant"], mine["value"], strict=True))
    return {k: found[k + tail] for k in CEILING if k + tail in found}


def where(region: str) -> str:
    """Name of a region behind a heading."""
    return f" ({REGION_LABELS[region]})" if REGION_LABELS[region] else ""


def values_figure(
    tidy: pd.DataFrame,
    table: str,
    metric: str,
    region: str = "all",
    design: str = "corrected",
) -> Drawn:
    """Every setting with both intervals, the paper's value and the ceilings."""
    heading, digits, chance = HEADINGS[metric]
    fig = Figure(figsize=(8, 4.6), layout="constrained")
    ax = fig.subplots()
    said, trained = [], []
    for y, (row, label) in enumerate(SETTING_LABELS.items()):
        line = value_of(tidy, row, metric, region, design=design)
        if line is None:
            continue
        colour, marker = LOOK[SETTINGS[row].images]
        ax.plot([line["low"], line["high"]], [y, y], color=colour, lw=5, alpha=0.3)
        seeds = value_of(tidy, row, metric, region, design=design, interval="seeds")
        if seeds is not None:
            trained.append((y, seeds))
        ax.plot(line["value"], y, marker, color=colour, ms=7)
        said.append(f"{label} {line['value']:.{digits}f}")
        try:
            printed = paper.value(table, row, metric)
        except ValueError:
            continue
        if region != "full_range":
            ax.plot(printed, y, "x", color="black", ms=6)
    if chance is not None:
        ax.axvline(chance, color="0.6", lw=0.8)
    for name, value in ceilings_of(tidy, metric, region).items():
        ax.axvline(value, color="#1b7837", ls=CEILING[name], lw=1)
        said.append(f"ceiling of ({name}) {value:.{digits}f}")
    ax.set_xlim(*ax.get_xlim())  # two trainings have an interval without end
    for y, seeds in trained:
        ax.plot([seeds["low"], seeds["high"]], [y, y], color="black", lw=1)
    ax.set_yticks(range(len(SETTING_LABELS)), SETTING_LABELS.values(), fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel(heading + where(region))
    ax.grid(axis="y", color="0.93")
    handles = [
        Line2D([], [], color=c, marker=m, ls="", label=f"sees {_SEES[images]}")
        for images, (c, m) in LOOK.items()
    ]
    handles.append(Line2D([], [], color="black", marker="x", ls="", label="paper"))
    handles += [
        Line2D([], [], color="#1b7837", ls=CEILING[name], label=f"ceiling ({name})")
        for name in ceilings_of(tidy, metric, region)
    ]
    fig.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8)
    people = people_behind(tidy, region)
    caption = (
        f"{heading.split(' [')[0]} of each setting{where(region)}. Wide bars: 95 % "
        f"over {people} test people. Thin lines: 95 % over trainings, tested on the "
        "same people. Crosses: the paper's values, from other people (ADNI) and "
        "another size."
    )
    if ceilings_of(tidy, metric, region):
        caption += (
            " Green: ceilings, the most that a set of latent numbers allows ($V$: "
            "atrophy, $A$: amyloid; *all*: both, with age, sex, education and APOE)."
        )
    return fig, caption, f"{heading} by setting: " + ", ".join(said) + "."


def parts_figure(
    tidy: pd.DataFrame,
    metric: str,
    region: str = "all",
    design: str = "corrected",
) -> Drawn:
    """The abstract's gain: what it could be made of, and as a sum of three steps."""
    heading, digits, _ = HEADINGS[metric]
    groups = [
        parts_frame(tidy, metric, region, parts=parts, design=design)
        for parts in (PARTS, STEPS)
    ]
    fig = Figure(figsize=(9.2, 4.6), layout="constrained")
    axes = fig.subplots(2, 1, sharex=True, height_ratios=[len(g) for g in groups])
    said = []
    for ax, frame in zip(axes, groups, strict=True):
        for y, line in frame.iterrows():
            if math.isnan(line["value"]):
                continue
            colour = _SIDES[line["outcome"]]
            ax.plot([line["low"], line["high"]], [y, y], color=colour, lw=2)
            fill = "white" if line["outcome"] == OPEN else colour
            ax.plot(line["value"], y, "o", color=colour, mfc=fill, ms=6)
            number = in_words(line["value"], line["low"], line["high"], digits)
            said.append(f"{line['label']} {number}, {line['outcome']}")
        names = [
            f"{line['label']}\n{_short(line['row'])} - {_short(line['other'])}"
            for line in frame.to_dict("records")
        ]
        ax.set_yticks(range(len(frame)), names, fontsize=8)
        ax.set_ylim(len(frame) - 0.5, -0.5)
        ax.axvline(0, color="0.4", lw=0.8)
        ax.grid(axis="y", color="0.93")
    axes[0].set_title("comparisons", fontsize=9, loc="left")
    axes[1].set_title("the same gain, step by step", fontsize=9, loc="left")
    axes[1].set_xlabel(f"difference of {heading}{where(region)}")
    side = "Right" if MORE_IS_BETTER[metric] else "Left"
    people = people_behind(tidy, region)
    caption = (
        "Above: the difference that the abstract takes for the effect of synthetic "
        "PETs, and comparisons in which one thing changes. Below: three steps from "
        f"the one setting to the other, whose values add up to the first line. {side} "
        f"of zero is better; 95 % over {people} people; open: not resolved."
    )
    return fig, caption, f"Differences of {heading}: " + "; ".join(said) + "."


def _short(row: str) -> str:
    setting, _, variant = row.partition("/")
    return SETTING_LABELS[setting] + (" with template" if variant else "")


def planned_figure(
    tidy: pd.DataFrame, tests: pd.DataFrame, metric: str, region: str = "all"
) -> Drawn:
    """The planned comparisons, those that stand Holm's adjustment filled."""
    heading, digits, _ = HEADINGS[metric]
    mine = tests[(tests["metric"] == metric) & (tests["region"] == region)]
    fig = Figure(figsize=(8, 0.32 * len(mine) + 1.2), layout="constrained")
    ax = fig.subplots()
    names, said = [], []
    for y, line in enumerate(mine.to_dict("records")):
        colour = _SIDES[outcome(pd.Series(line), metric)]
        stands = line["p_holm"] < 0.05
        ax.plot([line["low"], line["high"]], [y, y], color=colour, lw=2)
        fill = colour if stands else "white"
        ax.plot(line["value"], y, "o", color=colour, mfc=fill, ms=6)
        name = f"{SETTING_LABELS[line['row']]} - {SETTING_LABELS[line['comparison']]}"
        names.append(name)
        number = in_words(line["value"], line["low"], line["high"], digits)
        said.append(f"{name} {number}" + (", stands Holm" if stands else ""))
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.axvline(0, color="0.4", lw=0.8)
    ax.grid(axis="y", color="0.93")
    ax.set_xlabel(f"difference of {heading}{where(region)}")
    caption = (
        f"The {len(mine)} planned comparisons, with 95 % intervals over "
        f"{people_behind(tidy, region)} people. Filled: p < 0.05 after Holm's "
        "adjustment over all of them."
    )
    return fig, caption, f"Differences of {heading}: " + "; ".join(said) + "."
