"""Case studies, drawn: people chosen by rule, with their numbers beside them.

Each figure takes a run (anything with ``path``, ``profile``, ``results(name)``,
``cohort()`` and ``sample(row, design)``) whose stage `figure3` is finished, and returns
``(figure, caption, alt)``. One SUVR scale serves all PETs; the scale of the spread is
chosen so that it can be seen, and stands below the figure.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mri2pet.evaluation.cases import RULES
from mri2pet.evaluation.changes import CLEAR_CHANGE
from mri2pet.report import brains
from mri2pet.report.case_words import LABELS, MAIN, ROWS, number, scans_of, who
from mri2pet.report.discussion import signed
from mri2pet.report.figures import DESIGN_STYLE, Drawn
from mri2pet.report.tables import lookup

COLOURS = {"mri2pet": DESIGN_STYLE["corrected"][0], "regression_unet": "#b35806"}
COLOURS |= {"mean_template": "#4d4d4d", "truth": "#1b7837"}
MARKERS = {"mri2pet": "D", "regression_unet": "s", "mean_template": "|"}
LEVEL_MM = 20.0  # through the lateral ventricles


def panel(run, rule: str) -> Drawn:
    """People of a rule at one visit: MRI, real and synthetic PET, error and spread."""
    tidy, people = run.results("figure3"), run.results("figure3_people")
    scans = [visits[0] for visits in scans_of(people, rule)]
    store, made = run.cohort(), _samples(run)
    mri, real = store.read("mri", scans), store.read("pet", scans)
    level = brains.nearest_levels(real.shape[1:], [LEVEL_MM])[0]
    k = made[MAIN].samples.shape[1]
    rows, titles = [], []
    for i, scan in enumerate(scans):
        mine = made[MAIN].samples[made[MAIN].scan_ids.index(scan)]
        mean = mine.mean(0)
        row = [mri[i], real[i], mine[0]]
        if k > 1:
            row += [mean, mean - real[i], mine.std(0, ddof=1)]
        else:
            row += [mean - real[i]]
        row += [_control(made, key, scan) for key in ROWS[1:]]
        rows.append(row)
        titles.append(f"{who(people, scan)}\nSUVR {_suvr(tidy, scan):.2f}")
    names = ["MRI", "real PET", "one sample", f"mean of {k}", "mean - real", "SD"]
    kinds = ["mri", "pet", "pet", "pet", "difference", "sd"]
    if k == 1:
        names, kinds = [*names[:3], "sample - real"], [*kinds[:3], "difference"]
    names += ["regression\nU-Net", "mean\ntemplate"]
    kinds += ["pet", "pet"]
    limits = {"sd": _sd_limits([r[5] for r in rows])} if k > 1 else {}
    fig = brains.draw_rows(
        rows,
        kinds=kinds,
        column_titles=names,
        row_titles=titles,
        mm=level,
        cell_inches=0.98,
        limits=limits,
    )
    caption = (
        f"{RULES[rule].sentence} Axial slices at z = {level:.0f} mm, the left of the "
        "brain on the left; all PETs on one SUVR scale. Row titles: composite SUVR of "
        "the real scan. Red: too much uptake in the synthetic scan; blue: too little."
    )
    return fig, caption, _alt(tidy, scans)


def visits_panel(run, rule: str = "longest_time") -> Drawn:
    """Two visits of a person in one row, real and synthetic, with what changed."""
    tidy, people = run.results("figure3"), run.results("figure3_people")
    store, made = run.cohort(), _samples(run)[MAIN]
    rows, titles, said = [], [], []
    for visits in scans_of(people, rule):
        mri, real = store.read("mri", visits), store.read("pet", visits)
        mean = [made.samples[made.scan_ids.index(scan)].mean(0) for scan in visits]
        rows.append([*mri, *real, real[1] - real[0], *mean, mean[1] - mean[0]])
        days = people.set_index("scan_id")["days"]
        days = days[~days.index.duplicated()]
        years = (days[visits[1]] - days[visits[0]]) / 365.25
        titles.append(f"{who(people, visits[0])}\n+ {years:.0f} years")
        change = [
            number(tidy, key, visits[1], "suvr_change")
            for key in (("real_pet", ""), MAIN)
        ]
        real_change, synthetic = (signed(value, 2) for value in change)
        said.append(f"real {real_change}, synthetic {synthetic} SUVR")
    level = brains.nearest_levels(rows[0][2].shape, [LEVEL_MM])[0]
    fig = brains.draw_rows(
        rows,
        kinds=["mri"] * 2 + (["pet"] * 2 + ["difference"]) * 2,
        column_titles=[
            *("MRI,\nfirst", "MRI,\nlast", "real PET,\nfirst", "real PET,\nlast"),
            *("real\nchange", "mean,\nfirst", "mean,\nlast", "synthetic\nchange"),
        ],
        row_titles=titles,
        mm=level,
        cell_inches=0.98,
    )
    caption = (
        f"{RULES[rule].sentence} First and last visit, and what changed between them: "
        f"MRI, real PET, mean of {made.samples.shape[1]} synthetic PETs. Axial slices "
        f"at z = {level:.0f} mm. Red: more uptake at the last visit."
    )
    alt = f"{len(rows)} people in rows. Change of composite SUVR: {'; '.join(said)}."
    return fig, caption, alt


def regional_bars(run, rule: str) -> Drawn:
    """SUVR of every region, real and synthetic, of the people of a rule."""
    tidy, people = run.results("figure3"), run.results("figure3_people")
    scans = [visits[-1] for visits in scans_of(people, rule)]
    regions = list(
        tidy.loc[(tidy["row"] == "real_pet") & (tidy["metric"] == "suvr"), "region"]
        .drop_duplicates()
    )  # fmt: skip
    y = np.arange(len(regions))
    fig = Figure(figsize=(2.6 + 2.3 * len(scans), 0.34 * len(regions) + 1.3))
    axes = fig.subplots(1, len(scans), sharex=True, sharey=True, squeeze=False)[0]
    inside = total = 0
    for ax, scan in zip(axes, scans, strict=True):
        real = np.array(
            [number(tidy, ("real_pet", ""), scan, region=r) for r in regions]
        )
        ax.barh(y - 0.2, real, 0.36, color="0.75", label="real PET")
        mine = [lookup(tidy, *MAIN, "suvr", r, variant=scan) for r in regions]
        value = np.array([line["value"] for line in mine])
        ends = np.array([(line["low"], line["high"]) for line in mine])
        ax.barh(y + 0.2, value, 0.36, color=COLOURS["mri2pet"], label="MRI2PET, mean")
        if np.isfinite(ends).all():
            ax.hlines(y + 0.2, *ends.T, color="k", lw=0.9, label="conformal interval")
            inside += int(((ends[:, 0] <= real) & (real <= ends[:, 1])).sum())
            total += len(regions)
        for row, design in ROWS[1:]:
            there = [number(tidy, (row, design), scan, region=r) for r in regions]
            ax.plot(
                there, y, MARKERS[row], color=COLOURS[row], ms=5, mfc="none",
                label=LABELS[row],
            )  # fmt: skip
        ax.set_title(who(people, scan), fontsize=9)
        ax.tick_params(labelsize=8)
    axes[0].set_yticks(y, [_short(r) for r in regions])
    axes[0].invert_yaxis()
    axes[0].set_xlim(0, brains.KINDS["pet"].high)  # as the colours of the pictures
    fig.supxlabel("SUVR", fontsize=9)
    handles, names = axes[0].get_legend_handles_labels()
    fig.legend(handles, names, loc="upper center", ncols=5, fontsize=7.5, frameon=False)
    fig.tight_layout(rect=(0, 0, 1, 0.94))
    caption = (
        "SUVR of each region, real (grey) and synthetic, of the same people"
        + (" at their last visit" if rule == "longest_time" else "")
        + ". Black lines: conformal intervals, made on validation people. Markers: the "
        "controls."
    )
    held = f" The intervals hold {inside} of {total} real values." if total else ""
    return fig, caption, _alt(tidy, scans) + held


def change_scatter(run) -> Drawn:
    """Change of composite SUVR, synthetic against real, of all who came twice."""
    tidy, people = run.results("figure3"), run.results("figure3_people")
    shown = {visits[-1] for visits in scans_of(people, "longest_time")}
    change = tidy[(tidy["metric"] == "suvr_change") & (tidy["comparison"] == "")]
    real = change[change["row"] == "real_pet"].set_index("variant")["value"]
    fig = Figure(figsize=(9.0, 3.4))
    axes = fig.subplots(1, len(ROWS), sharex=True, sharey=True)
    said = []
    span = 1.15 * max(change["value"].abs().max(), CLEAR_CHANGE)
    for ax, (row, _) in zip(axes, ROWS, strict=True):
        ax.axvspan(-CLEAR_CHANGE, CLEAR_CHANGE, color="0.93", lw=0)
        ax.plot([-span, span], [-span, span], color="0.6", ls=":")
        ax.axhline(0, color="0.6", lw=0.7)
        ax.set_title(LABELS[row], fontsize=9)
        ax.tick_params(labelsize=8)
        mine = change[change["row"] == row].set_index("variant")["value"]
        if mine.empty:
            said.append(f"{LABELS[row]} not made")
            continue
        mine = mine.loc[real.index]
        filled = [COLOURS[row] if scan in shown else "white" for scan in real.index]
        ax.scatter(real, mine, c=filled, edgecolors=COLOURS[row], s=26, zorder=3)
        right = int((np.sign(real) * np.sign(mine) > 0).sum())
        said.append(f"{LABELS[row]} {right} of {len(real)} with the right sign")
    axes[0].set(xlim=(-span, span), ylim=(-span, span))
    axes[0].set_ylabel("synthetic change [SUVR]", fontsize=9)
    fig.supxlabel("real change of composite SUVR, last minus first visit", fontsize=9)
    fig.tight_layout()
    caption = (
        f"All {len(real)} test people with two visits. Dotted: the synthetic PET "
        "changes as the real one. Grey band: a real change that a repeated scan could "
        "show as well. Filled: the people shown above."
    )
    return fig, caption, f"Real against synthetic change: {'; '.join(said)}."


def _samples(run) -> dict:
    found = {MAIN: run.sample(*MAIN)}
    for row, design in ROWS[1:]:
        try:
            found[row, design] = run.sample(row, design)
        except ValueError:
            continue  # named in the notes
    return found


def _control(made: dict, key: tuple[str, str], scan: str):
    if key not in made:
        return None
    return made[key].samples[made[key].scan_ids.index(scan), 0]


def _suvr(tidy: pd.DataFrame, scan: str) -> float:
    return number(tidy, ("real_pet", ""), scan)


def _sd_limits(maps) -> tuple[float, float]:
    """From 0 to what nearly all of the brain stays below, in steps of 0.05."""
    top = max(float(np.quantile(m[m > 0], 0.995)) if (m > 0).any() else 0 for m in maps)
    return 0.0, max(0.05, math.ceil(top / 0.05) * 0.05)


def _short(region: str) -> str:
    return brains.region_label(region).replace("precuneus and posterior", "precuneus,")


def _alt(tidy: pd.DataFrame, scans: list[str]) -> str:
    said = [
        f"{scan.split('_')[0]} real {_suvr(tidy, scan):.2f}, synthetic "
        f"{number(tidy, MAIN, scan):.2f}"
        for scan in scans
    ]
    return f"Composite SUVR: {'; '.join(said)}."
