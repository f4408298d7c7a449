"""Recipes: what each method draws at random for a batch, and its losses.

Legend: B batch, C channel, D H W voxels (z, y, x).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mri2pet.loss import diffusion_loss
from mri2pet.schedule import NoiseSchedule

Call = Callable[[Tensor, Tensor, Tensor], Tensor]


class Conditioned(nn.Module):
    """A denoiser called with the MRI itself: encode and denoise in one forward.

    Fabric wraps this, so that autocast and DDP see the encoder too.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_BCDHW: Tensor, t_B: Tensor, mri_BCDHW: Tensor) -> Tensor:
        """Network output, same shape as `x_BCDHW`."""
        return self.network(x_BCDHW, t_B, self.network.encode(mri_BCDHW))


@dataclass
class DiffusionRecipe:
    """Denoising loss, with the Laplacian pyramid term where asked (equation 4).

    Parameters
    ----------
    network : Module
        A denoiser of `mri2pet.model`.
    schedule : NoiseSchedule
    prediction : {"x0", "v", "eps"}
    laplacian : float
        Weight lambda of the pyramid term; 0 leaves it out.
    laplacian_weight : {"x0", "alpha_bar", "eps"}
    image_loss : {"pyramid", "mse"}
        The pyramid, or its control without one (`mri2pet.loss.diffusion_loss`).
    condition_noise : float
        SD of the noise added to the MRI (the released "w/o Style Transfer").
    flip : bool
        Mirror left and right, MRI and target together, with probability 1/2.
    """

    network: nn.Module
    schedule: NoiseSchedule
    prediction: str
    laplacian: float = 0.0
    laplacian_weight: str = "alpha_bar"
    levels: int = 5
    image_loss: str = "pyramid"
    condition_noise: float = 0.0
    flip: bool = False

    def forward_module(self) -> nn.Module:
        """The denoiser together with its MRI encoder."""
        return Conditioned(self.network)

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Time steps 1..T-1 as released, flips, and seeds of the noise fields."""
        last = len(self.schedule.betas)
        return {
            "t": torch.randint(1, last, (n,), generator=generator),
            "flip": torch.rand(n, generator=generator) < 0.5,
            "noise_seed": torch.randint(0, 2**62, (n,), generator=generator),
        }

    def losses(
        self, call: Call, batch: dict[str, Tensor], draws: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Terms of one micro-batch: loss, denoise, laplacian."""
        mri_BCDHW, x0_BCDHW = batch["mri"], batch["target"]
        if self.flip:
            mri_BCDHW = mirror(mri_BCDHW, draws["flip"])
            x0_BCDHW = mirror(x0_BCDHW, draws["flip"])
        noise = noise_like(x0_BCDHW, draws["noise_seed"])
        if self.condition_noise:
            extra = noise_like(mri_BCDHW, draws["noise_seed"] + 1)
            mri_BCDHW = mri_BCDHW + self.condition_noise * extra
        t_B = draws["t"].to(x0_BCDHW.device)
        x_t = self.schedule.q_sample(x0_BCDHW, t_B, noise)
        output = call(x_t, t_B, mri_BCDHW)
        terms = diffusion_loss(
            self.schedule,
            self.prediction,
            output.float(),
            x0_BCDHW,
            noise,
            t_B,
            laplacian=self.laplacian,
            laplacian_weight=self.laplacian_weight,
            levels=self.levels,
            image_loss=self.image_loss,
        )
        return {
            "loss": terms.total,
            "denoise": terms.denoise.detach(),
            "laplacian": terms.laplacian.detach(),
        }


@dataclass
class RegressionRecipe:
    """The control: the same body maps the MRI to the PET in one step, by MSE."""

    network: nn.Module
    flip: bool = False

    def forward_module(self) -> nn.Module:
        """The denoiser together with its MRI encoder."""
        return Conditioned(self.network)

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Flips only."""
        return {"flip": torch.rand(n, generator=generator) < 0.5}

    def losses(
        self, call: Call, batch: dict[str, Tensor], draws: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Mean squared error in network units."""
        mri_BCDHW, x0_BCDHW = batch["mri"], batch["target"]
        if self.flip:
            mri_BCDHW = mirror(mri_BCDHW, draws["flip"])
            x0_BCDHW = mirror(x0_BCDHW, draws["flip"])
        loss = (regress(call, mri_BCDHW, x0_BCDHW.shape) - x0_BCDHW).square().mean()
        zero = torch.zeros((), device=loss.device)
        return {"loss": loss, "denoise": loss.detach(), "laplacian": zero}


def regress(call: Call, mri_BCDHW: Tensor, shape: tuple[int, ...]) -> Tensor:
    """One call of a conditioned denoiser as a regressor: empty image, time 0."""
    blank = torch.zeros(shape, device=mri_BCDHW.device, dtype=mri_BCDHW.dtype)
    t_B = torch.zeros(shape[0], dtype=torch.long, device=mri_BCDHW.device)
    return call(blank, t_B, mri_BCDHW).float()


def mirror(x_BCDHW: Tensor, flip_B: Tensor) -> Tensor:
    """Left-right mirrored where `flip_B`; x is the last axis."""
    where = flip_B.to(x_BCDHW.device)[:, None, None, None, None]
    return torch.where(where, x_BCDHW.flip(-1), x_BCDHW)


def noise_like(x_BCDHW: Tensor, seeds_B: Tensor) -> Tensor:
    """Standard normal noise, one seed per sample, so batches can be cut anywhere."""
    fields = [
        torch.randn(x_BCDHW.shape[1:], generator=torch.Generator().manual_seed(int(s)))
        for s in seeds_B
    ]
    return torch.stack(fields).to(x_BCDHW)
