"""Checks of chapter 12, MMSE and what two predictions have in common."""

from __future__ import annotations

import math

from mri2pet.evaluation.published import value
from mri2pet.exercises import Wrong, as_function, as_number


def _implied_variance() -> float:
    r = value("table3", "augmented_paired", "pearson_r")
    return value("table3", "augmented_paired", "mse") / (1 - r**2)


def _variance(answer) -> None:
    got = as_number(answer, "one number, a variance in squared points")
    mse = value("table3", "augmented_paired", "mse")
    r = value("table3", "augmented_paired", "pearson_r")
    if abs(got - math.sqrt(_implied_variance())) < 0.01:
        raise Wrong("That is the standard deviation. The question asks for its square.")
    if abs(got - mse / (1 - r)) < 0.01:
        raise Wrong("How does r enter the equation: as it is, or squared?")
    if abs(got - _implied_variance()) > 0.02:
        raise Wrong("Solve the equation of the best prediction for the variance.")


def _break_even(answer) -> None:
    r = as_number(answer, "one number between 0 and 1")
    if abs(r - 0.5) > 1e-3:
        raise Wrong(
            "If predictions spread as widely as the truth, the squared error is "
            "var + var - 2 r var. Who says the mean to everybody has var."
        )


def r_interval(r: float, n: int) -> tuple[float, float]:
    """95 % interval of a correlation over n people, on Fisher's scale."""
    middle, half = math.atanh(r), 1.959964 / math.sqrt(n - 3)
    return math.tanh(middle - half), math.tanh(middle + half)


def _interval(answer) -> None:
    function = as_function(answer)
    for r, n in ((0.273, 195), (0.8, 20), (-0.4, 60)):
        got = function(r, n)
        if not isinstance(got, list | tuple) or len(got) != 2:
            raise Wrong("I expected two numbers: the lower and the upper end.")
        low, high = (as_number(x, "two numbers") for x in got)
        right = r_interval(r, n)
        plain = 1.96 * (1 - r**2) / math.sqrt(n - 1)
        if abs(low - (r - plain)) < 2e-3 and abs(high - (r + plain)) < 2e-3:
            raise Wrong(
                "That is symmetric on the scale of r. Go to z = atanh(r), whose "
                "standard error is 1 / sqrt(n - 3), and back with tanh."
            )
        if max(abs(low - right[0]), abs(high - right[1])) > 2e-3:
            raise Wrong(
                f"For r = {r} and n = {n} you get {low:.3f} to {high:.3f}. The "
                "standard error of atanh(r) is 1 / sqrt(n - 3)."
            )


def shared(w_anatomy: float, w_amyloid: float, q: float) -> float:
    """Correlation of the toy's two predictions."""
    total = w_anatomy**2 + w_amyloid**2
    return (w_anatomy**2 + q * w_amyloid**2) / total


def _shared(answer) -> None:
    function = as_function(answer)
    for case in ((1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.5, 1.0, 0.0), (0.5, 1.0, 0.6)):
        got = as_number(function(*case), "one number for two weights and one q")
        w_anatomy, w_amyloid, q = case
        if q and abs(got - shared(w_anatomy, w_amyloid, 0)) < 1e-6:
            raise Wrong("With q > 0 the amyloid part correlates, too. Add it.")
        if abs(got - shared(*case)) > 1e-6:
            raise Wrong(
                f"For weights {w_anatomy:g} and {w_amyloid:g} and q = {q:g} you get "
                f"{got:.3f}. Covariance over variance: both predictions have the "
                "variance w_anatomy^2 + w_amyloid^2."
            )


CHECKS = {
    "12.1": _variance,
    "12.2": _break_even,
    "12.3": _interval,
    "12.4": _shared,
}
SOLUTIONS = {
    "12.1": _implied_variance,
    "12.2": lambda: 0.5,
    "12.3": lambda: r_interval,
    "12.4": lambda: shared,
}
