"""Checks of chapter 6, pre-training."""

from __future__ import annotations

from typing import Any

import numpy as np

from mri2pet.exercises import Wrong, as_function, as_number

SPREAD = 0.2
FOLLOWS = 0.9


def survivors(answer: Any) -> None:
    """A function (batch_size, parts) -> places that reach the update."""
    function = as_function(answer)
    for batch_size, parts in ((8, 4), (128, 8), (6, 1)):
        got = function(batch_size, parts)
        try:
            places = [int(place) for place in got]
        except (TypeError, ValueError):
            raise Wrong("I expected a list of whole numbers.") from None
        micro = batch_size // parts
        where = f"For batch_size={batch_size}, parts={parts}: "
        if len(places) != micro:
            raise Wrong(
                f"{where}you name {len(places)} places, but a micro-batch has {micro}."
            )
        if sorted(places) != list(range(batch_size - micro, batch_size)):
            raise Wrong(
                f"{where}the number of places is right, but not which. Each reset "
                "forgets what came before it; after which micro-batch is there none?"
            )


def harmless_noise(answer: Any) -> None:
    """The largest noise SD for which the slope is still nine tenths."""
    sigma = as_number(answer, "a standard deviation")
    truth = SPREAD * np.sqrt(1 / FOLLOWS - 1)
    if np.isclose(sigma, truth, rtol=0.02):
        return
    if np.isclose(sigma, truth**2, rtol=0.02):
        raise Wrong("That is its square, the variance.")
    raise Wrong(
        "Replace the 1 in the formula by the square of the noise's standard deviation, "
        f"set the slope to {FOLLOWS}, and solve."
    )


def fair_steps(answer: Any) -> None:
    """A function (pretrain, finetune, cost) -> steps at equal cost."""
    function = as_function(answer)
    for pretrain, finetune, cost in ((40, 60, 1.0), (100, 250, 0.125), (10, 5, 0.25)):
        got = as_number(function(pretrain, finetune, cost), "a number of steps")
        truth = int(finetune + cost * pretrain)
        if got == truth:
            continue
        if abs(got - truth) < 1:
            raise Wrong("Almost: round down to a whole number of steps.")
        raise Wrong(
            f"For pretrain={pretrain}, finetune={finetune}, cost={cost} I expected "
            "the steps of fine-tuning, plus what the steps of pre-training cost."
        )


def _solve_survivors(batch_size: int, parts: int) -> list[int]:
    return list(range(batch_size - batch_size // parts, batch_size))


CHECKS = {"6.1": survivors, "6.2": harmless_noise, "6.3": fair_steps}
SOLUTIONS = {
    "6.1": lambda: _solve_survivors,
    "6.2": lambda: SPREAD / 3,
    "6.3": lambda: lambda pretrain, finetune, cost: int(finetune + cost * pretrain),
}
