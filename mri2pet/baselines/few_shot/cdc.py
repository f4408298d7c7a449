"""Cross-domain correspondence, CDC (Ojha et al., 2021).

With few images to learn from, a generator soon makes the same image of everybody. CDC
holds on to the diversity of the source: two samples that the source makes alike must
stay alike, and two that differ must go on to differ.

Shape suffixes: B batch, C channel, D H W voxels (z, y, x).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mri2pet.baselines.correspondence import DIVERGENCES, correspondence
from mri2pet.baselines.few_shot.source import AnchoredRecipe
from mri2pet.checks import one_of


@dataclass(kw_only=True)
class CdcRecipe(AnchoredRecipe):
    """WGAN-GP, anchors, and the correspondence of the generator's activations.

    Released: ``alternation="released", accumulation=8, mri_noise=1.0, kl="released",
    anchors="dead", source_mode="train"`` and a critic made with ``released=True``.

    Parameters
    ----------
    weight : float
        Of the correspondence term in the generator's loss.
    kl : {"correct", "released"}
        See `mri2pet.baselines.correspondence.correspondence`.

    Raises
    ------
    ValueError
        Without a source, for a critic without the patch head, on an unknown switch, or
        in training for a micro-batch of fewer than three samples.

    Examples
    --------
    A target in the state of its source resembles it:

    >>> from mri2pet.baselines.networks import Critic, Generator
    >>> pet, mri = (16, 32, 32), (16, 16, 16)
    >>> generator, critic = Generator(pet, mri), Critic(pet, mri, patch_head=True)
    >>> recipe = CdcRecipe(
    ...     generator, critic, source_generator=generator, source_mode="train"
    ... )
    >>> draws = recipe.draw(3, torch.Generator().manual_seed(1))
    >>> batch = {"mri": torch.rand(3, 1, *mri), "target": torch.zeros(3, 1, *pet)}
    >>> calls = recipe.players()
    >>> terms = recipe.losses(calls, batch, draws, "generator")
    >>> print(f"{terms['correspondence'].abs():.4f}")
    0.0000
    """

    weight: float = 1000.0
    kl: str = "correct"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("kl", self.kl, DIVERGENCES)

    def compare(
        self, critic, mri_BCDHW, real_BCDHW, fake_BCDHW, draws
    ) -> dict[str, Tensor]:
        """Terms of the critic, with the head that goes with the noise."""
        patch = self.patch(draws, "critic")
        return super().compare(
            critic, mri_BCDHW, real_BCDHW, fake_BCDHW, draws, patch=patch
        )

    def generator_turn(self, calls, mri_BCDHW, pet_BCDHW, draws) -> dict[str, Tensor]:
        """Minus the score, plus the weighted correspondence."""
        del pet_BCDHW
        z_BZ = draws["z"].to(mri_BCDHW)
        fake_BCDHW, layers = calls["generator"](z_BZ, mri_BCDHW, features=True)
        _, source_layers = self.source(draws, mri_BCDHW)
        term = mean_correspondence(source_layers, layers, self.kl)
        with self.still(self.critic):
            patch = self.patch(draws, "generator")
            score_B = calls["critic"](fake_BCDHW, mri_BCDHW, patch=patch)
        return {
            "loss": -score_B.mean() + self.weight * term,
            "score": score_B.mean().detach(),
            "correspondence": term.detach(),
        }


def mean_correspondence(
    source_layers: Sequence[Tensor], layers: Sequence[Tensor], kl: str
) -> Tensor:
    """Mean of the correspondence over layers.

    Ojha et al. draw one layer for each sample; this is the expectation of that.

    Parameters
    ----------
    source_layers, layers : sequence of Tensor
        Activations of source and target, each of shape (B, ...).
    kl : {"correct", "released"}
        See `mri2pet.baselines.correspondence.correspondence`.

    Returns
    -------
    Tensor
        Scalar.

    Examples
    --------
    >>> x = torch.eye(3)
    >>> print(f"{mean_correspondence([x, x], [x, 2 * x], 'correct').abs():.4f}")
    0.0000
    """
    terms = [
        correspondence(source, target, kl=kl)
        for source, target in zip(source_layers, layers, strict=True)
    ]
    return torch.stack(terms).mean()
