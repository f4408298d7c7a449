"""Checks of chapter 7, fine-tuning."""

from __future__ import annotations

import math

from mri2pet.exercises import as_function, as_number, expect

WEIGHTS, PAIRS = 40, 10


def _left_over(answer) -> None:
    share = as_number(answer, "the share that is left, one number")
    truth = 1 - PAIRS / WEIGHTS
    expect(
        share,
        truth,
        "Each pair fixes one direction out of all. How many directions stay where the "
        "start put them?",
        slips=[(1 - truth, "That is the share that the pairs remove. What stays?")],
        tolerance=0.005,
    )


def _solve_left_over() -> float:
    return 1 - PAIRS / WEIGHTS


def _expected_error(answer) -> None:
    function = as_function(answer)
    for sd, k in ((0.2, 1), (0.2, 4), (0.05, 10)):
        got = as_number(function(sd, k), "one number for one SD and one K")
        half = (
            "Two things are uncertain: the real scan, and the mean of K samples. "
            "Their variances add."
        )
        expect(
            got,
            sd * (1 + 1 / k) ** 0.5,
            f"For sd = {sd} and K = {k} your function gives {got:.4f}.",
            slips=[(sd, half), (sd / k**0.5, half)],
        )


def _solve_expected_error():
    return lambda sd, k: sd * (1 + 1 / k) ** 0.5


def _psnr(answer) -> None:
    function = as_function(answer)
    for loss, scale in ((0.1, 0.6), (0.02, 0.8)):
        got = as_number(function(loss, scale), "one number for one loss and one scale")
        units, once, truth = (
            10 * math.log10(2.5**2 / (loss * scale**power)) for power in range(3)
        )
        expect(
            got,
            truth,
            f"For loss = {loss} and scale = {scale} you get {got:.2f} dB.",
            slips=[
                (units, "That is the score in network units. Back to SUVR first."),
                (once, "The loss is squared. So how often does the scale enter?"),
            ],
        )


def _solve_psnr():
    return lambda loss, scale: 10 * math.log10(2.5**2 / (loss * scale**2))


CHECKS = {"7.1": _left_over, "7.2": _expected_error, "7.3": _psnr}
SOLUTIONS = {
    "7.1": _solve_left_over,
    "7.2": _solve_expected_error,
    "7.3": _solve_psnr,
}
