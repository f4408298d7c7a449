"""A training step per sample, and its memory: our loop, and three peers."""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch

from benchmarks.measure import Case, at_most, compare, in_turns

# PET grid, MRI grid of the profile with that PET grid, batch.
SMALL = ((16, 32, 32), (32, 64, 64), 8)
TUTORIAL = ((16, 48, 48), (32, 96, 96), 8)
PAPER = ((32, 128, 128), (64, 144, 144), 1)
RELEASED = "released design, plain PyTorch"


def ours(
    kind: str, grids: list, dtype: str, steps: int, warm: int = 2
) -> dict[str, float]:
    """Seconds per sample of `mri2pet.training.train` with a full recipe."""
    from mri2pet.model import PublishedUNet, SpatialUNet
    from mri2pet.pairs import ArrayPairs
    from mri2pet.recipes import DiffusionRecipe
    from mri2pet.schedule import NoiseSchedule
    from mri2pet.training import Budget, train

    pet_shape, mri_shape, batch = grids
    torch.manual_seed(0)
    if kind.startswith("published"):
        network = PublishedUNet(pet_shape, mri_shape, attention="reordered")
        how = {"prediction": "eps", "laplacian_weight": "x0"}
    else:
        network = SpatialUNet(pet_shape, mri_shape, conditioning=kind)
        spatial = kind == "spatial"
        how = {
            "prediction": "x0" if spatial else "eps",
            "laplacian_weight": "alpha_bar" if spatial else "x0",
        }
    network.activation_checkpointing = kind.endswith("checkpointed")
    recipe = DiffusionRecipe(network, NoiseSchedule(), laplacian=0.25, flip=True, **how)
    rng = np.random.default_rng(0)
    pairs = ArrayPairs(
        rng.random((batch, *mri_shape), dtype=np.float32),
        rng.standard_normal((batch, *pet_shape), dtype=np.float32),
    )
    times = [time.perf_counter()]
    train(
        recipe,
        pairs,
        Budget(steps=warm + steps, batch_size=batch, ema_decay=0.99),
        seed=0,
        dtype=dtype,
        progress=lambda *_: times.append(time.perf_counter()),
    )
    return {"value": statistics.median(np.diff(times)[warm:]) / batch}


def peer(
    kind: str, grids: list, dtype: str, steps: int, warm: int = 1
) -> dict[str, float]:
    """Seconds per sample of a minimal loop around a peer."""
    from benchmarks.peers import MonaiTraining, ReleasedTraining

    pet_shape, mri_shape, batch = grids
    torch.manual_seed(0)
    if kind == "released":
        loop = ReleasedTraining(pet_shape, mri_shape)
    else:
        loop = MonaiTraining(dtype)
    mri, pet = torch.rand(batch, 1, *mri_shape), torch.randn(batch, 1, *pet_shape)
    times = []
    for _ in range(warm + steps):
        start = time.perf_counter()
        loop.step(mri, pet)
        times.append(time.perf_counter() - start)
    return {"value": statistics.median(times[warm:]) / batch}


def _case(function: str, kind: str, grids: tuple, dtype: str, steps: int, name: str):
    labels = {"grid": "x".join(map(str, grids[0])), "batch": grids[2], "dtype": dtype}
    arguments = {"kind": kind, "grids": grids, "dtype": dtype, "steps": steps}
    where = f"{name}, {labels['grid']}, b{grids[2]}, {dtype}"
    return Case("training", function, where, arguments, labels, "s/sample")


def _cases(grids: tuple, scale: int) -> dict[str, Case]:
    """All networks on one grid."""
    made = {}
    for dtype in ("float32", "bfloat16"):
        for kind in ("spatial", "global"):
            name = f"SpatialUNet, {kind}, our loop"
            made[kind, dtype] = _case("ours", kind, grids, dtype, 8 * scale, name)
        name = "MONAI DiffusionModelUNet"
        made["monai", dtype] = _case("peer", "monai", grids, dtype, scale, name)
    name = "PublishedUNet, our loop"
    made["published", "float32"] = _case(
        "ours", "published", grids, "float32", 2 * scale, name
    )
    made["released", "float32"] = _case(
        "peer", "released", grids, "float32", scale, RELEASED
    )
    return made


def run(quick: bool = False) -> list[dict]:
    """Measure all, and hold the bars."""
    rounds, scale = (1, 1) if quick else (3, 2)
    rows = []
    for grids in (SMALL, TUTORIAL):
        made = _cases(grids, scale)
        in_turns(list(made.values()), rounds)
        rows += [case.row() for case in made.values()]
        released, fast = made["released", "float32"], made["spatial", "bfloat16"]
        if grids is TUTORIAL:
            label = "tutorial configuration against the released design"
            rows.append(compare(released, fast, 12, label))
            label = "tutorial configuration against MONAI, both bfloat16"
            rows.append(compare(made["monai", "bfloat16"], fast, 5, label))
        label = "the same body, global conditioning and eps, bfloat16"
        rows.append(compare(released, made["global", "bfloat16"], 1, label))
        label = "spatial conditioning, float32 against float32"
        rows.append(compare(released, made["spatial", "float32"], 1, label))
    made = {
        "plain": _case("peer", "released", PAPER, "float32", scale, RELEASED),
        "ours": _case(
            "ours", "published", PAPER, "float32", scale, "PublishedUNet, our loop"
        ),
        "checkpointed": _case(
            "ours",
            "published checkpointed",
            PAPER,
            "float32",
            scale,
            "PublishedUNet, our loop, activation checkpointing",
        ),
        "spatial": _case(
            "ours", "spatial", PAPER, "bfloat16", scale, "SpatialUNet, our loop"
        ),
    }
    for case in made.values():
        case.arguments["warm"] = 1
    in_turns(list(made.values()), rounds)
    rows += [case.row() for case in made.values()]
    label = "PublishedUNet at the paper's size, our loop against plain"
    rows.append(compare(made["plain"], made["ours"], 1.5, label))
    label = "memory of PublishedUNet at the paper's size, our loop"
    rows.append(at_most(made["ours"], "memory_mb", 4096, label))
    return rows


def scaling(quick: bool = False) -> list[dict]:
    """How the time of a sample changes with batch, grid and processes; no bars."""
    cases = []
    for batch in (1, 2, 4, 8, 16):
        grids = ((16, 48, 48), (32, 96, 96), batch)
        cases.append(_case("ours", "spatial", grids, "bfloat16", 6, "batch"))
    for side in (32, 48, 64, 96):
        grids = ((16, side, side), (32, 2 * side, 2 * side), 4)
        cases.append(_case("ours", "spatial", grids, "bfloat16", 4, "grid"))
    for processes in (1, 2):
        name = f"processes ({processes} x {2 // processes} threads)"
        case = _case("ours", "spatial", TUTORIAL, "bfloat16", 6, name)
        case.processes = processes
        cases.append(case)
    in_turns(cases, 1 if quick else 2)
    return [{**case.row(), "benchmark": "scaling"} for case in cases]
