"""One training loop for every learned method, on Lightning Fabric.

A method is a *recipe*: what it draws at random for a batch, and its losses (see
`mri2pet.turns`). The loop owns everything else: the order of the data, clipping, the
learning rate, the moving average of the weights, checkpoints and resuming.

Randomness is a function of (seed, step): nothing has to be remembered between
steps, so a resumed run continues exactly and two processes draw what one draws.

Legend: B batch, C channel, D H W voxels (z, y, x).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from mri2pet.checkpoint import save_tensors
from mri2pet.checks import number, one_of, whole
from mri2pet.memory import keep_freed_memory
from mri2pet.pairs import Pairs, batch_indices, step_generator
from mri2pet.state import State
from mri2pet.turns import ACCUMULATIONS, Alone, Game, Place, Recipe

RATE_SCHEDULES = ("cosine", "constant")
PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}
DEVICES = ("cpu", "cuda", "auto")


class TrainingDivergedError(ValueError):
    """The loss is no longer a finite number.

    Examples
    --------
    Who catches what a user can get wrong catches this, too:

    >>> issubclass(TrainingDivergedError, ValueError)
    True
    """


@dataclass(frozen=True)
class Budget:
    """How long and how to step.

    Attributes
    ----------
    steps : int
        Updates of the weights.
    batch_size : int
        Samples of an update; MRI2PET, section 4.2: 128.
    learning_rate : float
        Of Adam, at its highest; MRI2PET, section 4.2: 1e-4.
    learning_rate_schedule : {"cosine", "constant"}
        Down to 0 along a cosine, or constant as released.
    warmup_steps : int
        Updates over which the learning rate rises to its height.
    accumulation_steps : int
        Micro-batches of an update; less memory, the same gradient. Released: 8.
    accumulation : {"correct", "released"}
        "released" keeps the last micro-batch's gradient only, over
        ``accumulation_steps``: a defect of the released pre-training.
    clip_norm : float, optional
        Highest norm of the gradient of all weights together; released: 0.5. None: any.
    ema_decay : float, optional
        Decay of the moving average of the weights; released: none.
    checkpoint_every : int
        Updates between checkpoints.

    Raises
    ------
    ValueError
        A number or name that means nothing, or a batch that does not split into the
        micro-batches.

    Examples
    --------
    >>> Budget(steps=10, batch_size=16, accumulation_steps=3)
    Traceback (most recent call last):
    ValueError: batch_size 16 is not a multiple of accumulation_steps 3
    """

    steps: int
    batch_size: int
    learning_rate: float = 1e-3
    learning_rate_schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = 0
    accumulation_steps: int = 1
    accumulation: Literal["correct", "released"] = "correct"
    clip_norm: float | None = 0.5
    ema_decay: float | None = None
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulation_steps", "checkpoint_every"):
            whole(name, getattr(self, name), 1)
        whole("warmup_steps", self.warmup_steps)
        number("learning_rate", self.learning_rate, 0)
        if self.clip_norm is not None:
            number("clip_norm", self.clip_norm, 0, inside=True)
        if self.ema_decay is not None:
            number("ema_decay", self.ema_decay, 0, 1)
        one_of("learning_rate_schedule", self.learning_rate_schedule, RATE_SCHEDULES)
        one_of("accumulation", self.accumulation, ACCUMULATIONS)
        if self.batch_size % self.accumulation_steps:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of "
                f"accumulation_steps {self.accumulation_steps}"
            )

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of one update.

        Parameters
        ----------
        step : int
            Number of the update, from 0.

        Returns
        -------
        float
            At most ``learning_rate``.

        Examples
        --------
        >>> budget = Budget(steps=100, batch_size=1, learning_rate=1.0, warmup_steps=9)
        >>> [round(budget.learning_rate_at(step), 2) for step in (0, 9, 50, 99)]
        [0.1, 0.98, 0.5, 0.0]
        """
        warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
        if self.learning_rate_schedule == "constant":
            return self.learning_rate * warm
        angle = math.pi * step / max(1, self.steps)
        return self.learning_rate * warm * 0.5 * (1.0 + math.cos(angle))


@dataclass
class Trained:
    """What training leaves.

    Attributes
    ----------
    network : Module
        The network that makes images, with its final weights.
    players : dict of str to Module
        All networks that learned, by name.
    history : list of dict
        One record a step: `step`, `samples` seen, and the means of the recipe's terms.

    Examples
    --------
    >>> curve = [{"step": 1, "loss": 0.9}, {"step": 2, "loss": 0.5}]
    >>> done = Trained(nn.Identity(), players={}, history=curve)
    >>> [record["loss"] for record in done.history]
    [0.9, 0.5]
    """

    network: nn.Module
    players: dict[str, nn.Module]
    history: list[dict[str, float]] = field(default_factory=list)


def train(
    recipe: Recipe | Game,
    pairs: Pairs,
    budget: Budget,
    *,
    seed: int,
    checkpoint: Path | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    progress: Callable[[int, int, float], None] | None = None,
    snapshots: Mapping[int, Path] | None = None,
) -> Trained:
    """Run a recipe to the end of its budget, from its last checkpoint if any.

    Parameters
    ----------
    recipe : Recipe or Game
        One player, or several that learn in turns; trained in place.
    pairs : Pairs
        The data.
    budget : Budget
        How long and how to step.
    seed : int
        With the step it decides order, time steps, noise and flips.
    checkpoint : Path, optional
        File of the state between steps; written whole or not at all.
    dtype : {"float32", "bfloat16"}
        bfloat16 means autocast; weights and optimiser stay in float32.
    device : {"cpu", "cuda", "auto"}
        Where to compute.
    progress : callable, optional
        Called as progress(step, steps, loss).
    snapshots : mapping of int to Path, optional
        After so many steps, write the weights of the network that makes images (their
        moving average where the budget has one) to this file: a learning curve.

    Returns
    -------
    Trained
        The network holds the moving average where the budget has one.

    Raises
    ------
    TrainingDivergedError
        At the first loss that is not finite; the last checkpoint is kept.
    ValueError
        An unknown dtype or device, or one that is not there; a checkpoint of another
        network, of a longer training, or a damaged one.

    Examples
    --------
    A fresh network says zero, so the first loss is the mean square of the target:

    >>> from mri2pet.model import SpatialUNet
    >>> from mri2pet.pairs import ArrayPairs
    >>> from mri2pet.recipes import RegressionRecipe
    >>> recipe = RegressionRecipe(SpatialUNet((16, 16, 16), (32, 32, 32), width=8))
    >>> pairs = ArrayPairs(np.zeros((2, 32, 32, 32)), np.full((2, 16, 16, 16), 2.0))
    >>> done = train(recipe, pairs, Budget(steps=1, batch_size=2), seed=0)
    >>> done.history[0]["loss"]
    4.0
    """
    from lightning_fabric import Fabric

    one_of("dtype", dtype, PRECISIONS)
    one_of("device", device, DEVICES)
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "device is 'cuda', but PyTorch finds none; use 'cpu' or 'auto'"
        )
    whole("seed", seed)
    checkpoint = None if checkpoint is None else Path(checkpoint)
    keep_freed_memory()
    game = recipe if hasattr(recipe, "turns") else Alone(recipe, budget.accumulation)
    fabric = Fabric(accelerator=device, precision=PRECISIONS[dtype], **_processes())
    fabric.launch()
    state = State.begin(game, budget.ema_decay)
    calls, optimizers = {}, {}
    for name, player in state.players.items():
        calls[name], optimizers[name] = fabric.setup(player, state.optimizers[name])
    # After the networks have moved to their device: an optimiser's state goes there.
    if checkpoint is not None and checkpoint.exists():
        state.load(checkpoint)
        if state.step > budget.steps:
            raise ValueError(
                f"checkpoint {checkpoint}: is at step {state.step}, beyond the "
                f"budget's {budget.steps} steps; delete it to train again"
            )

    for step in range(state.step, budget.steps):
        for optimizer in optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = budget.learning_rate_at(step)
        terms = _step(fabric, game, calls, optimizers, pairs, budget, seed, step)
        bad = [name for name, value in terms.items() if not math.isfinite(value)]
        if bad:
            where = f"; the state before it is in {checkpoint}" if checkpoint else ""
            raise TrainingDivergedError(
                f"training stopped at step {step}: {bad[0]} is {terms[bad[0]]}{where}. "
                "A smaller learning_rate or clip_norm usually helps"
            )
        state.step = done = step + 1
        state.history.append(
            {"step": done, "samples": done * budget.batch_size, **terms}
        )
        if state.ema is not None:
            state.ema.update(game.network, step)
        if snapshots and done in snapshots and fabric.is_global_zero:
            save_tensors({"model": state.weights(game.network)}, snapshots[done])
        due = done == budget.steps or done % budget.checkpoint_every == 0
        if checkpoint is not None and due and fabric.is_global_zero:
            state.save(checkpoint)
        if progress is not None and fabric.is_global_zero:
            progress(done, budget.steps, next(iter(terms.values())))
    if state.ema is not None:
        state.ema.copy_to(game.network)
    for player in state.players.values():
        player.eval()
    return Trained(game.network, state.players, state.history)


def _step(fabric, game, calls, optimizers, pairs, budget, seed, step):
    """All turns of all micro-batches of one step; return the means of the terms."""
    indices = batch_indices(len(pairs), budget.batch_size, seed, step)
    draws = game.draw(budget.batch_size, step_generator(seed, step))
    parts = budget.accumulation_steps
    micro = budget.batch_size // parts
    epoch = max(1, len(pairs) // micro)
    alone = len(calls) == 1
    found: dict[str, list[float]] = {}
    for part in range(parts):
        rows = np.arange(part * micro, (part + 1) * micro)
        rows = np.array_split(rows, fabric.world_size)[fabric.global_rank]
        batch = {k: fabric.to_device(v) for k, v in pairs.batch(indices[rows]).items()}
        mine = {k: v[torch.from_numpy(rows)] for k, v in draws.items()}
        for turn in game.turns(Place(step, part, parts, (step * parts + part) % epoch)):
            model, optimizer = calls[turn.player], optimizers[turn.player]
            for player in turn.clear_before:
                optimizers[player].zero_grad(set_to_none=True)
            with fabric.no_backward_sync(model, enabled=not turn.update):
                terms = game.losses(calls, batch, mine, turn.player)
                fabric.backward(terms["loss"] * turn.scale)
            loss = "loss" if alone else f"{turn.player}_loss"
            for key, value in terms.items():
                name = loss if key == "loss" else key
                found.setdefault(name, []).append(float(value.detach()))
            if turn.update and math.isfinite(found[loss][-1]):
                if budget.clip_norm is not None:
                    fabric.clip_gradients(
                        model,
                        optimizer,
                        max_norm=budget.clip_norm,
                        error_if_nonfinite=False,
                    )
                optimizer.step()
                for player in turn.clear_after:
                    optimizers[player].zero_grad(set_to_none=True)
    means = {key: sum(values) / len(values) for key, values in found.items()}
    if fabric.world_size > 1:
        shared = torch.tensor(list(means.values()), device=fabric.device)
        means = dict(
            zip(
                means, fabric.all_reduce(shared, reduce_op="mean").tolist(), strict=True
            )
        )
    return means


def _processes() -> dict[str, Any]:
    """Devices, nodes and strategy: one process, or what `torchrun` has started."""
    everywhere = int(os.environ.get("WORLD_SIZE", "1"))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", everywhere))
    if everywhere == 1:
        return {"devices": 1}
    return {"devices": here, "num_nodes": everywhere // here, "strategy": "ddp"}
