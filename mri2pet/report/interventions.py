"""Figures of chapter 13 about what a change of atrophy or of amyloid does.

Each function takes a run and returns ``(figure, caption, alt)``, as in
`mri2pet.report.figures`. Nothing is computed here that is not in the results.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mri2pet.report import brains
from mri2pet.report.ambiguity import NAMES, ROW, ROW_NAMES, find
from mri2pet.report.appendix_c import STYLE, UNITS, legend, read_parquet, saved
from mri2pet.report.appendix_c_text import number, outcome
from mri2pet.report.figures import Drawn

MAIN = (ROW, "corrected")
CAUSES = {"V": "atrophy V", "A": "amyloid A"}


def changed(
    run,
    cause: str,
    measures: Sequence[str] = ("composite", "detail", "spread_composite"),
) -> Drawn:
    """What setting V or A does: a thin line for each person, a thick one for the mean.

    Parameters
    ----------
    run : Run
    cause : {"V", "A"}
    measures : sequence of str
    """
    tidy = run.results("appendix_c")
    made = read_parquet(run, "appendix_c_interventions")
    made = made[made["cause"] == cause]
    fig = Figure(figsize=(9.2, 3.5), layout="constrained")
    axes = fig.subplots(1, len(measures), squeeze=False)[0]
    said = []
    for ax, measure in zip(axes, measures, strict=True):
        for key, (colour, marker, name) in STYLE.items():
            mine = made[(made["row"] == key[0]) & (made["design"] == key[1])]
            if mine.empty or mine[measure].isna().all():
                continue
            for _, person in mine.groupby("participant_id"):
                ax.plot(
                    person["level"], person[measure], color=colour, lw=0.5, alpha=0.6
                )
            mean = mine.groupby("level")[measure].mean()
            ax.plot(mean.index, mean, marker + "-", color=colour, lw=2, ms=4)
            line = find(tidy, *key, f"slope:{measure}", f"do({cause})")
            said.append(f"{measure}, {name}: {number(line, 3)}")
        ax.set(xlabel=f"{CAUSES[cause]}, set by us", ylabel=UNITS[measure])
        ax.grid(color="0.93")
    legend(fig, [k for k in STYLE if (made["row"] == k[0]).any()])
    people = made["participant_id"].nunique()
    held = CAUSES["A" if cause == "V" else "V"]
    caption = (
        f"The same {people} people with another {CAUSES[cause]}; their {held}, their "
        "shape and all noise are kept. Thin: one person. Thick: the mean."
    )
    return fig, caption, f"Slopes per unit of {cause}: " + "; ".join(said) + "."


def change_maps(run, mm: Sequence[float] = (4.0, 30.0)) -> Drawn:
    """Where PETs change when V or A is set from its lowest to its highest level."""
    path = saved(run, "appendix_c/example.npz")
    with np.load(path) as stored:
        example = dict(stored)
    rows, titles, largest = [], [], {}
    shape = example["V_low_real_pet"].shape
    cuts = brains.nearest_levels(shape, mm)
    for cause, title in CAUSES.items():

        def step(kind: str, cause: str = cause) -> np.ndarray:
            return example[f"{cause}_high_{kind}"] - example[f"{cause}_low_{kind}"]

        changes = [step("mri"), step("real_pet"), step(ROW)]
        largest[cause] = [float(np.abs(c).max()) for c in changes]
        rows.append([c for c in changes for _ in cuts])
        titles.append(f"more {title}")
    names = ("MRI", "real PET", "synthetic PET")
    fig = brains.draw_rows(
        rows,
        kinds="difference",
        column_titles=[f"{n}, z = {round(z)}" for n in names for z in cuts],
        row_titles=titles,
        mm=list(cuts) * len(names),
        cell_inches=1.3,
    )
    for ax, change in zip(fig.axes, (v for row in rows for v in row), strict=False):
        if not change.any():
            ax.text(
                0.5, 0.5, "no change", ha="center", fontsize=8, transform=ax.transAxes
            )
    caption = (
        "One person, the highest level minus the lowest: with more atrophy (above) and "
        "with more amyloid (below). The MRI has no unit; its differences share the "
        "colours. *No change* means not in one bit."
    )
    said = [
        f"{CAUSES[cause]}: MRI up to {m:.2f}, real PET up to {r:.2f} SUVR, synthetic "
        f"PET up to {s:.2f} SUVR"
        for cause, (m, r, s) in largest.items()
    ]
    return fig, caption, "Maps of differences. " + "; ".join(said) + "."


def across_and_within(
    run, measures: Sequence[str] = ("detail", "sharpness", "spread_composite")
) -> Drawn:
    """Slopes per unit of V seen across people, beside those made within a person."""
    tidy = run.results("appendix_c")
    fig = Figure(figsize=(9.4, 2.9), layout="constrained")
    axes = fig.subplots(1, len(measures), squeeze=False, sharey=True)[0]
    kinds = {"": "across people", "do(V)": "within one person"}
    places = [(key, variant) for key in STYLE for variant in kinds]
    said = []
    for ax, measure in zip(axes, measures, strict=True):
        for y, (key, variant) in enumerate(places):
            line = find(tidy, *key, f"slope:{measure}", variant)
            if outcome(line) == "unknown":
                continue
            colour, marker, name = STYLE[key]
            fill = colour if variant else "white"
            ax.plot([line["low"], line["high"]], [y, y], color=colour, lw=1.6)
            ax.plot(line["value"], y, marker, color=colour, mfc=fill, ms=5)
            said.append(f"{measure}, {name}, {kinds[variant]}: {number(line, 3)}")
        ax.axvline(0, color="0.4", lw=0.8)
        ax.set_xlabel(f"{UNITS[measure]}\nper unit of V", fontsize=9)
        ax.grid(axis="y", color="0.93")
    axes[0].set_yticks(
        range(len(places)),
        [f"{STYLE[k][2]}, {kinds[v]}" for k, v in places],
        fontsize=8,
    )
    axes[0].set_ylim(len(places) - 0.5, -0.5)
    caption = (
        "Change per unit of atrophy V with 95 % intervals over people. Open: a line "
        "through different people. Filled: the same person, with nothing but V changed."
    )
    return fig, caption, "Slopes. " + "; ".join(said) + "."


def rhos(run) -> Drawn:
    """What the link between amyloid and atrophy does to ambiguity and to amyloid."""
    tidy, ideal = run.results("appendix_c"), run.results("appendix_c_ideal")
    fig = Figure(figsize=(9.4, 3.5), layout="constrained")
    left, middle, right = fig.subplots(1, 3)
    said = []
    tints = dict(zip(sorted(ideal["rho"].unique()), _tints(ideal["rho"]), strict=True))
    for rho, curve in ideal.groupby("rho"):
        left.plot(curve["V"], curve["entropy"], color=tints[rho], label=f"{rho:g}")
    left.set(xlabel="atrophy V", ylabel="doubt of a perfect reader [bits]")
    left.legend(title="rho", frameon=False, fontsize=8)
    own = tidy.loc[tidy["variant"] == "", "rho"].dropna().iloc[0]
    marks = {"detail": "s", "spread_composite": "o"}
    for rho, tint in tints.items():
        variant = "" if rho == own else f"rho={rho:g}"
        for shift, (measure, mark) in zip((-0.012, 0.012), marks.items(), strict=True):
            line = find(tidy, *MAIN, f"pearson_r:atrophy:{measure}", variant)
            if outcome(line) == "unknown":
                continue
            place = [rho + shift] * 2
            middle.plot(place, [line["low"], line["high"]], color=tint, lw=1.2)
            middle.plot(place[0], line["value"], mark, color=tint, ms=5)
            said.append(f"{measure} at rho {rho:g}: r = {number(line)}")
        made = ", ".join(filter(None, ("do(V)", variant)))
        for shift, (row, design) in ((-0.012, ("real_pet", "")), (0.012, MAIN)):
            line = find(tidy, row, design, "slope:composite", made)
            if outcome(line) == "unknown":
                continue
            _, mark, name = STYLE[row, design]
            place = [rho + shift] * 2
            right.plot(place, [line["low"], line["high"]], color=tint, lw=1.2)
            right.plot(place[0], line["value"], mark, color=tint, ms=5)
            said.append(f"composite, {name}, per V at rho {rho:g}: {number(line)}")
    for measure, mark in marks.items():
        middle.plot([], [], mark, color="0.3", label=NAMES[measure])
    for key in (("real_pet", ""), MAIN):
        right.plot([], [], STYLE[key][1], color="0.3", label=STYLE[key][2])
    for ax in (middle, right):
        ax.axhline(0, color="0.4", lw=0.8)
        ax.set_xlabel("rho, link of amyloid and atrophy")
        ax.legend(frameon=False, fontsize=8)
    middle.set_ylabel("correlation with atrophy")
    right.set_ylabel("composite per unit of V, same amyloid")
    caption = (
        "Left: how unsure about amyloid a reader stays who knows the atrophy exactly. "
        f"Middle: correlations with atrophy across people, {ROW_NAMES[ROW]} trained at "
        "each rho. Right: what more atrophy does to the composite of one and the same "
        "person. Bars: 95 % over people."
    )
    return fig, caption, f"{len(tints)} values of rho. " + "; ".join(said) + "."


def _tints(values: pd.Series) -> list[tuple[float, ...]]:
    from matplotlib import colormaps

    count = values.nunique()
    return [colormaps["viridis"](0.85 * i / max(1, count - 1)) for i in range(count)]
