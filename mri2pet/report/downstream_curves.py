"""Curves of Table 2 or 3: over the number of labelled people, and over rho.

Each function returns ``(figure, caption, alt)``, as in `mri2pet.report.figures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mri2pet.report.downstream import (
    HEADINGS,
    SETTING_LABELS,
    people_behind,
    value_of,
)
from mri2pet.report.downstream_figures import CEILING, LOOK, ceilings_of, where
from mri2pet.report.figures import Drawn
from mri2pet.stages.settings import OVER_PEOPLE, OVER_RHO, SETTINGS


def over_people_figure(
    tidy: pd.DataFrame,
    metric: str,
    people_of: Mapping[bool, int],
    region: str = "all",
    design: str = "corrected",
) -> Drawn:
    """Learning curves over the number of labelled people.

    Parameters
    ----------
    people_of : mapping
        Labelled people: ``True`` with those who have an MRI only, ``False`` without.
    """
    heading, digits, chance = HEADINGS[metric]
    fig = Figure(figsize=(7.4, 3.8), layout="constrained")
    ax = fig.subplots()
    said = []
    for number, row in enumerate(OVER_PEOPLE):
        points = []
        for share in _shares(tidy, row):
            variant = "" if share == 1 else f"/labelled={share:g}"
            line = value_of(tidy, row + variant, metric, region, design=design)
            if line is not None:
                count = max(2, round(share * people_of[SETTINGS[row].more]))
                points.append((count, line["value"], line["low"], line["high"]))
        if not points:
            continue
        colour, marker = LOOK[SETTINGS[row].images]
        x, y, low, high = zip(*points, strict=True)
        bars = [np.subtract(y, low), np.subtract(high, y)]
        x = np.add(x, 0.006 * number * max(people_of.values()))  # bars side by side
        look = {"color": colour, "marker": marker, "lw": 1.4, "elinewidth": 1}
        ax.errorbar(x, y, yerr=bars, label=SETTING_LABELS[row], **look)
        numbers = ", ".join(f"{b:.{digits}f} at {a}" for a, b, *_ in points)
        said.append(f"{SETTING_LABELS[row]} {numbers}")
    if chance is not None:
        ax.axhline(chance, color="0.6", lw=0.8)
    ax.set(xlabel="labelled people to learn from", ylabel=heading + where(region))
    fig.legend(loc="outside right center", frameon=False, fontsize=8)
    caption = (
        f"{heading.split(' [')[0]} against the number of labelled people to learn "
        f"from. Bars: 95 % over {people_behind(tidy, region)} test people."
    )
    return fig, caption, "Curves over people: " + "; ".join(said) + "."


def _shares(tidy: pd.DataFrame, row: str) -> list[float]:
    mine = tidy.loc[tidy["row"] == row, "variant"]
    found = {v for v in mine if v.startswith("labelled=")}
    return sorted([float(v.partition("=")[2]) for v in found] + [1.0])


def over_rho_figure(
    tidy: pd.DataFrame,
    metric: str,
    own_rho: float,
    rhos: Sequence[float],
    region: str = "all",
) -> Drawn:
    """Scores against rho, the link of amyloid with the MRI, below the ceilings."""
    heading, digits, chance = HEADINGS[metric]
    fig = Figure(figsize=(7.4, 3.8), layout="constrained")
    ax = fig.subplots()
    said = []
    places = sorted({own_rho, *rhos})
    for number, row in enumerate(OVER_RHO):
        points = []
        for rho in places:
            variant = "" if rho == own_rho else f"/rho={rho:g}"
            line = value_of(tidy, row + variant, metric, region)
            if line is not None:
                points.append((rho, line["value"], line["low"], line["high"]))
        if not points:
            continue
        colour, marker = LOOK[SETTINGS[row].images]
        x, y, low, high = zip(*points, strict=True)
        dash = "--" if row == "augmented_pet" else "-"
        bars = [np.subtract(y, low), np.subtract(high, y)]
        look = {
            "color": colour,
            "marker": marker,
            "lw": 1.4,
            "elinewidth": 1,
            "ls": dash,
        }
        x = np.add(x, 0.008 * number)  # bars side by side
        ax.errorbar(x, y, yerr=bars, label=SETTING_LABELS[row], **look)
        numbers = ", ".join(f"{b:.{digits}f} at rho {a:g}" for a, b, *_ in points)
        said.append(f"{SETTING_LABELS[row]} {numbers}")
    limits = {
        rho: ceilings_of(tidy, metric, region, None if rho == own_rho else rho)
        for rho in places
    }
    for name, dash in CEILING.items():
        # What V tells of cognition does not depend on rho.
        own = limits[own_rho].get(name)
        level = [limits[r].get(name, own if name == "V, age" else None) for r in places]
        if None in level:
            continue
        ax.plot(places, level, dash, color="#1b7837", label=f"ceiling ({name})")
        said.append(
            f"ceiling ({name}) " + " to ".join(f"{v:.{digits}f}" for v in level)
        )
    if chance is not None:
        ax.axhline(chance, color="0.6", lw=0.8)
    ax.set(xlabel="rho: link of amyloid and MRI", ylabel=heading + where(region))
    fig.legend(loc="outside right center", frameon=False, fontsize=8)
    caption = (
        f"{heading.split(' [')[0]} against rho. The same people are made again with "
        "another link between amyloid and atrophy; their MRIs and diagnoses stay. "
        f"Bars: 95 % over {people_behind(tidy, region)} people. Green: ceilings."
    )
    return fig, caption, "Curves over rho: " + "; ".join(said) + "."
