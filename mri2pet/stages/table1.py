"""Stage `table1`: every row and its variants, scored, compared and checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mri2pet.artifacts import made_or_why
from mri2pet.baselines.controls import first_scans
from mri2pet.config import CONTROLS
from mri2pet.evaluation.failure import failure_note, failures
from mri2pet.evaluation.family import table_tests
from mri2pet.evaluation.frechet import RandomFeatures
from mri2pet.evaluation.inference import auc_statistic, patient_bootstrap
from mri2pet.evaluation.published import beside_table1
from mri2pet.evaluation.released import released_lines
from mri2pet.evaluation.scans import score_every_subject, score_scans
from mri2pet.evaluation.scoring import COLUMNS, KEY, summarise
from mri2pet.evaluation.seeds import over_seeds
from mri2pet.evaluation.status import amyloid_status
from mri2pet.stages.cohort import cohort, cohort_stage
from mri2pet.stages.rows import DESIGNS, learned_rows, table1_rows, trained
from mri2pet.stages.sample import read_synthetic, sample_stage

if TYPE_CHECKING:
    from mri2pet.artifacts import Stage
    from mri2pet.cohort.store import Store
    from mri2pet.run import Run

PEOPLE_OF_CEILINGS = 40_000
EQUAL = "equal_total_steps"
# Rows trained again with other seeds, where the profile asks for it.
SEEDED = ("mri2pet", "no_pretraining", "vanilla")
# What a pre-trained row is measured against when steps are counted fairly.
FROM_NOTHING = {
    "mri2pet": "no_pretraining",
    "no_style": "no_pretraining",
    "self_pretrained": "no_pretraining",
    "no_loss": "vanilla",
    "ddpm_pa": "vanilla",
}
_TEXT = (*KEY, "interval", "source")
NOTES = ["row", "design", "variant", "kind", "note"]


@dataclass(frozen=True)
class Arm:
    """One line of the experiment: a row in a design, or a variant of it."""

    row: str
    design: str
    variant: str = ""
    keys: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        """Row, design and variant."""
        return self.row, self.design, self.variant


def arms(run: Run) -> list[Arm]:
    """Return all rows of Table 1 and the variants that explain them."""
    plan = run.profile.training
    found = [Arm(*key) for key in table1_rows()]
    one = {"samples": 1}
    total = {**one, "steps": plan.pretrain_steps + plan.finetune_steps}
    for design in DESIGNS:
        found += [Arm(r, design, EQUAL, total) for r in ("no_pretraining", "vanilla")]
        found.append(Arm("mri2pet", design, "x0_mse", {**one, "image_loss": "mse"}))
        for number in range(1, plan.seeds):
            other = {**one, "seed": run.profile.seed + number}
            found += [Arm(row, design, f"seed{number}", other) for row in SEEDED]
    usual = run.profile.design("corrected").prediction
    for prediction in ("x0", "v", "eps"):
        if prediction != usual:
            keys = {**one, "prediction": prediction}
            found.append(Arm("mri2pet", "corrected", prediction, keys))
    return found


def table1(run: Run) -> pd.DataFrame:
    """Return Table 1 as a tidy frame."""
    path = table1_stage(run).path("results/table1.csv")
    return pd.read_csv(path, keep_default_na=False, na_values=["NA"])


def table1_stage(run: Run) -> Stage:
    """Score every row; write Table 1, its scores per scan, tests and notes.

    A row that cannot be made (a loss that is no number, a batch too small for the
    method) is left out and named in `results/table1_notes.csv`; the others stand.
    """
    cohort(run)  # people who leak are refused at once, and not row by row
    stages: dict[tuple, Stage] = {}
    missing: dict[tuple, str] = {}
    for arm in arms(run):
        made = attempt(run, arm)
        if isinstance(made, str):
            missing[arm.key] = made
        else:
            stages[arm.key] = made
    plan = run.profile.evaluation
    outputs = [
        f"results/table1{name}"
        for name in (".csv", "_scans.parquet", "_tests.csv", "_notes.csv")
    ]

    def build(work: Path) -> None:
        folder = work / "results"
        folder.mkdir(parents=True, exist_ok=True)
        tidy, scans, tests, notes = _score(run, stages, missing)
        form = {"index": False, "na_rep": "NA", "float_format": "%.8g"}
        tidy.to_csv(folder / "table1.csv", **form)
        scans.to_parquet(folder / "table1_scans.parquet", index=False)
        tests.to_csv(folder / "table1_tests.csv", **form)
        notes.to_csv(folder / "table1_notes.csv", **form)

    return run.stage(
        "table1",
        module=__name__,
        settings={
            "evaluation": plan.model_dump(),
            "rho": run.profile.cohort.rho,
            "missing": {" ".join(k): v for k, v in missing.items()},
        },
        inputs=[cohort_stage(run), *stages.values()],
        outputs=outputs,
        build=build,
    )


def attempt(run: Run, arm: Arm) -> Stage | str:
    """Train and sample an arm, or say in one line why that is not possible."""
    return made_or_why(
        lambda: sample_stage(run, arm.row, arm.design, **arm.keys), arm.key, run.log
    )


@dataclass(frozen=True)
class _Test:
    """The test scans and what is known about them."""

    ids: list[str]
    patients: list[str]
    real: np.ndarray
    brain: np.ndarray
    regions: np.ndarray
    train: np.ndarray
    train_patients: list[str]

    @classmethod
    def read(cls, store: Store) -> _Test:
        ids, train = store.ids(part="test", has_pet=True), store.ids(part="train")
        people = store.scans["participant_id"]
        return cls(
            list(ids),
            list(people.loc[ids]),
            store.read("pet", ids),
            store.read("brain", ids),
            store.read("regions", ids),
            store.read("pet", train),
            list(people.loc[train]),
        )

    def score(self, pets: np.ndarray) -> pd.DataFrame:
        return score_scans(
            self.real, pets, self.brain, self.regions, self.ids, self.patients
        )


def _score(run, stages, missing):
    store, plan = cohort(run), run.profile.evaluation
    test = _Test.read(store)
    embed = RandomFeatures(plan.frechet_dims, seed=run.profile.seed).fit(test.train)
    scores, features, samples = {}, {}, {}
    released, notes = [], [(*k, "missing", text) for k, text in missing.items()]
    for key, stage in stages.items():
        row, design, arm = key
        made = read_synthetic(stage.path())
        if made.scan_ids != test.ids:
            raise ValueError(
                f"{stage.path()}: made for other scans than the test scans"
            )
        one = made.samples[:, 0]
        for variant, pets, k in _kinds(arm, made):
            scores[row, design, variant] = test.score(pets)
            features[row, design, variant] = embed(pets)
            samples[row, design, variant] = k
        if arm:
            continue
        try:
            released += released_lines(key, test.real, one, test.ids)
        except ValueError as error:
            notes.append((*key, "released_scoring", str(error)))
        if row not in CONTROLS:
            losses = trained(run, row, design).losses
            found = failures(
                one, test.train, test.brain, losses, patients=test.patients
            )
            notes += [(*key, "failure", failure_note([name])) for name in found]
    everyone = first_scans(test.train_patients)
    scores["random_subject", "", "every_subject"] = score_every_subject(
        test.real,
        test.train[everyone],
        test.brain,
        test.ids,
        test.patients,
        subjects=16,
    )
    real = scores["mean_template", "", ""]["suvr_real_composite"]
    positive = amyloid_status(store, real)
    tidy = summarise(
        scores,
        positive=positive,
        features=features,
        real_features_NSF=embed(test.real),
        floor=(embed(test.train), test.train_patients),
        published=beside_table1(),
        samples=samples,
        fair={k: (v, EQUAL) for k, v in FROM_NOTHING.items()},
        n_boot=plan.bootstrap,
        seed=run.profile.seed,
        rho=run.profile.cohort.rho,
    )
    more = [*released, *over_seeds(tidy), *_limits(run, store, test, positive)]
    usual = {"seed": run.profile.seed, "rho": run.profile.cohort.rho, "k": 1}
    lines = pd.DataFrame([{**usual, **line} for line in more]).reindex(columns=COLUMNS)
    lines = lines.fillna(dict.fromkeys(_TEXT, ""))
    tidy = pd.concat([tidy, lines], ignore_index=True)
    per_scan = [
        frame.reset_index().assign(row=row, design=design, variant=variant)
        for (row, design, variant), frame in scores.items()
    ]
    tests = table_tests(scores, learned_rows(), seed=run.profile.seed)
    return (
        tidy,
        pd.concat(per_scan, ignore_index=True),
        tests,
        pd.DataFrame(notes, columns=NOTES),
    )


def _kinds(arm: str, made) -> Iterator[tuple[str, np.ndarray, int]]:
    """One sample of each person, and of the default row their mean."""
    yield arm, made.samples[:, 0], 1
    if made.samples.shape[1] > 1 and not arm:
        yield "mean_of_samples", made.mean, made.samples.shape[1]


def _limits(run, store, test, positive) -> list[dict]:
    """What no row can beat: a real scan, and the best guess from the latents.

    The second is the area under the curve that knowing V (what an MRI shows of the
    disease) and the age allows in people drawn with this rho; phantoms only.
    """
    base = {"metric": "positivity_auc", "region": "composite", "n": len(test.ids)}
    real = test.score(test.real)["suvr_real_composite"].to_numpy(float)
    pair = np.stack([real, positive.loc[test.ids].to_numpy(float)])
    e = patient_bootstrap(
        pair,
        test.patients,
        auc_statistic,
        n_boot=run.profile.evaluation.bootstrap,
        seed=run.profile.seed,
    )
    spread = {"value": e.value, "low": e.low, "high": e.high, "n": e.people}
    lines = [
        {**base, "row": "real_pet", "variant": "self", "interval": "people", **spread}
    ]
    if store.truth is None:
        return lines
    from mri2pet.cohort.phantom.disease import ceilings

    best = ceilings(run.profile.cohort.rho, n=PEOPLE_OF_CEILINGS)
    best, drawn = best[best["target"] == "status"], {"n": PEOPLE_OF_CEILINGS}
    return lines + [
        {**base, "row": "ceiling", "variant": name, "value": auc, **drawn}
        for name, auc in zip(best["information"], best["auc"], strict=True)
    ]
