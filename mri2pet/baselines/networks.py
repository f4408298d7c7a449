"""The released GAN's generator and critic, and the critic without its faults.

Restated from the audit of the released code (section 6.1). Both see the MRI as one
vector of 256 numbers, like the published denoiser.

Shape suffixes: B batch, C channel, D H W voxels (z, y, x), Z noise, V vector.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mri2pet.blocks import MRIEncoder

NOISE = 256
VECTOR = 256


class Generator(nn.Module):
    """MRI and noise to a PET in [-1, 1]: 5,725,297 parameters at the paper's sizes.

    The MRI's vector and the noise become a tiny volume, which five transposed
    convolutions enlarge. Grids that are no multiple of (16, 32, 32) are made too large
    and cropped about the centre.

    Parameters
    ----------
    pet_shape, mri_shape : (D, H, W)
        Grids; each axis at least 16.

    Examples
    --------
    >>> with torch.device("meta"):
    ...     generator = Generator((32, 128, 128), (64, 144, 144))
    >>> sum(p.numel() for p in generator.parameters())
    5725297
    """

    WIDTHS = (8, 16, 32, 32, 16)

    def __init__(self, pet_shape: Sequence[int], mri_shape: Sequence[int]) -> None:
        super().__init__()
        self.pet_shape, self.mri_shape = tuple(pet_shape), tuple(mri_shape)
        if len(self.pet_shape) != 3 or min(self.pet_shape) < 16:
            raise ValueError(
                f"pet_shape needs three axes of at least 16; got {self.pet_shape}"
            )
        self.start = tuple(
            -(-n // f) for n, f in zip(self.pet_shape, (16, 32, 32), strict=True)
        )
        self.mri_encoder = MRIEncoder(self.mri_shape, VECTOR)
        cells = self.start[0] * self.start[1] * self.start[2]
        self.linear = nn.Linear(VECTOR + NOISE, self.WIDTHS[0] * cells)
        blocks = [_enlarge(a, b, 4, 2, 1) for a, b in itertools.pairwise(self.WIDTHS)]
        blocks.append(_enlarge(self.WIDTHS[-1], 8, (3, 4, 4), (1, 2, 2), 1))
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Sequential(
            nn.Conv3d(8, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 1, 3, padding=1)
        )

    def forward(
        self, z_BZ: Tensor, mri_BCDHW: Tensor, *, features: bool = False
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Make PETs.

        Parameters
        ----------
        z_BZ : Tensor
            Unit Gaussian noise, shape (B, 256).
        mri_BCDHW : Tensor
            MRI in [0, 1], shape (B, 1, D, H, W).
        features : bool
            Also return the outputs of the five enlarging blocks.

        Returns
        -------
        Tensor, or (Tensor, list of Tensor)
            PET in [-1, 1], shape (B, 1, d, h, w).
        """
        both = torch.cat([self.mri_encoder(mri_BCDHW), z_BZ.to(mri_BCDHW)], dim=1)
        x = self.linear(both).unflatten(1, (self.WIDTHS[0], *self.start))
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        x = torch.tanh(self.head(_centre(x, self.pet_shape)))
        return (x, found) if features else x


class Critic(nn.Module):
    """Score of a PET for an MRI: 8,635,809 parameters at the paper's sizes.

    Parameters
    ----------
    pet_shape, mri_shape : (D, H, W)
        Grids; each axis at least 16.
    released : bool
        Dropout 0.4 after four layers and a sigmoid at the end, as released. A critic of
        a Wasserstein distance must be free to take any value (Arjovsky et al., 2017),
        so the default has neither.
    patch_head : bool
        A second, shallow score from the second hidden layer (CDC, MaskGAN).

    Examples
    --------
    >>> with torch.device("meta"):
    ...     critic = Critic((32, 128, 128), (64, 144, 144))
    >>> sum(p.numel() for p in critic.parameters())
    8635809
    """

    def __init__(
        self,
        pet_shape: Sequence[int],
        mri_shape: Sequence[int],
        *,
        released: bool = False,
        patch_head: bool = False,
    ) -> None:
        super().__init__()
        self.pet_shape, self.mri_shape = tuple(pet_shape), tuple(mri_shape)
        self.released = released
        self.mri_encoder = MRIEncoder(self.mri_shape, VECTOR)
        self.pet_encoder = MRIEncoder(self.pet_shape, VECTOR)
        sizes = (2 * VECTOR, 512, 512, 512, 256, 128)
        self.linears = nn.ModuleList(
            nn.Linear(a, b) for a, b in itertools.pairwise(sizes)
        )
        self.dropout = nn.Dropout(0.4 if released else 0.0)
        self.head = nn.Linear(128, 1)
        self.patch = (
            nn.Sequential(nn.Linear(512, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1))
            if patch_head
            else None
        )

    def forward(
        self,
        pet_BCDHW: Tensor | None,
        mri: Tensor,
        *,
        keep_BV: Tensor | None = None,
        patch: bool = False,
        features: bool = False,
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Score PETs.

        Parameters
        ----------
        pet_BCDHW : Tensor or None
            PET in [-1, 1], shape (B, 1, d, h, w). None: only encode the MRI.
        mri : Tensor
            MRI, shape (B, 1, D, H, W), or its vectors, shape (B, 256). Encoding the MRI
            is the larger part of the work, so it is done once for all PETs of a turn.
        keep_BV : Tensor, optional
            Factors of the 512 numbers that both encoders give, shape (B, 512) or
            (B, 1): masked discrimination.
        patch : bool
            Use the shallow head.
        features : bool
            Also return the hidden activations (five, or two with the shallow head).

        Returns
        -------
        Tensor, or (Tensor, list of Tensor)
            Scores, shape (B,); or the vectors of the MRI, shape (B, 256).
        """
        mri_BV = self.mri_encoder(mri) if mri.ndim == 5 else mri
        if pet_BCDHW is None:
            return mri_BV
        if patch and self.patch is None:
            raise ValueError("patch=True, but this critic was made without patch_head")
        h = torch.cat([mri_BV, self.pet_encoder(pet_BCDHW)], dim=1)
        if keep_BV is not None:
            h = h * keep_BV.to(h)
        found = []
        for number, linear in enumerate(self.linears):
            h = linear(h)
            h = F.leaky_relu(self.dropout(h) if number else h, 0.2)
            found.append(h)
            if patch and number == 1:
                break
        score = (self.patch if patch else self.head)(h).squeeze(1)
        if self.released:
            score = torch.sigmoid(score)
        return (score, found) if features else score


def _enlarge(a: int, b: int, kernel, stride, padding) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm3d(a),
        nn.ConvTranspose3d(a, b, kernel, stride, padding, bias=False),
        nn.LeakyReLU(0.2),
    )


def _centre(x: Tensor, grid: tuple[int, ...]) -> Tensor:
    for axis, n in enumerate(grid, start=2):
        x = x.narrow(axis, (x.shape[axis] - n) // 2, n)
    return x
