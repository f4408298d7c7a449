"""What both denoisers share: the protocol, its checks, and activation checkpointing.

Shape suffixes: B batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Denoiser(nn.Module):
    """A network called as ``model(x_t, t_B, model.encode(mri))``.

    Attributes
    ----------
    pet_shape, mri_shape : tuple of int
        Grids of the PET and of the MRI, set by the network.
    activation_checkpointing : bool
        While training, forget what lies inside a block and
        compute it again for the gradient. Less memory for about a third more time;
        the gradients are the same numbers.
    """

    pet_shape: tuple[int, ...]
    mri_shape: tuple[int, ...]
    activation_checkpointing: bool = False

    def through(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        """Call a block; see `activation_checkpointing`."""
        if self.activation_checkpointing and torch.is_grad_enabled():
            return checkpoint(
                block, *inputs, use_reentrant=False, preserve_rng_state=False
            )
        return block(*inputs)

    def check_mri(self, mri: Tensor) -> None:
        """Refuse an MRI of another shape or of no floating-point type."""
        _check("mri", mri, self.mri_shape)

    def check_noisy(self, x: Tensor, t_B: Tensor, cond: Tensor) -> None:
        """Refuse a noisy PET, steps and a condition that do not fit together."""
        _check("x", x, self.pet_shape)
        if tuple(t_B.shape) != (x.shape[0],) or t_B.is_floating_point():
            raise ValueError(
                f"t_B must be integers of shape ({x.shape[0]},); "
                f"got {t_B.dtype} of shape {tuple(t_B.shape)}"
            )
        if cond.shape[0] != x.shape[0]:
            raise ValueError(
                f"x holds {x.shape[0]} items and cond {cond.shape[0]}: "
                "batches must agree"
            )


def _check(name: str, x: Tensor, grid: tuple[int, ...]) -> None:
    shape = tuple(x.shape)
    if len(shape) != len(grid) + 2 or shape[1] != 1 or shape[2:] != grid:
        raise ValueError(f"{name} must have shape (batch, 1) + {grid}; got {shape}")
    if not x.is_floating_point():
        raise ValueError(f"{name} must be floating point; got {x.dtype}")
