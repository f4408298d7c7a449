"""The discussion of Table 1, written from its numbers.

No sentence about who wins is typed: each paragraph is chosen and filled by the tidy
table, so that another run gets another text.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from mri2pet.config import CONTROLS
from mri2pet.report.labels import METRIC_LABELS, ROW_LABELS, spoken
from mri2pet.report.tables import FEW_PEOPLE, enough_digits, lookup, people_of

NAMED = 4  # rows named in a sentence; the table beside it has them all
BETTER, WORSE, OPEN = "better", "worse", "not resolved"
_WORDS = {
    ("ssim", "brain"): ("masked SSIM", "", 3),
    ("psnr", "brain"): ("masked PSNR", " dB", 1),
    ("suvr_error", "composite"): ("composite SUVR error", " SUVR", 3),
    ("positivity_auc", "composite"): ("positivity AUC", "", 2),
    ("suvr_r", "composite"): ("composite correlation across people", "", 2),
}


def outcome(line: pd.Series, metric: str, region: str) -> str:
    """Say whether a paired difference shows its row ahead, behind, or neither.

    Returns
    -------
    {"better", "worse", "not resolved"}
        By whether the interval lies on one side of 0.
    """
    more_is_better = METRIC_LABELS[metric, region][2]
    low, high = line["low"], line["high"]
    if not more_is_better:
        low, high = -high, -low
    if low > 0:
        return BETTER
    return WORSE if high < 0 else OPEN


def label(row: str, design: str) -> str:
    """Name of a row in a sentence."""
    name = ROW_LABELS.get(row, row)
    return f"{name} ({design})" if design else name


def signed(value: float, digits: int) -> str:
    """A number with its sign; a rounded 0 has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def interval(value: float, low: float, high: float, digits: int) -> str:
    """A difference with its interval, as many digits as show on which side of 0 it is.

    Examples
    --------
    >>> interval(0.018, 0.0002, 0.037, 3)
    '+0.0180 [+0.0002, +0.0370]'
    """
    digits = enough_digits(low, high, digits)
    value, low, high = (signed(number, digits) for number in (value, low, high))
    return f"{value} [{low}, {high}]"


def _difference(line: pd.Series, metric: str, region: str) -> str:
    _, unit, digits = _WORDS[metric, region]
    return interval(line["value"], line["low"], line["high"], digits) + unit


def _value(line: pd.Series | None, metric: str, region: str) -> str:
    if line is None:
        return "unknown"
    _, unit, digits = _WORDS[metric, region]
    value, low, high = (f"{line[k]:.{digits}f}" for k in ("value", "low", "high"))
    return f"{value} [{low}, {high}]{unit}"


def learned_rows(tidy: pd.DataFrame) -> list[tuple[str, str]]:
    """(row, design) of every learned row in the table, in its order."""
    default = tidy[(tidy["variant"].fillna("") == "") & (tidy["row"] != "real_pet")]
    keys = zip(default["row"], default["design"].fillna(""), strict=True)
    return [k for k in dict.fromkeys(keys) if k[0] not in CONTROLS]


def against(
    tidy: pd.DataFrame, control: str, metric: str = "ssim", region: str = "brain"
) -> dict[str, list[tuple[str, str, pd.Series]]]:
    """Learned rows sorted by how they compare with a control.

    Returns
    -------
    dict
        "better", "worse", "not resolved" -> list of (row, design, line), best first.
    """
    found: dict[str, list] = {BETTER: [], WORSE: [], OPEN: []}
    for row, design in learned_rows(tidy):
        line = lookup(tidy, row, design, metric, region, control)
        if line is not None:
            found[outcome(line, metric, region)].append((row, design, line))
    sign = 1 if METRIC_LABELS[metric, region][2] else -1
    for lines in found.values():
        lines.sort(key=lambda item: -sign * item[2]["value"])
    return found


def _listing(lines, metric: str, region: str) -> str:
    return some(
        f"{label(row, design)} {_difference(line, metric, region)}"
        for row, design, line in lines
    )


def some(parts: Iterable[str], what: str = "rows") -> str:
    """A list in a sentence: the first few, and how many more."""
    parts = list(parts)
    rest = len(parts) - NAMED
    if rest <= 1:
        return "; ".join(parts)
    return "; ".join(parts[:NAMED]) + f"; and {rest} more {what}"


def _control_paragraph(tidy, control: str, metric: str, region: str) -> str:
    found = against(tidy, control, metric, region)
    total = sum(len(lines) for lines in found.values())
    if total == 0:
        return ""
    word = _WORDS[metric, region][0]
    level = _value(lookup(tidy, control, "", metric, region), metric, region)
    text = f"**Against the {spoken(control)}** ({word} {level}). "
    if found[BETTER]:
        text += (
            f"{len(found[BETTER])} of {total} learned rows are ahead of it in {word}: "
            f"{_listing(found[BETTER], metric, region)}. "
        )
    else:
        text += f"No learned row is ahead of it in {word}. "
    if found[WORSE]:
        text += f"Behind it are {_listing(found[WORSE], metric, region)}. "
    if found[OPEN]:
        text += f"Not resolved: {_listing(found[OPEN], metric, region)}. "
    return text.strip()


_MEANING = {
    ("mean_template", True): (
        "A row that is ahead of the template shows something of the person: the "
        "template is the same picture for everybody."
    ),
    ("mean_template", False): (
        "The template is the same picture for everybody. As long as no row is ahead "
        "of it, nothing in this score shows that a network used the person's MRI."
    ),
    ("regression_unet", True): (
        "The regression U-Net is the same body, trained to the mean in one step. What "
        "puts a row ahead of it is more than a good average: diffusion, pre-training "
        "or both."
    ),
    ("regression_unet", False): (
        "The regression U-Net is the same body, trained to the mean in one step, and "
        "costs one network call. SSIM and PSNR reward such a mean, so being behind it "
        "is no proof of a bad sample; it does show that these two scores are no "
        "argument for diffusion here."
    ),
}


def _uptake_paragraph(tidy: pd.DataFrame) -> str:
    metric, region = "suvr_r", "composite"
    above, level = [], []
    for row, design in learned_rows(tidy):
        line = lookup(tidy, row, design, metric, region)
        if line is None or line["value"] != line["value"]:
            continue
        text = f"{label(row, design)} {_value(line, metric, region)}"
        (above if line["low"] > 0 else level).append(text)
    if not above and not level:
        return ""
    text = (
        "**Does the synthetic PET carry the person's amyloid?** The across-people "
        "correlation of composite SUVR, real against synthetic, does not reward blur. "
    )
    template = lookup(tidy, "mean_template", "", metric, region)
    if template is not None and template["value"] == template["value"]:
        text += (
            "The mean template, which knows no amyloid, has "
            f"{_value(template, metric, region)} in it. It need not be 0, since each "
            "person's own regions are laid over the one picture. "
        )
    if above:
        text += f"It is above 0 for {some(above)}. "
    if level:
        text += f"It is not distinguishable from 0, or below, for {some(level)}. "
    return text.strip()


def _detail_paragraph(tidy: pd.DataFrame) -> str:
    groups: dict[str, list[str]] = {"less": [], "more": [], "as much": []}
    keys = [(c, "") for c in CONTROLS] + learned_rows(tidy)
    for row, design in keys:
        line = lookup(tidy, row, design, "hf_ratio", "brain")
        if line is None:
            continue
        side = "less" if line["high"] < 1 else "more" if line["low"] > 1 else "as much"
        value = line["value"]
        text = f"{value:.0f}" if value >= 10 else f"{value:.2f}"
        groups[side].append(f"{label(row, design)} {text}")
    if not any(groups.values()):
        return ""
    text = (
        "**Detail** (high-frequency energy inside the brain, 1 as in the real scans). "
    )
    for side, words in (
        ("less", "Blurred, with less of it than real scans"),
        ("more", "Noisy, with more of it"),
        ("as much", "Not distinguishable from real scans"),
    ):
        if groups[side]:
            text += f"{words}: {some(groups[side])}. "
    return text.strip()


def _design_paragraph(tidy: pd.DataFrame) -> str:
    metric, region = "ssim", "brain"
    found: dict[str, list] = {BETTER: [], WORSE: [], OPEN: []}
    blank = []
    for row, design in learned_rows(tidy):
        line = lookup(tidy, row, design, metric, region, f"{row}/published")
        if line is None:
            continue
        if not any(shows_a_brain(tidy, row, d) for d in (design, "published")):
            blank.append(ROW_LABELS.get(row, row))
        else:
            item = f"{ROW_LABELS.get(row, row)} {_difference(line, metric, region)}"
            found[outcome(line, metric, region)].append(item)
    if not any(found.values()) and not blank:
        return ""
    text = "**What the corrections buy** (corrected minus published, masked SSIM). "
    for key, words in (
        (BETTER, "The corrected design is ahead for"),
        (WORSE, "The published design is ahead for"),
        (OPEN, "Not resolved for"),
    ):
        if found[key]:
            text += f"{words} {some(found[key])}. "
    if blank:
        text += f"In neither design do {some(blank, 'methods')} show a brain yet. "
    return text.strip()


def shows_a_brain(tidy: pd.DataFrame, row: str, design: str) -> bool:
    """Whether a row is above another person's PET, interval apart from interval."""
    control = lookup(tidy, "random_subject", "", "ssim", "brain")
    mine = lookup(tidy, row, design, "ssim", "brain")
    return control is not None and mine is not None and mine["low"] > control["high"]


def discuss(tidy: pd.DataFrame) -> list[str]:
    """Paragraphs of Markdown that say what Table 1 shows, and no more.

    Parameters
    ----------
    tidy : DataFrame
        The columns of `mri2pet.evaluation.scoring.summarise`.

    Returns
    -------
    list of str
        How sure the table is; every learned row against the mean template, the
        regression U-Net and a random person, with paired differences and 95 %
        intervals over people; the uptake; what the corrections buy.
    """
    people = people_of(tidy)
    opening = (
        f"All differences are paired over the same {people} test people, with 95 % "
        "intervals from resampling people; a difference whose interval covers 0 is "
        "called not resolved."
    )
    if people < FEW_PEOPLE:
        opening += (
            f" With {people} people every one of these intervals is illustrative: "
            "the directions may change with other people or another seed."
        )
    paragraphs = [opening]
    for control in ("mean_template", "regression_unet", "random_subject"):
        text = _control_paragraph(tidy, control, "ssim", "brain")
        if not text:
            continue
        ahead = bool(against(tidy, control)[BETTER])
        meaning = _MEANING.get((control, ahead), "")
        if control == "random_subject" and against(tidy, control)[WORSE]:
            meaning = (
                "A row behind a random person's PET has not learned to show a brain "
                "at this budget, and no claim about it is judged."
            )
        paragraphs.append(f"{text} {meaning}".strip())
    paragraphs += [_detail_paragraph(tidy), _uptake_paragraph(tidy)]
    paragraphs.append(_design_paragraph(tidy))
    return [text for text in paragraphs if text]
