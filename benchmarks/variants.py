"""What else could speed `SpatialUNet` up: where time goes, and one change at a time.

Each variant trains on the tutorial's configuration (PET 16x48x48, batch 8, bfloat16)
in a minimal loop, so that nothing but the change differs. A variant that leaves
something out (no normalisation, no attention) is no proposal: it shows the most that a
faster version of that part could save.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from benchmarks.measure import Case, in_turns
from benchmarks.training import TUTORIAL

# Options of the network, and changes of the loop or of the finished network.
VARIANTS: dict[str, dict] = {
    "as it is": {},
    "standard memory layout": {"channels_last": False},
    "allocator as the system has it": {"keep_memory": False},
    "Adam, a loop over the weights": {"fused": False},
    "torch.compile": {"compiled": True},
    "activation checkpointing": {"activation_checkpointing": True},
    "blocks of 4 x 4 voxels": {"patch": 4},
    "blocks of 4 x 4 voxels, 64 channels": {"patch": 4, "width": 64},
    "two levels, 48 channels": {"width": 48, "channel_mults": [1, 2]},
    "24 channels": {"width": 24},
    "without attention (bound)": {"attention": False},
    "without normalisation (bound)": {"normalised": False},
    "without SiLU (bound)": {"activated": False},
}
_NETWORK = ("patch", "width", "channel_mults", "attention")
KINDS = {
    "convolution": ("convolution", "conv_", "conv3d", "mkldnn"),
    "normalisation": ("native_group_norm", "group_norm"),
    "SiLU": ("silu",),
    "attention": ("scaled_dot_product", "bmm"),
    "optimiser": ("_fused_adam", "foreach"),
    "copies and layout": ("copy_", "contiguous", "clone", "_to_copy", "empty", "fill_"),
    "resampling": ("upsample", "interpolate"),
}


def step(
    steps: int = 8,
    warm: int = 3,
    *,
    channels_last: bool = True,
    keep_memory: bool = True,
    fused: bool = True,
    compiled: bool = False,
    activation_checkpointing: bool = False,
    normalised: bool = True,
    activated: bool = True,
    **network,
) -> dict[str, float]:
    """Seconds of a training step per sample."""
    one_step, count = _prepared(
        channels_last=channels_last,
        keep_memory=keep_memory,
        fused=fused,
        compiled=compiled,
        activation_checkpointing=activation_checkpointing,
        normalised=normalised,
        activated=activated,
        **network,
    )
    started = time.perf_counter()
    one_step()
    first = time.perf_counter() - started
    times = []
    for _ in range(warm + steps):
        start = time.perf_counter()
        one_step()
        times.append(time.perf_counter() - start)
    return {
        "value": statistics.median(times[warm:]) / TUTORIAL[2],
        "first_step": first,
        "parameters": count,
    }


def _prepared(*, channels_last, keep_memory, fused, compiled, normalised, activated,
              activation_checkpointing, **network):  # fmt: skip
    """One training step as a function, and the number of parameters."""
    from mri2pet import model as module
    from mri2pet.memory import keep_freed_memory
    from mri2pet.recipes import DiffusionRecipe
    from mri2pet.schedule import NoiseSchedule

    if keep_memory:
        keep_freed_memory()
    pet_shape, mri_shape, batch = TUTORIAL
    torch.manual_seed(0)
    net = module.SpatialUNet(pet_shape, mri_shape, **network)
    net.activation_checkpointing = activation_checkpointing
    count = sum(p.numel() for p in net.parameters())
    if not normalised:
        _replace(net, nn.GroupNorm, nn.Identity)
    if not activated:
        torch.nn.functional.silu = lambda x, inplace=False: x  # noqa: ARG005
    layout = torch.channels_last_3d if channels_last else torch.contiguous_format
    net = net.to(memory_format=layout)
    recipe = DiffusionRecipe(
        net, NoiseSchedule(), "x0", laplacian=0.25, laplacian_weight="alpha_bar"
    )
    call = recipe.forward_module()
    if compiled:
        call = torch.compile(call)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=fused)
    pairs = {
        "mri": torch.rand(batch, 1, *mri_shape),
        "target": torch.randn(batch, 1, *pet_shape),
    }
    draws = recipe.draw(batch, torch.Generator().manual_seed(0))

    def one_step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = recipe.losses(call, pairs, draws)["loss"]
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        optimizer.step()

    return one_step, count


def _replace(module: nn.Module, kind: type, other: type) -> None:
    for name, child in module.named_children():
        if isinstance(child, kind):
            setattr(module, name, other())
        else:
            _replace(child, kind, other)


def shares(kind: str, steps: int = 4) -> dict[str, float]:
    """Share of the CPU time of a training step that one kind of operation takes."""
    from torch.profiler import ProfilerActivity, profile

    one_step, _ = _prepared(
        channels_last=True,
        keep_memory=True,
        fused=True,
        compiled=False,
        activation_checkpointing=False,
        normalised=True,
        activated=True,
    )
    for _ in range(3):
        one_step()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(steps):
            one_step()
    totals = dict.fromkeys([*KINDS, "other"], 0.0)
    for event in found.key_averages():
        totals[_kind(event.key)] += event.self_cpu_time_total
    return {"value": totals[kind] / sum(totals.values())}


def _kind(name: str) -> str:
    for kind, words in KINDS.items():
        if any(word in name for word in words):
            return kind
    return "other"


def run(quick: bool = False) -> list[dict]:
    """Shares of a step, and all variants in turns; no bars."""
    grid = "x".join(map(str, TUTORIAL[0]))
    labels = {"grid": grid, "batch": TUTORIAL[2], "dtype": "bfloat16"}
    parts = [
        Case("variants", "shares", f"share of {kind}", {"kind": kind}, labels, "1")
        for kind in (*KINDS, "other")
    ]
    in_turns(parts, 1)
    cases = [
        Case("variants", "step", name, how, labels, "s/sample")
        for name, how in VARIANTS.items()
    ]
    in_turns(cases, 1 if quick else 2)
    base = cases[0]
    rows = [case.row() for case in (*parts, *cases)]
    for row, case in zip(rows[len(parts) :], cases, strict=True):
        ratios = [
            a / b for a, b in zip(base.values(), case.values(), strict=True)
        ]  # fmt: skip
        row |= {
            "ratio": statistics.median(ratios),
            "ratio_low": min(ratios),
            "ratio_high": max(ratios),
            "parameters": case.rounds[0]["parameters"],
            "first_step": max(case.values("first_step")),
        }
    return rows
