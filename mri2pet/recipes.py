"""Recipes: what each method draws at random for a batch, and its losses.

Legend: B batch, C channel, D H W voxels (z, y, x).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mri2pet.checks import number
from mri2pet.loss import diffusion_loss
from mri2pet.schedule import NoiseSchedule

Call = Callable[[Tensor, Tensor, Tensor], Tensor]


class Conditioned(nn.Module):
    """A denoiser called with the MRI itself: encode and denoise in one forward.

    Fabric wraps this, so that autocast and DDP see the encoder too.

    Parameters
    ----------
    network : Module
        A denoiser of `mri2pet.model`.

    Examples
    --------
    >>> from mri2pet.model import SpatialUNet
    >>> model = Conditioned(SpatialUNet((8, 8, 8), (16, 16, 16), width=8))
    >>> mri = torch.zeros(1, 1, 16, 16, 16)
    >>> model(torch.zeros(1, 1, 8, 8, 8), torch.tensor([500]), mri).shape
    torch.Size([1, 1, 8, 8, 8])
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_BCDHW: Tensor, t_B: Tensor, mri_BCDHW: Tensor) -> Tensor:
        """Encode the MRI and denoise.

        Parameters
        ----------
        x_BCDHW : Tensor
            Noisy PET in network units, shape (B, 1, D, H, W).
        t_B : Tensor
            Integer steps, shape (B,).
        mri_BCDHW : Tensor
            MRI in [0, 1], shape (B, 1) + ``mri_shape``.

        Returns
        -------
        Tensor
            Network output, the shape of ``x_BCDHW``.
        """
        return self.network(x_BCDHW, t_B, self.network.encode(mri_BCDHW))


@dataclass
class DiffusionRecipe:
    """Denoising loss, with the Laplacian pyramid term where asked (MRI2PET, eq. (4)).

    Parameters
    ----------
    network : Module
        A denoiser of `mri2pet.model`.
    schedule : NoiseSchedule
        Noise levels.
    prediction : {"x0", "v", "eps"}
        What the network outputs; released: "eps".
    laplacian : float
        Weight lambda of the pyramid term; 0 leaves it out. Released: 0 in pre-training,
        0.25 in fine-tuning.
    laplacian_weight : {"x0", "alpha_bar", "eps"}
        The term's weight at each step (`mri2pet.loss.laplacian_time_weight`); released:
        "x0".
    levels : int
        Pyramid levels; released: 5.
    image_loss : {"pyramid", "mse"}
        The pyramid, or its control without one (`mri2pet.loss.diffusion_loss`).
    condition_noise : float
        SD of the noise added to the MRI (the released "w/o Style Transfer").
    flip : bool
        Mirror left and right, MRI and target together, with probability 1/2.

    Raises
    ------
    ValueError
        A ``condition_noise`` that is negative or not finite.

    Examples
    --------
    A fresh network says zero, so its error in x0 is the target itself:

    >>> from mri2pet.model import SpatialUNet
    >>> net = SpatialUNet((8, 8, 8), (16, 16, 16), width=8)
    >>> recipe = DiffusionRecipe(net, NoiseSchedule(), "x0")
    >>> draws = recipe.draw(1, torch.Generator().manual_seed(0))
    >>> mri, pet = torch.zeros(1, 1, 16, 16, 16), torch.full((1, 1, 8, 8, 8), 2.0)
    >>> batch = {"mri": mri, "target": pet}
    >>> recipe.losses(recipe.forward_module(), batch, draws)["denoise"].item()
    4.0
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

    def __post_init__(self) -> None:
        number("condition_noise", self.condition_noise, 0)

    def forward_module(self) -> nn.Module:
        """The denoiser together with its MRI encoder."""
        return Conditioned(self.network)

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Time steps 1..T-1 as released, flips, and seeds of the noise fields.

        Parameters
        ----------
        n, generator
            How many samples, and the source of the numbers, on the CPU.

        Returns
        -------
        dict of str to Tensor
            ``t`` (int64), ``flip`` (bool) and ``noise_seed`` (int64), each of shape
            (n,).
        """
        last = len(self.schedule.betas)
        return {
            "t": torch.randint(1, last, (n,), generator=generator),
            "flip": torch.rand(n, generator=generator) < 0.5,
            "noise_seed": torch.randint(0, 2**62, (n,), generator=generator),
        }

    def losses(
        self, call: Call, batch: dict[str, Tensor], draws: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Terms of one micro-batch.

        Parameters
        ----------
        call : callable
            ``call(x_t, t_B, mri)``, the wrapped `forward_module`.
        batch : dict of str to Tensor
            ``mri`` (B, 1, D, H, W) in [0, 1]; ``target`` (B, 1, d, h, w) in network
            units.
        draws : dict of str to Tensor
            The rows of `draw` that belong to the batch.

        Returns
        -------
        dict of str to Tensor
            Scalars ``loss``, ``denoise`` and ``laplacian``; the first has a gradient.

        Raises
        ------
        ValueError
            What `mri2pet.loss.diffusion_loss` refuses.
        """
        mri_BCDHW, x0_BCDHW = batch["mri"], batch["target"]
        if self.flip:
            mri_BCDHW = mirror(mri_BCDHW, draws["flip"])
            x0_BCDHW = mirror(x0_BCDHW, draws["flip"])
        noise = noise_like(x0_BCDHW, draws["noise_seed"])
        if self.condition_noise:
            extra = noise_like(mri_BCDHW, draws["noise_seed"] + 1)
            mri_BCDHW = mri_BCDHW + self.condition_noise * extra
        t_B = draws["t"]
        x_t = self.schedule.q_sample(x0_BCDHW, t_B, noise)
        output = call(x_t, t_B.to(x_t.device), mri_BCDHW)
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
    """The control: the same body maps the MRI to the PET in one step, by MSE.

    Parameters
    ----------
    network : Module
        A denoiser of `mri2pet.model`.
    flip : bool
        As in `DiffusionRecipe`.

    Examples
    --------
    >>> from mri2pet.model import SpatialUNet
    >>> recipe = RegressionRecipe(SpatialUNet((8, 8, 8), (16, 16, 16), width=8))
    >>> mri, pet = torch.zeros(1, 1, 16, 16, 16), torch.full((1, 1, 8, 8, 8), 2.0)
    >>> batch = {"mri": mri, "target": pet}
    >>> recipe.losses(recipe.forward_module(), batch, draws={})["loss"].item()
    4.0
    """

    network: nn.Module
    flip: bool = False

    def forward_module(self) -> nn.Module:
        """The denoiser together with its MRI encoder."""
        return Conditioned(self.network)

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Flips only.

        Parameters
        ----------
        n, generator
            As in `DiffusionRecipe.draw`.

        Returns
        -------
        dict of str to Tensor
            ``flip`` (bool), shape (n,).
        """
        return {"flip": torch.rand(n, generator=generator) < 0.5}

    def losses(
        self, call: Call, batch: dict[str, Tensor], draws: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Mean squared error in network units.

        Parameters
        ----------
        call, batch, draws
            As in `DiffusionRecipe.losses`.

        Returns
        -------
        dict of str to Tensor
            Scalars ``loss``, ``denoise`` (the same) and ``laplacian`` (0).
        """
        mri_BCDHW, x0_BCDHW = batch["mri"], batch["target"]
        if self.flip:
            mri_BCDHW = mirror(mri_BCDHW, draws["flip"])
            x0_BCDHW = mirror(x0_BCDHW, draws["flip"])
        loss = (regress(call, mri_BCDHW, x0_BCDHW.shape) - x0_BCDHW).square().mean()
        zero = torch.zeros((), device=loss.device)
        return {"loss": loss, "denoise": loss.detach(), "laplacian": zero}


def regress(call: Call, mri_BCDHW: Tensor, shape: tuple[int, ...]) -> Tensor:
    """One call of a conditioned denoiser as a regressor: empty image, time 0.

    Parameters
    ----------
    call : callable
        ``call(x, t_B, mri)``, as `Conditioned`.
    mri_BCDHW : Tensor
        MRI in [0, 1], shape (B, 1, D, H, W).
    shape : tuple of int
        Shape of the PET, (B, 1, d, h, w).

    Returns
    -------
    Tensor
        What the call returns, in float32.

    Examples
    --------
    >>> def call(x, t_B, mri):
    ...     print(x.abs().max().item(), t_B.tolist(), tuple(mri.shape))
    ...     return x
    >>> _ = regress(call, torch.ones(1, 1, 8, 8, 8), (1, 1, 4, 4, 4))
    0.0 [0] (1, 1, 8, 8, 8)
    """
    blank = torch.zeros(shape, device=mri_BCDHW.device, dtype=mri_BCDHW.dtype)
    t_B = torch.zeros(shape[0], dtype=torch.long, device=mri_BCDHW.device)
    return call(blank, t_B, mri_BCDHW).float()


def mirror(x_BCDHW: Tensor, flip_B: Tensor) -> Tensor:
    """Mirror left and right, the last axis, where asked.

    Parameters
    ----------
    x_BCDHW : Tensor
        Volumes, shape (B, C, D, H, W).
    flip_B : Tensor
        bool, shape (B,).

    Returns
    -------
    Tensor
        The shape of ``x_BCDHW``.

    Examples
    --------
    >>> x = torch.tensor([1.0, 2.0]).expand(2, 1, 1, 1, 2)
    >>> mirror(x, torch.tensor([False, True])).flatten(1)
    tensor([[1., 2.],
            [2., 1.]])
    """
    where = flip_B.to(x_BCDHW.device).view(-1, *(1,) * (x_BCDHW.ndim - 1))
    return torch.where(where, x_BCDHW.flip(-1), x_BCDHW)


def noise_like(x_BCDHW: Tensor, seeds_B: Tensor) -> Tensor:
    """Standard normal noise, one seed per sample, so batches can be cut anywhere.

    Parameters
    ----------
    x_BCDHW : Tensor
        Gives shape, type and device.
    seeds_B : Tensor
        int64, shape (B,).

    Returns
    -------
    Tensor
        Mean 0, SD 1, the shape of ``x_BCDHW``.

    Examples
    --------
    >>> x, seeds = torch.zeros(3, 1, 2, 2, 2), torch.tensor([5, 6, 7])
    >>> torch.equal(noise_like(x, seeds)[2:], noise_like(x[2:], seeds[2:]))
    True
    """
    fields = [
        torch.randn(x_BCDHW.shape[1:], generator=torch.Generator().manual_seed(int(s)))
        for s in seeds_B
    ]
    return torch.stack(fields).to(x_BCDHW)
