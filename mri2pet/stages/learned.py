"""A trained network on disk: the stage that makes one, and reading it back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel
from torch import nn

from mri2pet.artifacts import Stage, write_text
from mri2pet.baselines.networks import Generator
from mri2pet.checkpoint import load_tensors, load_weights, save_tensors
from mri2pet.config import Design
from mri2pet.model import PublishedUNet, SpatialUNet
from mri2pet.pairs import ArrayPairs
from mri2pet.stages.cohort import TrainingPeople, cohort
from mri2pet.synthesis import PetScale
from mri2pet.training import Budget, train
from mri2pet.turns import Game, Recipe

if TYPE_CHECKING:
    from mri2pet.cohort.store import Store
    from mri2pet.run import Run


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

    def model(self, samples: int | None = None) -> nn.Module:
        """Return the network in evaluation mode, final or as of so many samples."""
        path = self.path if samples is None else self.snapshots()[samples]
        network = build_network(self.network)
        load_weights(network, load_tensors(path)["model"], path)
        return network.to(memory_format=torch.channels_last_3d).eval()

    def snapshots(self) -> dict[int, Path]:
        """Files of weights that training has kept on its way, by samples seen."""
        files = (self.path.parent / "snapshots").glob("*.pt")
        return {int(f.stem): f for f in sorted(files)}


def build_network(spec: dict[str, Any]) -> nn.Module:
    """Make the network that a stage's settings describe."""
    shapes = {k: tuple(spec[k]) for k in ("pet_shape", "mri_shape")}
    if spec["kind"] == "published":
        return PublishedUNet(**shapes, attention="reordered")  # the same numbers
    if spec["kind"] == "generator":
        return Generator(**shapes)
    return SpatialUNet(
        **shapes,
        width=spec["width"],
        channel_mults=tuple(spec["channel_mults"]),
        patch=spec["patch"],
        conditioning=spec["conditioning"],
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


def training_scans(
    run: Run, people: TrainingPeople | None = None
) -> tuple[Store, list[str]]:
    """Return the store and the paired scans that a network learns from."""
    if people is None:
        store = cohort(run)
        return store, store.ids(part="train")
    store = people.store()
    return store, people.keep(store.ids(part="train"))


def _write_card(run, name, network, switches, folder, fit_scale, people) -> None:
    """Put beside the weights all that is needed to use them without the run."""
    store, ids = training_scans(run, people)
    scale, clip = fit_scale(store.read("pet", ids))
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


def learn(
    run: Run,
    name: str,
    *,
    module: str,
    network: dict[str, Any],
    switches: BaseModel,
    budget: Budget,
    recipe: dict[str, Any],
    make: Callable[[nn.Module], Recipe | Game],
    pairs: Callable[[], ArrayPairs],
    inputs: Sequence[Stage],
    start: Learned | None = None,
    scale: Callable = fit_pet_scale,
    seed: int | None = None,
    snapshots: bool = False,
    people: TrainingPeople | None = None,
) -> Learned:
    """Train a network, or return it when it is there already.

    Parameters
    ----------
    run : Run
    name : str
        Of the stage and of the folder below `checkpoints/`.
    module : str
        The module whose imports are the code of the stage.
    network : dict
        What `build_network` needs.
    switches : pydantic model
        Put into the card, for whoever uses the network.
    budget : Budget
    recipe : dict
        Plain values that decide the recipe: part of the stage's key.
    make : callable
        Makes the recipe around the network.
    pairs : callable
        Makes the training data; called only when something is trained.
    inputs : sequence of Stage
    start : Learned, optional
        Network whose weights are the first.
    scale : callable
        Fits the map between SUVR and network units to the training PETs.
    seed : int, optional
        Of initial weights, order and noise; by default the profile's.
    snapshots : bool
        Keep the weights after the numbers of samples that the profile names.
    people : TrainingPeople, optional
        Whose PETs give the scale, where these are not all training people.
    """
    output = f"checkpoints/{name}"
    dtype = precision(run, network)
    settings = {
        "network": network,
        "budget": {k: v for k, v in vars(budget).items() if k != "checkpoint_every"},
        "recipe": recipe,
        "dtype": dtype,
    }
    if people is not None:
        settings |= people.key()
    if seed is not None:
        settings["training_seed"] = seed
    seed = run.profile.seed if seed is None else seed
    kept = _kept(run, budget) if snapshots else {}
    if kept:
        settings["snapshots"] = list(kept.values())

    def build(work: Path) -> None:
        folder = work / output
        folder.mkdir(parents=True, exist_ok=True)
        with torch.random.fork_rng(devices=[]):
            # Initial weights are the only thing PyTorch draws by itself.
            torch.manual_seed(seed)
            model = build_network(network)
            if start is not None:
                load_weights(model, load_tensors(start.path)["model"], start.path)
            chosen = make(model)
        model.activation_checkpointing = run.profile.training.activation_checkpointing
        trained = train(
            chosen,
            pairs(),
            budget,
            seed=seed,
            checkpoint=work / "state.pt",
            dtype=dtype,
            device=run.profile.device,
            progress=_progress(run, name),
            snapshots={
                step: folder / "snapshots" / f"{samples:07d}.pt"
                for step, samples in kept.items()
            },
        )
        content = {"model": trained.network.state_dict()}
        if len(trained.players) > 1:
            content["players"] = {k: v.state_dict() for k, v in trained.players.items()}
        save_tensors(content, folder / "weights.pt")
        _write_card(run, name, network, switches, folder, scale, people)
        curve = pd.DataFrame(trained.history)
        curve.to_parquet(folder / "losses.parquet", index=False)

    stage = run.stage(
        name,
        module=module,
        settings=settings,
        inputs=inputs,
        outputs=[output],
        build=build,
        together=True,
    )
    learned = load_learned(stage.path())
    return replace(learned, stage=stage)


def _kept(run: Run, budget: Budget) -> dict[int, int]:
    """Steps after which weights are kept, with the samples that the profile names."""
    steps = {max(1, n // budget.batch_size): n for n in run.profile.training.snapshots}
    return {step: n for step, n in sorted(steps.items()) if step <= budget.steps}


def precision(run: Run, network: dict[str, Any]) -> str:
    """Return the dtype in which a network is trained and used.

    The published networks stay in float32 on a CPU: in PyTorch 2.13 the bfloat16
    gradients of their narrow convolutions on few voxels read memory that nobody wrote,
    and come out as 1e34 or NaN. `SpatialUNet` is not hit (tests/test_model.py).
    """
    on_cpu = run.profile.device == "cpu" or not torch.cuda.is_available()
    alone = network["kind"] in ("published", "generator") and on_cpu
    return "float32" if alone else run.profile.dtype


def _progress(run: Run, name: str):
    if run.progress is None:
        return None
    return lambda done, total, loss: run.progress(name, done, total, loss)
