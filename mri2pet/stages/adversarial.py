"""Stages that train the GAN rows of Table 1, and the source stage of three of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from mri2pet.baselines.few_shot import (
    CdcRecipe,
    DclRecipe,
    DiffAugmentRecipe,
    MaskGanRecipe,
)
from mri2pet.baselines.gan import GanRecipe
from mri2pet.baselines.networks import Critic
from mri2pet.checkpoint import load_tensors, load_weights
from mri2pet.cohort.scaling import scaled_mri
from mri2pet.pairs import ArrayPairs
from mri2pet.stages.cohort import cohort, cohort_stage
from mri2pet.stages.learned import Learned, build_network, learn
from mri2pet.stages.style import unpaired_ids
from mri2pet.synthesis import PetScale
from mri2pet.training import Budget

if TYPE_CHECKING:
    from mri2pet.run import Run


@dataclass(frozen=True)
class Method:
    """One GAN row: its recipe, and the released faults as switches of it."""

    recipe: type[GanRecipe]
    released: dict[str, Any]
    source: bool = True  # whether it starts from a source stage
    source_critic: bool = False  # whether its recipe looks through the source's critic


# Adam's moments are PyTorch's defaults in the release (audit, 6).
_PLAIN = {"betas": (0.9, 0.999)}
_NOISY = {**_PLAIN, "alternation": "released", "mri_noise": 1.0}
METHODS = {
    "gan": Method(GanRecipe, {**_PLAIN, "alternation": "every_batch"}, source=False),
    "cdc": Method(
        CdcRecipe,
        {**_NOISY, "kl": "released", "anchors": "dead", "source_mode": "train"},
    ),
    "dcl": Method(
        DclRecipe, {**_NOISY, "denominator": "released", "critic_keep": 0.34}
    ),
    "diffaugment": Method(
        DiffAugmentRecipe, {**_PLAIN, "alternation": "released"}, source=False
    ),
    "maskgan": Method(
        MaskGanRecipe,
        {
            **_NOISY,
            "kl": "released",
            "anchors": "swapped",
            "mask": "samples",
            "source_mode": "train",
        },
        source_critic=True,
    ),
}


def adversarial(run: Run, row: str, design: str) -> Learned:
    """Learn MRI -> PET as one of the GAN rows, from its source stage if it has one."""
    if row not in METHODS:
        raise ValueError(f"row {row!r}: expected one of {sorted(METHODS)}")
    method = METHODS[row]
    start = source(run, design) if method.source else None

    def pairs() -> ArrayPairs:
        store = cohort(run)
        ids = store.ids(part="train")
        pet = store.read("pet", ids)
        scale, _ = fit_unit_scale(pet)
        return ArrayPairs(store.read("mri", ids), scale.to_network(pet))

    switches = method.released if design == "published" else {}
    steps = run.profile.training.gan_steps
    return _learn(
        run, f"finetune-{row}-{design}", design, method, switches, steps, pairs, start
    )


def source(run: Run, design: str) -> Learned:
    """Learn MRI -> the same MRI on the PET's grid, by the plain GAN."""

    def pairs() -> ArrayPairs:
        store = cohort(run)
        mri = store.read("mri", unpaired_ids(run, store))
        return ArrayPairs(mri, 2 * scaled_mri(mri, run.profile.grids.pet) - 1)

    method = Method(GanRecipe, _NOISY)
    switches = method.released if design == "published" else {}
    steps = run.profile.training.gan_source_steps
    return _learn(
        run, f"source-gan-{design}", design, method, switches, steps, pairs, None
    )


def fit_unit_scale(pet_NDHW: np.ndarray) -> tuple[PetScale, tuple[float, float]]:
    """Map SUVR 0 to -1 and 1.1 times the largest training SUVR to 1, for a tanh."""
    top = 1.1 * float(pet_NDHW.max())
    return PetScale(top / 2, top / 2), (-1.0, 1.0)


def _learn(run, name, design, method, switches, steps, pairs, start) -> Learned:
    plan, grids = run.profile.training, run.profile.grids
    released = design == "published"
    network = {"kind": "generator", "pet_shape": grids.pet, "mri_shape": grids.mri}
    parts = plan.micro_batches(plan.gan_batch_size)
    if released:
        parts = plan.accumulation_steps
    carried = switches.get("alternation") == "released"
    budget = Budget(
        steps=steps,
        batch_size=plan.gan_batch_size,
        learning_rate=plan.gan_learning_rate,
        learning_rate_schedule="constant",
        accumulation_steps=parts,
        # The released plain GAN does not clip; the few-shot methods do.
        clip_norm=plan.clip_norm if carried else None,
        ema_decay=None if released else plan.ema_decay,
        checkpoint_every=plan.checkpoint_every,
    )
    recipe = {**switches, "flip": plan.flip}
    if carried:
        recipe["accumulation"] = parts

    def make(generator: nn.Module) -> GanRecipe:
        critic = Critic(grids.pet, grids.mri, released=released, patch_head=True)
        known: dict[str, nn.Module] = {}
        if start is not None:
            weights = load_tensors(start.path)["players"]["critic"]
            load_weights(critic, weights, start.path)
            first = build_network(start.network)
            load_weights(first, load_tensors(start.path)["model"], start.path)
            known["source_generator"] = first
            if method.source_critic:
                known["source_critic"] = critic
        return method.recipe(generator=generator, critic=critic, **known, **recipe)

    return learn(
        run,
        name,
        module=__name__,
        network=network,
        switches=run.profile.design(design),
        budget=budget,
        recipe={"method": method.recipe.__name__, **recipe},
        make=make,
        pairs=pairs,
        inputs=[cohort_stage(run)] + ([start.stage] if start else []),
        start=start,
        scale=fit_unit_scale,
        snapshots=name.startswith("finetune-"),
    )
