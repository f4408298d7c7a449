"""Checks of arrays that come from outside, shared by the scores."""

from __future__ import annotations

import numpy as np

from mri2pet.checks import finite, numbers


def check_volumes(name: str, volumes: np.ndarray, ndim: int) -> np.ndarray:
    """Return ``volumes`` as an array, refusing a wrong rank or a value not finite.

    Parameters
    ----------
    name : str
        What the array is, for the message.
    volumes : array_like
    ndim : int
        The number of axes expected.

    Raises
    ------
    ValueError
        If the rank differs or a value is NaN or infinite.
    """
    volumes = numbers(name, volumes)
    if volumes.ndim != ndim:
        raise ValueError(f"{name} has shape {volumes.shape}, expected {ndim} axes")
    finite(name, volumes)
    return volumes
