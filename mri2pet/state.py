"""What training carries from step to step, and its file.

Weights, the optimisers' moments, the moving average, the curve, and the place. Random
generators are not among it: randomness is a function of (seed, step).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from mri2pet.checkpoint import load_tensors, load_weights, save_tensors
from mri2pet.turns import Game


class Average:
    """Exponential moving average of weights, warmed up over the first steps.

    The decay of step s is ``min(decay, (1 + s) / (10 + s))``: a random start is
    forgotten soon.

    Parameters
    ----------
    model : Module
        Gives the first average.
    decay : float
        Share of the old average that stays at each step.

    Examples
    --------
    A weight jumps from 0 to 1; at first the average follows at nine tenths:

    >>> model = nn.Linear(1, 1, bias=False)
    >>> model.load_state_dict({"weight": torch.zeros(1, 1)})
    <All keys matched successfully>
    >>> average = Average(model, decay=0.99)
    >>> model.load_state_dict({"weight": torch.ones(1, 1)})
    <All keys matched successfully>
    >>> average.update(model, step=0)
    >>> average.shadow["weight"]
    tensor([[0.9000]])
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.shadow = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model's weights.

        Parameters
        ----------
        model : Module
            Whose weights are averaged.
        step : int
            Number of the step, from 0.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in model.state_dict().items():
            # The model may have gone to a GPU since the average was begun or loaded.
            mine = self.shadow[key] = self.shadow[key].to(value.device)
            if value.is_floating_point():
                mine.lerp_(value, 1.0 - decay)
            else:
                mine.copy_(value)

    def copy_to(self, model: nn.Module) -> None:
        """Give a model the average.

        Parameters
        ----------
        model : Module
            Its weights are overwritten.
        """
        model.load_state_dict(self.shadow)


@dataclass
class State:
    """Everything that training carries from step to step.

    Attributes
    ----------
    players : dict of str to Module
        The networks that learn, by name.
    optimizers : dict of str to Optimizer
        One for each player.
    ema : Average, optional
        Moving average of the network that makes images.
    step : int
        Steps done.
    history : list of dict
        One record a step, see `mri2pet.training.Trained`.

    Examples
    --------
    A state that was saved goes on where it was:

    >>> from tempfile import TemporaryDirectory
    >>> from mri2pet.recipes import RegressionRecipe
    >>> from mri2pet.turns import Alone
    >>> game = Alone(RegressionRecipe(nn.Linear(1, 1)))
    >>> state, again = (State.begin(game, ema_decay=None) for _ in range(2))
    >>> state.step = 3
    >>> with TemporaryDirectory() as folder:
    ...     state.save(Path(folder) / "state.pt")
    ...     again.load(Path(folder) / "state.pt")
    >>> again.step
    3
    """

    players: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    ema: Average | None
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def begin(cls, game: Game, ema_decay: float | None) -> State:
        """Return the state before the first step.

        Parameters
        ----------
        game : Game
            The method.
        ema_decay : float or None
            Decay of the moving average; None for none.

        Returns
        -------
        State
        """
        players = {
            name: player.to(memory_format=torch.channels_last_3d).train()
            for name, player in game.players().items()
        }
        # Fused: one pass over the weights instead of one a tensor and an operation.
        optimizers = {
            name: torch.optim.Adam(
                player.parameters(),
                betas=game.betas,
                fused=True,
            )
            for name, player in players.items()
        }
        ema = None if ema_decay is None else Average(game.network, ema_decay)
        return cls(players, optimizers, ema)

    def weights(self, network: nn.Module) -> dict[str, torch.Tensor]:
        """Weights of the network that makes images, averaged where they are.

        Parameters
        ----------
        network : Module
            The game's network.

        Returns
        -------
        dict of str to Tensor
        """
        return network.state_dict() if self.ema is None else self.ema.shadow

    def save(self, path: Path) -> None:
        """Write everything, whole or not at all.

        Parameters
        ----------
        path : Path
            The file.
        """
        content = {
            "step": self.step,
            "history": self.history,
            "players": {k: v.state_dict() for k, v in self.players.items()},
            "optimizers": {k: v.state_dict() for k, v in self.optimizers.items()},
            "ema": self.ema.shadow if self.ema is not None else {},
            # A released GAN carries gradients over from one step to the next.
            "gradients": {
                name: {
                    key: p.grad
                    for key, p in player.named_parameters()
                    if p.grad is not None
                }
                for name, player in self.players.items()
                if len(self.players) > 1
            },
        }
        save_tensors(content, path)

    def load(self, path: Path) -> None:
        """Read what `save` wrote.

        Parameters
        ----------
        path : Path
            The file.

        Raises
        ------
        ValueError
            No such file, a damaged one, or one of another method or network.
        """
        content = load_tensors(path)
        wanted = {"step", "history", "players", "optimizers", "ema", "gradients"}
        if wanted - content.keys():
            raise ValueError(
                f"checkpoint {path}: lacks {sorted(wanted - content.keys())}"
            )
        if content["players"].keys() != self.players.keys():
            raise ValueError(
                f"checkpoint {path}: made for {sorted(content['players'])}, "
                f"not for {sorted(self.players)}"
            )
        for name, player in self.players.items():
            load_weights(player, content["players"][name], path)
            try:
                self.optimizers[name].load_state_dict(content["optimizers"][name])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(
                    f"checkpoint {path}: the optimiser's state is of another "
                    f"network ({error})"
                ) from None
            kept = content["gradients"].get(name, {})
            for key, p in player.named_parameters():
                p.grad = kept[key].to(p.device) if key in kept else None
        if self.ema is not None:
            if content["ema"].keys() != self.ema.shadow.keys():
                raise ValueError(
                    f"checkpoint {path}: lacks the moving average that ema_decay "
                    f"{self.ema.decay} continues; delete it to train again"
                )
            self.ema.shadow = content["ema"]
        self.step, self.history = content["step"], content["history"]
