"""DDPM-PA: a diffusion model that learns from few images, held by its source model.

A denoiser that was trained on many images of a source domain (here MRI to MRI) learns
the target domain (PET). Two terms keep the predicted images as unlike one another as
the source model's, in the image and in its fine detail, and a third asks for the fine
detail of the real PET (Zhu et al., 2022; audit, section 6.8). All act on predicted x0.

Shape suffixes: B batch, C channel, D H W voxels (z, y, x), h w half of H W.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mri2pet.baselines.correspondence import DIVERGENCES, correspondence
from mri2pet.checks import one_of
from mri2pet.recipes import Call, Conditioned, DiffusionRecipe, mirror, noise_like
from mri2pet.schedule import NoiseSchedule

HAARS = ("slice", "summed")


@dataclass
class DdpmPaRecipe:
    """Denoising loss, two correspondences with the source, and the fine detail.

    The defaults are the corrected method. With ``shared_draws=False``,
    ``kl="released"``, ``haar="summed"`` and ``mri_noise=1.0`` it is the released one.

    Parameters
    ----------
    network : Module
        The target model; a denoiser of `mri2pet.model` that starts from the source's
        weights.
    source : Module
        The source model. A copy is frozen here, so it may be ``network`` itself before
        it learns.
    schedule : NoiseSchedule
        Noise levels of both models.
    prediction : {"x0", "v", "eps"}
        What both models output; released: "eps".
    image, high_frequency, hf_mse : float
        Weights of the correspondence of images, of the correspondence of their fine
        detail, and of the squared error of the fine detail; as released. With
        ``prediction="eps"`` the last grows with the step as the Laplacian term does
        (audit, section 3).
    shared_draws : bool
        Source and target see the same noisy PET at the same step. In the released code
        each draws a step and noise of its own, so the terms compare images at
        different noise levels.
    kl : {"correct", "released"}
        See `mri2pet.baselines.correspondence.correspondence`.
    haar : {"slice", "summed"}
        See `high_frequency_map`.
    mri_noise : float
        SD of the noise added to the MRI in training, though sampling sees it clean.
        The released SD of 1 leaves little of an MRI in [0, 1].
    flip : bool
        Mirror left and right, MRI and PET together, with probability 1/2.

    Raises
    ------
    ValueError
        On an unknown switch.

    Examples
    --------
    A target that is still its own source resembles it perfectly:

    >>> from mri2pet.model import SpatialUNet
    >>> net = SpatialUNet((8, 8, 8), (16, 16, 16), width=8)
    >>> recipe = DdpmPaRecipe(net, net, NoiseSchedule(), "v")
    >>> draws = recipe.draw(3, torch.Generator().manual_seed(0))
    >>> mri, pet = torch.zeros(3, 1, 16, 16, 16), torch.ones(3, 1, 8, 8, 8)
    >>> batch = {"mri": mri, "target": pet}
    >>> terms = recipe.losses(recipe.forward_module(), batch, draws)
    >>> terms["image"].item(), terms["high_frequency"].item()
    (0.0, 0.0)
    """

    network: nn.Module
    source: nn.Module
    schedule: NoiseSchedule
    prediction: str
    image: float = 0.5
    high_frequency: float = 0.5
    hf_mse: float = 0.05
    shared_draws: bool = True
    kl: str = "correct"
    haar: str = "slice"
    mri_noise: float = 0.0
    flip: bool = False

    def __post_init__(self) -> None:
        one_of("kl", self.kl, DIVERGENCES)
        one_of("haar", self.haar, HAARS)
        self.source = copy.deepcopy(self.source).eval().requires_grad_(False)
        self._plain = DiffusionRecipe(
            self.network,
            self.schedule,
            self.prediction,
            condition_noise=self.mri_noise,
        )

    def forward_module(self) -> nn.Module:
        """The target model together with its MRI encoder."""
        return self._plain.forward_module()

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """As a diffusion model; steps and seeds of the source where it has its own.

        Parameters
        ----------
        n, generator
            As in `mri2pet.recipes.DiffusionRecipe.draw`.

        Returns
        -------
        dict of str to Tensor
            ``t`` (int64), ``flip`` (bool) and ``noise_seed`` (int64), each of shape
            (n,); ``source_t`` and ``source_noise_seed`` without ``shared_draws``.
        """
        draws = self._plain.draw(n, generator)
        if not self.shared_draws:
            own = self._plain.draw(n, generator)
            draws |= {"source_t": own["t"], "source_noise_seed": own["noise_seed"]}
        return draws

    def losses(
        self, call: Call, batch: dict[str, Tensor], draws: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Terms of one micro-batch.

        Parameters
        ----------
        call, batch, draws
            As in `mri2pet.recipes.DiffusionRecipe.losses`.

        Returns
        -------
        dict of str to Tensor
            Scalars ``loss``, ``denoise``, ``image``, ``high_frequency`` and ``hf_mse``,
            these before their weights; the first has a gradient.

        Raises
        ------
        ValueError
            On fewer than three samples, or a plane of odd size.
        """
        if self.flip:
            batch = {k: mirror(v, draws["flip"]) for k, v in batch.items()}
        heard = []

        def listening(*inputs: Tensor) -> Tensor:
            heard.extend((*inputs, call(*inputs)))
            return heard[-1]

        denoise = self._plain.losses(listening, batch, draws)["loss"]
        x_t_BCDHW, t_B, mri_BCDHW, output = heard
        real_BCDHW = batch["target"]
        target_BCDHW = self._x0(x_t_BCDHW, t_B, output)
        if not self.shared_draws:  # the same MRI, another step and noise
            t_B = draws["source_t"].to(t_B.device)
            noise = noise_like(real_BCDHW, draws["source_noise_seed"])
            x_t_BCDHW = self.schedule.q_sample(real_BCDHW, t_B, noise)
        with torch.no_grad():
            source = Conditioned(self.source.to(x_t_BCDHW.device))
            output = source(x_t_BCDHW, t_B, mri_BCDHW)
            source_BCDHW = self._x0(x_t_BCDHW, t_B, output)
        detail = high_frequency_map(target_BCDHW, self.haar)
        source_detail = high_frequency_map(source_BCDHW, self.haar)
        real_detail = high_frequency_map(real_BCDHW, self.haar)
        image = correspondence(source_BCDHW, target_BCDHW, kl=self.kl)
        high_frequency = correspondence(source_detail, detail, kl=self.kl)
        hf_mse = (detail - real_detail).square().mean()
        loss = (
            denoise
            + self.image * image
            + self.high_frequency * high_frequency
            + self.hf_mse * hf_mse
        )
        return {
            "loss": loss,
            "denoise": denoise.detach(),
            "image": image.detach(),
            "high_frequency": high_frequency.detach(),
            "hf_mse": hf_mse.detach(),
        }

    def _x0(self, x_t_BCDHW: Tensor, t_B: Tensor, output: Tensor) -> Tensor:
        return self.schedule.to_x0_noise(
            self.prediction, x_t_BCDHW, t_B, output.float()
        )[0]


def high_frequency_map(x_BCDHW: Tensor, haar: str = "slice") -> Tensor:
    """Fine detail of each axial slice: the Haar bands LH + HL + HH.

    For a square of voxels (a b / c d) that is (3 d - a - b - c) / 2.

    Parameters
    ----------
    x_BCDHW : Tensor
        Volumes, shape (B, C, D, H, W); H and W even.
    haar : {"slice", "summed"}
        Keep the slices, or sum the maps over the depth as released, where detail of
        one slice hides that of another.

    Returns
    -------
    Tensor
        Shape (B, C, D, h, w), or (B, C, 1, h, w) if summed.

    Raises
    ------
    ValueError
        On another shape or an unknown ``haar``.

    Examples
    --------
    >>> edge = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> high_frequency_map(torch.stack([edge, -edge]).view(1, 1, 2, 2, 2)).tolist()
    [[[[[-1.0]], [[1.0]]]]]
    >>> high_frequency_map(
    ...     torch.stack([edge, -edge]).view(1, 1, 2, 2, 2), "summed"
    ... ).item()
    0.0
    """
    one_of("haar", haar, HAARS)
    if x_BCDHW.ndim != 5 or x_BCDHW.shape[-1] % 2 or x_BCDHW.shape[-2] % 2:
        raise ValueError(
            "Haar bands need a shape (B, C, D, H, W) with H and W even; "
            f"got {tuple(x_BCDHW.shape)}"
        )
    top, bottom = x_BCDHW[..., 0::2, :], x_BCDHW[..., 1::2, :]
    a, b = top[..., 0::2], top[..., 1::2]
    c, d = bottom[..., 0::2], bottom[..., 1::2]
    across = (b + d - a - c) / 2
    down = (c + d - a - b) / 2
    diagonal = (a + d - b - c) / 2
    bands = across + down + diagonal
    return bands if haar == "slice" else bands.sum(dim=2, keepdim=True)
