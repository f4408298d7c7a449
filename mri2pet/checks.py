"""Checks of what a caller hands in: one line with the name, the value and the remedy.

They look at types and shapes only, except `finite` and `unit_range`, which read every
number (and wait for a GPU): those belong where data enter, not into a loop.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

HALF = (None, torch.bfloat16, torch.float16)
# Resampling in float32 may leave [0, 1] by a rounding error.
ROUNDING = 1e-6


# -- names and numbers -----------------------------------------------------------------


def one_of(name: str, value: object, choices: Iterable[Any]) -> None:
    """Refuse a value that is not one of the choices.

    Parameters
    ----------
    name : str
        What the message calls the value.
    value : object
        What was given.
    choices : iterable
        What is allowed.

    Raises
    ------
    ValueError
        Naming the choices and the value.

    Examples
    --------
    >>> one_of("sampler", "euler", ("ddpm", "ddim"))
    Traceback (most recent call last):
    ValueError: sampler must be one of ddpm, ddim; got 'euler'
    """
    if not any(isinstance(value, type(c)) and value == c for c in choices):
        known = ", ".join(map(str, choices))
        raise ValueError(f"{name} must be one of {known}; got {value!r}")


def whole(name: str, value: Any, least: int = 0) -> int:
    """Return a whole number, or refuse it.

    Parameters
    ----------
    name : str
        What the message calls the value.
    value : object
        Should be an integer, of Python, NumPy or torch.
    least : int
        The smallest that is allowed.

    Returns
    -------
    int
        The value.

    Raises
    ------
    ValueError
        A fraction, another type, or too small.

    Examples
    --------
    >>> whole("steps", 2.5, least=1)
    Traceback (most recent call last):
    ValueError: steps must be a whole number of at least 1; got 2.5
    """
    try:
        found = operator.index(value)
    except TypeError:
        found = None
    if found is None or found < least:
        raise ValueError(
            f"{name} must be a whole number of at least {least}; got {value!r}"
        )
    return found


def wholes(name: str, values: Any, least: int = 0) -> tuple[int, ...]:
    """Return one or more whole numbers, such as a grid, or refuse them.

    Parameters
    ----------
    name : str
        What the message calls the values.
    values : iterable of int
        At least one.
    least : int
        The smallest that is allowed.

    Returns
    -------
    tuple of int
        The values.

    Raises
    ------
    ValueError
        None of them, a fraction, another type, or one that is too small.

    Examples
    --------
    >>> wholes("pet_shape", (16, 0, 32), least=1)
    Traceback (most recent call last):
    ValueError: pet_shape must hold whole numbers of at least 1; got (16, 0, 32)
    """
    try:
        found = tuple(operator.index(v) for v in values)
    except TypeError:
        found = ()
    if not found or min(found) < least:
        raise ValueError(
            f"{name} must hold whole numbers of at least {least}; got {values!r}"
        )
    return found


def number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    inside: bool = False,
) -> float:
    """Return a finite number, or refuse it.

    Parameters
    ----------
    name : str
        What the message calls the value.
    value : object
        Should be a number, of Python, NumPy or torch.
    low, high : float
        Where it should lie.
    inside : bool
        Refuse the two ends themselves.

    Returns
    -------
    float
        The value.

    Raises
    ------
    ValueError
        No number, not finite, or out of range.

    Examples
    --------
    >>> number("level", 1.0, 0, 1, inside=True)
    Traceback (most recent call last):
    ValueError: level must be a number in (0, 1); got 1.0
    """
    try:
        x = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, RuntimeError):
        x = math.nan
    if not (math.isfinite(x) and (low < x < high if inside else low <= x <= high)):
        left = "(" if inside or low == -math.inf else "["
        right = ")" if inside or high == math.inf else "]"
        raise ValueError(
            f"{name} must be a number in {left}{low:g}, {high:g}{right}; got {value!r}"
        )
    return x


# -- tensors and arrays ----------------------------------------------------------------


def described(x: object) -> str:
    """Type and shape of a tensor, or the type of anything else, in words.

    Parameters
    ----------
    x : object
        Anything.

    Returns
    -------
    str
        For a message.

    Examples
    --------
    >>> described(torch.zeros(2, 3)), described([1])
    ('torch.float32 of shape (2, 3)', 'list')
    """
    if not isinstance(x, Tensor):
        return type(x).__name__
    return f"{x.dtype} of shape {tuple(x.shape)}"


def floating(name: str, x: object) -> None:
    """Refuse what is no tensor of a floating-point type.

    Parameters
    ----------
    name : str
        What the message calls it.
    x : object
        Should be such a tensor.

    Raises
    ------
    ValueError
        Naming the type that came.

    Examples
    --------
    >>> floating("x0", torch.tensor([1, 2]))
    Traceback (most recent call last):
    ValueError: x0 must be a floating-point tensor; got torch.int64 of shape (2,)
    """
    if not (isinstance(x, Tensor) and x.is_floating_point()):
        raise ValueError(f"{name} must be a floating-point tensor; got {described(x)}")


def same_shape(name: str, x: object, like_name: str, like: Tensor) -> None:
    """Refuse two tensors of different shapes or devices: nothing is broadcast.

    Parameters
    ----------
    name : str
        What the message calls ``x``.
    x : object
        Should be a floating-point tensor of the same shape, on the same device.
    like_name : str
        What the message calls ``like``.
    like : Tensor
        The other one.

    Raises
    ------
    ValueError
        Naming what was expected and what came.

    Examples
    --------
    >>> same_shape("noise", torch.zeros(1, 3), "x0", torch.zeros(2, 3))
    Traceback (most recent call last):
    ValueError: noise must have shape (2, 3), as x0; got (1, 3)
    """
    floating(like_name, like)
    floating(name, x)
    if x.shape != like.shape:
        raise ValueError(
            f"{name} must have shape {tuple(like.shape)}, as {like_name}; "
            f"got {tuple(x.shape)}"
        )
    if x.device != like.device:
        raise ValueError(
            f"{name} must be on {like.device}, as {like_name}; got {x.device}"
        )


def as_weights(name: str, x: Tensor, weight: Tensor) -> None:
    """Refuse a device or type that is not the weights', nor turned into it.

    Parameters
    ----------
    name : str
        What the message calls ``x``.
    x, weight : Tensor
        An input and a weight of the network; under autocast, types other than float64
        go together.

    Raises
    ------
    ValueError
        Naming both.

    Examples
    --------
    >>> as_weights("mri", torch.zeros(1).double(), torch.zeros(1))
    Traceback (most recent call last):
    ValueError: mri must be torch.float32, as the weights; got torch.float64
    """
    if x.device != weight.device:
        raise ValueError(
            f"{name} must be on {weight.device}, as the weights; got {x.device}"
        )
    if x.dtype != weight.dtype and (
        torch.float64 in (x.dtype, weight.dtype)
        or not torch.is_autocast_enabled(x.device.type)
    ):
        raise ValueError(
            f"{name} must be {weight.dtype}, as the weights; got {x.dtype}"
        )


def holds_integers(x: object) -> bool:
    """Whether this is a tensor of an integer type; bool is none.

    Parameters
    ----------
    x : object
        Anything.

    Returns
    -------
    bool
        Whether it is one.

    Examples
    --------
    >>> holds_integers(torch.tensor([1])), holds_integers(torch.tensor([True]))
    (True, False)
    """
    return isinstance(x, Tensor) and not (
        x.is_floating_point() or x.is_complex() or x.dtype == torch.bool
    )


def numbers(name: str, values: Any) -> np.ndarray:
    """Return real numbers as an array, or refuse them.

    Parameters
    ----------
    name : str
        What the message calls them.
    values : array_like
        Should be floating-point numbers, integers or bool.

    Returns
    -------
    ndarray
        The values, not copied if they are an array.

    Raises
    ------
    ValueError
        Text, complex numbers, objects.

    Examples
    --------
    >>> numbers("suvr", [1.0, None])
    Traceback (most recent call last):
    ValueError: suvr must hold real numbers; got object
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers; got {array.dtype}")
    return array


def finite(name: str, values: Tensor | np.ndarray) -> None:
    """Refuse NaN and infinite values.

    Parameters
    ----------
    name : str
        What the message calls them.
    values : Tensor or ndarray
        Real numbers of any shape.

    Raises
    ------
    ValueError
        Counting them.

    Examples
    --------
    >>> finite("mri", np.array([0.5, np.nan, np.inf]))
    Traceback (most recent call last):
    ValueError: mri holds 2 values that are NaN or infinite
    """
    # A sum takes one pass and no memory; every number is looked at if it fails only.
    if isinstance(values, Tensor):
        values = values.detach()
        if math.isfinite(float(values.sum())):
            return
        bad = int((~torch.isfinite(values)).sum())
    else:
        with np.errstate(all="ignore"):
            if math.isfinite(float(np.sum(values))):
                return
        bad = int((~np.isfinite(values)).sum())
    if bad:
        raise ValueError(f"{name} holds {bad} values that are NaN or infinite")


def unit_range(name: str, x: Tensor) -> None:
    """Refuse values that are not in [0, 1], but for a rounding error.

    Parameters
    ----------
    name : str
        What the message calls them.
    x : Tensor
        At least one number, any shape.

    Raises
    ------
    ValueError
        NaN, infinite or out of range.

    Examples
    --------
    >>> unit_range("mri", torch.tensor([0.0, 4095.0]))
    Traceback (most recent call last):
    ValueError: mri must lie in [0, 1]; got 0 to 4095
    """
    finite(name, x)
    low, high = (float(v) for v in torch.aminmax(x.detach()))
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise ValueError(f"{name} must lie in [0, 1]; got {low:g} to {high:g}")


# -- files -----------------------------------------------------------------------------


def read_tensors(path: str | Path, label: str, remedy: str) -> dict[str, Any]:
    """Read a dictionary of plain tensors; anything else is refused by name.

    Parameters
    ----------
    path : path
        A file of `torch.save`.
    label : str
        What the message calls it.
    remedy : str
        What the message advises.

    Returns
    -------
    dict
        Its content, tensors on the CPU.

    Raises
    ------
    ValueError
        No such file, a damaged one, one that would run code when read, or one that
        holds something else.

    Examples
    --------
    >>> read_tensors("a.pt", "checkpoint a.pt", "train again")
    Traceback (most recent call last):
    ValueError: checkpoint a.pt: there is no such file
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{label}: there is no such file") from None
    except Exception as error:  # noqa: BLE001 - any failure means: not usable
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"{label}: damaged or not plain tensors ({reason}); {remedy}"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(  # noqa: TRY004 - what is wrong is a file
            f"{label}: expected a dictionary of tensors, got a "
            f"{type(content).__name__}; {remedy}"
        )
    return content
