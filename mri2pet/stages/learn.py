"""Stages that train: pre-training, fine-tuning, and the regression control."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from mri2pet.artifacts import Stage, write_text
from mri2pet.checkpoint import load_tensors, load_weights, save_tensors
from mri2pet.cohort.scaling import scaled_mri
from mri2pet.config import PRETRAINING, WITH_LAPLACIAN, Design
from mri2pet.model import PublishedUNet, SpatialUNet
from mri2pet.recipes import DiffusionRecipe, RegressionRecipe
from mri2pet.schedule import NoiseSchedule
from mri2pet.stages.cohort import cohort, cohort_stage
from mri2pet.stages.style import styled, styled_stage, unpaired_ids
from mri2pet.synthesis import PetScale
from mri2pet.training import ArrayPairs, Budget, train

if TYPE_CHECKING:
    from mri2pet.run import Run

PRETRAINING_KINDS = ("style", "self", "noisy")
# Switches that the keyword arguments of `pretrain` and `finetune` may replace.
_DESIGN_KEYS = set(Design.model_fields)
# Of these, the ones that pre-training knows; it has no image loss.
_PRETRAINING_KEYS = {"prediction", "conditioning", "accumulation", "ema"}
_TRAINING_KEYS = {"steps", "laplacian", "learning_rate", "batch_size"}


@dataclass(frozen=True)
class Learned:
    """A trained network on disk, and what is needed to use it."""

    name: str
    path: Path
    stage: Stage
    network: dict[str, Any]
    switches: Design
    pet_scale: PetScale
    clip: tuple[float, float]
    losses: pd.DataFrame

    def model(self) -> nn.Module:
        """Return the network with its final weights, in evaluation mode."""
        network = build_network(self.network)
        load_weights(network, load_tensors(self.path)["model"], self.path)
        return network.to(memory_format=torch.channels_last_3d).eval()


def build_network(spec: dict[str, Any]) -> nn.Module:
    """Make the network that a stage's settings describe."""
    shapes = {k: tuple(spec[k]) for k in ("pet_shape", "mri_shape")}
    if spec["kind"] == "published":
        return PublishedUNet(**shapes, attention="reordered")  # the same numbers
    return SpatialUNet(
        **shapes,
        width=spec["width"],
        channel_mults=tuple(spec["channel_mults"]),
        patch=spec["patch"],
        conditioning=spec["conditioning"],
    )


def pretrain(run: Run, kind: str, design: str, **variant: Any) -> Learned:
    """Learn MRI -> styled MRI (`style`), -> itself (`self`), or `noisy`.

    `noisy` adds N(0, 1) to the MRI that conditions; the target is the clean one.
    """
    return _pretrain(run, kind, design, "mri2pet", variant)


def _pretrain(
    run: Run, kind: str, design: str, row: str, variant: dict[str, Any]
) -> Learned:
    if kind not in PRETRAINING_KINDS:
        raise ValueError(f"pre-training {kind!r}: expected one of {PRETRAINING_KINDS}")
    switches, budget_keys = _split_variant(run, design, variant)
    own_net = row == "mri2pet_published"
    name = _name(f"pretrain-{kind}", design, own_net, variant)
    inputs = [cohort_stage(run)]
    if kind == "style":
        inputs.append(styled_stage(run, design))
    budget = _budget(run, switches, "pretrain", own_net, budget_keys)

    def pairs() -> ArrayPairs:
        store = cohort(run)
        if kind == "style":
            made = styled(run, design)
            moved = np.flatnonzero(made.report["moved"])
            mri = store.read("mri", [made.scan_ids[i] for i in moved])
            target = made.volumes[moved]
        else:
            mri = store.read("mri", unpaired_ids(run, store))
            target = scaled_mri(mri, run.profile.grids.pet)
        # Scaled with the statistics of the targets themselves, as released.
        return ArrayPairs(mri, (target - target.mean()) / target.std())

    recipe = {
        "prediction": switches.prediction,
        "condition_noise": 1.0 if kind == "noisy" else 0.0,
        "flip": run.profile.training.flip,
    }
    return _learn(run, name, switches, own_net, budget, recipe, pairs, inputs, None)


def finetune(run: Run, row: str, design: str, **variant: Any) -> Learned:
    """Learn MRI -> PET for a row of Table 1, from its pre-training if it has one."""
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
    kind = PRETRAINING[row]
    start = None
    if kind:
        passed = {k: v for k, v in variant.items() if k in _PRETRAINING_KEYS}
        start = _pretrain(run, kind, design, row, passed)
    budget = _budget(run, switches, "finetune", own_net, budget_keys)
    inputs = [cohort_stage(run)] + ([start.stage] if start else [])
    default = run.profile.training.laplacian if row in WITH_LAPLACIAN else 0.0
    recipe = {
        "prediction": switches.prediction,
        "laplacian": float(variant.get("laplacian", default)),
        "laplacian_weight": switches.laplacian_weight,
        "levels": run.profile.training.laplacian_levels,
        "image_loss": switches.image_loss,
        "flip": run.profile.training.flip,
    }
    name = _name(f"finetune-{row}", design, False, variant)
    return _learn(
        run, name, switches, own_net, budget, recipe, _pet_pairs(run), inputs, start
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
    )


def load_learned(folder: str | Path) -> Learned:
    """Read a network from its folder alone (`weights.pt` and `card.json`).

    Raises
    ------
    ValueError
        A file is missing or not what this version writes.
    """
    folder = Path(folder)
    folder = folder.parent if folder.name == "weights.pt" else folder
    path = folder / "card.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        scale, clip = PetScale(*card["pet_scale"]), tuple(card["clip"])
        switches = Design(**card["switches"])
    except FileNotFoundError:
        raise ValueError(f"checkpoint {path}: there is no such file") from None
    except (KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"checkpoint {path}: not readable ({reason})") from None
    stage = Stage(card["name"], "", folder, {"weights.pt": ""}, 0.0)
    curve = pd.read_parquet(folder / "losses.parquet")
    weights = folder / "weights.pt"
    return Learned(
        card["name"], weights, stage, card["network"], switches, scale, clip, curve
    )


def _write_card(run, name, network, switches, folder) -> None:
    """Put beside the weights all that is needed to use them without the run."""
    store = cohort(run)
    scale, clip = fit_pet_scale(store.read("pet", store.ids(part="train")))
    card = {
        "name": name,
        "profile": run.profile.name,
        "trained_on": "phantoms" if run.profile.store is None else "a prepared store",
        "network": network,
        "switches": switches.model_dump(),
        "pet_scale": [scale.shift, scale.scale],
        "clip": list(clip),
    }
    write_text(folder / "card.json", json.dumps(card, indent=1))


def fit_pet_scale(pet_NDHW: np.ndarray) -> tuple[PetScale, tuple[float, float]]:
    """Fit the one affine map of the cohort, and the range of x0 in network units.

    Parameters
    ----------
    pet_NDHW : ndarray, shape (N, d, h, w)
        Training PETs, SUVR.

    Returns
    -------
    scale : PetScale
        Mean and SD over all voxels (audit, 1.3).
    clip : tuple of float
        Network units of SUVR 0 and of 1.1 times the largest training SUVR.
    """
    scale = PetScale(float(pet_NDHW.mean()), float(pet_NDHW.std()))
    top = 1.1 * float(pet_NDHW.max())
    return scale, (float(scale.to_network(0.0)), float(scale.to_network(top)))


def _pet_pairs(run: Run):
    def pairs() -> ArrayPairs:
        store = cohort(run)
        ids = store.ids(part="train")
        pet = store.read("pet", ids)
        scale, _ = fit_pet_scale(pet)
        return ArrayPairs(store.read("mri", ids), scale.to_network(pet))

    return pairs


def _learn(run, name, switches, own_net, budget, recipe, pairs, inputs, start):
    network = _network(run, switches, own_net)
    output = f"checkpoints/{name}"
    dtype = precision(run, network)
    settings = {
        "network": network,
        "budget": {k: v for k, v in vars(budget).items() if k != "checkpoint_every"},
        "recipe": recipe,
        "dtype": dtype,
    }

    def build(work: Path) -> None:
        folder = work / output
        folder.mkdir(parents=True, exist_ok=True)
        with torch.random.fork_rng(devices=[]):
            # Initial weights are the only thing PyTorch draws by itself.
            torch.manual_seed(run.profile.seed)
            model = build_network(network)
        model.activation_checkpointing = run.profile.training.activation_checkpointing
        if start is not None:
            load_weights(model, load_tensors(start.path)["model"], start.path)
        if recipe.get("regression"):
            chosen = RegressionRecipe(model, flip=recipe["flip"])
        else:
            chosen = DiffusionRecipe(model, NoiseSchedule(), **recipe)
        trained = train(
            chosen,
            pairs(),
            budget,
            seed=run.profile.seed,
            checkpoint=work / "state.pt",
            dtype=dtype,
            device=run.profile.device,
            progress=_progress(run, name),
        )
        save_tensors({"model": trained.network.state_dict()}, folder / "weights.pt")
        _write_card(run, name, network, switches, folder)
        curve = pd.DataFrame(trained.history)
        curve.to_parquet(folder / "losses.parquet", index=False)

    stage = run.stage(
        name,
        module=__name__,
        settings=settings,
        inputs=inputs,
        outputs=[output],
        build=build,
    )
    learned = load_learned(stage.path())
    return replace(learned, stage=stage)


def precision(run: Run, network: dict[str, Any]) -> str:
    """Return the dtype in which a network is trained and used.

    The published network stays in float32 on a CPU: in PyTorch 2.13 the bfloat16
    gradients of its narrow convolutions on few voxels read memory that nobody wrote,
    and come out as 1e34 or NaN. `SpatialUNet` is not hit (tests/test_model.py).
    """
    on_cpu = run.profile.device == "cpu" or not torch.cuda.is_available()
    alone = network["kind"] == "published" and on_cpu
    return "float32" if alone else run.profile.dtype


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
            plan.accumulation_steps if switches.accumulation == "released" else 1
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


def _name(stem: str, design: str, own_net: bool, variant: dict[str, Any]) -> str:
    extra = "".join(f"_{k}={v}" for k, v in sorted(variant.items()))
    return f"{stem}{'-published_net' if own_net else ''}-{design}{extra}"


def _progress(run: Run, name: str):
    if run.progress is None:
        return None
    return lambda done, total, loss: run.progress(name, done, total, loss)
