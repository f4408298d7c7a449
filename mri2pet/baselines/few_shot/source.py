"""What few-shot methods share: a source that stays as it is, anchors, masks.

Shape suffixes: B batch, C channel, D H W voxels (z, y, x), K anchors, V vector,
Z noise.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mri2pet.baselines.gan import GanRecipe
from mri2pet.baselines.networks import NOISE
from mri2pet.checks import one_of
from mri2pet.turns import Place, Turn

SOURCE_MODES = ("eval", "train")
ANCHORS = ("correct", "dead", "swapped")


@dataclass(kw_only=True)
class SourceRecipe(GanRecipe):
    """A GAN with the source stage's generator beside it.

    Parameters
    ----------
    source_generator : Module
        Of the source stage. The recipe keeps a copy that never learns, so the same
        module may be given as `generator` too.
    source_mode : {"eval", "train"}
        The released CDC and MaskGAN leave their source in train mode: its images then
        depend on who else is in the batch (batch statistics), and its critic drops out.

    Raises
    ------
    ValueError
        Without a source, or on an unknown switch.

    Examples
    --------
    >>> SourceRecipe(nn.Identity(), nn.Identity())
    Traceback (most recent call last):
    ValueError: SourceRecipe needs source_generator: train the source stage first
    """

    source_generator: nn.Module | None = None
    source_mode: str = "eval"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("source_mode", self.source_mode, SOURCE_MODES)
        self.source_generator = self.frozen("source_generator")

    def frozen(self, name: str) -> nn.Module:
        """Copy of a source network that never learns."""
        network = getattr(self, name)
        if network is None:
            raise ValueError(
                f"{type(self).__name__} needs {name}: train the source stage first"
            )
        kept = copy.deepcopy(network).requires_grad_(False)
        kept = kept.to(memory_format=torch.channels_last_3d)
        return kept.train(self.source_mode == "train")

    @torch.no_grad()
    def source(
        self, draws: dict[str, Tensor], mri_BCDHW: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Make the source's image for the same noise and MRI.

        Parameters
        ----------
        draws : dict of str to Tensor
            With the noise ``z``, shape (B, 256).
        mri_BCDHW : Tensor
            MRI, shape (B, 1, D, H, W).

        Returns
        -------
        (Tensor, list of Tensor)
            Image on the PET's grid in [-1, 1], and the generator's five activations.
        """
        network = self.source_generator.to(mri_BCDHW.device)
        return network(draws["z"].to(mri_BCDHW), mri_BCDHW, features=True)


@dataclass(kw_only=True)
class AnchoredRecipe(SourceRecipe):
    """A source, and two kinds of noise for two kinds of criticism.

    Only near a few fixed anchors must a generated image be real as a whole. Everywhere
    else it is enough that its parts are, so the generator is free to differ there
    (Ojha et al., 2021, section 3.2). A quarter of the steps is spent near the anchors.

    Parameters
    ----------
    anchors : {"correct", "dead", "swapped"}
        "correct": noise near the anchors goes with the critic's full head, all other
        noise with its shallow patch head. "dead", as the released CDC: the choice is
        made by a number that is always 0, so there is only other noise and only the
        full head. "swapped", as the released MaskGAN: in every fourth batch other noise
        and the full head, else noise near the anchors and in the critic's turn the
        patch head (audit, 6.4 and 6.7).
    anchor_count : int
        Ojha et al. have one for each of their ten images.
    anchor_sd : float
        SD of the noise about an anchor.
    anchor_seed : int
        Decides the anchors.

    Raises
    ------
    ValueError
        Without a source, for a critic without the head that is needed, or on an unknown
        switch.

    Examples
    --------
    >>> net = nn.Identity()
    >>> AnchoredRecipe(net, net, source_generator=net)
    Traceback (most recent call last):
    ValueError: anchors='correct' needs a critic made with patch_head=True
    """

    anchors: str = "correct"
    anchor_count: int = 10
    anchor_sd: float = 0.1
    anchor_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("anchors", self.anchors, ANCHORS)
        if self.anchors != "dead" and getattr(self.critic, "patch", None) is None:
            raise ValueError(
                f"anchors={self.anchors!r} needs a critic made with patch_head=True"
            )
        seeded = torch.Generator().manual_seed(self.anchor_seed)
        self._anchors_KZ = torch.randn(self.anchor_count, NOISE, generator=seeded)
        self._batch = 0

    def turns(self, place: Place) -> list[Turn]:
        """Return the turns of one micro-batch, and remember its number."""
        self._batch = place.batch
        return super().turns(place)

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Noise and all else, an anchor for each sample, and one choice for all."""
        return {
            **super().draw(n, generator),
            "anchor": torch.randint(0, self.anchor_count, (n,), generator=generator),
            "near": (torch.rand(1, generator=generator) < 0.25).expand(n),
        }

    def losses(self, calls, batch, draws, player) -> dict[str, Tensor]:
        """Terms of one turn, for noise near an anchor where it is its time."""
        if self.near(draws):
            moved = self._anchors_KZ[draws["anchor"]] + self.anchor_sd * draws["z"]
            draws = {**draws, "z": moved}
        return super().losses(calls, batch, draws, player)

    def near(self, draws: dict[str, Tensor]) -> bool:
        """Whether this batch has noise near the anchors."""
        if self.anchors == "correct":
            return bool(draws["near"][0])
        return self.anchors == "swapped" and self._batch % 4 != 0

    def patch(self, draws: dict[str, Tensor], player: str) -> bool:
        """Whether the patch head scores in this player's turn."""
        if self.anchors == "correct":
            return not self.near(draws)
        return player == "critic" and self.near(draws)


def keep_mask(u_BV: Tensor, keep: float, *, whole: bool = False) -> Tensor:
    """1 where a number of the critic's input is kept, 0 where it is hidden.

    Parameters
    ----------
    u_BV : Tensor
        Uniform numbers in [0, 1), shape (B, V).
    keep : float
        Probability of keeping.
    whole : bool
        One choice for a whole vector.

    Returns
    -------
    Tensor
        Shape (B, V), or (B, 1) where `whole`.

    Examples
    --------
    >>> keep_mask(torch.tensor([[0.1, 0.5, 0.3]]), 0.34)
    tensor([[1., 0., 1.]])
    >>> keep_mask(torch.tensor([[0.5, 0.1, 0.3]]), 0.34, whole=True)
    tensor([[0.]])
    """
    return ((u_BV[:, :1] if whole else u_BV) < keep).float()
