"""How long the frames of a PET are, as its PET-BIDS sidecar says.

References
----------
Norgaard et al. 2022 (PET-BIDS), Scientific Data 9:65.
"""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from mri2pet.cohort.files import refuse

if TYPE_CHECKING:
    from mri2pet.cohort.images import Raw

LONGEST_S = 6 * 3600.0  # of all frames; more are milliseconds
LARGEST_S = 1e12  # beyond any clock
ROUNDING_S = 1.0  # starts are often rounded to a second


def check_frames(raw: Raw, sidecar: dict[str, Any] | None) -> np.ndarray | None:
    """Return how long the frames of a PET are, from its PET-BIDS sidecar.

    Parameters
    ----------
    raw : Raw
    sidecar : dict or None
        `FrameDuration` and, if there, `FrameTimesStart`, in seconds.

    Returns
    -------
    ndarray, shape (frames,), or None
        In s; None for one volume of which nothing is said.

    Raises
    ------
    ValueError
        Missing for several frames, of a wrong number, not numbers, not above 0,
        overlapping, or so long that they must be milliseconds.
    """
    frames = raw.data.shape[3] if raw.data.ndim == 4 else 1
    if sidecar is not None and not isinstance(sidecar, dict):
        refuse(raw.path, f"sidecar is a {type(sidecar).__name__}, expected an object")
    durations = _seconds(raw, sidecar or {}, "FrameDuration", frames)
    starts = _seconds(raw, sidecar or {}, "FrameTimesStart", frames)
    if durations is None:
        if frames == 1:
            return None
        refuse(
            raw.path,
            f"{frames} frames, but no FrameDuration says how long they are; add "
            "FrameDuration (s) to the JSON sidecar",
        )
    if durations.min() <= 0:
        refuse(
            raw.path,
            f"FrameDuration has {durations.min():g} s, expected more than 0; correct "
            "the JSON sidecar",
        )
    if durations.sum() > LONGEST_S:
        refuse(
            raw.path,
            f"FrameDuration adds up to {durations.sum():g} s, more than "
            f"{LONGEST_S:g}; give seconds, not milliseconds, in the JSON sidecar",
        )
    if starts is None:
        return durations
    steps = np.diff(starts)
    early = (steps <= 0) | (steps + ROUNDING_S < durations[:-1])
    if early.any():
        frame = int(np.argmax(early)) + 1
        refuse(
            raw.path,
            f"frame {frame} is {durations[frame - 1]:g} s long, but the next starts "
            f"{steps[frame - 1]:g} s after it; correct "
            "FrameTimesStart or FrameDuration in the JSON sidecar",
        )
    return durations


def _seconds(raw: Raw, sidecar: dict, key: str, frames: int) -> np.ndarray | None:
    found = sidecar.get(key)
    if found is None:
        return None
    values = found if isinstance(found, list | tuple) else [found]
    for value in values:
        number = isinstance(value, Real) and not isinstance(value, bool)
        # Also too large for a float, as whole numbers of JSON may be.
        if not number or not abs(value) < LARGEST_S:
            refuse(
                raw.path,
                f"{key} has {str(value)[:40]!r}, expected seconds; correct the JSON "
                "sidecar",
            )
    if len(values) != frames:
        refuse(
            raw.path,
            f"{key} has {len(values)} values for {frames} frames; correct the JSON "
            "sidecar",
        )
    return np.array(values, dtype=np.float64)
