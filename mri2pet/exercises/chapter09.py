"""Checks of chapter 9, Table 1."""

from __future__ import annotations

import math

import numpy as np

from mri2pet.evaluation.published import entry
from mri2pet.exercises import Wrong, as_function, as_number, expect


def _threshold(answer) -> None:
    r2 = as_number(answer, "one number between 0 and 1")
    expect(
        r2,
        0.5,
        "Set the error of the sample, 2 (1 - r^2), equal to the error of the template "
        "and solve for r^2.",
        slips=[(0.5**0.5, "That is r. The question asks for r squared.")],
        tolerance=1e-3,
    )


def _solve_threshold() -> float:
    return 0.5


def _paper_t() -> float:
    ours = entry("table1", "mri2pet", "ssim")
    other = entry("table1", "no_style", "ssim")
    spread = math.hypot(ours.plus_minus, other.plus_minus)
    return (ours.value - other.value) / spread


def _t_value(answer) -> None:
    t = as_number(answer, "one number, the t-value")
    truth = _paper_t()
    expect(
        t,
        truth,
        "Divide the difference of the two means by the standard error of a difference: "
        "the root of the sum of the two squared errors.",
        slips=[(-truth, "The size is right. Take MRI2PET minus the other row.")],
        tolerance=0.02,
    )


def _verdict(answer) -> None:
    function = as_function(answer)
    cases = {
        (0.01, 0.03): "better",
        (-0.03, -0.01): "worse",
        (-0.01, 0.03): "unresolved",
        (0.0, 0.03): "unresolved",
        (-0.03, 0.0): "unresolved",
    }
    words = sorted(set(cases.values()))
    for (low, high), truth in cases.items():
        got = function(low, high)
        if got not in words:
            raise Wrong(
                f"Your function says {got!r}. Return one of {', '.join(words)}."
            )
        if got != truth:
            raise Wrong(
                f"For an interval from {low} to {high} of row minus comparison your "
                f"function says {got!r}. Does the interval contain 0?"
            )


def _solve_verdict():
    def verdict(low, high):
        if low > 0:
            return "better"
        return "worse" if high < 0 else "unresolved"

    return verdict


def _two_visits(answer) -> None:
    function = as_function(answer)
    rng = np.random.default_rng(1)
    # The people with one visit differ little, those with three differ a lot.
    visits = np.repeat([1, 3], 20)
    people = np.repeat(np.arange(40), visits)
    own = rng.normal(size=40) * np.where(visits == 1, 0.3, 1.5)
    scores = np.repeat(own, visits) + 0.01 * rng.normal(size=len(people))
    got = as_number(function(scores, people), "one standard error")
    naive = scores.std(ddof=1) / len(scores) ** 0.5
    means = np.array([scores[people == p].mean() for p in np.unique(people)])
    truth = means.std(ddof=1) / len(means) ** 0.5
    if abs(got - naive) < 0.02 * truth:
        raise Wrong("That counts every scan as a person of its own.")
    if abs(got - truth) > 0.15 * truth:
        raise Wrong(
            "Average the scans of each person first, or resample people; then the "
            f"standard error is near {truth:.3f}."
        )


def _solve_two_visits():
    def standard_error(scores, people):
        means = [scores[people == p].mean() for p in np.unique(people)]
        return np.std(means, ddof=1) / len(means) ** 0.5

    return standard_error


CHECKS = {
    "9.1": _threshold,
    "9.2": _t_value,
    "9.3": _verdict,
    "9.4": _two_visits,
}
SOLUTIONS = {
    "9.1": _solve_threshold,
    "9.2": _paper_t,
    "9.3": _solve_verdict,
    "9.4": _solve_two_visits,
}
