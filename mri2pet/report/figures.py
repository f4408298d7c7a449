"""Figures of results, drawn from what a run has saved.

Each function takes a run (anything with ``path``, ``profile``, ``results(name)``,
``cohort()`` and ``sample(row, design)``) and returns ``(figure, caption, alt)``: the
picture, what to see in it, and the same in words for a reader who cannot see it, made
from the data. Nothing is computed here that is not in the results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mri2pet.config import CONTROLS
from mri2pet.report import brains
from mri2pet.report.labels import METRIC_LABELS, ROW_LABELS
from mri2pet.report.tables import lookup, people_of, sorted_rows

Drawn = tuple[Figure, str, str]

# One colour per design, distinguishable without colour by their markers too.
DESIGN_STYLE = {
    "": ("#4d4d4d", "s", "control"),
    "published": ("#b35806", "o", "published"),
    "corrected": ("#2166ac", "D", "corrected"),
}
# Columns of Figure 2: the method, those from outside, and two controls.
FIGURE_2_ROWS = (
    "mri2pet",
    "gan",
    "vanilla",
    "cdc",
    "dcl",
    "diffaugment",
    "maskgan",
    "ddpm_pa",
    "regression_unet",
    "mean_template",
)
_WRAPPED = {
    "no_loss": "w/o\nLoss",
    "no_pretraining": "w/o\nPre-Training",
    "no_style": "w/o\nStyle",
    "vanilla": "Vanilla\nDiffusion",
    "regression_unet": "Regression\nU-Net",
    "mean_template": "Mean\ntemplate",
    "random_subject": "Random\nperson",
    "mri2pet_published": "MRI2PET,\npubl. network",
    "self_pretrained": "Self-\npretrained",
}


def pick_people(scans: pd.DataFrame, count: int, seed: int) -> list[str]:
    """Scan ids of people drawn at random, one scan each, before looking at them.

    Parameters
    ----------
    scans : DataFrame indexed by scan_id with ``participant_id``
    count, seed : int

    Returns
    -------
    list of str
        In the order of the table.
    """
    first = scans.groupby("participant_id", sort=False).head(1)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(first), size=min(count, len(first)), replace=False)
    return list(first.index[np.sort(chosen)])


def _person(scan: pd.Series) -> str:
    parts = []
    if isinstance(scan.get("diagnosis"), str) and scan["diagnosis"]:
        parts.append(scan["diagnosis"])
    if pd.notna(scan.get("age")):
        parts.append(f"{scan['age']:.0f} y")
    return ", ".join(parts) or str(scan.name)


def figure_2(
    run,
    design: str = "corrected",
    rows: Sequence[str] = FIGURE_2_ROWS,
    people: int = 5,
    mm: float = 10.0,
) -> Drawn:
    """People by methods, axial slices: the paper's Figure 2 with controls.

    Parameters
    ----------
    run : Run
    design : {"corrected", "published"}
        Design of the learned rows.
    rows : sequence of str
        Row ids, in the order of the columns.
    people : int
        Drawn at random with the run's seed (`pick_people`), as in the paper.
    mm : float
        Axial level.
    """
    store = run.cohort()
    test = store.ids(part="test", has_pet=True)
    ids = pick_people(store.scans.loc[test], people, run.profile.seed)
    real = store.read("pet", ids)
    scores = pd.read_parquet(run.path / "results" / "table1_scans.parquet")
    columns, said = {}, []
    for row in rows:
        own = "" if row in CONTROLS else design
        made = run.sample(row, own)
        order = [list(made.scan_ids).index(i) for i in ids]
        columns[_WRAPPED.get(row, ROW_LABELS.get(row, row))] = made.samples[order, 0]
        mine = scores[
            (scores["row"] == row)
            & (scores["design"] == own)
            & scores["scan_id"].isin(ids)
        ]
        mine = mine[mine["variant"] == ""]
        low, high = mine["ssim_brain"].min(), mine["ssim_brain"].max()
        said.append(f"{ROW_LABELS.get(row, row)} {low:.2f} to {high:.2f}")
    titles = [_person(store.scans.loc[i]) for i in ids]
    fig = brains.figure2(store.read("mri", ids), real, columns, titles, mm=mm)
    level = brains.nearest_levels(real.shape[1:], [mm])[0]
    caption = (
        f"{len(ids)} test people drawn at random (rows), axial slices at z = "
        f"{level:.0f} mm. MRI, real AV45 PET, and synthetic PETs of the {design} "
        "design with two controls. All PETs share one SUVR scale; the patient's left "
        "is on the left."
    )
    alt = (
        f"Panel of {len(ids)} rows and {2 + len(rows)} columns of axial brain slices: "
        f"MRI in grey, then real and synthetic PET in colours from 0 to "
        f"{brains.KINDS['pet'].high:g} SUVR. Masked SSIM to the real PET over these "
        f"people: {'; '.join(said)}."
    )
    return fig, caption, alt


def forest(
    run,
    metric: str = "ssim",
    region: str = "brain",
    comparisons: Sequence[str] = ("mean_template", "regression_unet", "mri2pet"),
) -> Drawn:
    """Paired differences of all rows to a few others, with intervals over people."""
    tidy = run.results("table1")
    heading, _, more = METRIC_LABELS[metric, region]
    keys = [k for k in sorted_rows(tidy) if k[0] != "real_pet"]
    fig = Figure(figsize=(3.0 * len(comparisons) + 1.6, 0.26 * len(keys) + 1.3))
    axes = fig.subplots(1, len(comparisons), sharey=True, squeeze=False)[0]
    said = []
    for ax, other in zip(axes, comparisons, strict=True):
        sides: dict[str, list[str]] = {"ahead": [], "behind": [], "not resolved": []}
        for y, (row, design) in enumerate(keys):
            line = lookup(tidy, row, design, metric, region, other)
            if line is None:
                continue
            colour, marker, _ = DESIGN_STYLE[design]
            clear = line["low"] > 0 or line["high"] < 0
            ax.plot([line["low"], line["high"]], [y, y], color=colour, lw=1.4)
            ax.plot(
                line["value"], y, marker, color=colour, ms=4.5,
                mfc=colour if clear else "white",
            )  # fmt: skip
            side = "ahead" if (line["low"] > 0) == bool(more) else "behind"
            name = ROW_LABELS.get(row, row) + (f" ({design})" if design else "")
            sides[side if clear else "not resolved"].append(name)
        ax.axvline(0, color="black", lw=0.8)
        ax.set_title(f"minus {ROW_LABELS.get(other, other)}", fontsize=9)
        ax.tick_params(labelsize=8)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.grid(axis="x", lw=0.3)
        parts = [f"{k}: {', '.join(v) or 'none'}" for k, v in sides.items()]
        said.append(f"Against {ROW_LABELS.get(other, other)}, {'; '.join(parts)}.")
    axes[0].set_yticks(range(len(keys)))
    axes[0].set_yticklabels(
        [f"{ROW_LABELS.get(r, r)}{f' ({d})' if d else ''}" for r, d in keys], fontsize=8
    )
    axes[0].invert_yaxis()
    fig.supxlabel(f"Difference of {heading}", fontsize=9)
    fig.tight_layout()
    n = people_of(tidy)
    caption = (
        f"Paired differences of {heading}, with 95 % intervals over {n} people. "
        "Filled: the interval excludes 0. "
        + ("Right of 0 is better." if more else "Left of 0 is better.")
    )
    return fig, caption, f"Forest plot of {heading}. " + " ".join(said)


def blur_or_truth(run) -> Drawn:
    """Masked SSIM against the across-people correlation of composite SUVR."""
    tidy = run.results("table1")
    fig = Figure(figsize=(7.6, 4.2))
    ax = fig.subplots()
    said, numbers = [], {}
    for row, design in sorted_rows(tidy):
        x = lookup(tidy, row, design, "ssim", "brain")
        y = lookup(tidy, row, design, "suvr_r", "composite")
        if x is None or y is None or pd.isna(y["value"]):
            continue
        colour, marker, _ = DESIGN_STYLE[design]
        ax.plot([x["low"], x["high"]], [y["value"]] * 2, color=colour, lw=0.6)
        ax.plot([x["value"]] * 2, [y["low"], y["high"]], color=colour, lw=0.6)
        ax.plot(
            x["value"], y["value"], marker, ms=11, mec=colour, mfc="white", zorder=3
        )
        number = numbers.setdefault(row, len(numbers) + 1)
        ax.text(
            x["value"], y["value"], number, fontsize=6.5, color=colour,
            ha="center", va="center_baseline", zorder=4,
        )  # fmt: skip
        name = ROW_LABELS.get(row, row)
        kind = f" ({design})" if design else ""
        said.append(f"{name}{kind}: SSIM {x['value']:.2f}, r {y['value']:.2f}")
    key = [f"{n}  {ROW_LABELS.get(row, row)}" for row, n in numbers.items()]
    ax.text(
        1.03, 1, "\n".join(key), transform=ax.transAxes, fontsize=8, va="top",
        linespacing=1.5,
    )  # fmt: skip
    for design, (colour, marker, name) in DESIGN_STYLE.items():
        if (tidy["design"] == design).any():
            ax.plot([], [], marker, mec=colour, mfc="white", label=name, ms=7)
    ax.axhline(0, color="black", lw=0.6)
    ax.set_xlabel(METRIC_LABELS["ssim", "brain"][0])
    ax.set_ylabel("r of composite SUVR across people")
    ax.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(1.0, 0))
    fig.tight_layout()
    caption = (
        "Image similarity against truth about amyloid, with 95 % intervals over "
        "people. SSIM can be high for a picture that says nothing about the person; "
        "the correlation across people asks for the person."
    )
    return fig, caption, "Scatter of rows. " + "; ".join(said) + "."


def uptake(
    run,
    rows: Sequence[tuple[str, str]] = (
        ("mean_template", ""),
        ("regression_unet", ""),
        ("mri2pet", "published"),
        ("mri2pet", "corrected"),
    ),
) -> Drawn:
    """Real against synthetic composite SUVR, one panel per row of the table."""
    tidy = run.results("table1")
    scores = pd.read_parquet(run.path / "results" / "table1_scans.parquet")
    scores = scores[scores["variant"] == ""]
    fig = Figure(figsize=(2.3 * len(rows) + 0.4, 2.8))
    axes = fig.subplots(1, len(rows), sharex=True, sharey=True, squeeze=False)[0]
    said = []
    real = scores["suvr_real_composite"]
    limits = (real.min() - 0.1, real.max() + 0.1)
    for ax, (row, design) in zip(axes, rows, strict=True):
        mine = scores[(scores["row"] == row) & (scores["design"] == design)]
        colour, marker, _ = DESIGN_STYLE[design]
        ax.plot(limits, limits, color="black", lw=0.6)
        ax.plot(
            mine["suvr_real_composite"], mine["suvr_synthetic_composite"],
            marker, color=colour, ms=3.5, alpha=0.8,
        )  # fmt: skip
        line = lookup(tidy, row, design, "suvr_r", "composite")
        r = "r undefined" if pd.isna(line["value"]) else f"r = {line['value']:.2f}"
        name = ROW_LABELS.get(row, row) + (f"\n({design})" if design else "\n")
        ax.set_title(name, fontsize=9)
        ax.text(0.04, 0.93, r, transform=ax.transAxes, fontsize=8)
        ax.tick_params(labelsize=8)
        ax.set_aspect("equal")
        said.append(f"{name.replace(chr(10), ' ').strip()}: {r}")
    fig.supxlabel("Composite SUVR, real PET", fontsize=9)
    axes[0].set_ylabel("synthetic PET", fontsize=9)
    fig.tight_layout()
    caption = (
        "Composite SUVR of each test scan, real against synthetic. On the line a "
        "synthetic PET would have the amyloid of its person."
    )
    return fig, caption, "Scatter plots, one per method. " + "; ".join(said) + "."


def readme(run, design: str = "corrected") -> Drawn:
    """One test person in three axial slices: MRI, synthetic PET, real PET.

    `book/images/readme.png` is this figure of a finished run.
    """
    made, store = run.sample("mri2pet", design), run.cohort()
    scan = pick_people(store.scans.loc[made.scan_ids], 1, run.profile.seed)[0]
    synthetic = made.samples[made.scan_ids.index(scan), 0]
    mri, real = store.read("mri", [scan])[0], store.read("pet", [scan])[0]
    levels = (-10.0, 12.0, 36.0)
    columns = [mri] * 3 + [synthetic] * 3 + [real] * 3
    fig = brains.draw_rows(
        [columns],
        kinds=["mri"] * 3 + ["pet"] * 6,
        column_titles=["", "MRI", "", "", "synthetic PET", "", "", "real PET", ""],
        mm=levels * 3,
    )
    caption = (
        f"A phantom of the test set, {len(levels)} axial slices each: MRI, synthetic "
        "PET and real PET."
    )
    alt = (
        f"Axial slices side by side. The synthetic PET has a mean of "
        f"{synthetic.mean():.2f} SUVR, the real one {real.mean():.2f}."
    )
    return fig, caption, alt


FIGURES: dict[str, Callable[..., Drawn]] = {
    "readme": readme,
    "figure-2": figure_2,
    "forest": forest,
    "blur-or-truth": blur_or_truth,
    "uptake": uptake,
}
