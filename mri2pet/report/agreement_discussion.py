"""What the r of real against synthetic predictions says, chosen by the numbers."""

from __future__ import annotations

import math

import pandas as pd

from mri2pet.evaluation.published import fact
from mri2pet.report.agreement import agreement_line
from mri2pet.report.tables import FEW_PEOPLE, cell


def _side(line: pd.Series | None) -> int:
    if line is None or not math.isfinite(line["low"] + line["high"]):
        return 0
    return int(line["low"] > 0) - int(line["high"] < 0)


def discuss_agreement(
    table: pd.DataFrame, predicts: bool, region: str = "mmse_20"
) -> list[str]:
    """Paragraphs on r, chosen by the numbers.

    Parameters
    ----------
    table : DataFrame
        `results/agreement.csv`.
    predicts : bool
        Whether the network predicts MMSE from real PET at all
        (`mri2pet.report.clinical_claims.above_guessing`).
    region : str

    Returns
    -------
    list of str
    """
    own = agreement_line(table, region=region)
    if own is None:
        return ["The r of real against synthetic predictions could not be made here."]
    text = f"**The r of this run** is {cell(own, 2)} over {own['n']:.0f} people"
    text += {
        1: ": real and synthetic predictions go together.",
        -1: ": they go against each other.",
        0: "; its interval covers 0, so whether they go together is not resolved.",
    }[_side(own)]
    paper = fact("r_real_generated")
    inside = own["low"] <= paper <= own["high"]
    text += (
        f" The paper's {paper:.3f} lies {'inside' if inside else 'outside'} it; other "
        "people, another network, so this is no test of the paper's number."
    )
    if own["n"] < FEW_PEOPLE:
        text += " With so few people the interval is illustrative."
    paragraphs = [text]
    same = agreement_line(table, region=region, variant="reliability")
    if same is not None and math.isfinite(same["value"]):
        paragraphs.append(_reliability(own, same))
    paragraphs += _floor(table, region)
    paragraphs.append(
        "**What it may be called.** "
        + (
            "The predictor tells people apart by their MMSE, so what the two "
            "predictions share can be about cognition."
            if predicts
            else "The predictor does not tell people apart by their MMSE, with its "
            "interval over people. Whatever the two predictions share, nothing here "
            "shows that it is about cognition."
        )
    )
    return paragraphs


def _reliability(own: pd.Series, same: pd.Series) -> str:
    text = (
        "**The predictor itself.** Two trainings that see the *same real* PET agree "
        f"with r = {cell(same, 2)}. "
    )
    if _side(same) <= 0:
        return text + (
            "Nothing shows here that what one training says of a person is more than "
            "an accident of that training, so an r of one training says little."
        )
    if same["high"] < own["low"]:
        return text + (
            "That is less than real and synthetic agree within one training: the "
            "choice of the training matters more than the choice of the PET."
        )
    if same["low"] > own["high"]:
        return text + (
            "That is more than real and synthetic agree within one training: "
            "exchanging the PET changes a prediction more than training again does."
        )
    return text + (
        "Whether exchanging the PET or training again changes more is not resolved: "
        "the two intervals overlap."
    )


def _floor(table: pd.DataFrame, region: str) -> list[str]:
    line = agreement_line(table, region=region, variant="rho=0")
    change = agreement_line(
        table, region=region, variant="rho=0", comparison="real_pet"
    )
    if line is None:
        return []
    text = (
        "**The floor.** The same people with an amyloid of which their MRI knows "
        f"nothing (rho = 0) have r = {cell(line, 2)}. "
    )
    if _side(line) > 0:
        text += (
            "An r above 0 needs no amyloid at all: real and synthetic PET share the "
            "anatomy. "
        )
    if change is not None:
        turned = pd.Series(
            {
                **change.to_dict(),
                "value": -change["value"],
                "low": -change["high"],
                "high": -change["low"],
            }
        )
        text += f"The run's own r minus this floor is {cell(turned, 2)}: "
        text += {
            1: "more than anatomy alone gives.",
            -1: "less than anatomy alone gives.",
            0: "not resolved from what anatomy alone gives.",
        }[_side(turned)]
    return [text.strip()]
