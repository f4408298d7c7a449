"""Differentiable augmentation, DiffAugment (Zhao et al., 2020).

A critic that sees few real images learns them by heart. Here it sees every PET, real
or generated, in another brightness and place, and with a hole. Because the generated
ones are changed too, the generator is not taught to make holes; because the changes
can be differentiated, it learns through them.

Shape suffixes: B batch, C channel, D H W voxels (z, y, x).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mri2pet.baselines.gan import GanRecipe

NUMBERS = 7  # random numbers of one augmentation


@dataclass(kw_only=True)
class DiffAugmentRecipe(GanRecipe):
    """WGAN-GP between augmented PETs; the MRI stays as it is.

    The augmentation is the released one. Released are also
    ``alternation="released", accumulation=2`` and a critic made with ``released=True``;
    there is no noise on the MRI and no source (audit, 6.6).

    Examples
    --------
    >>> from torch import nn
    >>> recipe = DiffAugmentRecipe(nn.Identity(), nn.Identity())
    >>> draws = recipe.draw(4, torch.Generator().manual_seed(0))
    >>> [(k, tuple(v.shape)) for k, v in draws.items() if k.startswith("augment")]
    ... # doctest: +NORMALIZE_WHITESPACE
    [('augment_real', (4, 7)), ('augment_fake', (4, 7)),
     ('augment_generator', (4, 7))]
    """

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Noise and all else, and how to change each volume that the critic sees."""
        return {
            **super().draw(n, generator),
            **{
                f"augment_{which}": torch.rand(n, NUMBERS, generator=generator)
                for which in ("real", "fake", "generator")
            },
        }

    def compare(
        self, critic, mri_BCDHW, real_BCDHW, fake_BCDHW, draws
    ) -> dict[str, Tensor]:
        """Terms of the critic, penalty included, on the changed volumes."""
        real_BCDHW = augment(real_BCDHW, draws["augment_real"])
        fake_BCDHW = augment(fake_BCDHW, draws["augment_fake"])
        return super().compare(critic, mri_BCDHW, real_BCDHW, fake_BCDHW, draws)

    def generator_turn(self, calls, mri_BCDHW, pet_BCDHW, draws) -> dict[str, Tensor]:
        """Minus the score of the changed generated PETs."""
        del pet_BCDHW
        fake_BCDHW = calls["generator"](draws["z"].to(mri_BCDHW), mri_BCDHW)
        changed_BCDHW = augment(fake_BCDHW, draws["augment_generator"])
        with self.still(self.critic):
            return {"loss": -calls["critic"](changed_BCDHW, mri_BCDHW).mean()}


def augment(x_BCDHW: Tensor, u_BN: Tensor) -> Tensor:
    """Colour, translation and cutout, each sample in its own way.

    Parameters
    ----------
    x_BCDHW : Tensor
        Volumes in [-1, 1], shape (B, 1, D, H, W).
    u_BN : Tensor
        Seven uniform numbers in [0, 1) for each sample, on the CPU: brightness,
        saturation, contrast, shift in y and x, place of the hole in y and x.

    Returns
    -------
    Tensor
        Same shape; a differentiable function of `x_BCDHW`.

    Examples
    --------
    >>> volumes = torch.rand(2, 1, 16, 32, 32)
    >>> augment(volumes, torch.rand(2, NUMBERS)).shape
    torch.Size([2, 1, 16, 32, 32])
    """
    colour = [u.to(x_BCDHW).view(-1, 1, 1, 1, 1) for u in u_BN[:, :3].unbind(1)]
    x_BCDHW = recolour(x_BCDHW, *colour)
    x_BCDHW = translate(x_BCDHW, u_BN[:, 3:5])
    return x_BCDHW * hole(u_BN[:, 5:7], x_BCDHW.shape[-2:]).to(x_BCDHW)


def recolour(x_BCDHW: Tensor, u_brightness, u_saturation, u_contrast) -> Tensor:
    """Add up to 0.5, scale about the mean over depth, scale about the volume's mean.

    Saturation of a colour image is its distance from the mean over colours. The
    released code takes the slices for colours, so at the lowest draw all are alike.

    Parameters
    ----------
    x_BCDHW : Tensor
        Volumes.
    u_brightness, u_saturation, u_contrast : Tensor
        Uniform numbers in [0, 1), shape (B, 1, 1, 1, 1). At 0.5 nothing changes.

    Returns
    -------
    Tensor
        Same shape.

    Examples
    --------
    >>> x, half = torch.rand(2, 1, 4, 4, 4), torch.full((2, 1, 1, 1, 1), 0.5)
    >>> torch.allclose(recolour(x, half, half, half), x)
    True
    """
    x_BCDHW = x_BCDHW + (u_brightness - 0.5)
    mean = x_BCDHW.mean(dim=2, keepdim=True)
    x_BCDHW = (x_BCDHW - mean) * (2 * u_saturation) + mean
    mean = x_BCDHW.mean(dim=(1, 2, 3, 4), keepdim=True)
    return (x_BCDHW - mean) * (u_contrast + 0.5) + mean


def translate(x_BCDHW: Tensor, u_B2: Tensor) -> Tensor:
    """Shift by up to an eighth of the side in y and x; what comes in is 0.

    Parameters
    ----------
    x_BCDHW : Tensor
        Volumes.
    u_B2 : Tensor
        Uniform numbers in [0, 1) for y and x, on the CPU. At 0.5 nothing moves.

    Returns
    -------
    Tensor
        Same shape.

    Examples
    --------
    >>> x = torch.arange(1.0, 9.0).expand(1, 1, 1, 8, 8)
    >>> translate(x, torch.tensor([[0.5, 0.0]]))[0, 0, 0, 0].tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """
    sides = x_BCDHW.shape[-2:]
    reach_y, reach_x = reach = [int(side / 8 + 0.5) for side in sides]
    padded = F.pad(x_BCDHW, (reach_x, reach_x, reach_y, reach_y))
    moved = []
    for volume, u_2 in zip(padded, u_B2.tolist(), strict=True):
        for axis, side, r, u in zip((2, 3), sides, reach, u_2, strict=True):
            volume = volume.narrow(axis, int(u * (2 * r + 1)), side)
        moved.append(volume)
    return torch.stack(moved)


def hole(u_B2: Tensor, sides: tuple[int, int]) -> Tensor:
    """0 in a rectangle of half the side, 1 around it.

    Its centre lies anywhere in the image, so at the border a part of it is lost.

    Parameters
    ----------
    u_B2 : Tensor
        Uniform numbers in [0, 1) for y and x.
    sides : (H, W)
        Size of the image.

    Returns
    -------
    Tensor
        Factors, shape (B, 1, 1, H, W).

    Examples
    --------
    >>> hole(torch.tensor([[0.5, 0.5]]), (4, 4))[0, 0, 0].tolist()[1]
    [1.0, 0.0, 0.0, 1.0]
    """
    inside = []
    for u_B, side in zip(u_B2.unbind(1), sides, strict=True):
        size = int(side / 2 + 0.5)
        centre_B = (u_B * (side + 1 - size % 2)).floor()
        start_B1 = (centre_B - size // 2)[:, None]
        at = torch.arange(side)
        inside.append((at >= start_B1) & (at < start_B1 + size))
    hidden_BHW = inside[0][:, :, None] & inside[1][:, None, :]
    return (~hidden_BHW).float()[:, None, None]
