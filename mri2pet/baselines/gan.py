"""Conditional Wasserstein GAN with gradient penalty, and its released alternation.

The critic learns to score real PETs above generated ones; the generator learns to
raise its score (Arjovsky et al., 2017; Gulrajani et al., 2017). The few-shot methods
in `mri2pet.baselines.few_shot` add terms to this recipe.

Shape suffixes: B batch, C channel, D H W voxels (z, y, x), Z noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mri2pet.baselines.networks import NOISE
from mri2pet.checks import one_of
from mri2pet.recipes import mirror, noise_like
from mri2pet.turns import Call, Place, Turn

ALTERNATIONS = ("correct", "every_batch", "released")


@dataclass
class GanRecipe:
    """WGAN-GP on (MRI, PET) pairs; PET in [-1, 1].

    Parameters
    ----------
    generator, critic : Module
        `mri2pet.baselines.networks.Generator` and `Critic`.
    alternation : {"correct", "every_batch", "released"}
        "correct": a step's micro-batches add up to one update of the critic, and at
        every second step also of the generator. "every_batch": as the released GAN,
        each micro-batch is an update of the critic and every second one of the
        generator too. "released": as the released few-shot methods, with the counter
        and the gradients that both networks share (audit, 6.3).
    accumulation : int
        Micro-batches of an update ("released" only).
    penalty : float
        Weight of the gradient penalty.
    mri_noise : float
        SD of the noise added to the MRI in training, though sampling sees it clean, as
        the released few-shot methods do.
    flip : bool
        Mirror left and right, MRI and PET together, with probability 1/2.
    betas : tuple of float
        Of Adam.

    Raises
    ------
    ValueError
        On an unknown alternation.

    Examples
    --------
    Who is updated in the first four steps:

    >>> recipe = GanRecipe(nn.Identity(), nn.Identity())
    >>> for step in range(4):
    ...     print([turn.player for turn in recipe.turns(Place(step, 0, 1, step))])
    ['critic', 'generator']
    ['critic']
    ['critic', 'generator']
    ['critic']
    """

    generator: nn.Module
    critic: nn.Module
    alternation: str = "correct"
    accumulation: int = 1
    penalty: float = 10.0
    mri_noise: float = 0.0
    flip: bool = False
    betas: tuple[float, float] = (0.0, 0.9)  # of Gulrajani et al.

    def __post_init__(self) -> None:
        one_of("alternation", self.alternation, ALTERNATIONS)

    @property
    def network(self) -> nn.Module:
        """The player that makes images."""
        return self.generator

    def players(self) -> dict[str, nn.Module]:
        """Return both networks."""
        return {"critic": self.critic, "generator": self.generator}

    def turns(self, place: Place) -> list[Turn]:
        """Return the turns of one micro-batch."""
        if self.alternation == "released":
            return released_turns(place.batch, self.accumulation)
        if self.alternation == "every_batch":
            turns = [Turn("critic", clear_before=("critic",))]
            if place.batch % 2 == 0:
                turns.append(Turn("generator", clear_before=("generator",)))
            return turns
        players = ["critic"] + ["generator"] * (place.step % 2 == 0)
        return [
            Turn(
                player,
                clear_before=(player,) if place.part == 0 else (),
                update=place.part == place.parts - 1,
                scale=1 / place.parts,
            )
            for player in players
        ]

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Noise, flips, and the places of the gradient penalty."""
        return {
            "z": torch.randn(n, NOISE, generator=generator),
            "flip": torch.rand(n, generator=generator) < 0.5,
            "between": torch.rand(n, generator=generator),
            "noise_seed": torch.randint(0, 2**62, (n,), generator=generator),
        }

    def losses(
        self,
        calls: Mapping[str, Call],
        batch: dict[str, Tensor],
        draws: dict[str, Tensor],
        player: str,
    ) -> dict[str, Tensor]:
        """Terms of one turn."""
        mri_BCDHW, pet_BCDHW = batch["mri"], batch["target"]
        if self.flip:
            mri_BCDHW = mirror(mri_BCDHW, draws["flip"])
            pet_BCDHW = mirror(pet_BCDHW, draws["flip"])
        if self.mri_noise:
            extra = noise_like(mri_BCDHW, draws["noise_seed"])
            mri_BCDHW = mri_BCDHW + self.mri_noise * extra
        turn = self.critic_turn if player == "critic" else self.generator_turn
        # Both turns drop out, each in its own way.
        seed = int(draws["noise_seed"][0]) + 1 + (player == "generator")
        with seeded(seed, mri_BCDHW.device):
            return turn(calls, mri_BCDHW, pet_BCDHW, draws)

    def critic_turn(self, calls, mri_BCDHW, pet_BCDHW, draws) -> dict[str, Tensor]:
        """Generate without a gradient, and compare with the real PETs."""
        with torch.set_grad_enabled(self.alternation == "released"):
            fake_BCDHW = calls["generator"](draws["z"].to(mri_BCDHW), mri_BCDHW)
        return self.compare(calls["critic"], mri_BCDHW, pet_BCDHW, fake_BCDHW, draws)

    def compare(
        self,
        critic: Call,
        mri_BCDHW: Tensor,
        real_BCDHW: Tensor,
        fake_BCDHW: Tensor,
        draws: dict[str, Tensor],
        **head: bool,
    ) -> dict[str, Tensor]:
        """Score of generated minus score of real PETs, plus the penalty.

        A critic with several heads is told by `head` which one to use.
        """
        mri_BV = critic(None, mri_BCDHW)
        fake_B = critic(fake_BCDHW, mri_BV, **head)
        real_B = critic(real_BCDHW, mri_BV, **head)
        penalty = self.slopes(mri_BV, real_BCDHW, fake_BCDHW, draws, **head)
        return self.wasserstein(fake_B, real_B, penalty)

    def slopes(self, mri_BV, real_BCDHW, fake_BCDHW, draws, **head: bool) -> Tensor:
        """Gradient penalty of the critic.

        It asks the network itself, in float32: Fabric's wrapper refuses gradients of
        gradients in mixed precision.
        """
        return gradient_penalty(
            lambda x: self.critic(x, mri_BV, **head),
            real_BCDHW,
            fake_BCDHW,
            draws["between"],
        )

    def wasserstein(self, fake_B, real_B, penalty) -> dict[str, Tensor]:
        """Terms of the critic from its scores (Gulrajani et al., 2017, equation 3)."""
        gap = fake_B.mean() - real_B.mean()
        return {
            "loss": gap + self.penalty * penalty,
            "wasserstein": -gap.detach(),
            "penalty": penalty.detach(),
        }

    def generator_turn(self, calls, mri_BCDHW, pet_BCDHW, draws) -> dict[str, Tensor]:
        """Minus the score of generated PETs."""
        del pet_BCDHW  # for the methods that add terms
        fake_BCDHW = calls["generator"](draws["z"].to(mri_BCDHW), mri_BCDHW)
        with self.still(self.critic):
            return {"loss": -calls["critic"](fake_BCDHW, mri_BCDHW).mean()}

    @contextmanager
    def still(self, network: nn.Module) -> Iterator[None]:
        """Leave no gradient on a network that is only looked through.

        The released few-shot methods lack this; with them it does nothing.
        """
        learning = [p for p in network.parameters() if p.requires_grad]
        fault = self.alternation == "released"
        for p in learning:
            p.requires_grad_(fault)
        try:
            yield
        finally:
            for p in learning:
                p.requires_grad_(True)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Let dropout draw from a seed, and leave the global generators as they were.

    Dropout knows the global generators only. With this a resumed run drops what the
    whole run would have dropped.

    Examples
    --------
    >>> with seeded(3, torch.device("cpu")):
    ...     once = torch.rand(2)
    >>> with seeded(3, torch.device("cpu")):
    ...     print(torch.equal(once, torch.rand(2)))
    True
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def gradient_penalty(
    score: Call, real_BCDHW: Tensor, fake_BCDHW: Tensor, between_B: Tensor
) -> Tensor:
    """Mean of (slope - 1)^2 at points between real and generated volumes.

    Parameters
    ----------
    score : callable
        Maps volumes (B, ...) to scores (B,).
    real_BCDHW, fake_BCDHW : Tensor
        Volumes, shape (B, ...).
    between_B : Tensor
        Share of the generated volume at each point, in [0, 1], shape (B,).

    Returns
    -------
    Tensor
        Scalar.

    Examples
    --------
    A score with slope 1 everywhere costs nothing:

    >>> volumes = torch.zeros(2, 4)
    >>> gradient_penalty(lambda x: x.sum(1) / 2, volumes, volumes, torch.rand(2)).item()
    0.0
    """
    w = between_B.to(real_BCDHW).view(-1, *(1,) * (real_BCDHW.ndim - 1))
    x = (1 - w) * real_BCDHW.detach() + w * fake_BCDHW.detach()
    x.requires_grad_(True)
    [slope] = torch.autograd.grad(score(x).sum(), x, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def released_turns(batch: int, accumulation: int) -> list[Turn]:
    """Turns of one micro-batch in the released few-shot methods (audit, 6.3).

    One counter serves both networks. It grows with every batch and returns to zero at
    an update of the generator, which needs an even batch and an odd multiple that then
    never comes again in the epoch. Gradients are cleared after an own update only, and
    the critic's pass runs through the generator, so both collect the other's.

    Examples
    --------
    Updates of an epoch with 126 batches of 16, eight of them to an update:

    >>> ends = [t.player for b in range(126) for t in released_turns(b, 8) if t.update]
    >>> ends.count("critic"), ends.count("generator")
    (14, 1)
    """
    counter = 0
    for earlier in range(batch):
        counter += 1
        if earlier % 2 == 0 and (counter + 1) % (2 * accumulation) == 0:
            counter = 0
    scale = 1 / accumulation
    due = (counter + 1) % accumulation == 0
    turns = [Turn("critic", clear_after=("critic",), update=due, scale=scale)]
    if batch % 2 == 0:
        due = (counter + 2) % (2 * accumulation) == 0
        turns.append(
            Turn("generator", clear_after=("generator",), update=due, scale=scale)
        )
    return turns
