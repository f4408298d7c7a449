"""What a probability is worth, drawn: reliability, decision curve, risk-coverage.

Each function takes the tidy frame of the stage `certainty` and returns
``(figure, caption, alt)``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mri2pet.report.decision_words import LABELS, ROWS, name, thresholds
from mri2pet.report.figures import Drawn
from mri2pet.report.tables import cell, lookup

COLOURS = {
    "mri2pet": "#2166ac",
    "regression_unet": "#b35806",
    "mean_template": "#4d4d4d",
    "covariates": "#1b7837",
    "prevalence": "#999999",
    "real_pet": "black",
}
DASHES = {
    "covariates": "--",
    "mean_template": ":",
    "real_pet": "-.",
    "prevalence": (0, (1, 3)),
}
RELIABLE = (("mri2pet", "corrected"), ("regression_unet", ""), ("covariates", ""))


def _there(tidy: pd.DataFrame, keys) -> list[tuple[str, str]]:
    return [k for k in keys if lookup(tidy, *k, "brier", "composite") is not None]


def reliability(tidy: pd.DataFrame) -> Drawn:
    """Announced against observed shares of people with amyloid, a panel a row."""
    keys = _there(tidy, RELIABLE)
    fig = Figure(figsize=(3.0 * max(len(keys), 1) + 0.4, 3.2))
    axes = fig.subplots(1, max(len(keys), 1), sharex=True, sharey=True, squeeze=False)[
        0
    ]
    said = []
    for ax, (row, design) in zip(axes, keys, strict=True):
        mine = tidy[(tidy["row"] == row) & (tidy["design"] == design)]
        bins = mine[mine["variant"].str.startswith("bin=")]
        table = bins.set_index(["variant", "metric"])
        ax.plot([0, 1], [0, 1], color="0.6", ls=":")
        parts = []
        for variant in bins["variant"].drop_duplicates():
            x = table.loc[(variant, "predicted"), "value"]
            seen = table.loc[(variant, "observed")]
            ax.plot([x, x], [seen["low"], seen["high"]], color=COLOURS[row], lw=1.2)
            size = 4 + 2 * np.sqrt(seen["n"])
            ax.plot(x, seen["value"], "o", color=COLOURS[row], ms=size, alpha=0.8)
            parts.append(f"{x:.2f} to {seen['value']:.2f}")
        error = lookup(tidy, row, design, "ece", "composite")["value"]
        ax.set_title(f"{LABELS[row]}\nECE {error:.2f}", fontsize=9)
        ax.set_xlabel("announced probability", fontsize=9)
        ax.tick_params(labelsize=8)
        said.append(f"{LABELS[row]}: announced to seen {', '.join(parts)}")
    axes[0].set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes[0].set_ylabel("share with amyloid", fontsize=9)
    fig.tight_layout()
    caption = (
        "Reliability. Test people in groups of equal size by their probability; a dot "
        "on the dotted line announces what comes. Lines: binomial 95 % intervals. ECE: "
        "expected calibration error."
    )
    return fig, caption, f"{'. '.join(said)}."


def decision_curve(tidy: pd.DataFrame) -> Drawn:
    """Net benefit against the threshold at which somebody acts."""
    keys = _there(tidy, [*ROWS, ("real_pet", "")])
    fig = Figure(figsize=(7.6, 3.8))
    ax = fig.subplots()
    t = thresholds(tidy)
    everybody = _line(tidy, ("treat_all", ""), "net_benefit", "t", t)
    ax.plot(t, everybody["value"], color="0.5", lw=1, label="act on everybody")
    ax.axhline(0, color="0.5", lw=1, ls=(0, (6, 2)), label="act on nobody")
    most = max(0.02, everybody["value"].max())
    best = {}
    for row, design in keys:
        line = _line(tidy, (row, design), "net_benefit", "t", t)
        look = {"color": COLOURS[row], "ls": DASHES.get(row, "-")}
        ax.plot(t, line["value"], lw=1.6, label=LABELS[row], **look)
        if row == "mri2pet":
            ax.fill_between(
                t, line["low"], line["high"], color=COLOURS[row], alpha=0.12
            )
        above = line["value"].to_numpy() - np.maximum(everybody["value"], 0).to_numpy()
        best[LABELS[row]] = int((above > 1e-9).sum())
        most = max(most, line["value"].max())
    ax.set(xlim=(0, 1), ylim=(-0.6 * most, 1.25 * most))
    ax.set_xlabel("probability from which somebody would act", fontsize=9)
    ax.set_ylabel("net benefit", fontsize=9)
    ax.tick_params(labelsize=8)
    ax.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    fig.tight_layout()
    caption = (
        "Decision curve. Net benefit per person: people with amyloid who are acted on, "
        "less those without, weighed by the odds of the threshold. Only a curve above "
        "both grey lines is of use. Band: 95 % over test people, for MRI2PET."
    )
    parts = [f"{label} at {n} of {len(t)}" for label, n in best.items()]
    return fig, caption, f"Above both references: {'; '.join(parts)} thresholds."


def risk_coverage(tidy: pd.DataFrame) -> Drawn:
    """What is left of the risk if the least certain people are refused."""
    kinds = {
        "call": ("wrong calls among those kept", "refused: probability near one half"),
        "suvr": ("error of those kept [SUVR]", "refused: samples spread most"),
    }
    shown = [
        kind
        for kind in kinds
        if (tidy["metric"] == f"aurc_{kind}").any()
    ]  # fmt: skip
    fig = Figure(figsize=(4.4 * len(shown) + 0.4, 3.5))
    axes = fig.subplots(1, len(shown), squeeze=False)[0]
    said = []
    for ax, kind in zip(axes, shown, strict=True):
        label, title = kinds[kind]
        metric = f"risk_{kind}"
        for key in _there(tidy, ROWS):
            if lookup(tidy, *key, f"aurc_{kind}", "composite") is None:
                continue
            keep = thresholds(tidy, "keep", metric, key)
            line = _line(tidy, key, metric, "keep", keep)
            look = {"color": COLOURS[key[0]], "ls": DASHES.get(key[0], "-")}
            ax.plot(100 * keep, line["value"], label=LABELS[key[0]], **look)
            if key[0] == "mri2pet":
                band = {"color": COLOURS[key[0]], "alpha": 0.12}
                ax.fill_between(100 * keep, line["low"], line["high"], **band)
                best = _line(tidy, key, f"{metric}_oracle", "keep", keep)["value"]
                every = line["value"].iloc[-1]
                ax.axhline(every, color="0.5", lw=1, label="refused at random")
                ax.plot(100 * keep, best, color="0.5", ls=(0, (6, 2)), label="oracle")
            area = lookup(tidy, *key, f"aurc_{kind}", "composite")
            said.append(f"{name(key[0])}, {title}: area {cell(area, 3)}")
        ax.set_title(title, fontsize=9)
        ax.set_xlabel("share of people kept [%]", fontsize=9)
        ax.set_ylabel(label, fontsize=9)
        ax.set_ylim(bottom=0)
        ax.tick_params(labelsize=8)
    handles, names = axes[0].get_legend_handles_labels()
    fig.legend(handles, names, loc="lower center", ncols=4, fontsize=8, frameon=False)
    fig.tight_layout(rect=(0, 0.12, 1, 1))
    caption = (
        "Refusing people (from right to left). If the certainty is worth its name the "
        "curve falls below the grey line, where people are refused at random; the "
        "oracle (of MRI2PET) knows every error. Band: 95 % over test people."
    )
    return fig, caption, f"{'. '.join(said)}."


def _line(tidy, key, metric: str, letter: str, at: np.ndarray) -> pd.DataFrame:
    mine = tidy[
        (tidy["row"] == key[0])
        & (tidy["design"] == key[1])
        & (tidy["metric"] == metric)
        & (tidy["comparison"] == "")
    ].set_index("variant")
    return mine.loc[[f"{letter}={value:g}" for value in at]]
