"""Motion between the frames of a PET.

Each frame is registered rigidly to the first one, then to the mean of all; the maps are
chained, so that later every frame is interpolated once. The release interpolates the
frames after the first pass and registers these again (audit, 1.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mri2pet.cohort import registration
from mri2pet.cohort.registration import Volume
from mri2pet.cohort.rigid import apply, degrees_of

WORK_MM = 4.0
LEVELS = ((2, 4.0), (1, 2.0))


@dataclass(frozen=True)
class Motion:
    """The frames of a PET and how the head moved between them.

    Attributes
    ----------
    frames : list of Volume
    weights : ndarray, shape (frames,)
        Share of each frame in the mean, from its duration.
    mean_from_frame : list of ndarray, shape (4, 4)
        Where a point of a frame lies in the mean.
    mean : Volume
        Of the moved frames, on the grid of the first one.
    before : Volume
        Mean of the frames as they are.
    """

    frames: list[Volume]
    weights: np.ndarray
    mean_from_frame: list[np.ndarray]
    mean: Volume
    before: Volume

    @property
    def first_from_frame(self) -> list[np.ndarray]:
        """Where a point of a frame lies in the first one."""
        back = np.linalg.inv(self.mean_from_frame[0])
        return [back @ move for move in self.mean_from_frame]

    @property
    def largest_degrees(self) -> float:
        """Largest turn against the first frame."""
        return max(degrees_of(move) for move in self.first_from_frame)

    @property
    def largest_mm(self) -> float:
        """Largest shift of the head's middle against the first frame."""
        middle = registration.middle(self.mean)
        return max(
            float(np.linalg.norm(apply(move, middle) - middle))
            for move in self.first_from_frame
        )


def correct_motion(
    data: np.ndarray,
    affine: np.ndarray,
    durations_s: np.ndarray | None = None,
    *,
    published: bool = False,
) -> Motion:
    """Align the frames of a PET.

    Parameters
    ----------
    data : ndarray, shape (x, y, z) or (x, y, z, frames)
        Decay-corrected.
    affine : ndarray, shape (4, 4)
    durations_s : ndarray, optional
        Of the frames; equal ones if not known.
    published : bool
        Interpolate after the first pass, as the release did.

    Returns
    -------
    Motion

    Raises
    ------
    ValueError
        Frames without uptake, or a registration that failed.
    """
    data = data[..., None] if data.ndim == 3 else data
    frames = [Volume(data[..., i], affine) for i in range(data.shape[-1])]
    lengths = np.ones(len(frames)) if durations_s is None else durations_s
    weights = lengths / lengths.sum()
    empty = [i for i, f in enumerate(frames) if not f.data.max() > 0]
    if empty:
        raise ValueError(f"frame {empty[0] + 1} has no uptake")
    before = _mean(frames, [np.eye(4)] * len(frames), weights)
    if len(frames) == 1:
        return Motion(frames, weights, [np.eye(4)], before, before)
    moves = _onto(frames[0], frames, [np.eye(4)] * len(frames), skip=0)
    mean = _mean(frames, moves, weights)
    if published:
        frames = [_moved(f, m, mean) for f, m in zip(frames, moves, strict=True)]
        moves = [np.eye(4)] * len(frames)
    moves = _onto(mean, frames, moves)
    return Motion(frames, weights, moves, _mean(frames, moves, weights), before)


def _onto(target: Volume, frames, moves, skip: int = -1) -> list[np.ndarray]:
    """target_from_frame of every frame, from first guesses of the same."""
    fixed = registration.coarser(target, WORK_MM)
    level = 0.25 * np.quantile(fixed.data, 0.98)
    mask = ndimage.binary_dilation(fixed.data > level, iterations=2)
    found = []
    for number, (frame, move) in enumerate(zip(frames, moves, strict=True)):
        if number == skip:
            found.append(np.eye(4))
            continue
        frame_from_target, _ = registration.register(
            *(fixed, registration.coarser(frame, WORK_MM)),
            start=np.linalg.inv(move),
            fixed_mask=mask,
            metric="correlation",
            levels=LEVELS,
            sampling=1.0,
        )
        found.append(np.linalg.inv(frame_from_target))
    return found


def _moved(frame: Volume, move: np.ndarray, grid: Volume) -> Volume:
    data = registration.resample(
        *(frame, grid.data.shape, grid.affine, np.linalg.inv(move)),
        interpolation="linear",
    )
    return grid.with_data(data)


def _mean(frames, moves, weights) -> Volume:
    first = frames[0]
    total = sum(
        w * (f if np.allclose(m, np.eye(4)) else _moved(f, m, first)).data
        for w, f, m in zip(weights, frames, moves, strict=True)
    )
    return first.with_data(total.astype(np.float32))
