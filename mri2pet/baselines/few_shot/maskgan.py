"""Masked discrimination, "MaskGAN" (Zhu et al., 2022, arXiv:2210.15194).

A critic that sees only a part of its own features cannot learn few images by heart:
it must call real whatever shares that part with them. A second correspondence, in the
critic's features, keeps the distances between generated images as in the source.

Shape suffixes: B batch, C channel, D H W voxels (z, y, x), V vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from mri2pet.baselines.few_shot.cdc import CdcRecipe, mean_correspondence
from mri2pet.baselines.few_shot.source import keep_mask
from mri2pet.baselines.networks import VECTOR
from mri2pet.checks import one_of

MASKS = ("elements", "samples")


@dataclass(kw_only=True)
class MaskGanRecipe(CdcRecipe):
    """CDC with a masked critic and a correspondence of the critic's activations.

    Released: ``alternation="released", accumulation=8, mri_noise=1.0, kl="released",
    anchors="swapped", mask="samples", source_mode="train"`` and a critic made with
    ``released=True``.

    Parameters
    ----------
    source_critic : Module
        Of the source stage; a copy is kept that never learns.
    mask : {"elements", "samples"}
        "elements": each of the critic's 512 inputs is kept or hidden by its own choice.
        "samples", as released: one choice for all 512, so two samples of three are
        nothing but zeros (audit, 6.7).
    keep : float
        Probability of keeping. The masks are for the critic's turn; the gradient
        penalty and the generator's turn see all.
    weight : float
        Of both correspondence terms.

    Raises
    ------
    ValueError
        As `CdcRecipe`, and without a source critic.

    Examples
    --------
    >>> from mri2pet.baselines.networks import Critic
    >>> critic = Critic((16, 16, 16), (16, 16, 16), patch_head=True)
    >>> MaskGanRecipe(nn.Identity(), critic, source_generator=nn.Identity())
    Traceback (most recent call last):
    ValueError: MaskGanRecipe needs source_critic: train the source stage first
    """

    source_critic: nn.Module | None = None
    mask: str = "elements"
    keep: float = 0.34

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("mask", self.mask, MASKS)
        self.source_critic = self.frozen("source_critic")

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Noise and all else, and the masks of real and generated PETs."""
        return {
            **super().draw(n, generator),
            "hide_real": torch.rand(n, 2 * VECTOR, generator=generator),
            "hide_fake": torch.rand(n, 2 * VECTOR, generator=generator),
        }

    def compare(
        self, critic, mri_BCDHW, real_BCDHW, fake_BCDHW, draws
    ) -> dict[str, Tensor]:
        """Terms of the critic: masked scores, penalty, correspondence."""
        patch = self.patch(draws, "critic")
        head = partial(critic, patch=patch)
        whole = self.mask == "samples"
        keep_real_BV = keep_mask(draws["hide_real"], self.keep, whole=whole)
        keep_fake_BV = keep_mask(draws["hide_fake"], self.keep, whole=whole)
        mri_BV = critic(None, mri_BCDHW)
        fake_B, layers = head(fake_BCDHW, mri_BV, keep_BV=keep_fake_BV, features=True)
        real_B = head(real_BCDHW, mri_BV, keep_BV=keep_real_BV)
        penalty = self.slopes(mri_BV, real_BCDHW, fake_BCDHW, draws, patch=patch)
        # The source sees its own image through the same mask; distances in different
        # parts could not be compared. The patch head has the first two layers only.
        source_layers = self.source_features(mri_BCDHW, keep_fake_BV, draws)
        term = mean_correspondence(source_layers[: len(layers)], layers, self.kl)
        terms = self.wasserstein(fake_B, real_B, penalty)
        terms["loss"] = terms["loss"] + self.weight * term
        return {**terms, "critic_correspondence": term.detach()}

    @torch.no_grad()
    def source_features(
        self, mri_BCDHW: Tensor, keep_BV: Tensor, draws: dict[str, Tensor]
    ) -> list[Tensor]:
        """Activations of the source critic for the source's images."""
        source_BCDHW, _ = self.source(draws, mri_BCDHW)
        critic = self.source_critic.to(mri_BCDHW.device)
        return critic(source_BCDHW, mri_BCDHW, keep_BV=keep_BV, features=True)[1]
