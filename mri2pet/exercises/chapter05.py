"""Checks of chapter 5, the Laplacian loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from mri2pet.exercises import Wrong, as_function, as_number, expect
from mri2pet.loss import x0_error_factor
from mri2pet.schedule import NoiseSchedule


def check_free_error(answer: Any) -> None:
    """3 everywhere plus a checkerboard of height 2 costs 4."""
    expect(
        as_number(answer, "a cost"),
        4,
        "Take the two parts one by one: which bands hold a constant, and which a "
        "checkerboard?",
        slips=[
            (13, "That is the mean square error. Which part of it is in no band?"),
            (9, "It is the other way round: a constant is in no band."),
            (20, "The checkerboard is not in every band: what is left after pooling?"),
        ],
    )


def mean_weight(beta_end: float = 0.01) -> float:
    """Mean hidden weight over t = 1..999 of a schedule."""
    schedule = NoiseSchedule(beta_end=beta_end)
    return float(x0_error_factor(schedule, "eps", torch.arange(1, 1000)).mean())


def check_gentle_schedule(answer: Any) -> None:
    """The mean hidden weight of a schedule that ends at beta = 0.01."""
    value, truth = as_number(answer, "a mean"), mean_weight()
    if abs(value / truth - 1) < 0.01:
        return
    if abs(value / mean_weight(0.02) - 1) < 0.01:
        raise Wrong("That is the mean of the released schedule, with beta_end = 0.02.")
    if abs(value / (mean_weight(0.02) / 2) - 1) < 0.01:
        raise Wrong("Not a half: abar is a product. Compute it.")
    if abs(value * truth - 1) < 0.01:
        raise Wrong("That is upside down.")
    raise Wrong("The weight is (1 - abar) / abar; take its mean over t = 1..999.")


def check_velocity_weight(answer: Any) -> None:
    """1 / (1 - abar) makes it the pyramid of the velocity."""
    weight = as_function(answer)
    for abar in (0.9, 0.5, 0.02):
        factor = 1 - abar
        expect(
            as_number(weight(abar), "a number from your function"),
            1 / factor,
            "An error d of v is an error sqrt(1 - abar) d of x0. What does the pyramid "
            "make of it, and what cancels that?",
            slips=[
                (factor**-0.5, "The factor belongs to the error; the loss squares it."),
                (factor, "Upside down: the weight must cancel the factor."),
            ],
        )


CHECKS: dict[str, Callable[[Any], None]] = {
    "5.1": check_free_error,
    "5.2": check_gentle_schedule,
    "5.3": check_velocity_weight,
}

SOLUTIONS: dict[str, Callable[[], Any]] = {
    "5.1": lambda: 4.0,
    "5.2": mean_weight,
    "5.3": lambda: lambda abar: 1 / (1 - abar),
}
