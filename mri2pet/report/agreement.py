"""Real against synthetic predictions of MMSE, looked up and drawn.

The results come from `mri2pet.stages.agreement`; ``design`` there is that of the
synthetic PETs, whatever the setting.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mri2pet.evaluation.published import fact
from mri2pet.report.downstream import SETTING_LABELS
from mri2pet.report.figures import Drawn
from mri2pet.report.tables import cell, lookup

# Variant of `agreement` -> name in a figure; the others have a rho.
_KINDS = {
    "": "all trainings",
    "last_seed": "the last training, as released",
    "reliability": "two trainings, the same real PET",
}
_COLOURS = {"real_pet": "#b35806", "real_paired": "#762a83"}


def agreement_line(
    table: pd.DataFrame,
    row: str = "real_pet",
    region: str = "mmse_20",
    variant: str = "",
    comparison: str = "",
    interval: str = "people",
) -> pd.Series | None:
    """One line of `results/agreement.csv`, None where it was not made."""
    part = table[table["interval"] == interval]
    designs = list(dict.fromkeys(part["design"])) or [""]
    return lookup(part, row, designs[0], "pearson_r", region, comparison, variant)


def variants_of(table: pd.DataFrame) -> list[str]:
    """Variants of a table in the order of the figure."""
    found = dict.fromkeys(table["variant"])
    order = ("", "last_seed", "rho=", "reliability", "reliability.")
    return [v for start in order for v in sorted(found) if _fits(v, start)]


def _fits(variant: str, start: str) -> bool:
    """Equal, or equal up to the rho that follows."""
    return variant == start or (
        start.endswith(("=", ".")) and variant.startswith(start)
    )


def _name(variant: str) -> str:
    if variant in _KINDS:
        return _KINDS[variant]
    reliability, _, rho = variant.rpartition("rho=")
    what = "two trainings, real PET" if reliability else "all trainings"
    return f"{what}, rho = {float(rho):g}"


def agreement_figure(table: pd.DataFrame, region: str = "mmse_20") -> Drawn:
    """Every r with its interval over people, and the paper's with its own."""
    rows = [r for r in _COLOURS if (table["row"] == r).any()]
    keys = [
        (row, variant)
        for row in rows
        for variant in variants_of(table)
        if agreement_line(table, row, region, variant) is not None
    ]
    fig = Figure(figsize=(8.4, 0.34 * len(keys) + 1.5), layout="constrained")
    ax = fig.subplots()
    said = []
    for y, (row, variant) in enumerate(keys):
        line = agreement_line(table, row, region, variant)
        if not math.isfinite(line["value"]):
            continue
        colour = _COLOURS[row]
        ax.plot([line["low"], line["high"]], [y, y], color=colour, lw=2)
        fill = "white" if "reliability" in variant else colour
        ax.plot(line["value"], y, "o", color=colour, mfc=fill, ms=6)
        said.append(f"{SETTING_LABELS[row]}, {_name(variant)}: {cell(line, 2)}")
    if region == "mmse_20":
        low, high = fact("r_real_generated_low"), fact("r_real_generated_high")
        ax.axvspan(low, high, color="0.9", lw=0, zorder=0)
        ax.axvline(fact("r_real_generated"), color="0.5", ls="--", lw=1)
    ax.axvline(0, color="0.4", lw=0.8)
    names = [f"{SETTING_LABELS[row]}: {_name(variant)}" for row, variant in keys]
    ax.set_yticks(range(len(keys)), names, fontsize=8)
    ax.set_ylim(len(keys) - 0.5, -0.5)
    ax.set_xlabel("r between two predictions of the same people")
    caption = (
        "Filled: r between what a network predicts from the real and from the "
        "synthetic PET. Open: r between two trainings that see the same real PET. "
        f"95 % over {_people(table, region)} people."
    )
    if region == "mmse_20":
        caption += (
            " Dashed: the paper's r (ADNI, one training), grey: its interval, worked "
            "out from the number of people."
        )
    return fig, caption, "Correlations: " + "; ".join(said) + "."


def _people(table: pd.DataFrame, region: str) -> int:
    part = table[(table["interval"] == "people") & (table["region"] == region)]
    return 0 if part.empty else int(part["n"].max())


def predictions_of(
    frame: pd.DataFrame, row: str, target: str, variant: str = ""
) -> pd.DataFrame:
    """Predictions of one setting, real beside synthetic, a line per scan and seed.

    Parameters
    ----------
    frame : DataFrame
        `results/downstream_predictions.parquet`.
    row, variant : str
    target : {"mmse", "mmse_20"}

    Returns
    -------
    DataFrame
        scan_id, seed, truth, real, generated.
    """
    mine = frame[
        (frame["row"] == row)
        & (frame["variant"] == variant)
        & (frame["target"] == target)
    ]
    keys = ["scan_id", "seed", "truth"]
    wide = mine.pivot_table(index=keys, columns="on", values="predicted").reset_index()
    wide.columns.name = None
    missing = {"real", "generated"} - set(wide)
    if missing:
        raise ValueError(
            f"{row}: no predictions from {' or '.join(sorted(missing))} PET"
        )
    return wide


def scatter_figure(pairs: pd.DataFrame, table: pd.DataFrame, region: str) -> Drawn:
    """Predictions from real against synthetic PET, with the line of identity.

    Parameters
    ----------
    pairs : DataFrame
        Of `predictions_of`.
    table : DataFrame
        `results/agreement.csv`.
    region : str
    """
    fig = Figure(figsize=(9, 4.2), layout="constrained")
    axes = fig.subplots(1, 2)
    mean = pairs.groupby("scan_id")[["real", "generated", "truth"]].mean()
    last = pairs[pairs["seed"] == pairs["seed"].max()]
    count = pairs["seed"].nunique()
    said = []
    for ax, part, title in (
        (axes[0], last, "the last training"),
        (axes[1], mean, f"mean of {count} trainings"),
    ):
        both = part[["real", "generated"]].to_numpy()
        room = 0.06 * np.ptp(both) or 0.1
        limits = both.min() - room, both.max() + room
        ax.plot(limits, limits, color="0.5", lw=0.8)
        shown = ax.scatter(part["real"], part["generated"], c=part["truth"], s=18)
        spread = part[["real", "generated"]].std()
        ax.set(title=title, xlabel="MMSE predicted from the real PET")
        ax.set(aspect="equal", xlim=limits, ylim=limits)
        ax.locator_params(nbins=4)
        ax.ticklabel_format(useOffset=False)
        said.append(
            f"{title}: standard deviation {spread['real']:.2g} from real, "
            f"{spread['generated']:.2g} from synthetic PET"
        )
    axes[0].set_ylabel("from the synthetic PET")
    fig.colorbar(shown, ax=axes, label="true MMSE", shrink=0.8)
    line = agreement_line(table, "real_pet", region)
    r = "" if line is None else f" r over all trainings: {cell(line, 2)}."
    caption = (
        "What the network for real PET predicts of each test person, from the real "
        "and from the synthetic PET. On the line the two would be the same. The axes "
        "of each panel span its predictions, not the scale of the test. Colour: the "
        "true score."
    )
    return fig, caption, f"Scatter of {len(mean)} scans. " + "; ".join(said) + "." + r
