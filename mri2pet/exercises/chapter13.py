"""Checks of chapter 13, atrophy, sharpness and ambiguity."""

from __future__ import annotations

import math

import numpy as np

from mri2pet.evaluation.ambiguity import binary_entropy
from mri2pet.exercises import Wrong, as_function, as_number

SAMPLES, POSITIVE = 8, 6  # of exercise 13.1


def _call(answer) -> None:
    bits = as_number(answer, "one number, in bits")
    truth = float(binary_entropy(POSITIVE / SAMPLES))
    if abs(bits - truth * math.log(2)) < 0.005:
        raise Wrong("That is in nats. For bits take the logarithm to base 2.")
    if abs(bits - 1) < 0.005:
        raise Wrong("One bit is for equally many votes on both sides.")
    if abs(bits - truth) > 0.005:
        raise Wrong(
            f"The share of positive votes is p = {POSITIVE}/{SAMPLES}. Add up "
            "-q log2(q) over q = p and q = 1 - p."
        )


def _solve_call() -> float:
    p = POSITIVE / SAMPLES
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def _kept(answer) -> None:
    function = as_function(answer)
    rng = np.random.default_rng(3)
    common = rng.normal(size=200)
    for spread in (0.5, 1.0, 2.0):
        bands = common + spread * rng.normal(size=(5, 200))
        got = as_number(function(bands), "one share")
        energy = (bands**2).mean(axis=1)
        truth = (bands.mean(axis=0) ** 2).mean() / energy.mean()
        if abs(got - 1 / truth) < 1e-6 * abs(1 / truth):
            raise Wrong(
                "Upside down: divide the energy of the mean by that of a sample."
            )
        if abs(got - (1 - truth)) < 1e-6:
            raise Wrong(
                "That is the share that is lost. The question asks what is kept."
            )
        if abs(got - truth) > 1e-6:
            raise Wrong(
                "First average the samples, then square; and in the denominator first "
                f"square, then average. For one test I get {truth:.3f}, you {got:.3f}."
            )


def _solve_kept():
    def kept(bands):
        return (bands.mean(axis=0) ** 2).mean() / (bands**2).mean()

    return kept


def _within(answer) -> None:
    function = as_function(answer)
    rng = np.random.default_rng(4)
    people = np.repeat(np.arange(8), 5)
    own = np.linspace(-2, 2, 8)
    x = own[people] + np.tile(np.linspace(-0.5, 0.5, 5), 8)
    y = 0.7 * (x - own[people]) - 3 * own[people] + 0.01 * rng.normal(size=40)
    got = as_number(function(people, x, y), "one slope")
    naive = np.polyfit(x, y, 1)[0]
    if abs(got - naive) < 1e-3:
        raise Wrong(
            "That is a line through everybody. It mixes what people are with what "
            "happens to them."
        )
    if abs(got - 0.7) > 0.02:
        raise Wrong(
            "Subtract from x and from y each person's own mean; then fit one line "
            "through the origin. In this test the slope within people is near 0.7."
        )


def _solve_within():
    def within(people, x, y):
        dx, dy = np.array(x, float), np.array(y, float)
        for person in np.unique(people):
            mine = people == person
            dx[mine] -= dx[mine].mean()
            dy[mine] -= dy[mine].mean()
        return (dx @ dy) / (dx @ dx)

    return within


CHECKS = {"13.1": _call, "13.2": _kept, "13.3": _within}
SOLUTIONS = {"13.1": _solve_call, "13.2": _solve_kept, "13.3": _solve_within}
