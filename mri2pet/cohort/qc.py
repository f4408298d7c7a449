"""Quality control of a prepared scan: numbers, and a verdict with its reason.

The limits are rules, written here once; none was set by looking at a result that they
decide. What the numbers are on phantoms and on a real T1 stands in the comments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from mri2pet.cohort import rigid
from mri2pet.cohort.brain import Brain, mni
from mri2pet.cohort.geometry import BOX_CENTRE_MM, BOX_MM
from mri2pet.cohort.preprocessing import PreparedPet, PreparedT1
from mri2pet.cohort.regions import COMPOSITE, REGIONS

VERDICTS = ("pass", "look", "fail")


def _rule(name, fail, look, text):
    return {"name": name, "fail": fail, "look": look, "text": text}


# (low, high) of what passes: outside `look` a person should look, outside `fail` the
# scan is left out. None: no limit on that side.
RULES = (
    # Phantoms .88, a real T1 .73; a blood-flow PET .38, an AV45 PET .50.
    _rule(
        "likeness",
        (0.55, None),
        (0.65, None),
        "correlation with the template's T1 in the brain is {value:.2f}: is it a T1?",
    ),
    # Phantoms 1.3 to 1.5, a real T1 1.0; PETs below .7.
    _rule(
        "information",
        (0.75, None),
        (0.85, None),
        "mutual information with the template is {value:.2f}: is it aligned?",
    ),
    _rule("brain_ml", (600, 2800), (900, 2300), "the brain mask has {value:.0f} ml"),
    _rule(
        "inside_box",
        (0.95, None),
        (0.99, None),
        "only {percent:.1f} % of the brain lies in the box: cut off?",
    ),
    _rule("motion_mm", (None, 30), (None, 5), "the head moved by {value:.1f} mm"),
    _rule(
        "motion_degrees",
        (None, 30),
        (None, 5),
        "the head turned by {value:.1f} degrees",
    ),
    _rule(
        "pet_information",
        (0.10, None),
        (0.25, None),
        "mutual information of PET and T1 is {value:.2f}: of one person?",
    ),
    _rule(
        "mirror_gain",
        (None, None),
        (None, 0.02),
        "the PET fits the T1 better as its mirror image: left and right swapped?",
    ),
    _rule(
        "reference_noise",
        (None, 0.6),
        (None, 0.35),
        "uptake in the reference region varies by {percent:.0f} %",
    ),
    _rule(
        "composite",
        (0.3, 5.0),
        (0.6, 3.0),
        "composite SUVR is {value:.2f}: wrong reference, tracer or units?",
    ),
)


def judge(numbers: dict[str, Any]) -> tuple[str, list[str]]:
    """Verdict on a scan, and why.

    Parameters
    ----------
    numbers : dict
        Any of the names of `RULES`; others are not judged.

    Returns
    -------
    verdict : {"pass", "look", "fail"}
    reasons : list of str
        Empty for "pass"; the worst first.

    Examples
    --------
    >>> judge({"likeness": 0.8, "brain_ml": 1400.0})
    ('pass', [])
    >>> judge({"likeness": 0.8, "brain_ml": 200.0})
    ('fail', ['the brain mask has 200 ml'])
    """
    found: dict[str, list[str]] = {"fail": [], "look": []}
    for rule in RULES:
        value = numbers.get(rule["name"])
        if value is None:
            continue
        for verdict, reasons in found.items():
            low, high = rule[verdict]
            # Not finite is as wrong as out of range.
            inside = (low is None or value >= low) and (high is None or value <= high)
            if not (np.isfinite(value) and inside):
                reasons.append(rule["text"].format(value=value, percent=100 * value))
                break
    worst = next((v for v in found if found[v]), "pass")
    return worst, found["fail"] + found["look"]


def t1_numbers(brain: Brain, box_from_t1: np.ndarray) -> dict[str, float]:
    """What quality control looks at in a T1."""
    fixed, inside, _ = mni()
    points = rigid.apply(fixed.affine, np.argwhere(inside))
    voxel = rigid.apply(np.linalg.inv(brain.t1.affine), brain.shape.to_t1(points)).T
    signal = ndimage.map_coordinates(brain.t1.data, voxel, order=1)
    signal = np.clip(signal, *np.quantile(signal, [0.01, 0.99]))
    likeness = np.corrcoef(signal, fixed.data[inside])[0, 1] if signal.std() else 0.0
    places = rigid.apply(box_from_t1 @ brain.t1.affine, np.argwhere(brain.mask)[::7])
    away = np.abs(places - np.array(BOX_CENTRE_MM[::-1]))
    return {
        "likeness": float(likeness),
        "information": brain.shape.information,
        "brain_ml": float(brain.mask.sum() * np.prod(brain.t1.sizes) / 1000),
        "inside_box": float((away <= np.array(BOX_MM[::-1]) / 2).all(axis=1).mean()),
    }


def pet_numbers(pet: PreparedPet, t1: PreparedT1) -> dict[str, float]:
    """What quality control looks at in a PET."""
    chosen = t1.regions_RDHW[[REGIONS.index(name) for name in COMPOSITE]]
    means = (chosen * pet.pet_DHW).sum((1, 2, 3)) / chosen.sum((1, 2, 3))
    return {**pet.numbers, "composite": float(means.mean())}
