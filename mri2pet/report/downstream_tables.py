"""Tables 2 and 3 as people read them, made from the tidy results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from mri2pet.evaluation import published as paper
from mri2pet.report.discussion import some
from mri2pet.report.downstream import (
    HEADINGS,
    SETTING_LABELS,
    designs_of,
    missing_settings,
    value_of,
)
from mri2pet.report.tables import NOT_MADE, cell
from mri2pet.stages.settings import SETTINGS


def wide_clinical(
    tidy: pd.DataFrame,
    table: str,
    metrics: Sequence[str],
    region: str = "all",
    *,
    intervals: Sequence[str] = ("people",),
    notes: pd.DataFrame | None = None,
    printed: bool = True,
) -> pd.DataFrame:
    """A table as people read it: a line for each setting.

    Parameters
    ----------
    tidy : DataFrame
    table : {"table2", "table3"}
        Where the paper's values stand.
    metrics : sequence of str
    region : str
    intervals : sequence of "people" and "seeds"
        A column of each metric for each of them.
    notes : DataFrame, optional
        Settings that could not be run have a line that says so.
    printed : bool
        Also the paper's values, in columns marked "paper (ADNI)".

    Returns
    -------
    DataFrame of str
    """
    lines, missing = [], missing_settings(notes)
    for setting, label in SETTING_LABELS.items():
        designs = designs_of(tidy) or ["corrected"]
        for design in designs if SETTINGS[setting].synthetic else [""]:
            line = {"Setting": label}
            if len(designs) > 1:
                line["Generator"] = design
            gone = (setting, design, "") in missing
            for metric in metrics:
                heading, digits, _ = HEADINGS[metric]
                for interval in intervals:
                    found = value_of(
                        tidy, setting, metric, region, design=design, interval=interval
                    )
                    text = NOT_MADE if gone else cell(found, digits)
                    line[f"{heading}, over {interval}"] = text
                if printed:
                    name = f"{heading.split(' [')[0]}, paper (ADNI)"
                    line[name] = _paper(table, setting, metric)
            lines.append(line)
    return pd.DataFrame(lines)


def _paper(table: str, setting: str, metric: str) -> str:
    try:
        entry = paper.entry(table, setting, metric)
    except ValueError:
        return ""
    return f"{entry.value:.3f} ± {entry.plus_minus:.3f}{entry.stars}"


def settings_table(scans_of: Mapping[bool, int]) -> pd.DataFrame:
    """What goes into each setting.

    Parameters
    ----------
    scans_of : mapping
        Labelled training scans: ``True`` with the MRI-only people, ``False`` without.
    """
    lines = []
    for name, label in SETTING_LABELS.items():
        setting = SETTINGS[name]
        sees = [{"mri": "MRI", "pet": "PET"}[image] for image in setting.images]
        sees += ["age, sex, education, APOE"] * setting.covariates
        pets = {"": "", "real": "real", "generated": "generated"}[setting.pet]
        if "pet" in setting.images and setting.more:
            pets += ", generated for the others"
        in_paper = _paper("table2", name, "auroc_macro") != ""
        lines.append(
            {
                "Setting": label,
                "Sees": " + ".join(sees),
                "PETs to learn from": pets,
                "Scans to learn from": scans_of[setting.more],
                "In the paper": "yes" if in_paper else "no",
            }
        )
    return pd.DataFrame(lines)


def planned_table(
    tests: pd.DataFrame, metric: str, region: str = "all"
) -> pd.DataFrame:
    """The planned comparisons of one metric, with Holm's adjustment."""
    mine = tests[(tests["metric"] == metric) & (tests["region"] == region)]
    heading, digits, _ = HEADINGS[metric]
    frame = pd.DataFrame(
        [
            {
                "Setting": SETTING_LABELS[line["row"]],
                "minus": SETTING_LABELS[line["comparison"]],
                "Generator": line["design"],
                f"Difference of {heading}": cell(line, digits),
                "p": f"{line['p']:.3g}",
                "p, Holm": f"{line['p_holm']:.3g}",
            }
            for _, line in mine.iterrows()
        ]
    )
    one = frame.empty or len(set(frame["Generator"]) - {""}) < 2
    return frame.drop(columns="Generator", errors="ignore") if one else frame


def settings_notes(notes: pd.DataFrame) -> pd.DataFrame:
    """Notes of a table for readers; settings with the same note share a line.

    Parameters
    ----------
    notes : DataFrame
        Columns row, design, variant, kind, note (`results/table2_notes.csv`).

    Returns
    -------
    DataFrame of str
        ``Setting``, ``Note``.
    """
    lines: dict[str, list[str]] = {}
    for line in notes.fillna("").to_dict("records"):
        name = SETTING_LABELS.get(line["row"], "all settings")
        about = [x for x in (line["design"], line["variant"].replace("_", " ")) if x]
        name += f" ({', '.join(about)})" * bool(about)
        text = line["note"].rstrip(".")
        if line["kind"] == "missing":
            text = f"Could not be run: {text}"
        lines.setdefault(text, []).append(name)
    return pd.DataFrame(
        [
            {"Setting": some(names, "settings"), "Note": text}
            for text, names in lines.items()
        ],
        columns=["Setting", "Note"],
    )
