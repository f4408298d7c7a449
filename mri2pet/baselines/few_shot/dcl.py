"""Dual contrastive learning, DCL (Zhao et al., 2022).

Generated and source image of the same noise belong together: the generator keeps them
nearer to each other than to source images of other noise, and the critic keeps them
nearer to each other than to real images.

Shape suffixes: B batch, C channel, D H W voxels (z, y, x), V vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mri2pet.baselines.few_shot.source import SourceRecipe, keep_mask
from mri2pet.baselines.networks import VECTOR
from mri2pet.checks import one_of

LAYERS = 5  # of the generator, and of the critic
DENOMINATORS = ("correct", "released")


@dataclass(kw_only=True)
class DclRecipe(SourceRecipe):
    """WGAN-GP with a contrastive term for each player, in one random layer a step.

    Released: ``alternation="released", accumulation=4, mri_noise=1.0,
    denominator="released", critic_keep=0.34`` and a critic made with
    ``released=True``.

    Parameters
    ----------
    generator_weight, critic_weight : float
        Of the contrastive terms.
    temperature : float
        Similarities are divided by it.
    denominator : {"correct", "released"}
        Of the generator's term; see `contrast`.
    critic_keep : float
        Share of the critic's 512 inputs that are not hidden in its turn. 1 hides none;
        the released 0.34 belongs to MaskGAN rather than here (audit, 6.5). The
        gradient penalty and the generator's turn see all.

    Raises
    ------
    ValueError
        Without a source, on an unknown switch, or in training for a micro-batch of one
        sample.

    Examples
    --------
    Both layers are drawn for the whole step:

    >>> from torch import nn
    >>> net = nn.Identity()
    >>> recipe = DclRecipe(net, net, source_generator=net)
    >>> draws = recipe.draw(2, torch.Generator().manual_seed(2))
    >>> draws["generator_layer"].tolist(), draws["critic_layer"].tolist()
    ([3, 3], [2, 2])
    """

    generator_weight: float = 2.0
    critic_weight: float = 0.5
    temperature: float = 0.07
    denominator: str = "correct"
    critic_keep: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("denominator", self.denominator, DENOMINATORS)

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Noise and all else, two layers for the whole step, and the masks."""
        layers = torch.randint(0, LAYERS, (2, 1), generator=generator).expand(2, n)
        return {
            **super().draw(n, generator),
            "generator_layer": layers[0],
            "critic_layer": layers[1],
            "hide_real": torch.rand(n, 2 * VECTOR, generator=generator),
            "hide_fake": torch.rand(n, 2 * VECTOR, generator=generator),
        }

    def compare(
        self, critic, mri_BCDHW, real_BCDHW, fake_BCDHW, draws
    ) -> dict[str, Tensor]:
        """Terms of the critic: generated and source image against real ones."""
        source_BCDHW, _ = self.source(draws, mri_BCDHW)
        mri_BV = critic(None, mri_BCDHW)

        def look(pet_BCDHW: Tensor, which: str) -> tuple[Tensor, Tensor]:
            keep_BV = keep_mask(draws[which], self.critic_keep)
            score_B, layers = critic(pet_BCDHW, mri_BV, keep_BV=keep_BV, features=True)
            return score_B, layers[int(draws["critic_layer"][0])]

        fake_B, fake_BV = look(fake_BCDHW, "hide_fake")
        real_B, real_BV = look(real_BCDHW, "hide_real")
        _, source_BV = look(source_BCDHW, "hide_fake")
        penalty = self.slopes(mri_BV, real_BCDHW, fake_BCDHW, draws)
        term = contrast(fake_BV, source_BV, real_BV, temperature=self.temperature)
        terms = self.wasserstein(fake_B, real_B, penalty)
        terms["loss"] = terms["loss"] + self.critic_weight * term
        return {**terms, "critic_contrast": term.detach()}

    def generator_turn(self, calls, mri_BCDHW, pet_BCDHW, draws) -> dict[str, Tensor]:
        """Minus the score, plus the weighted contrast with the source."""
        del pet_BCDHW
        z_BZ = draws["z"].to(mri_BCDHW)
        fake_BCDHW, layers = calls["generator"](z_BZ, mri_BCDHW, features=True)
        _, source_layers = self.source(draws, mri_BCDHW)
        layer = int(draws["generator_layer"][0])
        term = contrast(
            layers[layer],
            source_layers[layer],
            temperature=self.temperature,
            denominator=self.denominator,
        )
        with self.still(self.critic):
            score_B = calls["critic"](fake_BCDHW, mri_BCDHW)
        return {
            "loss": -score_B.mean() + self.generator_weight * term,
            "score": score_B.mean().detach(),
            "contrast": term.detach(),
        }


def contrast(
    query: Tensor,
    key: Tensor,
    others: Tensor | None = None,
    *,
    temperature: float = 0.07,
    denominator: str = "correct",
) -> Tensor:
    """Contrastive loss (Zhao et al., 2022, section 4).

    With c the cosine over the temperature, the mean over i of
    ``-log(e^c(q_i, k_i) / (e^c(q_i, k_i) + sum_j e^c(q_i, o_j)))``.

    Parameters
    ----------
    query, key : Tensor
        Activations of B pairs that belong together, shape (B, ...); flattened here.
    others : Tensor, optional
        Activations to stay away from, shape (N, ...). Without them, the keys of the
        other pairs: ``o_j = k_j`` for j other than i.
    temperature : float
    denominator : {"correct", "released"}
        The released generator's term leaves the pair itself out of the denominator. It
        then has no lower bound at 0, and pulls on pairs that are already together.

    Returns
    -------
    Tensor
        Scalar, float32.

    Raises
    ------
    ValueError
        With one sample and no others: there is nothing to stay away from.

    Examples
    --------
    >>> x = torch.eye(3)
    >>> round(contrast(x, x, temperature=1.0).item(), 4)  # log(e + 2) - 1
    0.5514
    >>> wrong = contrast(x, x, temperature=1.0, denominator="released")
    >>> round(wrong.item(), 4)  # log(2) - 1
    -0.3069
    """
    if others is None and len(query) < 2:
        raise ValueError(
            "a contrast sets each sample against others, so a micro-batch needs at "
            f"least 2 samples; got {len(query)}"
        )
    with torch.autocast(query.device.type, enabled=False):
        q_BV, k_BV = _unit(query), _unit(key)
        pair_B1 = (q_BV * k_BV).sum(dim=1, keepdim=True) / temperature
        apart = q_BV @ (k_BV if others is None else _unit(others)).T / temperature
    if others is None:
        itself = torch.eye(len(query), dtype=torch.bool, device=query.device)
        apart = apart[~itself].view(len(query), -1)
    if denominator == "correct":
        apart = torch.cat([pair_B1, apart], dim=1)
    return (apart.logsumexp(dim=1) - pair_B1[:, 0]).mean()


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.flatten(1).float(), dim=1)
