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
    """Exponential moving average of weights, warmed up over the first steps."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.shadow = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model's weights; `step` counts from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                self.shadow[key].lerp_(value, 1.0 - decay)
            else:
                self.shadow[key].copy_(value)

    def copy_to(self, model: nn.Module) -> None:
        """Give the model the average."""
        model.load_state_dict(self.shadow)


@dataclass
class State:
    """Everything that training carries from step to step."""

    players: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    ema: Average | None
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def begin(cls, game: Game, ema_decay: float | None) -> State:
        """Return the state before the first step."""
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

    def save(self, path: Path) -> None:
        """Write everything, whole or not at all."""
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
        """Read what `save` wrote; a file of another method is refused by name."""
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
            self.optimizers[name].load_state_dict(content["optimizers"][name])
            kept = content["gradients"].get(name, {})
            for key, p in player.named_parameters():
                p.grad = kept.get(key)
        if self.ema is not None:
            self.ema.shadow = content["ema"]
        self.step, self.history = content["step"], content["history"]
