"""What both denoisers share: the protocol, its checks, and activation checkpointing.

Shape suffixes: B batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .checks import as_weights, described, floating, holds_integers


class Denoiser(nn.Module):
    """A network called as ``model(x_t, t_B, model.encode(mri))``.

    Attributes
    ----------
    pet_shape, mri_shape : tuple of int
        Grids of the PET and of the MRI, set by the network.
    cond_shape : tuple of int, optional
        Shape of one item's condition, set by the network; None: any.
    activation_checkpointing : bool
        While training, forget what lies inside a block and compute it again for the
        gradient (Chen et al., 2016). Less memory for about a third more time; the
        gradients are the same numbers.

    Examples
    --------
    The least that a denoiser needs are two grids and two methods:

    >>> class Copy(Denoiser):
    ...     pet_shape, mri_shape = (4, 4), (4, 4)
    ...
    ...     def encode(self, mri):
    ...         return mri
    ...
    ...     def forward(self, x, t_B, cond):
    ...         return cond
    >>> model = Copy()
    >>> mri, t = torch.ones(1, 1, 4, 4), torch.tensor([9])
    >>> torch.equal(model(torch.zeros(1, 1, 4, 4), t, model.encode(mri)), mri)
    True
    """

    pet_shape: tuple[int, ...]
    mri_shape: tuple[int, ...]
    cond_shape: tuple[int, ...] | None = None
    activation_checkpointing: bool = False

    def through(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        """Call a block, with its inside forgotten if `activation_checkpointing` is on.

        Parameters
        ----------
        block : Module
            A part of the network.
        *inputs : Tensor
            What it is called with.

        Returns
        -------
        Tensor
            ``block(*inputs)``.

        Examples
        --------
        Where no gradient is kept there is nothing to forget, and it is a plain call:

        >>> model, block = Denoiser(), nn.Flatten()
        >>> model.activation_checkpointing = True
        >>> with torch.no_grad():
        ...     model.through(block, torch.zeros(2, 3, 4)).shape
        torch.Size([2, 12])
        """
        if self.activation_checkpointing and torch.is_grad_enabled():
            return checkpoint(
                block, *inputs, use_reentrant=False, preserve_rng_state=False
            )
        return block(*inputs)

    def check_mri(self, mri: Tensor) -> None:
        """Refuse an MRI of another shape or of no floating-point type.

        Parameters
        ----------
        mri : Tensor
            Should have shape (B, 1) + ``mri_shape``.

        Raises
        ------
        ValueError
            Naming the shape that was expected and the one that came.

        Examples
        --------
        >>> model = Denoiser()
        >>> model.mri_shape = (8, 8)
        >>> model.check_mri(torch.zeros(1, 8, 8))
        Traceback (most recent call last):
        ValueError: mri must have shape (batch, 1) + (8, 8); got (1, 8, 8)
        """
        self._check("mri", mri, self.mri_shape)

    def check_noisy(self, x: Tensor, t_B: Tensor, cond: Tensor) -> None:
        """Refuse a noisy PET, steps and a condition that do not fit together.

        Parameters
        ----------
        x : Tensor
            Should have shape (B, 1) + ``pet_shape``.
        t_B : Tensor
            Should hold integers, shape (B,).
        cond : Tensor
            Should have B items of ``cond_shape``.

        Raises
        ------
        ValueError
            Naming what was expected and what came.

        Examples
        --------
        >>> model = Denoiser()
        >>> model.pet_shape = (8, 8)
        >>> model.check_noisy(
        ...     torch.zeros(2, 1, 8, 8), torch.tensor([1, 2]), torch.zeros(1, 256)
        ... )
        Traceback (most recent call last):
        ValueError: x holds 2 items and cond 1: batches must agree
        """
        self._check("x", x, self.pet_shape)
        if not holds_integers(t_B) or tuple(t_B.shape) != (x.shape[0],):
            raise ValueError(
                f"t_B must be integers of shape ({x.shape[0]},); got {described(t_B)}"
            )
        # On a GPU this would wait for it; the schedule has looked at the range.
        if t_B.is_cpu and (t_B < 0).any():
            raise ValueError(f"t_B must not be negative; got {int(t_B.min())}")
        floating("cond", cond)
        batch, *shape = cond.shape or (0,)
        if batch != x.shape[0]:
            raise ValueError(
                f"x holds {x.shape[0]} items and cond {batch}: batches must agree"
            )
        if self.cond_shape is not None and tuple(shape) != self.cond_shape:
            raise ValueError(
                f"cond must be encode(mri), of shape (batch,) + {self.cond_shape}; "
                f"got {tuple(cond.shape)}"
            )

    def _check(self, name: str, x: Tensor, grid: tuple[int, ...]) -> None:
        floating(name, x)
        shape = tuple(x.shape)
        if len(shape) != len(grid) + 2 or shape[1] != 1 or shape[2:] != grid:
            raise ValueError(f"{name} must have shape (batch, 1) + {grid}; got {shape}")
        weight = next(self.parameters(), None)
        if weight is not None:
            as_weights(name, x, weight)
