"""Figures of chapter 13 about what is seen across people.

Each function takes a run and returns ``(figure, caption, alt)``, as in
`mri2pet.report.figures`. Nothing is computed here that is not in the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mri2pet.report import brains
from mri2pet.report.ambiguity import ROW, find
from mri2pet.report.appendix_c_text import number
from mri2pet.report.figures import Drawn

# Colour, marker and name of each method; the markers tell them apart without colour.
STYLE = {
    ("real_pet", ""): ("#1a1a1a", "s", "real PET"),
    ("mri2pet", "corrected"): ("#2166ac", "o", "MRI2PET"),
    ("regression_unet", ""): ("#b35806", "^", "regression U-Net"),
}
UNITS = {
    "detail": "detail [SUVR]",
    "sharpness": "sharpness (real = 1)",
    "aligned": "detail at its place (real = 1)",
    "edge": "slope at the cortex [SUVR/cm]",
    "composite": "composite [SUVR]",
    "spread": "spread in the brain [SUVR]",
    "spread_composite": "spread of the composite [SUVR]",
    "entropy": "entropy of the call [bits]",
}


def saved(run, name: str) -> Path:
    """Find a file of a run, or of the run that it is a change of.

    Raises
    ------
    ValueError
        It has not been made.
    """
    roots = [run.path, getattr(run, "parent", None)]
    found = [Path(root) / name for root in roots if root is not None]
    for path in found:
        if path.is_file():
            return path
    raise ValueError(f"{found[0]}: not made yet")


def read_parquet(run, name: str) -> pd.DataFrame:
    """Read `results/<name>.parquet`; raises as `saved`."""
    return pd.read_parquet(saved(run, f"results/{name}.parquet"))


def legend(fig: Figure, keys: Sequence[tuple[str, str]]) -> None:
    """Put the methods' names below a figure."""
    for colour, marker, name in (STYLE[key] for key in keys):
        fig.axes[0].plot([], [], marker, color=colour, label=name)
    handles = fig.axes[0].get_legend_handles_labels()
    fig.legend(*handles, loc="outside lower center", ncols=len(keys), frameon=False)


def sorted_by_decay(scans: pd.DataFrame, diagnoses: pd.Series) -> tuple[list, list]:
    """Scan ids without and with clear decay, by a rule fixed before looking.

    One scan of each test person with AD (of everybody where fewer than 4 have it), in
    the order of their atrophy: the lower half, then the upper half.

    Parameters
    ----------
    scans : DataFrame
        ``scan_id``, ``participant_id``, ``atrophy``.
    diagnoses : Series indexed by scan_id

    Returns
    -------
    without, with : lists of str
        As long as each other; least decay first.
    """
    first = scans.drop_duplicates("participant_id")
    ill = first[first["scan_id"].map(diagnoses) == "AD"]
    chosen = (ill if len(ill) >= 4 else first).sort_values("atrophy")
    half = len(chosen) // 2
    ids = list(chosen["scan_id"])
    return ids[:half], ids[len(ids) - half :]


def figure_4(run, design: str = "corrected", rows: int = 4, mm: float = 12.0) -> Drawn:
    """Triplets of people with little (left) and much (right) decay: the paper's figure.

    Parameters
    ----------
    run : Run
    design : {"corrected", "published"}
    rows : int
        Of each half, spread evenly over it.
    mm : float
        Axial level.
    """
    scans = read_parquet(run, "appendix_c_scans")
    mine = scans[(scans["row"] == ROW) & (scans["design"] == design)]
    mine = mine[mine["variant"] == ""].set_index("scan_id", drop=False)
    store, made = run.cohort(), run.sample(ROW, design)
    groups = sorted_by_decay(mine, store.scans["diagnosis"])
    count = min(rows, len(groups[0]))
    picked = [
        [g[i] for i in np.linspace(0, len(g) - 1, count).round().astype(int)]
        for g in groups
    ]
    volumes = []
    for pair in zip(*picked, strict=True):
        volumes.append([])
        for scan in pair:
            synthetic = made.samples[made.scan_ids.index(scan), 0]
            real = [store.read(kind, [scan])[0] for kind in ("mri", "pet")]
            volumes[-1] += [*real, synthetic]
    level = brains.nearest_levels(volumes[0][1].shape, [mm])[0]
    fig = brains.draw_rows(
        volumes,
        kinds=["mri", "pet", "pet"] * 2,
        column_titles=["MRI", "real", "synthetic"] * 2,
        mm=level,
        cell_inches=1.15,
    )
    sign = "V" if "V" in mine else "dark ml"
    for r, pair in enumerate(zip(*picked, strict=True)):
        for c, scan in enumerate(pair):
            line = mine.loc[scan]
            texts = {0: f"{sign} {line['atrophy']:.2f}", 2: f"{line['detail']:.3f}"}
            for place, text in texts.items():
                ax = fig.axes[6 * r + 3 * c + place]
                ax.text(
                    0.03, 0.97, text, color="white", fontsize=7, va="top",
                    transform=ax.transAxes,
                )  # fmt: skip
    means = [mine.loc[list(g), "detail"].mean() for g in groups]
    ill = mine.loc[groups[0] + groups[1], "scan_id"].map(store.scans["diagnosis"])
    who = "with AD" if (ill == "AD").all() else "of the test part"
    caption = (
        f"After the paper's Figure 4, {design} design: people {who}, the half with "
        "less atrophy on the left, the half with more on the right, each from little "
        f"to much. In the MRI its atrophy ({sign}), in the synthetic PET its detail in "
        "SUVR. All PETs share one scale."
    )
    alt = (
        f"{count} rows of two triplets: MRI, real PET, synthetic PET. Mean detail of "
        f"all {len(groups[0])} synthetic PETs of the left half {means[0]:.3f} SUVR, of "
        f"all {len(groups[1])} of the right half {means[1]:.3f}."
    )
    return fig, caption, alt


def observed(
    run,
    measures: Sequence[str] = ("detail", "sharpness", "aligned", "spread_composite"),
) -> Drawn:
    """Sharpness and ambiguity against atrophy, one point per test scan."""
    tidy, scans = run.results("appendix_c"), read_parquet(run, "appendix_c_scans")
    scans = scans[scans["variant"] == ""]
    fig = Figure(figsize=(8.6, 6.4), layout="constrained")
    axes = fig.subplots(2, (len(measures) + 1) // 2, squeeze=False).ravel()
    said, shown = [], {}
    for ax, measure in zip(axes, measures, strict=False):
        for key, (colour, marker, _) in STYLE.items():
            mine = scans[(scans["row"] == key[0]) & (scans["design"] == key[1])]
            line = find(tidy, *key, f"pearson_r:atrophy:{measure}")
            if line is None or measure not in mine or mine[measure].isna().all():
                continue
            shown[key] = True
            ax.plot(
                mine["atrophy"], mine[measure], marker, color=colour, ms=4, alpha=0.75
            )
            _trend(ax, mine["atrophy"], mine[measure], colour)
            said.append(f"{measure}, {STYLE[key][2]}: r = {number(line)}")
        ax.set(xlabel="atrophy", ylabel=UNITS.get(measure, measure))
        ax.grid(color="0.93")
    legend(fig, list(shown))
    caption = (
        "What the paper looks at, as numbers: one point per test scan, across the "
        "atrophy of the person, up sharpness and ambiguity. Lines: least squares."
    )
    return fig, caption, "Scatter plots against atrophy. " + "; ".join(said) + "."


def _trend(ax: Axes, x: pd.Series, y: pd.Series, colour: str) -> None:
    good = x.notna() & y.notna()
    if good.sum() > 2 and x[good].nunique() > 1:
        slope, start = np.polyfit(x[good], y[good], 1)
        ends = np.array([x[good].min(), x[good].max()])
        ax.plot(ends, start + slope * ends, color=colour, lw=1)
