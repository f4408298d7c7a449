"""Seconds per synthetic PET: by number of calls and by batch."""

from __future__ import annotations

import time

import torch

from benchmarks.measure import Case, in_turns

GRIDS = ((16, 48, 48), (32, 96, 96))


def ours(
    calls: int, batch: int, dtype: str, kind: str = "spatial", sampler: str = "ddim"
) -> dict[str, float]:
    """Time one batch through `synthesize`, with a fresh network."""
    from mri2pet.memory import keep_freed_memory
    from mri2pet.model import PublishedUNet, SpatialUNet
    from mri2pet.schedule import NoiseSchedule
    from mri2pet.synthesis import PetScale, synthesize

    keep_freed_memory()
    torch.manual_seed(0)
    if kind == "published":
        network = PublishedUNet(*GRIDS, attention="reordered")
    else:
        network = SpatialUNet(*GRIDS, conditioning=kind)
    network = network.to(memory_format=torch.channels_last_3d).eval()
    mri = torch.rand(batch, 1, *GRIDS[1])

    def draw(num_calls):
        synthesize(
            network,
            NoiseSchedule(),
            mri,
            prediction="x0" if kind == "spatial" else "eps",
            pet_scale=PetScale(0.5, 0.5),
            person_seeds=range(batch),
            batch_size=batch,
            sampler=sampler,
            num_calls=num_calls,
            autocast=torch.bfloat16 if dtype == "bfloat16" else None,
        )

    draw(2)
    start = time.perf_counter()
    draw(calls)
    return {"value": (time.perf_counter() - start) / batch}


def run(quick: bool = False) -> list[dict]:
    """Calls, batches, precision and networks; no bars."""
    plans = [
        *({"calls": c, "batch": 8, "dtype": "bfloat16"} for c in (5, 10, 25)),
        *({"calls": 10, "batch": b, "dtype": "bfloat16"} for b in (1, 2, 16)),
        {"calls": 10, "batch": 8, "dtype": "float32"},
        {"calls": 10, "batch": 8, "dtype": "bfloat16", "sampler": "dpmpp_2m"},
        {"calls": 50, "batch": 8, "dtype": "bfloat16", "kind": "global",
         "sampler": "ddpm"},
        {"calls": 10, "batch": 8, "dtype": "float32", "kind": "published",
         "sampler": "ddpm"},
    ]  # fmt: skip
    cases = []
    for plan in plans:
        kind, sampler = plan.get("kind", "spatial"), plan.get("sampler", "ddim")
        labels = {
            "grid": "x".join(map(str, GRIDS[0])),
            "batch": plan["batch"],
            "dtype": plan["dtype"],
        }
        name = f"{kind}, {sampler}, {plan['calls']} calls, b{plan['batch']}"
        cases.append(Case("sampling", "ours", name, plan, labels, "s/sample"))
    in_turns(cases, 1 if quick else 3)
    return [case.row() for case in cases]
