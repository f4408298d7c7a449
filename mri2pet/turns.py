"""Whose turn it is: how the players of a method share the batches of a step.

A diffusion model has one player, its network. A GAN has two, generator and critic,
that learn in turns from the same batch. The loop cuts a step into micro-batches and
asks the method for the turns of each: a turn adds the gradient of one player's loss,
and may end in an update of that player. How gradients are accumulated, rightly or as
in the released code, is then nothing but a list of turns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from mri2pet.checks import one_of

Call = Callable[..., Tensor]
ACCUMULATIONS = ("correct", "released")


class _Method(Protocol):
    """What every method has: a network, and random numbers of its own."""

    network: nn.Module

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Random numbers of one step, drawn on the CPU for the whole batch.

        Parameters
        ----------
        n : int
            Number of samples.
        generator : torch.Generator
            The step's own source of numbers, on the CPU.

        Returns
        -------
        dict of str to Tensor
            Any names, each with a leading axis of n; `losses` gets its rows.
        """


class Recipe(_Method, Protocol):
    """A method with one player: what it adds to the loop.

    Attributes
    ----------
    network : Module
        What is trained.

    Examples
    --------
    One weight that learns to multiply by 2. Adam's first step has the length of the
    learning rate, whatever the gradient:

    >>> class Double:
    ...     def __init__(self):
    ...         self.network = nn.Linear(1, 1, bias=False)
    ...         nn.init.zeros_(self.network.weight)
    ...
    ...     def forward_module(self):
    ...         return self.network
    ...
    ...     def draw(self, n, generator):
    ...         return {}
    ...
    ...     def losses(self, call, batch, draws):
    ...         error = call(batch["mri"].flatten(1)) - batch["target"].flatten(1)
    ...         return {"loss": error.square().mean()}
    >>> from mri2pet.pairs import ArrayPairs
    >>> from mri2pet.training import Budget, train
    >>> one = torch.ones(1, 1, 1, 1).numpy()
    >>> pairs = ArrayPairs(mri_NDHW=one, target_NDHW=2 * one)
    >>> budget = Budget(steps=1, batch_size=1, learning_rate=0.1)
    >>> round(train(Double(), pairs, budget, seed=0).network.weight.item(), 4)
    0.1
    """

    def forward_module(self) -> nn.Module:
        """What is called in `losses`, around the network (for autocast and DDP)."""

    def losses(
        self, call: Call, batch: dict[str, Tensor], draws: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Losses of one micro-batch.

        Parameters
        ----------
        call : callable
            The wrapped `forward_module`.
        batch : dict of str to Tensor
            What `Pairs.batch` gave for B samples.
        draws : dict of str to Tensor
            The rows of `draw` for these samples.

        Returns
        -------
        dict of str to Tensor
            Scalars; the one called ``loss`` is minimised, all are recorded.
        """


@dataclass(frozen=True)
class Place:
    """Where in training a micro-batch stands; all counts begin at 0.

    Attributes
    ----------
    step : int
        Step of the loop.
    part, parts : int
        Micro-batch of the step, and how many it has.
    batch : int
        Whole micro-batches of this epoch that came before.

    Examples
    --------
    >>> place = Place(step=3, part=7, parts=8, batch=31)
    >>> place.part == place.parts - 1  # the last of its step
    True
    """

    step: int
    part: int
    parts: int
    batch: int


@dataclass(frozen=True)
class Turn:
    """One backward pass.

    Attributes
    ----------
    player : str
        Whose loss, and who is updated.
    clear_before, clear_after : tuple of str
        Players whose gradients are set to zero before the pass, and after the update.
    update : bool
        Whether an update of the player follows.
    scale : float
        Factor of the loss.

    Examples
    --------
    >>> Turn("critic", clear_before=("critic",))  # doctest: +ELLIPSIS
    Turn(player='critic', clear_before=('critic',), ...
    """

    player: str
    clear_before: tuple[str, ...] = ()
    clear_after: tuple[str, ...] = ()
    update: bool = True
    scale: float = 1.0


class Game(_Method, Protocol):
    """A method with several players.

    Attributes
    ----------
    network : Module
        The player that makes images: averaged, saved, sampled.
    betas : tuple of float
        Of Adam.

    Examples
    --------
    A critic that learns from every micro-batch, a generator from the last of a step:

    >>> def turns(place):
    ...     critic = Turn("critic", clear_before=("critic",))
    ...     generator = Turn("generator", clear_before=("generator",))
    ...     return [critic, generator] if place.part == place.parts - 1 else [critic]
    >>> [[turn.player for turn in turns(Place(0, part, 2, part))] for part in range(2)]
    [['critic'], ['critic', 'generator']]
    """

    betas: tuple[float, float]

    def players(self) -> dict[str, nn.Module]:
        """Modules with weights of their own, by name."""

    def turns(self, place: Place) -> list[Turn]:
        """What happens with one micro-batch, in order.

        Parameters
        ----------
        place : Place
            Which micro-batch it is.

        Returns
        -------
        list of Turn
        """

    def losses(
        self,
        calls: Mapping[str, Call],
        batch: dict[str, Tensor],
        draws: dict[str, Tensor],
        player: str,
    ) -> dict[str, Tensor]:
        """Losses of one player's turn.

        Parameters
        ----------
        calls : mapping of str to callable
            The wrapped players, by name.
        batch, draws : dict of str to Tensor
            As in `Recipe.losses`.
        player : str
            Whose turn it is.

        Returns
        -------
        dict of str to Tensor
            Scalars; the one called ``loss`` is minimised, all are recorded.
        """


class Alone:
    """A recipe as a game of one player.

    Parameters
    ----------
    recipe : Recipe
        The method.
    accumulation : {"correct", "released"}
        See `accumulated`.

    Examples
    --------
    >>> from mri2pet.recipes import RegressionRecipe
    >>> game = Alone(RegressionRecipe(nn.Linear(1, 1)))
    >>> [turn.player for turn in game.turns(Place(0, 0, 1, 0))]
    ['network']
    """

    betas = (0.9, 0.999)

    def __init__(self, recipe: Recipe, accumulation: str = "correct") -> None:
        self.recipe, self.accumulation = recipe, accumulation
        self.network, self.draw = recipe.network, recipe.draw

    def players(self) -> dict[str, nn.Module]:
        """Return the network."""
        return {"network": self.recipe.forward_module()}

    def turns(self, place: Place) -> list[Turn]:
        """One turn for each micro-batch, one update at the last.

        Parameters
        ----------
        place
            As in `Game.turns`.

        Returns
        -------
        list of Turn
            One.

        Raises
        ------
        ValueError
            An unknown ``accumulation``.
        """
        return [accumulated("network", place, self.accumulation)]

    def losses(self, calls, batch, draws, player):
        """Return the recipe's terms.

        Parameters
        ----------
        calls, batch, draws, player
            As in `Game.losses`.

        Returns
        -------
        dict of str to Tensor
            As from `Recipe.losses`.
        """
        return self.recipe.losses(calls[player], batch, draws)


def accumulated(player: str, place: Place, accumulation: str = "correct") -> Turn:
    """Return the turn of a player that is updated once a step.

    Parameters
    ----------
    player : str
        Its name.
    place : Place
        Which micro-batch it is.
    accumulation : {"correct", "released"}
        Released pre-training resets the gradient at every micro-batch, so only the
        last one reaches the update, scaled by 1 / parts (audit, section 5).

    Returns
    -------
    Turn

    Raises
    ------
    ValueError
        An unknown ``accumulation``.

    Examples
    --------
    >>> for part in range(2):
    ...     turn = accumulated("network", Place(0, part, 2, part), "released")
    ...     print(turn.clear_before, turn.update, turn.scale)
    ('network',) False 0.5
    ('network',) True 0.5
    """
    one_of("accumulation", accumulation, ACCUMULATIONS)
    reset = place.part == 0 or accumulation == "released"
    return Turn(
        player,
        clear_before=(player,) if reset else (),
        update=place.part == place.parts - 1,
        scale=1 / place.parts,
    )
