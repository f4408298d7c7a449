"""Stage `evaluate`: Table 1, from the synthetic PETs of every row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mri2pet.baselines.controls import first_scans
from mri2pet.evaluation.frechet import RandomFeatures
from mri2pet.evaluation.published import beside_table1
from mri2pet.evaluation.scoring import score_every_subject, score_scans, summarise
from mri2pet.stages.cohort import cohort, cohort_stage
from mri2pet.stages.rows import table1_rows
from mri2pet.stages.sample import read_synthetic, sample_stage

if TYPE_CHECKING:
    from mri2pet.run import Run, Stage

POSITIVE_SUVR = 1.11  # composite of real PETs, where no latent truth is known


def table1_stage(run: Run) -> Stage:
    """Score every row and write `results/table1.csv` and the scores per scan."""
    stages = {key: sample_stage(run, *key) for key in table1_rows()}
    plan = run.profile.evaluation

    def build(work: Path) -> None:
        tidy, scores = _score(run, {k: s.path() for k, s in stages.items()})
        folder = work / "results"
        folder.mkdir(parents=True, exist_ok=True)
        tidy.to_csv(
            folder / "table1.csv", index=False, na_rep="NA", float_format="%.8g"
        )
        scores.to_parquet(folder / "table1_scans.parquet", index=False)

    return run.stage(
        "table1",
        module=__name__,
        settings={"evaluation": plan.model_dump(), "rho": run.profile.cohort.rho},
        inputs=[cohort_stage(run), *stages.values()],
        outputs=["results/table1.csv", "results/table1_scans.parquet"],
        build=build,
    )


def table1(run: Run) -> pd.DataFrame:
    """Return Table 1 as a tidy frame."""
    path = table1_stage(run).path("results/table1.csv")
    return pd.read_csv(path, keep_default_na=False, na_values=["NA"])


def check_999(run: Run) -> pd.DataFrame:
    """Score the respaced ancestral sampler against all 999 calls of the same rule.

    Row `mri2pet`, design published, on the first `check_people` validation scans.

    Returns
    -------
    DataFrame
        Columns calls, scan_id and the scores of `score_scans`; empty when the
        profile checks nobody.
    """
    people = run.profile.sampling.check_people
    if people == 0:
        return pd.DataFrame(columns=["calls", "scan_id", "ssim_brain", "psnr_brain"])
    few = run.profile.sampling.published_calls
    stages = {
        calls: sample_stage(
            run, "mri2pet", "published", calls=calls, people=people, part="val"
        )
        for calls in (few, 999)
    }

    def build(work: Path) -> None:
        store = cohort(run)
        frames = []
        for calls, stage in stages.items():
            made = read_synthetic(stage.path())
            ids = made.scan_ids
            frame = score_scans(
                store.read("pet", ids),
                made.samples[:, 0],
                store.read("brain", ids),
                store.read("regions", ids),
                ids,
                list(store.scans["participant_id"].loc[ids]),
            )
            frames.append(frame.reset_index().assign(calls=calls))
        (work / "results").mkdir(parents=True, exist_ok=True)
        pd.concat(frames, ignore_index=True).to_csv(
            work / "results/check_999.csv", index=False, float_format="%.8g"
        )

    done = run.stage(
        "check_999",
        module=__name__,
        settings={"calls": sorted(stages)},
        inputs=[cohort_stage(run), *stages.values()],
        outputs=["results/check_999.csv"],
        build=build,
    )
    return pd.read_csv(done.path())


def _score(
    run: Run, paths: dict[tuple[str, str], Path]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    store, plan = cohort(run), run.profile.evaluation
    ids = store.ids(part="test", has_pet=True)
    train_ids = store.ids(part="train")
    people = store.scans["participant_id"]
    patients = list(people.loc[ids])
    real, train = store.read("pet", ids), store.read("pet", train_ids)
    brain, regions = store.read("brain", ids), store.read("regions", ids)
    embed = RandomFeatures(plan.frechet_dims, seed=run.profile.seed).fit(train)

    scores, features, samples = {}, {}, {}
    for (row, design), path in paths.items():
        made = read_synthetic(path)
        if made.scan_ids != list(ids):
            raise ValueError(f"{path}: made for other scans than the test scans")
        volumes = {"": made.samples[:, 0]}
        if made.samples.shape[1] > 1:
            volumes["mean_of_samples"] = made.mean
        for variant, pets in volumes.items():
            key = (row, design, variant)
            scores[key] = score_scans(real, pets, brain, regions, ids, patients)
            features[key] = embed(pets)
            samples[key] = made.samples.shape[1] if variant else 1
    everyone = first_scans(list(people.loc[train_ids]))
    scores["random_subject", "", "every_subject"] = score_every_subject(
        real, train[everyone], brain, ids, patients, subjects=16
    )
    tidy = summarise(
        scores,
        positive=_positive(store, ids, scores),
        features=features,
        real_features_NSF=embed(real),
        floor=(embed(train), list(people.loc[train_ids])),
        published=beside_table1(),
        samples=samples,
        n_boot=plan.bootstrap,
        seed=run.profile.seed,
        rho=run.profile.cohort.rho,
    )
    per_scan = [
        frame.reset_index().assign(row=row, design=design, variant=variant)
        for (row, design, variant), frame in scores.items()
    ]
    return tidy, pd.concat(per_scan, ignore_index=True)


def _positive(store, ids, scores) -> pd.Series:
    """Amyloid status: the latent truth of phantoms, else composite SUVR > 1.11."""
    if store.truth is not None:
        return store.truth["status"].loc[ids].astype(bool)
    real = scores["mean_template", "", ""]["suvr_real_composite"]
    return real > POSITIVE_SUVR
