"""Learning curves, drawn: score against samples seen, with the controls as levels."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mri2pet.config import CONTROLS, DESIGNS
from mri2pet.evaluation.curves import PASSED, crossings
from mri2pet.report.discussion import label
from mri2pet.report.labels import METRIC_LABELS, ROW_LABELS, spoken

if TYPE_CHECKING:
    from mri2pet.report.study import Study

# One colour and dash a row, the same in both panels.
_COLOURS = plt.get_cmap("tab10").colors
_DASHES = ("-", "--")
_LEVELS = {"mean_template": "0.35", "random_subject": "0.65", "regression_unet": "k"}


def long_run(
    study: Study | None, keys: Collection[tuple[str, str]]
) -> tuple[pd.DataFrame | None, str]:
    """Return the curves of some rows in the committed run, and what it does not have.

    Parameters
    ----------
    study : Study, optional
        Of `mri2pet.report.study.load_study`.
    keys : collection of (row, design)
        The rows that are asked for.

    Returns
    -------
    curves : DataFrame or None
        Columns of `mri2pet.stages.curves.learning_curves`: those rows and all
        controls. None if the run has none of the rows.
    absent : str
        A sentence that names the rows which that run does not have; empty if it has
        them all.
    """
    curves = None if study is None else study.tables.get("learning_curves")
    if curves is None:
        return None, (
            "No long run is kept with this version of the book; "
            "{ref}`how to make one <long-run>`."
        )
    lines = list(zip(curves["row"], curves["design"], strict=True))
    absent = [key for key in keys if key not in lines]
    if len(absent) == len(keys):
        return None, f"These rows are not in the long run, a {study.name()}."
    kept = [row in CONTROLS or (row, design) in keys for row, design in lines]
    if not absent:
        return curves[kept], ""
    return curves[kept], f"Not in that run: {', '.join(label(*k) for k in absent)}."


def crossed_controls(curves: pd.DataFrame) -> pd.DataFrame:
    """As `mri2pet.evaluation.curves.crossings`, for the controls that are there.

    Rows stand in the order of Table 1, published before corrected.
    """
    crossed = crossings(curves, [c for c in PASSED if (curves["row"] == c).any()])
    rows, designs = list(ROW_LABELS), list(DESIGNS)
    place = crossed["row"].map(rows.index) * len(designs)
    place += crossed["design"].map(designs.index)
    return crossed.iloc[place.argsort()].reset_index(drop=True)


def learning_curves(
    curves: pd.DataFrame, metric: str = "ssim", region: str = "brain"
) -> Figure:
    """Score of each row against samples seen, a panel per design.

    Parameters
    ----------
    curves : DataFrame
        Of `mri2pet.stages.curves.learning_curves`.
    metric, region : str
        Which score.

    Returns
    -------
    Figure
        Shaded: 95 % over people. Horizontal: controls, at their last value.
    """
    part = curves[(curves["metric"] == metric) & (curves["region"] == region)]
    rows = [r for r in ROW_LABELS if r in set(part.loc[part["design"] != "", "row"])]
    look = {
        row: (_COLOURS[i % len(_COLOURS)], _DASHES[i // len(_COLOURS)])
        for i, row in enumerate(rows)
    }
    fig, axes = plt.subplots(
        1, 2, figsize=(9.6, 4.4), sharey=True, layout="constrained"
    )
    for ax, design in zip(axes, DESIGNS, strict=True):
        for row, curve in part[part["design"] == design].groupby("row", sort=False):
            colour, dash = look[row]
            x = curve["samples"]
            ax.plot(x, curve["value"], dash, color=colour, lw=1.5, marker="o", ms=2.5)
            ax.fill_between(x, curve["low"], curve["high"], color=colour, alpha=0.12)
        for control in PASSED:
            mine = part[part["row"] == control]
            if len(mine):
                ax.axhline(mine["value"].iloc[-1], color=_LEVELS[control], ls=":")
        ax.set(xscale="log", title=design, xlabel="samples seen in fine-tuning")
    axes[0].set_ylabel(METRIC_LABELS[metric, region][0])
    handles = [
        plt.Line2D([], [], color=c, ls=d, label=ROW_LABELS[r])
        for r, (c, d) in look.items()
    ]
    handles += [
        plt.Line2D([], [], color=_LEVELS[c], ls=":", label=ROW_LABELS[c])
        for c in PASSED
        if (part["row"] == c).any()
    ]
    fig.legend(handles=handles, loc="outside right center", frameon=False, fontsize=8)
    return fig


def curves_in_words(crossed: pd.DataFrame) -> str:
    """Where the curves end, for who cannot see the figure."""
    ends = [
        f"{ROW_LABELS.get(line['row'], line['row'])} {line['design']} "
        f"{_end(line)} after {line['samples']:,.0f}"
        for line in crossed.to_dict("records")
    ]
    return f"Score at the end, and samples seen: {'; '.join(ends)}."


def passed_in_words(crossed: pd.DataFrame) -> str:
    """One Markdown sentence: how many rows end above which control."""
    words = []
    for control in [c for c in PASSED if c in crossed]:
        ends = [
            f"{part[control].notna().sum()} of {len(part)} {design}"
            for design in DESIGNS
            if len(part := crossed[crossed["design"] == design])
        ]
        words.append(f"above the {spoken(control)} {' and '.join(ends)} rows")
    most = int(crossed["samples"].max())
    return f"After {most:,} samples at most there end {'; '.join(words)}."


def crossings_table(crossed: pd.DataFrame) -> pd.DataFrame:
    """Crossings for readers: after how many samples a row passes each control."""
    return pd.DataFrame(
        [
            {
                "Row": ROW_LABELS.get(line["row"], line["row"]),
                "Design": line["design"],
                "Samples": f"{line['samples']:,.0f}",
                "Score at the end": _end(line),
                **{f"above {spoken(c)}": _from(line[c]) for c in PASSED if c in line},
            }
            for line in crossed.to_dict("records")
        ]
    )


def _end(line: dict) -> str:
    if pd.isna(line["value"]):
        return "diverged"
    return f"{line['value']:.3f} [{line['low']:.3f}, {line['high']:.3f}]"


def _from(samples: float) -> str:
    return f"from {samples:,.0f}" if samples > 0 else "not here"
