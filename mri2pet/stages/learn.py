"""Stages that train: pre-training, fine-tuning, and the regression control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from mri2pet.baselines.ddpm_pa import DdpmPaRecipe
from mri2pet.cohort.scaling import scaled_mri
from mri2pet.config import PRETRAINING, WITH_LAPLACIAN, Design, pretraining_kind
from mri2pet.pairs import ArrayPairs
from mri2pet.recipes import DiffusionRecipe, RegressionRecipe
from mri2pet.schedule import NoiseSchedule
from mri2pet.stages.cohort import TrainingPeople, cohort, cohort_stage
from mri2pet.stages.learned import Learned, fit_pet_scale, learn, training_scans
from mri2pet.stages.style import styled, styled_stage, unpaired_ids
from mri2pet.training import Budget

if TYPE_CHECKING:
    from mri2pet.run import Run

PRETRAINING_KINDS = ("style", "self", "noisy")
# Switches that the keyword arguments of `pretrain` and `finetune` may replace.
_DESIGN_KEYS = set(Design.model_fields)
# Of these, the ones that pre-training knows; it has no image loss.
_PRETRAINING_KEYS = {"prediction", "conditioning", "accumulation", "ema"}
_TRAINING_KEYS = {"steps", "laplacian", "learning_rate", "batch_size", "seed"}
# What the release does in DDPM-PA and the cited paper does not (audit, 6.8).
DDPM_PA_RELEASED = {
    "shared_draws": False,
    "kl": "released",
    "haar": "summed",
    "mri_noise": 1.0,
}


def pretrain(run: Run, kind: str, design: str, **variant: Any) -> Learned:
    """Learn MRI -> styled MRI (`style`), -> itself (`self`), or `noisy`.

    `noisy` adds N(0, 1) to the MRI that conditions; the target is the clean one.
    """
    return _pretrain(run, kind, design, "mri2pet", variant)


def _pretrain(
    run: Run,
    kind: str,
    design: str,
    row: str,
    variant: dict[str, Any],
    people: TrainingPeople | None = None,
) -> Learned:
    if kind not in PRETRAINING_KINDS:
        raise ValueError(f"pre-training {kind!r}: expected one of {PRETRAINING_KINDS}")
    switches, budget_keys = _split_variant(run, design, variant)
    own_net = row == "mri2pet_published"
    name = _name(f"pretrain-{kind}", design, own_net, variant, people)
    inputs = [cohort_stage(run)]
    if kind == "style":
        inputs.append(styled_stage(run, design))
    budget = _budget(run, switches, "pretrain", own_net, budget_keys)

    def pairs() -> ArrayPairs:
        store = cohort(run)
        if kind == "style":
            made = styled(run, design)
            moved = np.flatnonzero(made.report["moved"])
            if people is not None:
                kept = set(people.keep(made.scan_ids))
                moved = np.array([i for i in moved if made.scan_ids[i] in kept], int)
            mri = store.read("mri", [made.scan_ids[i] for i in moved])
            target = made.volumes[moved]
        else:
            ids = unpaired_ids(run, store)
            mri = store.read("mri", people.keep(ids) if people else ids)
            target = scaled_mri(mri, run.profile.grids.pet)
        # Scaled with the statistics of the targets themselves, as released.
        return ArrayPairs(mri, (target - target.mean()) / target.std())

    recipe = {
        "prediction": switches.prediction,
        "condition_noise": 1.0 if kind == "noisy" else 0.0,
        "flip": run.profile.training.flip,
    }
    return _learn(
        run,
        name,
        switches,
        own_net,
        budget,
        recipe,
        pairs,
        inputs,
        None,
        variant,
        people,
    )


def finetune(
    run: Run,
    row: str,
    design: str,
    *,
    people: TrainingPeople | None = None,
    pretrained_on: TrainingPeople | None = None,
    **variant: Any,
) -> Learned:
    """Learn MRI -> PET for a row of Table 1, from its pre-training if it has one.

    Parameters
    ----------
    run : Run
    row, design : str
    people : TrainingPeople, optional
        Whose pairs are learned from; by default all training people of the run.
    pretrained_on : TrainingPeople, optional
        Whose MRIs are pre-trained on; by default the run's pre-training people.
    **variant
        Switches and budgets to change.
    """
    if row not in PRETRAINING:
        raise ValueError(f"row {row!r}: expected one of {sorted(PRETRAINING)}")
    if row == "mri2pet_published" and design != "published":
        raise ValueError(
            f"row {row!r} exists in design 'published' only, not {design!r}"
        )
    switches, budget_keys = _split_variant(run, design, variant)
    own_net = row == "mri2pet_published"
    # The released fault of accumulation is in pre-training only (audit, 5).
    switches = switches.model_copy(update={"accumulation": "correct"})
    kind = pretraining_kind(row, design)
    start = None
    if kind:
        passed = {k: v for k, v in variant.items() if k in _PRETRAINING_KEYS | {"seed"}}
        start = _pretrain(run, kind, design, row, passed, pretrained_on)
    budget = _budget(run, switches, "finetune", own_net, budget_keys)
    inputs = [people.stage if people else cohort_stage(run)]
    inputs += [start.stage] if start else []
    default = run.profile.training.laplacian if row in WITH_LAPLACIAN else 0.0
    recipe = {
        "prediction": switches.prediction,
        "laplacian": float(variant.get("laplacian", default)),
        "laplacian_weight": switches.laplacian_weight,
        "levels": run.profile.training.laplacian_levels,
        "image_loss": switches.image_loss,
        "flip": run.profile.training.flip,
    }
    if row == "ddpm_pa":
        recipe = {
            "ddpm_pa": True,
            "prediction": switches.prediction,
            "flip": run.profile.training.flip,
            **(DDPM_PA_RELEASED if design == "published" else {}),
        }
    name = _name(f"finetune-{row}", design, False, variant, people)
    if pretrained_on is not None:
        name += f"_pretrained={pretrained_on.name}"
    return _learn(
        run,
        name,
        switches,
        own_net,
        budget,
        recipe,
        _pet_pairs(run, people),
        inputs,
        start,
        variant,
        people,
    )


def regression(run: Run) -> Learned:
    """Learn MRI -> PET in one step with the same body, by MSE: the control."""
    switches = run.profile.design("corrected")
    budget = _budget(run, switches, "finetune", False, {})
    recipe = {"regression": True, "flip": run.profile.training.flip}
    inputs = [cohort_stage(run)]
    return _learn(
        run,
        "finetune-regression_unet",
        switches,
        False,
        budget,
        recipe,
        _pet_pairs(run),
        inputs,
        None,
        {},
    )


def _learn(
    run,
    name,
    switches,
    own_net,
    budget,
    recipe,
    pairs,
    inputs,
    start,
    variant,
    people=None,
) -> Learned:
    def make(model: nn.Module) -> DiffusionRecipe | RegressionRecipe | DdpmPaRecipe:
        if recipe.get("regression"):
            return RegressionRecipe(model, flip=recipe["flip"])
        if recipe.get("ddpm_pa"):
            own = {k: v for k, v in recipe.items() if k != "ddpm_pa"}
            # The model holds the source's weights; the recipe freezes a copy of them.
            return DdpmPaRecipe(model, model, NoiseSchedule(), **own)
        return DiffusionRecipe(model, NoiseSchedule(), **recipe)

    return learn(
        run,
        name,
        module=__name__,
        network=_network(run, switches, own_net),
        switches=switches,
        budget=budget,
        recipe=recipe,
        make=make,
        pairs=pairs,
        inputs=inputs,
        start=start,
        seed=variant.get("seed"),
        snapshots=name.startswith("finetune-") and people is None,
        people=people,
    )


def _pet_pairs(run: Run, people: TrainingPeople | None = None):
    def pairs() -> ArrayPairs:
        store, ids = training_scans(run, people)
        pet = store.read("pet", ids)
        scale, _ = fit_pet_scale(pet)
        return ArrayPairs(store.read("mri", ids), scale.to_network(pet))

    return pairs


def _network(run: Run, switches: Design, own_net: bool) -> dict[str, Any]:
    shapes = {"pet_shape": run.profile.grids.pet, "mri_shape": run.profile.grids.mri}
    if own_net:
        return {"kind": "published", **shapes}
    body = run.profile.body.model_dump()
    return {"kind": "spatial", **shapes, **body, "conditioning": switches.conditioning}


def _budget(run, switches, phase, own_net, keys) -> Budget:
    plan = run.profile.training
    steps = plan.pretrain_steps if phase == "pretrain" else plan.finetune_steps
    size = plan.batch_size
    if own_net:
        steps, size = plan.published_net_steps, plan.published_net_batch_size
    return Budget(
        steps=int(keys.get("steps", steps)),
        batch_size=int(keys.get("batch_size", size)),
        learning_rate=float(keys.get("learning_rate", plan.learning_rate)),
        learning_rate_schedule=plan.learning_rate_schedule,
        warmup_steps=plan.warmup_steps,
        accumulation_steps=(
            plan.accumulation_steps
            if switches.accumulation == "released"
            else plan.micro_batches(int(keys.get("batch_size", size)))
        ),
        accumulation=switches.accumulation,
        clip_norm=plan.clip_norm,
        ema_decay=plan.ema_decay if switches.ema else None,
        checkpoint_every=plan.checkpoint_every,
    )


def _split_variant(
    run: Run, design: str, variant: dict[str, Any]
) -> tuple[Design, dict[str, Any]]:
    unknown = variant.keys() - _DESIGN_KEYS - _TRAINING_KEYS
    if unknown:
        known = ", ".join(sorted(_DESIGN_KEYS | _TRAINING_KEYS))
        raise ValueError(f"variant {sorted(unknown)}: expected keys among {known}")
    base = run.profile.design(design).model_dump()
    changed = {k: v for k, v in variant.items() if k in _DESIGN_KEYS}
    rest = {k: v for k, v in variant.items() if k in _TRAINING_KEYS}
    return Design(**{**base, **changed}), rest


def _name(
    stem: str,
    design: str,
    own_net: bool,
    variant: dict[str, Any],
    people: TrainingPeople | None = None,
) -> str:
    extra = "".join(f"_{k}={v}" for k, v in sorted(variant.items()))
    extra += f"_{people.name}" if people else ""
    return f"{stem}{'-published_net' if own_net else ''}-{design}{extra}"
