"""Checks of chapter 4, style transfer."""

from __future__ import annotations

from typing import Any

import numpy as np

from mri2pet.exercises import Wrong, as_function, as_number

STYLE_WEIGHT = 100_000
SLICES = 16


def _array(answer: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return an answer of this shape as an array; anything else is Wrong."""
    try:
        array = np.asarray(answer, dtype=float)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"I expected an array, not {type(answer).__name__}.") from None
    if array.shape != shape:
        raise Wrong(f"I expected an array of shape {shape}, not {array.shape}.")
    return array


def gram_matrix(answer: Any) -> None:
    """A function of maps (C, H, W) that returns their Gram matrix."""
    maps = np.random.default_rng(41).normal(size=(3, 4, 5))
    got = _array(as_function(answer)(maps.copy()), (3, 3))
    truth = np.einsum("chw,dhw->cd", maps, maps) / maps.size
    if np.allclose(got, truth, rtol=1e-4):
        return
    # A right matrix up to a factor is the usual slip.
    factors = got / truth
    if np.allclose(factors, factors[0, 0], rtol=1e-4):
        raise Wrong("The pattern is right, the norm is not: divide by C times P.")
    raise Wrong("Entry (c, d) is the sum over all pixels of map c times map d.")


def volume_weight(answer: Any) -> None:
    """Two style weights: for copies, and for slices with nothing in common."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise Wrong("I expected a pair of numbers.")
    copies, unlike = (as_number(a, "a weight") for a in answer)
    if not np.isclose(copies, STYLE_WEIGHT * SLICES**2):
        raise Wrong("For copies: by how much does the loss fall? By the square of D.")
    if not np.isclose(unlike, STYLE_WEIGHT * SLICES**3):
        raise Wrong(
            "Copies are right. With nothing in common only D of the D times D blocks "
            "are left, so the loss falls by one more factor of D."
        )


def matching(answer: Any) -> None:
    """A function that gives an array the values of another, rank by rank."""
    rng = np.random.default_rng(43)
    content = rng.permutation(12).reshape(3, 4) / 7.0
    reference = rng.normal(size=(3, 4))
    got = _array(as_function(answer)(content.copy(), reference.copy()), (3, 4))
    if not np.allclose(np.sort(got, axis=None), np.sort(reference, axis=None)):
        raise Wrong("The result must hold exactly the values of the reference.")
    if not np.array_equal(got.ravel().argsort(), content.ravel().argsort()):
        raise Wrong(
            "The values are right, their order is not: the largest must lie where the "
            "content was largest. One argsort gives an order, two give ranks."
        )


def _solve_gram(maps: np.ndarray) -> np.ndarray:
    rows = maps.reshape(len(maps), -1)
    return rows @ rows.T / rows.size


def _solve_matching(content: np.ndarray, reference: np.ndarray) -> np.ndarray:
    ranks = content.ravel().argsort().argsort()
    return np.sort(reference, axis=None)[ranks].reshape(content.shape)


CHECKS = {"4.1": gram_matrix, "4.2": volume_weight, "4.3": matching}
SOLUTIONS = {
    "4.1": lambda: _solve_gram,
    "4.2": lambda: (STYLE_WEIGHT * SLICES**2, STYLE_WEIGHT * SLICES**3),
    "4.3": lambda: _solve_matching,
}
