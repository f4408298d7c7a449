"""One training loop for every learned method, on Lightning Fabric.

A method is a *recipe*: what it draws at random for a batch, and its losses. The
loop owns everything else: the order of the data, accumulation, clipping, the
learning rate, the moving average of the weights, checkpoints and resuming.

Randomness is a function of (seed, step): nothing has to be remembered between
steps, so a resumed run continues exactly and two processes draw what one draws.

Legend: B batch, C channel, D H W voxels (z, y, x).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from mri2pet.checkpoint import load_tensors, load_weights, save_tensors
from mri2pet.memory import keep_freed_memory

Call = Callable[..., Tensor]
LOSS_COLUMNS = ("step", "samples", "loss", "denoise", "laplacian")


class TrainingDivergedError(ValueError):
    """The loss is no longer a finite number."""


class Recipe(Protocol):
    """What a method adds to the loop."""

    network: nn.Module

    def forward_module(self) -> nn.Module:
        """What is called in `losses`, around the network (for autocast and DDP)."""

    def draw(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Random numbers for n samples, drawn on the CPU for the whole batch."""

    def losses(
        self, call: Call, batch: dict[str, Tensor], draws: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Scalars; the one called `loss` is minimised."""


class Pairs(Protocol):
    """Data of a recipe: `batch(indices)` gives tensors with a leading batch axis."""

    def __len__(self) -> int:
        """Number of samples."""

    def batch(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Tensors of these samples."""


@dataclass
class ArrayPairs:
    """MRI and target volumes held in memory.

    Parameters
    ----------
    mri_NDHW : ndarray, shape (N, D, H, W)
        Condition, in [0, 1].
    target_NDHW : ndarray, shape (N, d, h, w)
        What the network learns to make, in network units.
    """

    mri_NDHW: np.ndarray
    target_NDHW: np.ndarray

    def __post_init__(self) -> None:
        if len(self.mri_NDHW) != len(self.target_NDHW) or len(self.mri_NDHW) == 0:
            raise ValueError(
                f"{len(self.mri_NDHW)} MRIs and {len(self.target_NDHW)} targets: "
                "expected as many of one as of the other, and at least one"
            )

    def __len__(self) -> int:
        return len(self.mri_NDHW)

    def batch(self, indices: np.ndarray) -> dict[str, Tensor]:
        """MRI (B, 1, D, H, W) and target (B, 1, d, h, w), float32."""
        return {
            "mri": torch.from_numpy(self.mri_NDHW[indices]).float()[:, None],
            "target": torch.from_numpy(self.target_NDHW[indices]).float()[:, None],
        }


@dataclass(frozen=True)
class Budget:
    """How long and how to step."""

    steps: int
    batch_size: int
    learning_rate: float = 1e-3
    learning_rate_schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = 0
    accumulation_steps: int = 1
    accumulation: Literal["correct", "released"] = "correct"
    clip_norm: float = 0.5
    ema_decay: float | None = None
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        if self.batch_size % self.accumulation_steps:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of "
                f"accumulation_steps {self.accumulation_steps}"
            )

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of update `step` (0-based)."""
        warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
        if self.learning_rate_schedule == "constant":
            return self.learning_rate * warm
        angle = math.pi * step / max(1, self.steps)
        return self.learning_rate * warm * 0.5 * (1.0 + math.cos(angle))


@dataclass
class Trained:
    """What training leaves: weights on the recipe's network, and the curve."""

    network: nn.Module
    history: list[list[float]] = field(default_factory=list)


def train(
    recipe: Recipe,
    pairs: Pairs,
    budget: Budget,
    *,
    seed: int,
    checkpoint: Path | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    progress: Callable[[int, int, float], None] | None = None,
) -> Trained:
    """Run a recipe to the end of its budget, from its last checkpoint if any.

    Parameters
    ----------
    recipe : Recipe
    pairs : Pairs
    budget : Budget
    seed : int
        With the step it decides order, time steps, noise and flips.
    checkpoint : Path, optional
        File of the state between steps; written whole or not at all.
    dtype : {"float32", "bfloat16"}
        bfloat16 means autocast; weights and optimiser stay in float32.
    device : {"cpu", "cuda", "auto"}
    progress : callable, optional
        Called as progress(step, steps, loss).

    Returns
    -------
    Trained
        The model holds the moving average where the budget has one.

    Raises
    ------
    TrainingDivergedError
        At the first loss that is not finite; the last checkpoint is kept.
    ValueError
        A checkpoint of another network or a damaged one.
    """
    from lightning_fabric import Fabric

    keep_freed_memory()
    precision = {"float32": "32-true", "bfloat16": "bf16-mixed"}[dtype]
    fabric = Fabric(accelerator=device, precision=precision, **_processes())
    fabric.launch()
    bare = recipe.network.to(memory_format=torch.channels_last_3d).train()
    # One pass over the weights instead of one a tensor and an operation.
    optimizer = torch.optim.Adam(bare.parameters(), lr=budget.learning_rate, fused=True)
    ema = _Average(bare, budget.ema_decay) if budget.ema_decay is not None else None
    state: dict[str, Any] = {"step": 0, "history": []}
    if checkpoint is not None and checkpoint.exists():
        state = _load_state(checkpoint, bare, optimizer, ema)
    model, optimizer = fabric.setup(recipe.forward_module(), optimizer)

    history = state["history"]
    for step in range(state["step"], budget.steps):
        for group in optimizer.param_groups:
            group["lr"] = budget.learning_rate_at(step)
        terms = _update(fabric, recipe, model, optimizer, pairs, budget, seed, step)
        if not math.isfinite(terms["loss"]):
            where = f"; the state before it is in {checkpoint}" if checkpoint else ""
            raise TrainingDivergedError(
                f"training stopped at step {step}: loss is {terms['loss']}{where}. "
                "A smaller learning_rate or clip_norm usually helps"
            )
        if ema is not None:
            ema.update(bare, step)
        history.append(
            [step + 1, (step + 1) * budget.batch_size]
            + [terms[k] for k in LOSS_COLUMNS[2:]]
        )
        done = step + 1
        last = done == budget.steps
        due = last or done % budget.checkpoint_every == 0
        if checkpoint is not None and due and fabric.is_global_zero:
            _save_state(checkpoint, done, history, bare, optimizer, ema)
        if progress is not None and fabric.is_global_zero:
            progress(done, budget.steps, terms["loss"])
    if ema is not None:
        ema.copy_to(bare)
    return Trained(bare.eval(), history)


def _update(fabric, recipe, model, optimizer, pairs, budget, seed, step):
    """One optimiser step over `accumulation_steps` micro-batches."""
    indices = batch_indices(len(pairs), budget.batch_size, seed, step)
    generator = step_generator(seed, step)
    draws = recipe.draw(budget.batch_size, generator)
    parts = budget.accumulation_steps
    micro = budget.batch_size // parts
    sums = dict.fromkeys(LOSS_COLUMNS[2:], 0.0)
    optimizer.zero_grad(set_to_none=True)
    for part in range(parts):
        # Released pre-training resets the gradient inside the micro-batch loop,
        # so only the last micro-batch reaches the update, scaled by 1 / parts.
        if budget.accumulation == "released":
            optimizer.zero_grad(set_to_none=True)
        chosen = slice(part * micro, (part + 1) * micro)
        rows = np.arange(budget.batch_size)[chosen]
        rows = np.array_split(rows, fabric.world_size)[fabric.global_rank]
        batch = {k: fabric.to_device(v) for k, v in pairs.batch(indices[rows]).items()}
        mine = {k: v[torch.from_numpy(rows)] for k, v in draws.items()}
        with fabric.no_backward_sync(model, enabled=part < parts - 1):
            terms = recipe.losses(model, batch, mine)
            fabric.backward(terms["loss"] / parts)
        for key in sums:
            sums[key] += float(terms[key].detach()) / parts
    if fabric.world_size > 1:
        shared = torch.tensor(list(sums.values()), device=fabric.device)
        sums = dict(
            zip(sums, fabric.all_reduce(shared, reduce_op="mean").tolist(), strict=True)
        )
    if math.isfinite(sums["loss"]):
        fabric.clip_gradients(
            model, optimizer, max_norm=budget.clip_norm, error_if_nonfinite=False
        )
        optimizer.step()
    return sums


def step_generator(seed: int, step: int) -> torch.Generator:
    """Generator of everything random in one step."""
    words = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0] >> np.uint64(1)))


def batch_indices(n: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Samples of one step: a fresh permutation per epoch, no sample left out."""
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    chosen = np.empty(batch_size, dtype=np.int64)
    for epoch in np.unique(places // n):
        order = np.random.default_rng([seed, 1, int(epoch)]).permutation(n)
        inside = places // n == epoch
        chosen[inside] = order[places[inside] % n]
    return chosen


def _processes() -> dict[str, Any]:
    """Devices, nodes and strategy: one process, or what `torchrun` has started."""
    everywhere = int(os.environ.get("WORLD_SIZE", "1"))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", everywhere))
    if everywhere == 1:
        return {"devices": 1}
    return {"devices": here, "num_nodes": everywhere // here, "strategy": "ddp"}


class _Average:
    """Exponential moving average of weights, warmed up over the first steps."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.shadow = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                self.shadow[key].lerp_(value, 1.0 - decay)
            else:
                self.shadow[key].copy_(value)

    def copy_to(self, model: nn.Module) -> None:
        model.load_state_dict(self.shadow)


def _save_state(path, step, history, model, optimizer, ema) -> None:
    content = {
        "step": step,
        "history": history,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "ema": ema.shadow if ema is not None else {},
    }
    save_tensors(content, path)


def _load_state(path, model, optimizer, ema) -> dict[str, Any]:
    content = load_tensors(path)
    missing = {"step", "history", "model", "optimizer", "ema"} - content.keys()
    if missing:
        raise ValueError(f"checkpoint {path}: lacks {sorted(missing)}")
    load_weights(model, content["model"], path)
    optimizer.load_state_dict(content["optimizer"])
    if ema is not None:
        ema.shadow = content["ema"]
    return content
