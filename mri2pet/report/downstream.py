"""Settings of Tables 2 and 3: names, values, differences, and the gain in its parts.

Everything is read from the tidy results of `mri2pet.stages.clinical`; nothing is fitted
or resampled here. A setting is named as in `mri2pet.stages.settings`; with a slash it
is a variant of it, as in ``augmented_paired/template_pet``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mri2pet.evaluation.utility import CLASSIFICATION, REGRESSION
from mri2pet.report.tables import FEW_PEOPLE, lookup
from mri2pet.stages.settings import SETTINGS, TEMPLATE

SETTING_LABELS = {
    "covariates": "Covariates",
    "mri_covariates": "MRI + covariates",
    "real_limited_mri": "Real Limited MRI",
    "real_mri": "Real MRI",
    "real_pet": "Real PET",
    "generated_pet": "Generated PET",
    "augmented_pet": "Augmented PET",
    "real_paired": "Real Paired",
    "synthetic_paired": "Synthetic Paired",
    "augmented_paired": "Augmented Paired",
}
VARIANT_LABELS = {
    TEMPLATE: "a template for the synthetic PET",
    "no_crossfit": "PETs from a network that saw these people",
    "pretrain_crossfit": "MRIs left out of pre-training, too",
}
# Metric -> (heading, digits, what guessing gives).
HEADINGS = {
    "auroc_macro": ("AUROC", 3, 0.5),
    "accuracy": ("Accuracy", 3, None),
    "f1_macro": ("F1", 3, None),
    "balanced_accuracy": ("Balanced accuracy", 3, 1 / 3),
    "mse": ("MSE [points squared]", 2, None),
    "pearson_r": ("r", 3, 0.0),
}
MORE_IS_BETTER = {**CLASSIFICATION, **REGRESSION}
REGION_LABELS = {"all": "", "mmse_20": "MMSE from 20 on", "full_range": "full range"}
BETTER, WORSE, OPEN = "better", "worse", "not resolved"
_ROUNDING = 1e-9  # what is nearer to 0 is 0


@dataclass(frozen=True)
class Part:
    """A comparison that has a part in the abstract's gain."""

    id: str
    label: str
    row: str
    other: str


# What the abstract compares, and what it could be made of.
TOTAL = Part("total", "what the abstract compares", "augmented_paired", "real_pet")
PARTS = (
    TOTAL,
    Part("more_mris", "more labelled MRIs", "real_mri", "real_limited_mri"),
    Part("second_input", "a second input", "real_paired", "real_pet"),
    Part("equal_people", "PET at equal people", "augmented_paired", "real_mri"),
    Part("pet_alone", "generated PETs, PET alone", "augmented_pet", "real_pet"),
    Part(
        "beyond_template_alone",
        "generated in place of template, PET alone",
        "augmented_pet",
        f"augmented_pet/{TEMPLATE}",
    ),
    Part(
        "beyond_template",
        "generated in place of template, MRI + PET",
        "augmented_paired",
        f"augmented_paired/{TEMPLATE}",
    ),
)
# Three steps from the one to the other; their differences add up to the total.
STEPS = (
    Part("second_input", "a second input", "real_paired", "real_pet"),
    Part(
        "more_people",
        "more people, template PETs",
        f"augmented_paired/{TEMPLATE}",
        "real_paired",
    ),
    Part(
        "beyond_template",
        "generated in place of template",
        "augmented_paired",
        f"augmented_paired/{TEMPLATE}",
    ),
)


def value_of(
    tidy: pd.DataFrame,
    row: str,
    metric: str,
    region: str = "all",
    *,
    design: str = "corrected",
    interval: str = "people",
) -> pd.Series | None:
    """Line of a setting or of a variant, None where it was not run.

    Parameters
    ----------
    tidy : DataFrame
        Table 2 or 3, with `mri2pet.evaluation.scoring.COLUMNS`.
    row : str
        Setting, or setting/variant.
    metric, region : str
    design : str
        Of the generator; settings without one have none.
    interval : {"people", "seeds"}
    """
    setting, _, variant = row.partition("/")
    return lookup(
        tidy[tidy["interval"] == interval],
        setting,
        _design(setting, design),
        metric,
        region,
        variant=variant,
    )


def difference(
    tidy: pd.DataFrame,
    row: str,
    other: str,
    metric: str,
    region: str = "all",
    *,
    design: str = "corrected",
    interval: str = "people",
) -> pd.Series | None:
    """Paired difference ``row - other``, whichever way round the table has it.

    Parameters and returns as in `value_of`.
    """
    part = tidy[tidy["interval"] == interval]
    for first, second, sign in ((row, other, 1), (other, row, -1)):
        setting, _, variant = first.partition("/")
        name, _, its_variant = second.partition("/")
        if its_variant:
            continue  # a table compares with settings, never with variants
        own = _design(setting, design)
        line = lookup(part, setting, own, metric, region, name, variant)
        if line is not None:
            if sign < 0:
                low, high = -line["high"], -line["low"]
                line = line.copy()
                line["value"], line["low"], line["high"] = -line["value"], low, high
            return line
    return None


def _design(setting: str, design: str) -> str:
    return design if setting in SETTINGS and SETTINGS[setting].synthetic else ""


def outcome(line: pd.Series | None, metric: str) -> str:
    """Say whether a difference shows its row ahead, behind, or neither.

    Returns
    -------
    {"better", "worse", "not resolved"}
        By the side of 0 on which the interval lies; an interval that touches 0, or
        that is undefined, resolves nothing.
    """
    if line is None or not math.isfinite(line["low"] + line["high"]):
        return OPEN
    low, high = line["low"], line["high"]
    if not MORE_IS_BETTER[metric]:
        low, high = -high, -low
    if low > _ROUNDING:
        return BETTER
    return WORSE if high < -_ROUNDING else OPEN


def people_behind(tidy: pd.DataFrame, region: str = "all") -> int:
    """How many test people stand behind a region of a table; 0 without any."""
    part = tidy[(tidy["interval"] == "people") & (tidy["region"] == region)]
    return 0 if part.empty else int(part["n"].max())


def is_illustrative(tidy: pd.DataFrame, region: str = "all") -> bool:
    """Whether too few people stand behind a region to call it a result."""
    return people_behind(tidy, region) < FEW_PEOPLE


def designs_of(tidy: pd.DataFrame) -> list[str]:
    """Designs of generators in a table, the default first."""
    found = tidy.loc[(tidy["variant"] == "") & (tidy["design"] != ""), "design"]
    return list(dict.fromkeys(found))


def missing_settings(notes: pd.DataFrame | None) -> dict[tuple[str, str, str], str]:
    """(setting, design, variant) -> why it could not be run."""
    if notes is None or notes.empty:
        return {}
    mine = notes[notes["kind"] == "missing"].fillna("")
    keys = zip(mine["row"], mine["design"], mine["variant"], strict=True)
    return dict(zip(keys, mine["note"], strict=True))


def parts_frame(
    tidy: pd.DataFrame,
    metric: str,
    region: str = "all",
    *,
    parts: Sequence[Part] = PARTS,
    design: str = "corrected",
) -> pd.DataFrame:
    """The parts of the abstract's gain.

    Returns
    -------
    DataFrame
        Columns id, label, row, other, value, low, high, n, outcome; a part that was
        not run has NaN.
    """
    lines = []
    for part in parts:
        found = difference(tidy, part.row, part.other, metric, region, design=design)
        numbers = dict.fromkeys(("value", "low", "high", "n"), math.nan)
        if found is not None:
            numbers = {k: found[k] for k in numbers}
        lines.append({**vars(part), **numbers, "outcome": outcome(found, metric)})
    return pd.DataFrame(lines)


def label_of(row: str) -> str:
    """Name of a setting or of a variant, in a sentence.

    Examples
    --------
    >>> label_of("real_pet"), label_of("augmented_pet/template_pet")
    ('Real PET', 'Augmented PET with a template for the synthetic PET')
    """
    setting, _, variant = row.partition("/")
    name = SETTING_LABELS.get(setting, setting)
    if not variant:
        return name
    return f"{name} with {VARIANT_LABELS.get(variant, variant.replace('=', ' = '))}"
