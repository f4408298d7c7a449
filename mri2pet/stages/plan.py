"""Which stages each chapter needs, and about how long they take.

The estimate is arithmetic on the profile with costs measured once on 2 cores (see
`COST`), scaled by a half-second probe of the machine at hand. It is printed and
decides nothing: budgets never depend on the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

import torch

from mri2pet.cohort import adopting
from mri2pet.config import PRETRAINING, CohortConfig
from mri2pet.stages.adversarial import METHODS
from mri2pet.stages.agreement import agreement
from mri2pet.stages.appendix_c import appendix_c
from mri2pet.stages.cases import cases
from mri2pet.stages.certainty import certainty
from mri2pet.stages.chance import chance
from mri2pet.stages.clinical import clinical
from mri2pet.stages.preprocessing import preprocessing
from mri2pet.stages.rows import DESIGNS, learned_rows, table1_rows
from mri2pet.stages.sample import MAIN_ROWS
from mri2pet.stages.table1 import Arm, arms, attempt

if TYPE_CHECKING:
    from mri2pet.run import Run

KINDS = ("style", "self", "noisy")

# Chapter 7 compares these on four validation people.
SAMPLER_RUNS = [("corrected", "ddim", calls) for calls in (2, 5, 10, 25)]
SAMPLER_RUNS += [("corrected", "dpmpp_2m", calls) for calls in (2, 5, 10, 25)]
SAMPLER_RUNS += [("corrected", "ddpm", calls) for calls in (10, 25)]
SAMPLER_RUNS += [("published", "ddim", calls) for calls in (10, 25)]
SAMPLER_RUNS += [("published", "ddpm", calls) for calls in (10, 25, 50)]

# Seconds on the reference machine (2 cores with AVX-512, float32).
COST = {
    "train": 1.4e-6,  # a sample of SpatialUNet per PET voxel, forward and backward
    "call": 0.5e-6,  # a network call of SpatialUNet per PET voxel
    "train_published": 4.6e-6,  # the same of PublishedUNet
    "call_published": 1.5e-6,
    "train_gan": 0.28e-6,  # a sample per MRI voxel, both players; always float32
    "style": 5.1e-6,  # a step of one volume per PET voxel, mean of both Gram matrices
    "half": 0.65,  # what bfloat16 leaves of these, where the processor has it
    "raw_person": 30.0,  # made and prepared; registration works on a grid of its own
    "person": 1.0e-6,  # a phantom per MRI voxel
    "chapter": 15.0,  # kernel, imports, figures
    "probe": 0.0085,  # the probe below
}


def cohort(run: Run) -> None:
    """Chapters 1 and 3."""
    run.cohort()


def raw_scans(run: Run) -> None:
    """Chapter 2: raw phantoms, prepared."""
    preprocessing(run)
    run.phantoms()


def style(run: Run) -> None:
    """Chapter 4."""
    for design in DESIGNS:
        run.styled(design)


def scratch(run: Run) -> None:
    """Chapter 5: from scratch, with and without the pyramid."""
    for row in ("vanilla", "no_pretraining"):
        for design in DESIGNS:
            run.finetune(row, design)
    run.finetune("no_pretraining", "published", laplacian_weight="alpha_bar")
    for design in DESIGNS:
        run.finetune("no_pretraining", design, image_loss="mse")


def pretraining(run: Run) -> None:
    """Chapter 6: the pre-trainings, and what fine-tuning makes of them."""
    for design in DESIGNS:
        for kind in KINDS:
            run.pretrain(kind, design)
        for row in ("mri2pet", "no_loss", "no_pretraining", "vanilla"):
            run.finetune(row, design)
        run.finetune("mri2pet", design, image_loss="mse")


def finetuning(run: Run) -> None:
    """Chapter 7: the first synthetic PETs and their control."""
    for design in DESIGNS:
        run.sample("mri2pet", design)
    run.sample("regression_unet")
    run.sample("mean_template")
    run.check_999()
    samples = run.profile.sampling.samples
    run.sample("mri2pet", "corrected", part="val", samples=samples)
    for design, sampler, calls in SAMPLER_RUNS:
        chosen = {"sampler": sampler, "calls": calls, "samples": 1}
        run.sample("mri2pet", design, part="val", people=4, **chosen)


def baselines(run: Run) -> None:
    """Chapter 8: the methods from outside, the ablations and the controls."""
    for key in table1_rows():
        attempt(run, Arm(*key))


def table1(run: Run) -> None:
    """Chapter 9: every row of Table 1."""
    run.evaluate()


def case_studies(run: Run) -> None:
    """Chapter 10: people chosen by rule, and what a synthetic PET is worth."""
    cases(run)
    certainty(run)


def ambiguous_atrophy(run: Run) -> None:
    """Chapter 13: what sharpness, ambiguity and atrophy have to do with each other."""
    appendix_c(run)


def table2(run: Run) -> None:
    """Chapter 11: diagnosis in ten settings."""
    clinical(run)


def table3(run: Run) -> None:
    """Chapter 12: MMSE, and real against synthetic predictions."""
    clinical(run)
    agreement(run)


CHAPTERS: dict[str, Callable[[Run], None]] = {
    "01_cohort": cohort,
    "02_preprocessing": raw_scans,
    "03_diffusion": cohort,
    "04_style_transfer": style,
    "05_laplacian_loss": scratch,
    "06_pretraining": pretraining,
    "07_finetuning": finetuning,
    "08_baselines": baselines,
    "09_table1": table1,
    "10_case_studies": case_studies,
    "11_table2": table2,
    "12_table3": table3,
    "13_appendix_c": ambiguous_atrophy,
}
# Names of `mri2pet stage`.
STAGES: dict[str, Callable[[Run], None]] = {
    "cohort": cohort,
    "preprocessing": preprocessing,
    "style": style,
    "pretrain": lambda run: [run.pretrain(k, d) for d in DESIGNS for k in KINDS],
    "finetune": lambda run: [run.finetune(*key) for key in learned_rows()],
    "sample": finetuning,
    "evaluate": table1,
    "cases": case_studies,
    "chance": chance,
    "appendix_c": ambiguous_atrophy,
    "curves": lambda run: run.learning_curves(),
    "clinical": clinical,
    "agreement": agreement,
}
# What `mri2pet stage NAME --finished` may compute: nothing that trains.
AFTER_TRAINING = (
    *("sample-", "curve-", "learning_curves", "table1", "chance"),
    *("figure3", "certainty", "interventions", "appendix_c"),
)


def estimate(run: Run) -> dict[str, float]:
    """Seconds of each kind of work of a whole run, on this machine.

    Returns
    -------
    dict
        Kind of work to seconds, if nothing is done yet.
    """
    profile = run.profile
    plan, draw, people = profile.training, profile.sampling, people_of(run)
    pet, mri = prod(profile.grids.pet), prod(profile.grids.mri)
    paired = people.train + people.val + people.test
    scans = paired + people.train_two_visits + people.test_two_visits
    test = people.test + people.test_two_visits
    diffusion = [arm for arm in arms(run) if arm.row in PRETRAINING]
    diffusion = [arm for arm in diffusion if arm.row != "mri2pet_published"]
    gans = len([arm for arm in arms(run) if arm.row in METHODS])
    starts = {
        (PRETRAINING[a.row], a.design, a.keys.get("prediction")) for a in diffusion
    }
    steps = plan.pretrain_steps * len([kind for kind, *_ in starts if kind])
    steps += sum(a.keys.get("steps", plan.finetune_steps) for a in diffusion)
    steps += plan.finetune_steps * 4  # the regression, and three arms of chapter 5
    samples = plan.batch_size * steps
    own = 2 * plan.published_net_batch_size * plan.published_net_steps
    gan_steps = gans * plan.gan_steps + 2 * plan.gan_source_steps
    each = {"published": draw.published_calls, "corrected": draw.calls}
    many = {(*key, ""): draw.samples for key in MAIN_ROWS}
    calls = sum(test * many.get(a.key, 1) * each[a.design] for a in diffusion)
    calls += draw.check_people * 999
    others = len(set(profile.rhos) - {people.rho})
    changed = min(profile.atrophy.people, people.test)
    asked = changed * (profile.atrophy.levels * (1 + others) + 2)
    calls += asked * draw.samples * draw.calls
    volumes = min(profile.style.volumes, people.unpaired)
    seconds = {
        "cohort": COST["person"] * mri * (people.unpaired + 2 * (scans + asked)),
        "raw scans": COST["raw_person"] * profile.raw.raw_people / 2,
        "style": 2 * COST["style"] * pet * volumes * profile.style.steps,
        "training": COST["train"] * pet * samples,
        "published network": pet * (COST["train_published"] * own)
        + pet * COST["call_published"] * test * draw.published_calls,
        "GANs": COST["train_gan"] * mri * plan.gan_batch_size * gan_steps,
        "sampling": COST["call"] * pet * calls,
        "chapters": COST["chapter"] * len(CHAPTERS),
    }
    factor = probe() / COST["probe"]
    if profile.dtype == "bfloat16":
        for kind in ("style", "training", "published network", "sampling"):
            seconds[kind] *= COST["half"]
    return {k: v * factor for k, v in seconds.items()}


def people_of(run: Run) -> CohortConfig:
    """How many people of each kind the run has, those of an adopted store included."""
    if run.profile.store is None:
        return run.profile.cohort
    scans = run.cohort().scans
    known = adopting.people_of(scans)
    visits = adopting.counted(scans)["part"].value_counts()
    for part in ("train", "test"):
        known[f"{part}_two_visits"] = int(visits.get(part, 0)) - known[part]
    return run.profile.cohort.model_copy(update=known)


def probe() -> float:
    """Seconds that this machine takes for a fixed piece of convolution."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 32, 16, 24, 24, generator=generator)
    weight = torch.randn(32, 32, 3, 3, 3, generator=generator)
    x = x.to(memory_format=torch.channels_last_3d)
    weight = weight.to(memory_format=torch.channels_last_3d)
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        torch.nn.functional.conv3d(x, weight, padding=1)
        best = min(best, time.perf_counter() - start)
    return best
