"""Learning curves, drawn: score against samples seen, with the controls as levels."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mri2pet.evaluation.curves import PASSED
from mri2pet.report.tables import METRIC_LABELS, ROW_LABELS

# One colour and dash a row, the same in both panels.
_COLOURS = plt.get_cmap("tab10").colors
_DASHES = ("-", "--")
_LEVELS = {"mean_template": "0.35", "random_subject": "0.65", "regression_unet": "k"}


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
    for ax, design in zip(axes, ("published", "corrected"), strict=True):
        for row, curve in part[part["design"] == design].groupby("row", sort=False):
            colour, dash = look[row]
            x = curve["samples"]
            ax.plot(x, curve["value"], dash, color=colour, lw=1.5)
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


def crossings_table(crossed: pd.DataFrame) -> pd.DataFrame:
    """Crossings for readers: after how many samples a row passes each control."""
    lines = []
    for line in crossed.to_dict("records"):
        end = f"{line['value']:.3f} [{line['low']:.3f}, {line['high']:.3f}]"
        lines.append(
            {
                "Row": ROW_LABELS.get(line["row"], line["row"]),
                "Design": line["design"],
                "Samples": f"{line['samples']:,.0f}",
                "Score at the end": end,
                **{f"above {ROW_LABELS[c].lower()}": _from(line[c]) for c in PASSED},
            }
        )
    return pd.DataFrame(lines)


def _from(samples: float) -> str:
    return f"from {samples:,.0f}" if samples > 0 else "not here"
