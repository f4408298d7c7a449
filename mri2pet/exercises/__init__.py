"""Self-checks for the exercises of the book.

A chapter asks, the reader answers, `check` says whether the answer is right:

>>> check("1.1", ...)
Exercise 1.1: no answer yet.

One module per chapter, `chapterNN.py`, holds two dictionaries with the same keys:

``CHECKS = {"5.1": function}``
    ``function(answer)`` returns None if the answer is right and raises
    ``Wrong("a hint, not the solution")`` if it is not. It must raise `Wrong`, and
    nothing else, for an answer of a wrong kind or shape too; `as_number`,
    `as_function` and `expect` help with that. It knows the truth by itself: it takes
    nothing from the notebook but the answer.
``SOLUTIONS = {"5.1": function}``
    ``function()`` returns a right answer. The tests give it to the check.

In the notebook the reader's cell reads ``answer = ...`` and ``check("5.1", answer)``
(an answer that is still ``...`` or None is no mistake, so the chapter runs), and the
solution's cell calls ``check`` too, so a chapter with a wrong solution fails.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
import re
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["Wrong", "as_function", "as_number", "check", "exercise_ids", "expect"]


class Wrong(Exception):  # noqa: N818 - reads as a sentence: raise Wrong("...")
    """An answer is not right; the message is a hint."""

    def _render_traceback_(self) -> list[str]:
        # IPython shows this instead of the trace through our code, which would
        # only distract from the hint (and show the solution).
        return [str(self)]


def check(exercise: str, answer: Any) -> None:
    """Say whether an answer is right.

    Parameters
    ----------
    exercise : str
        Number of the exercise as printed in the chapter, such as "5.1".
    answer : object
        What the exercise asks for; ``...`` or None while there is none.

    Raises
    ------
    Wrong
        The answer is not right; the message is a hint.
    ValueError
        There is no such exercise.
    """
    function = _chapter(exercise).CHECKS[exercise]
    if answer is None or answer is ...:
        print(f"Exercise {exercise}: no answer yet.")
        return
    try:
        function(answer)
    except Wrong as hint:
        raise Wrong(f"Exercise {exercise}: not yet. {hint}") from None
    print(f"Exercise {exercise}: right.")


def exercise_ids() -> list[str]:
    """Return the numbers of all exercises, in the book's order."""
    ids = []
    for module in pkgutil.iter_modules(__path__):
        if re.fullmatch(r"chapter\d\d", module.name):
            ids += importlib.import_module(f"{__name__}.{module.name}").CHECKS
    return sorted(ids, key=lambda i: [int(part) for part in i.split(".")])


def as_number(answer: Any, what: str = "a number") -> float:
    """Return the answer as a float; anything but one finite number is Wrong."""
    try:
        value = float(answer)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"I expected {what}, not {type(answer).__name__}.") from None
    if not math.isfinite(value):
        raise Wrong(f"I expected {what}, not {value}.")
    return value


def as_function(answer: Any) -> Callable[..., Any]:
    """Return a function that turns whatever the answer raises into Wrong."""
    if not callable(answer):
        raise Wrong(f"I expected a function, not {type(answer).__name__}.")

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return answer(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the reader's code may raise anything
            raise Wrong(
                f"Your function raised {type(error).__name__}: {error}"
            ) from None

    return call


def expect(
    got: float,
    truth: float,
    otherwise: str,
    *,
    slips: Iterable[tuple[float, str]] = (),
    tolerance: float = 1e-6,
) -> None:
    """Refuse a number that is not the truth, with the hint for the slip that it is.

    Parameters
    ----------
    got, truth : float
        What was answered, and what is right.
    otherwise : str
        The hint where no known slip explains the number.
    slips : iterable of (float, str)
        Numbers that a known mistake gives, each with its hint.
    tolerance : float
        How far off a number may be, the truth as well as a slip.

    Raises
    ------
    Wrong
        The number is not the truth.

    Examples
    --------
    >>> expect(9.0, 3.0, "Try again.", slips=[(9.0, "That is its square.")])
    Traceback (most recent call last):
    mri2pet.exercises.Wrong: That is its square.
    """
    if abs(got - truth) <= tolerance:
        return
    for wrong, hint in slips:
        if abs(got - wrong) <= tolerance:
            raise Wrong(hint)
    raise Wrong(otherwise)


def _chapter(exercise: str) -> Any:
    match = re.fullmatch(r"(\d{1,2})\.\d{1,2}", str(exercise))
    if match:
        name = f"{__name__}.chapter{int(match[1]):02d}"
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
        else:
            if exercise in module.CHECKS:
                return module
    raise ValueError(
        f"no exercise {exercise!r}; there are {', '.join(exercise_ids()) or 'none'}"
    )
