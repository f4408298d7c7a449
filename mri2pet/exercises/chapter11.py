"""Checks of chapter 11, diagnosis from real and generated PET."""

from __future__ import annotations

import numpy as np

from mri2pet.evaluation.published import fact
from mri2pet.exercises import Wrong, as_function, as_number

DAYS = 365  # a label may be this far from its scan


def _share() -> float:
    gain = fact("abstract_auroc_after") - fact("abstract_auroc_before")
    left = fact("log2_auroc_augmented_paired") - fact("log2_auroc_real_mri")
    return left / gain


def _left_over(answer) -> None:
    share = as_number(answer, "a share, one number between 0 and 1")
    truth = _share()
    gain = fact("abstract_auroc_after") - fact("abstract_auroc_before")
    if abs(share - truth * gain) < 1e-3:
        raise Wrong("That is what is left, in AUROC. As a share of the whole gain?")
    if abs(share - (1 - truth)) < 0.01:
        raise Wrong("That is the share that goes away. How much is left?")
    if abs(share - truth) > 0.01:
        raise Wrong(
            "Take Augmented Paired minus Real MRI from the second log, and divide by "
            "the gain that the abstract gives."
        )


def _visits(seed: int):
    rng = np.random.default_rng(seed)
    days = rng.choice(np.arange(-1500, 1500, 90), size=5, replace=False) + 7
    return days.tolist(), rng.integers(14, 31, size=5).tolist()


def label_of_scan(days, scores, scan_day, lowest):
    """Score of the nearest visit within a year; None if too far or too low."""
    nearest = min(range(len(days)), key=lambda i: abs(days[i] - scan_day))
    if abs(days[nearest] - scan_day) > DAYS or scores[nearest] < lowest:
        return None
    return scores[nearest]


def _released(days, scores, scan_day, lowest):
    high = [i for i, score in enumerate(scores) if score >= lowest]
    if not high:
        return None
    return scores[min(high, key=lambda i: abs(days[i] - scan_day))]


def _label(answer) -> None:
    function = as_function(answer)
    for seed in range(40):
        days, scores = _visits(seed)
        case = (days, scores, 0, 20)
        got, truth = function(list(days), list(scores), 0, 20), label_of_scan(*case)
        if got is not None:
            got = as_number(got, "a score or None")
        if got == truth:
            continue
        nearest = min(range(len(days)), key=lambda i: abs(days[i]))
        where = f"Visits on days {days} with scores {scores}, scan on day 0. "
        if abs(days[nearest]) > DAYS:
            raise Wrong(
                where + "The nearest visit is more than a year away: None."
                if got is not None
                else where + "Your function returns None."
            )
        if got == _released(*case) and scores[nearest] < 20:
            raise Wrong(
                where + "You have left out the low scores first, as released. Find the "
                "nearest visit first, and then ask whether its score counts."
            )
        raise Wrong(where + f"Your function returns {got}. Which visit is nearest?")


def networks_that_may(person, folds):
    """Numbers of the networks that never saw a person."""
    return [number for number, fold in enumerate(folds) if person in fold]


def _allowed(answer) -> None:
    function = as_function(answer)
    folds = [{"ann", "dan"}, {"bob", "eve"}, {"cid"}]
    for person in ("ann", "eve", "cid"):
        got = function(person, [set(fold) for fold in folds])
        if not isinstance(got, list | tuple | set):
            raise Wrong(
                f"I expected a list of network numbers, not {type(got).__name__}."
            )
        truth = networks_that_may(person, folds)
        if sorted(got, key=str) == truth:
            continue
        if sorted(got, key=str) == [k for k in range(3) if k not in truth]:
            raise Wrong(
                f"For {person!r} you return {list(got)}: the networks that *did* see "
                "this person. Network k leaves out the people of fold k."
            )
        raise Wrong(
            f"For {person!r} you return {list(got)}. Network k never saw fold k."
        )


def constant_scores(shares):
    """Accuracy, balanced accuracy and AUROC of always naming the most common class."""
    return max(shares), 1 / len(shares), 0.5


def _constant(answer) -> None:
    function = as_function(answer)
    for shares in ((0.424, 0.29, 0.286), (0.7, 0.2, 0.1), (0.6, 0.4)):
        got = function(list(shares))
        if not isinstance(got, list | tuple | np.ndarray) or np.shape(got) != (3,):
            raise Wrong("I expected three numbers: accuracy, balanced accuracy, AUROC.")
        got = [as_number(x, "three numbers") for x in got]
        names = ("accuracy", "balanced accuracy", "AUROC")
        hints = (
            "It is right whenever the most common class is the true one.",
            "Balanced accuracy is the mean of the recalls: 1 for one class, else 0.",
            "Two people with the same score count one half.",
        )
        for name, mine, right, hint in zip(
            names, got, constant_scores(shares), hints, strict=True
        ):
            if abs(mine - right) > 1e-6:
                raise Wrong(f"The {name} for shares {list(shares)} is off. {hint}")


CHECKS = {
    "11.1": _left_over,
    "11.2": _label,
    "11.3": _allowed,
    "11.4": _constant,
}
SOLUTIONS = {
    "11.1": _share,
    "11.2": lambda: label_of_scan,
    "11.3": lambda: networks_that_may,
    "11.4": lambda: constant_scores,
}
