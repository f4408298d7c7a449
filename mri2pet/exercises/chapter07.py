"""Checks of chapter 7, fine-tuning."""

from __future__ import annotations

import numpy as np

from mri2pet.exercises import Wrong, as_function, as_number

WEIGHTS, PAIRS = 40, 10


def _left_over(answer) -> None:
    share = as_number(answer, "the share that is left, one number")
    truth = 1 - PAIRS / WEIGHTS
    if abs(share - (1 - truth)) < 1e-6:
        raise Wrong("That is the share that the pairs remove. What stays?")
    if abs(share - truth) > 0.005:
        raise Wrong(
            "Each pair fixes one direction out of all. How many directions stay "
            "where the start put them?"
        )


def _solve_left_over() -> float:
    return 1 - PAIRS / WEIGHTS


def _expected_error(answer) -> None:
    function = as_function(answer)
    for sd, k in ((0.2, 1), (0.2, 4), (0.05, 10)):
        got = as_number(function(sd, k), "one number for one SD and one K")
        if abs(got - sd) < 1e-9 or abs(got - sd / k**0.5) < 1e-9:
            raise Wrong(
                "Two things are uncertain: the real scan, and the mean of K samples. "
                "Their variances add."
            )
        if abs(got - sd * (1 + 1 / k) ** 0.5) > 1e-6:
            raise Wrong(f"For sd = {sd} and K = {k} your function gives {got:.4f}.")


def _solve_expected_error():
    return lambda sd, k: sd * (1 + 1 / k) ** 0.5


def _step(answer) -> None:
    function = as_function(answer)
    rng = np.random.default_rng(0)
    x0, noise = rng.normal(size=(2, 5))
    for abar, abar_next in ((0.05, 0.4), (0.4, 0.9), (0.9, 1.0)):
        x_t = abar**0.5 * x0 + (1 - abar) ** 0.5 * noise
        try:
            got = np.asarray(function(x_t, x0, abar, abar_next), dtype=float)
        except (TypeError, ValueError):
            raise Wrong("Expected an array of numbers.") from None
        if got.shape != x0.shape:
            raise Wrong(f"Expected an array of shape {x0.shape}, not {got.shape}.")
        right = abar_next**0.5 * x0 + (1 - abar_next) ** 0.5 * noise
        if np.allclose(got, right, atol=1e-8):
            continue
        if np.allclose(got, abar_next**0.5 * x0 + (1 - abar_next) ** 0.5 * x_t):
            raise Wrong("x_t is not the noise. Solve q_sample for the noise first.")
        raise Wrong(
            "If x0 is the truth, the step must land exactly where q_sample would "
            f"put it; from abar = {abar} to {abar_next} it does not."
        )


def _solve_step():
    def step(x_t, x0_hat, abar, abar_next):
        noise = (x_t - abar**0.5 * x0_hat) / (1 - abar) ** 0.5
        return abar_next**0.5 * x0_hat + (1 - abar_next) ** 0.5 * noise

    return step


CHECKS = {"7.1": _left_over, "7.2": _expected_error, "7.3": _step}
SOLUTIONS = {
    "7.1": _solve_left_over,
    "7.2": _solve_expected_error,
    "7.3": _solve_step,
}
