"""Checks of chapter 8, the methods from outside."""

from __future__ import annotations

import math

import numpy as np

from mri2pet.baselines.gan import released_turns
from mri2pet.exercises import as_function, as_number, expect

DISTANCE, PENALTY = 4.0, 10.0


def _reading(answer) -> None:
    reading = as_number(answer, "one number, what the critic measures")
    slope = 1 + DISTANCE / (2 * PENALTY)
    too_short = (
        "That would be the reading if the slope were exactly 1. The penalty lets it be "
        "a little more."
    )
    expect(
        reading,
        slope * DISTANCE,
        "Find the slope s that makes s d - lambda (s - 1)^2 largest: its derivative is "
        "d - 2 lambda (s - 1). The reading is s d.",
        slips=[
            (
                slope,
                "That is the slope. How far does the score rise over the distance?",
            ),
            (DISTANCE, too_short),
        ],
        tolerance=1e-3,
    )


def _solve_reading() -> float:
    return DISTANCE * (1 + DISTANCE / (2 * PENALTY))


def _net_push(answer) -> None:
    function = as_function(answer)
    for accumulation in (1, 2, 4, 8):
        got = as_number(function(accumulation), "one number of passes")
        truth = _pushed(accumulation)
        turned = (
            "The size is right, the sign is not: a pass of the critic lowers the "
            "score, and these passes are more."
        )
        expect(
            got,
            truth,
            f"For accumulation = {accumulation} you get {got:g}. The first update of "
            f"the generator falls on batch number {2 * accumulation - 2}, counted from "
            "0. Every batch until then has a pass of the critic, and every batch with "
            "an even number one of the generator.",
            slips=[(-truth, turned)],
        )


def _pushed(accumulation: int) -> int:
    """Play until the generator's first update, and count."""
    push = batch = 0
    while True:
        for turn in released_turns(batch, accumulation):
            push += 1 if turn.player == "critic" else -1
            if turn.update and turn.player == "generator":
                return push
        batch += 1


def _solve_net_push():
    return lambda accumulation: accumulation - 1


def _faulty_value(answer) -> None:
    function = as_function(answer)
    for n in (2, 7, 15):
        got = as_number(function(n), "one number for one n")
        truth = -(math.log(n) + 1 / n) / n
        expect(
            got,
            truth,
            f"For n = {n} your function gives {got:.4f}. Put p = q = 1 / n into the "
            "mean of p (log p - q).",
            slips=[
                (0.0, "That is the true divergence. The released term is another."),
                (
                    n * truth,
                    "That is the sum over the others. The release takes the mean.",
                ),
                (-math.log(n) / n, "There is a q left to subtract: it is 1 / n, too."),
            ],
        )


def _solve_faulty_value():
    return lambda n: -(math.log(n) + 1 / n) / n


def _likeness(answer) -> None:
    function = as_function(answer)
    rng = np.random.default_rng(8)
    shared = rng.normal(size=40)
    for n, weight in ((3, 1.0), (6, 0.5), (5, 0.0)):
        outputs = 3 + weight * shared + rng.normal(size=(n, 40))
        r = np.corrcoef(outputs)
        got = as_number(function(outputs), "one mean correlation")
        truth = (r.sum() - n) / (n * (n - 1))
        himself = "Each person is compared with himself too. Leave that out."
        expect(
            got,
            truth,
            f"For {n} people your function gives {got:.3f}. Correlate every two of "
            "them over the voxels, and average over the pairs.",
            slips=[(r.mean(), himself)],
        )


def _solve_likeness():
    def likeness(outputs):
        r = np.corrcoef(outputs)
        return r[~np.eye(len(r), dtype=bool)].mean()

    return likeness


CHECKS = {
    "8.1": _reading,
    "8.2": _net_push,
    "8.3": _faulty_value,
    "8.4": _likeness,
}
SOLUTIONS = {
    "8.1": _solve_reading,
    "8.2": _solve_net_push,
    "8.3": _solve_faulty_value,
    "8.4": _solve_likeness,
}
