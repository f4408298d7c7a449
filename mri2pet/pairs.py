"""Training data in memory, and what one step takes of it.

Which samples a step takes, and every random number of it, is a function of
(seed, step): a resumed run continues exactly, and two processes draw what one draws.

Legend: N samples, B batch, C channel, D H W voxels (z, y, x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mri2pet.checks import finite, numbers, whole


class Pairs(Protocol):
    """Data of a recipe: a length and batches, from memory or from anywhere.

    Examples
    --------
    >>> class Numbers:
    ...     def __len__(self):
    ...         return 10
    ...
    ...     def batch(self, indices):
    ...         return {"x": torch.from_numpy(indices)}
    >>> pairs: Pairs = Numbers()
    >>> pairs.batch(batch_indices(len(pairs), 10, seed=0, step=0))["x"].sum()
    tensor(45)
    """

    def __len__(self) -> int:
        """Number of samples."""

    def batch(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Tensors of these samples.

        Parameters
        ----------
        indices : ndarray, shape (B,)
            Numbers of the samples, int64.

        Returns
        -------
        dict of str to Tensor
            Each with a leading axis of B.
        """


@dataclass
class ArrayPairs:
    """MRI and target volumes held in memory.

    Parameters
    ----------
    mri_NDHW : ndarray, shape (N, D, H, W)
        Condition, in [0, 1].
    target_NDHW : ndarray, shape (N, d, h, w)
        What the network learns to make, in network units.

    Raises
    ------
    ValueError
        No volumes, more of one than of the other, or values that are not finite.

    Examples
    --------
    >>> pairs = ArrayPairs(np.zeros((5, 4, 6, 6)), np.zeros((5, 2, 3, 3)))
    >>> {k: tuple(v.shape) for k, v in pairs.batch(np.array([0, 4])).items()}
    {'mri': (2, 1, 4, 6, 6), 'target': (2, 1, 2, 3, 3)}
    """

    mri_NDHW: np.ndarray
    target_NDHW: np.ndarray

    def __post_init__(self) -> None:
        both = {"mri_NDHW": self.mri_NDHW, "target_NDHW": self.target_NDHW}
        for name, values in both.items():
            if not isinstance(values, np.ndarray) or numbers(name, values).ndim == 0:
                raise ValueError(
                    f"{name} must be an array of shape (N, ...); "
                    f"got {type(values).__name__}"
                )
        if len(self.mri_NDHW) != len(self.target_NDHW) or len(self.mri_NDHW) == 0:
            raise ValueError(
                f"{len(self.mri_NDHW)} MRIs and {len(self.target_NDHW)} targets: "
                "expected as many of one as of the other, and at least one"
            )
        for name, values in both.items():
            for i, volume in enumerate(values):
                finite(f"{name}[{i}]", volume)

    def __len__(self) -> int:
        return len(self.mri_NDHW)

    def batch(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Tensors of these pairs, with a channel axis.

        Parameters
        ----------
        indices : ndarray, shape (B,)
            Numbers of the pairs.

        Returns
        -------
        dict of str to Tensor
            ``mri`` (B, 1, D, H, W) and ``target`` (B, 1, d, h, w), float32.
        """
        return {
            "mri": torch.from_numpy(self.mri_NDHW[indices]).float()[:, None],
            "target": torch.from_numpy(self.target_NDHW[indices]).float()[:, None],
        }


def step_generator(seed: int, step: int) -> torch.Generator:
    """Generator of everything random in one step.

    Parameters
    ----------
    seed, step : int
        Seed of the training and number of the update, from 0; not negative.

    Returns
    -------
    torch.Generator
        On the CPU.

    Raises
    ------
    ValueError
        A number that is negative or not whole.

    Examples
    --------
    A resumed run needs no saved state to draw what it would have drawn:

    >>> once, again = (torch.rand(1, generator=step_generator(4, 17)) for _ in "ab")
    >>> torch.equal(once, again)
    True
    """
    words = (whole("seed", seed), whole("step", step))
    words = np.random.SeedSequence(words).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0] >> np.uint64(1)))


def batch_indices(n: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Samples of one step: a fresh permutation per epoch, no sample left out.

    The released loop discards what does not fill an update at the end of an epoch; here
    an update goes on into the next one.

    Parameters
    ----------
    n : int
        Number of samples there are.
    batch_size : int
        Samples of a step.
    seed, step : int
        Seed of the training and number of the update, from 0; not negative.

    Returns
    -------
    ndarray, shape (batch_size,)
        int64, in 0 .. n - 1.

    Raises
    ------
    ValueError
        No samples, or a number that is negative or not whole.

    Examples
    --------
    Three steps of 2 see each of 6 samples once:

    >>> steps = [batch_indices(6, 2, seed=0, step=step) for step in range(3)]
    >>> sorted(np.concatenate(steps).tolist())
    [0, 1, 2, 3, 4, 5]
    """
    n, batch_size = whole("n", n, 1), whole("batch_size", batch_size, 1)
    seed, step = whole("seed", seed), whole("step", step)
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    chosen = np.empty(batch_size, dtype=np.int64)
    for epoch in np.unique(places // n):
        order = np.random.default_rng([seed, 1, int(epoch)]).permutation(n)
        inside = places // n == epoch
        chosen[inside] = order[places[inside] % n]
    return chosen
