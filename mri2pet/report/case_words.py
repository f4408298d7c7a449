"""Case studies in tables and sentences, written by the results.

No sentence here says what came out before it has looked: each is chosen by the numbers
of the stage `figure3`, so another run gets another text.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from mri2pet.evaluation.cases import RULES
from mri2pet.report.tables import ROW_LABELS, lookup

MAIN = ("mri2pet", "corrected")
ROWS = (MAIN, ("regression_unet", ""), ("mean_template", ""))
LABELS = {**ROW_LABELS, "truth": "Noise-free uptake", "no_change": "no change"}


def rules_table() -> pd.DataFrame:
    """Return the rules for readers: where, how many, the rule, why."""
    return pd.DataFrame(
        [
            {
                "Shown in": r.place,
                "People": r.people,
                "Rule": r.sentence,
                "Why": r.reason,
            }
            for r in RULES.values()
        ]
    )


def scans_of(people: pd.DataFrame, rule: str) -> list[list[str]]:
    """Scan ids of the people of a rule, the visits of one person together."""
    mine = people[people["rule"] == rule].sort_values(["place", "visit"])
    return [list(group["scan_id"]) for _, group in mine.groupby("place")]


def number(
    tidy: pd.DataFrame,
    key: tuple[str, str],
    scan: str,
    metric: str = "suvr",
    region: str = "composite",
    comparison: str = "",
) -> float:
    """One number of a scan; NaN where there is none."""
    line = lookup(tidy, *key, metric, region, comparison, scan)
    return float("nan") if line is None else float(line["value"])


def who(people: pd.DataFrame, scan: str) -> str:
    """Diagnosis and age of a scan; its id where neither is known."""
    about = people[people["scan_id"] == scan].iloc[0]
    parts = [str(about["diagnosis"])] if isinstance(about["diagnosis"], str) else []
    if pd.notna(about["age"]):
        parts.append(f"{about['age']:.0f} y")
    return ", ".join(parts) or scan


def numbers_table(tidy: pd.DataFrame, people: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Numbers of the people of a rule, one line a scan.

    Returns
    -------
    DataFrame
        Composite SUVR of the real scan, of the mean of the samples with its conformal
        interval, of one sample and of the controls; error and spread; atrophy where
        the truth is known.
    """
    lines = []
    for scan in (scan for visits in scans_of(people, rule) for scan in visits):
        mean = lookup(tidy, *MAIN, "suvr", "composite", variant=scan)
        line = {
            "Person": f"{scan.split('_')[0]}, {who(people, scan)}",
            "Real": number(tidy, ("real_pet", ""), scan),
            "Mean": mean["value"],
            "Interval": "",
            "One sample": number(tidy, MAIN, scan, "suvr_sample"),
            "SD": number(tidy, MAIN, scan, "sample_sd"),
            "Error": number(tidy, MAIN, scan, comparison="real_pet"),
        }
        if math.isfinite(mean["low"]):
            line["Interval"] = f"[{mean['low']:.2f}, {mean['high']:.2f}]"
        for key in ROWS[1:]:
            line[LABELS[key[0]]] = number(tidy, key, scan)
        truth = ("truth", "")
        for name, metric in (
            ("Ventricles [ml]", "ventricle_ml"),
            ("Cortex [mm]", "cortex_mm"),
            ("V", "V"),
        ):
            line[name] = number(tidy, truth, scan, metric, "")
        lines.append(line)
    frame = pd.DataFrame(lines)
    # What is known of nobody (the spread of one draw, atrophy of real people).
    return frame.dropna(axis=1, how="all")


# -- what the people shown show ------------------------------------------------------


def leak_words(people: pd.DataFrame) -> str:
    """Say whether a person shown has a scan where the network has learned."""
    n = people["participant_id"].nunique()
    parts = {"train": "training", "val": "validation", "unpaired": "pre-training"}
    seen = people.drop_duplicates("participant_id")
    found = [
        f"{int((seen[f'scans_{part}'] > 0).sum())} have scans in {name}"
        for part, name in parts.items()
        if (seen[f"scans_{part}"] > 0).any()
    ]
    copied = int((people["copies"] > 0).sum())
    if copied:
        found.append(f"{copied} of their scans have a copy in another part")
    if found:
        return (
            f"**A leak.** Of the {n} people shown, {'; '.join(found)}. What the "
            "network shows of them may be remembered, so the pictures are no evidence."
        )
    return (
        f"None of the {n} people shown has a scan in training, validation or "
        "pre-training, and no scan of theirs is a copy of one there."
    )


def ordinary_words(tidy: pd.DataFrame, people: pd.DataFrame) -> str:
    """What the people of median error show; empty without any."""
    scans = [visits[0] for visits in scans_of(people, "median_ad")]
    if not scans:
        return "No test person has AD at the first visit, so this figure has nobody."
    errors = _errors(tidy, MAIN, scans)
    text = (
        f"The error of the composite lies between {errors.min():.2f} and "
        f"{errors.max():.2f} SUVR in "
        + (f"these {len(scans)} people. " if len(scans) > 1 else "this one person. ")
    )
    for key in ROWS[1:]:
        other = _errors(tidy, key, scans)
        if np.isfinite(other).all():
            nearer = int((other < errors).sum())
            text += (
                f"The {plain(key[0])} is nearer to the real value in {nearer} of "
                f"{len(scans)}. "
            )
    return text + _held(tidy, scans)


def _held(tidy: pd.DataFrame, scans: list[str]) -> str:
    inside = []
    for scan in scans:
        line = lookup(tidy, *MAIN, "suvr", "composite", variant=scan)
        if math.isfinite(line["low"]):
            real = number(tidy, ("real_pet", ""), scan)
            inside.append(line["low"] <= real <= line["high"])
    if not inside:
        return "There are too few validation people for a conformal interval."
    n = len(inside)
    return (
        f"The conformal interval holds the real value in {sum(inside)} of {n}; these "
        "people were chosen by their error, so this does not measure its coverage."
    )


def worst_words(tidy: pd.DataFrame, people: pd.DataFrame) -> str:
    """How wrong the worst case is, and whether anything warned of it."""
    scan = scans_of(people, "worst")[0][0]
    gap = number(tidy, MAIN, scan, comparison="real_pet")
    real = number(tidy, ("real_pet", ""), scan)
    side = "too high" if gap > 0 else "too low"
    text = (
        f"The worst scan has a composite of {real:.2f} SUVR; the synthetic one is "
        f"{abs(gap):.2f} {side}. "
    )
    for key in ROWS[1:]:
        other = _errors(tidy, key, [scan])[0]
        if math.isfinite(other):
            word = "less" if other < abs(gap) else "more"
            text += f"The {plain(key[0])} errs {word}, by {other:.2f}. "
    rank = number(tidy, MAIN, scan, "sd_rank")
    if math.isfinite(rank):
        warned = (
            "so the spread did warn"
            if rank >= 0.75
            else "so the spread did not warn"
            if rank <= 0.5
            else "so the spread warned of little"
        )
        text += (
            f"Its samples spread more than those of {100 * rank:.0f} % of the other "
            f"test scans, {warned}. "
        )
    line = lookup(tidy, *MAIN, "suvr", "composite", variant=scan)
    if math.isfinite(line["low"]):
        holds = line["low"] <= real <= line["high"]
        text += (
            f"The conformal interval {'holds' if holds else 'does not hold'} the real "
            "value; it promises to hold a person taken at random, and promises nothing "
            "of one who was chosen for being wrong."
        )
    return text.strip()


def _errors(tidy: pd.DataFrame, key: tuple[str, str], scans: list[str]) -> np.ndarray:
    return np.abs([number(tidy, key, scan, comparison="real_pet") for scan in scans])


def plain(row: str) -> str:
    """Name of a row within a sentence."""
    return LABELS[row].lower().replace("u-net", "U-Net")
