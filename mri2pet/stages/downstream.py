"""Stages `downstream-...`: diagnosis and MMSE of the test people, setting by setting.

Seeds are paired: the people who are held back for early stopping depend on the person
and the seed alone, so two settings differ in what they are given and in nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mri2pet.cohort import labels
from mri2pet.evaluation.downstream import (
    CLASSES,
    Plan,
    Sample,
    fit,
    person_number,
    seen,
)
from mri2pet.scheduling import on_cluster
from mri2pet.stages.cohort import cohort, cohort_stage, other_rho_stage
from mri2pet.stages.crossfit import (
    GENERATOR,
    generated_stages,
    labelled_scans,
    read_generated,
    rho_generated_stage,
)
from mri2pet.stages.rho import rho_store, rho_synthetic_stage
from mri2pet.stages.sample import read_synthetic, sample_stage
from mri2pet.stages.settings import COVARIATES, SETTINGS, TARGETS, TEMPLATE, Arm

if TYPE_CHECKING:
    from mri2pet.artifacts import Stage
    from mri2pet.run import Run


class Images:
    """Images as the network takes them, read once for all arms of a run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.store = cohort(run)
        plan = run.profile.downstream
        self.as_seen = {"network": plan.network, "grid": plan.grid}
        self.train = labelled_scans(self.store)
        self.test = self.store.ids(part="test", has_pet=True)
        self._stages: dict[tuple, tuple[list[Stage], list[Stage]]] = {}

    def synthetic(self, arm: Arm) -> tuple[list[Stage], list[Stage]]:
        """Stages of the synthetic PETs that an arm trains on, and is tried on."""
        setting = SETTINGS[arm.setting]
        key = (setting, arm.design, arm.variant == TEMPLATE, arm.way, arm.rho)
        if key not in self._stages:
            self._stages[key] = _synthetic(self.run, arm)
        return self._stages[key]

    @cached_property
    def mri(self) -> dict[str, np.ndarray]:
        """MRI of every labelled scan and of the test scans."""
        return self._seen("mri", [*self.train, *self.test], self.store)

    @cached_property
    def pet(self) -> dict[str, np.ndarray]:
        """Real PET of every paired scan."""
        return self._seen("pet", self.paired, self.store)

    @property
    def paired(self) -> list[str]:
        """Scans with a real PET, in training and test."""
        has = self.store.scans["has_pet"]
        return [s for s in [*self.train, *self.test] if has[s]]

    def pet_at(self, rho: float) -> dict[str, np.ndarray]:
        """Real PETs with another rho."""
        return self._seen("pet", self.paired, rho_store(self.run, rho))

    def look(self, pets: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Synthetic PETs as the network takes them."""
        if not pets:
            return {}
        volumes = seen(np.stack(list(pets.values())), "pet", **self.as_seen)
        return dict(zip(pets, volumes, strict=True))

    def _seen(self, kind, ids, store):
        volumes = (seen(store.read(kind, [s]), kind, **self.as_seen)[0] for s in ids)
        return dict(zip(ids, volumes, strict=True))


def predictions_stage(run: Run, arm: Arm, images: Images) -> Stage:
    """Train a setting with every seed and predict the test people."""
    setting, plan = SETTINGS[arm.setting], run.profile.downstream
    inputs = [cohort_stage(run)]
    made, test_made = images.synthetic(arm)
    inputs += [*made, *test_made]
    if arm.rho is not None:
        inputs.append(other_rho_stage(run, arm.rho))
    name = ".".join(filter(None, arm.key))
    output = f"downstream/{name}"

    def build(work: Path) -> None:
        folder = work / output
        folder.mkdir(parents=True, exist_ok=True)
        frame, notes = _predict(run, arm, images, made, test_made)
        frame.to_parquet(folder / "predictions.parquet", index=False)
        (folder / "notes.json").write_text(json.dumps(notes, indent=1))

    kept = plan.model_dump(
        exclude={"workers", "scheduler", "designs", "fractions", "fold_pretraining"}
    )
    return run.stage(
        f"downstream-{name}",
        module=__name__,
        settings={**kept, "setting": vars(setting), "arm": vars(arm)},
        inputs=inputs,
        outputs=[output],
        build=build,
    )


def _synthetic(run: Run, arm: Arm) -> tuple[list[Stage], list[Stage]]:
    setting = SETTINGS[arm.setting]
    if "pet" not in setting.images:
        return [], []
    if arm.rho is not None:
        test = [rho_synthetic_stage(run, arm.rho)]
        return [rho_generated_stage(run, arm.rho)] if setting.more else [], test
    design = arm.design or run.profile.downstream.designs[0]
    test = [sample_stage(run, GENERATOR, design)]
    if not setting.synthetic or arm.variant == TEMPLATE:
        return [], test
    return generated_stages(run, design, arm.way), test


def _predict(run, arm, images, made, test_made):
    plan = run.profile.downstream
    scans = _with_pool(images.store)
    train_pets, test_pets = _pets(arm, images, made), {}
    if test_made:
        group = read_synthetic(test_made[0].path())
        first = dict(zip(group.scan_ids, group.samples[:, 0], strict=True))
        test_pets = images.look(first)
    real = images.pet if arm.rho is None else images.pet_at(arm.rho)
    jobs, about, notes = [], [], []
    for target in TARGETS:
        learn = _prepare(arm, images, scans, target, _who(arm, images), train_pets)
        tests = {"real": _prepare(arm, images, scans, target, images.test, real)}
        if test_pets:
            tests["generated"] = _prepare(
                arm, images, scans, target, images.test, test_pets
            )
        notes += [f"{target}: {text}" for text in learn.notes]
        notes += [f"{target}, test: {text}" for text in tests["real"].notes]
        known = len(learn.sample), len(tests["real"].sample)
        if min(known) < 2:
            text = f"{known[0]} training and {known[1]} test scans have a label"
            notes.append(f"{target}: not predicted, {text}")
            continue
        samples = {name: test.sample for name, test in tests.items()}
        for number in range(plan.seeds):
            about.append((target, 4 * number, tests))
            jobs.append((learn.sample, samples, learn.classes, _plan(run), 4 * number))
    if not jobs:
        raise ValueError(f"{arm.setting}: {'; '.join(notes)}")
    frames = [
        _frame(tests[on], target, seed, on, predicted)
        for (target, seed, tests), found in zip(
            about, _fit_all(jobs, plan), strict=True
        )
        for on, predicted in found.items()
    ]
    return pd.concat(frames, ignore_index=True), notes


def _plan(run: Run) -> Plan:
    plan = run.profile.downstream
    device = run.profile.device
    return Plan(
        network=plan.network,
        dropout=plan.dropout,
        epochs=plan.epochs,
        patience=plan.patience,
        batch_size=plan.batch_size,
        learning_rate=plan.learning_rate,
        validation=plan.validation,
        device="cpu" if device == "auto" else device,
    )


def _fit_all(jobs, plan) -> Iterator[dict[str, np.ndarray]]:
    """Run the fits here, in processes, or on a Dask cluster."""
    from joblib import Parallel, delayed

    calls = [delayed(_fit_alone)(*job) for job in jobs]
    with on_cluster(plan.scheduler) as cluster:
        return iter(Parallel(n_jobs=-1 if cluster else plan.workers)(calls))


def _fit_alone(*job):
    """One fit with one thread, so that neither place nor neighbours change a bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return fit(*job)
    finally:
        torch.set_num_threads(before)


def _with_pool(store) -> pd.DataFrame:
    """Scan table in which sex is a number."""
    scans = store.scans.copy()
    scans["sex"] = (scans["sex"] == "F").astype(float)
    return scans


def _who(arm: Arm, images: Images) -> list[str]:
    """Scans that an arm learns from, before labels are looked at."""
    setting, scans = SETTINGS[arm.setting], images.store.scans
    ids = [s for s in images.train if setting.more or scans["part"][s] != "unpaired"]
    people = sorted({scans["participant_id"][s] for s in ids}, key=person_number)
    kept = set(people[: max(2, round(arm.fraction * len(people)))])
    return [s for s in ids if scans["participant_id"][s] in kept]


def _pets(arm: Arm, images: Images, made: list[Stage]) -> dict[str, np.ndarray]:
    """PET of every training scan that an arm may use."""
    setting = SETTINGS[arm.setting]
    if "pet" not in setting.images:
        return {}
    real = images.pet if arm.rho is None else images.pet_at(arm.rho)
    synthetic = images.look(read_generated(made))
    if arm.variant == TEMPLATE:
        mean = np.mean([real[s] for s in images.paired if s not in images.test], axis=0)
        synthetic = dict.fromkeys(images.train, mean)
    if setting.pet == "generated":
        return synthetic
    return {**synthetic, **real}


@dataclass(frozen=True)
class _Prepared:
    """Scans with a label; what is stratified by and what was counted."""

    sample: Sample
    classes: list
    notes: list[str]
    ids: list[str]


def _prepare(arm, images, scans, target, ids, pets) -> _Prepared:
    plan = images.run.profile.downstream
    setting = SETTINGS[arm.setting]
    notes = []
    if target == "diagnosis":
        found = labels.diagnoses(scans, ids, plan.label)
    else:
        lowest = plan.mmse_from if target == "mmse_20" else 0
        found = labels.mmse(scans, ids, plan.label, lowest, plan.mmse_filter)
    if found.missing:
        notes.append(f"{len(found.missing)} scans without a label are left out")
    ids = list(found.values.index)
    lacking = [s for s in ids if "pet" in setting.images and s not in pets]
    if lacking:
        notes.append(f"{len(lacking)} scans without a PET are left out")
        ids = [s for s in ids if s not in set(lacking)]
    if not ids:
        nobody = Sample({}, None, np.empty(0), [])
        return _Prepared(nobody, [], notes, ids)
    volumes = {}
    if "mri" in setting.images:
        volumes["mri"] = np.stack([images.mri[s] for s in ids])
    if "pet" in setting.images:
        volumes["pet"] = np.stack([pets[s] for s in ids])
    covariates = None
    if setting.covariates:
        known = [c for c in COVARIATES if c in scans]
        covariates = scans.loc[ids, known].astype(float)
        unknown = int(covariates.isna().any(axis=1).sum())
        if unknown:
            notes.append(
                f"{unknown} scans have a mean in place of an unknown covariate"
            )
        # A mean of nothing (a column that nobody has) is no number either.
        covariates = covariates.fillna(covariates.mean()).fillna(0.0).to_numpy()
    values = found.values[ids]
    if target == "diagnosis":
        y = np.array([CLASSES.index(v) for v in values], dtype=np.int64)
        absent = [c for k, c in enumerate(CLASSES) if k not in y]
        if absent:
            notes.append(f"nobody with {', '.join(absent)}")
        classes = list(values)
    else:
        y, classes = values.to_numpy(float), [v >= 26 for v in values]
    people = list(scans["participant_id"][ids])
    return _Prepared(Sample(volumes, covariates, y, people), classes, notes, ids)


def _frame(test: _Prepared, target, seed, on, predicted) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "scan_id": test.ids,
            "participant_id": test.sample.people,
            "target": target,
            "seed": seed,
            "on": on,
            "truth": np.asarray(test.sample.target_N, float),
        }
    )
    if predicted.ndim == 2:
        for number, name in enumerate(CLASSES):
            frame[f"p_{name}"] = predicted[:, number]
    else:
        frame["predicted"] = predicted
    return frame


def read_predictions(stage: Stage) -> tuple[pd.DataFrame, list[str]]:
    """Predictions of an arm, and what was counted on the way."""
    folder = stage.path()
    notes = json.loads((folder / "notes.json").read_text())
    return pd.read_parquet(folder / "predictions.parquet"), notes
