"""Stages `table2` and `table3`: diagnosis and MMSE, every setting with both spreads.

Beside each table: paired tests (Holm within metric and region), notes on what was
counted or could not be run, and the predictions that all of it was computed from.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mri2pet.artifacts import made_or_why
from mri2pet.cohort.phantom.disease import ceilings, mmse_ceilings
from mri2pet.evaluation import published
from mri2pet.evaluation.downstream import CLASSES
from mri2pet.evaluation.inference import holm
from mri2pet.evaluation.scoring import COLUMNS
from mri2pet.evaluation.utility import Scored, score_classes, score_values
from mri2pet.stages.cohort import cohort, cohort_stage
from mri2pet.stages.downstream import Images, predictions_stage, read_predictions
from mri2pet.stages.settings import TEMPLATE, arms

if TYPE_CHECKING:
    from mri2pet.artifacts import Stage
    from mri2pet.run import Run

# Which setting is compared with which, fixed before any result was seen. The first
# four are the parts of the abstract's comparison, which is the fifth.
COMPARISONS = (
    ("real_mri", "real_limited_mri"),  # more labelled MRIs
    ("real_paired", "real_pet"),  # a second input
    ("augmented_pet", "real_pet"),  # generated PET itself, like for like
    ("augmented_paired", "real_mri"),  # generated PET itself, at equal people
    ("augmented_paired", "real_pet"),  # what the abstract compares
    ("generated_pet", "real_pet"),
    ("real_mri", "covariates"),
    ("mri_covariates", "covariates"),
    ("augmented_paired", "covariates"),
)
# Also named in a sentence of the paper: judged there, and no test of ours.
CLAIMED = (
    ("augmented_paired", "real_paired"),
    ("augmented_paired", "real_limited_mri"),
    ("augmented_paired", "generated_pet"),
)
# More people with a PET that is the same for all: the step before a synthetic one.
STEPS = {"augmented_paired": "real_paired", "augmented_pet": "real_pet"}
TABLES = {
    "table2": {"diagnosis": "all"},
    "table3": {"mmse_20": "mmse_20", "mmse": "full_range"},
}
# What of them depends on rho: V and cognition do not.
OF_AMYLOID = ("A, age", "all")
RESAMPLES = 2000  # of tests, at least: fewer could not reach 0.05 after Holm
NOTES = ["row", "design", "variant", "kind", "note"]
TESTS = [*COLUMNS[:9], "p", "p_holm", "n", "family"]


def clinical(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return Tables 2 and 3 as tidy frames."""
    stage = clinical_stage(run)
    return tuple(
        pd.read_csv(
            stage.path(f"results/{name}.csv"), keep_default_na=False, na_values=["NA"]
        )
        for name in TABLES
    )


def predictions(run: Run) -> tuple[dict[tuple, Stage], dict[tuple, str]]:
    """Train every setting; (finished stages, reasons of what cannot be run)."""
    images = Images(run)
    stages: dict[tuple, Stage] = {}
    missing: dict[tuple, str] = {}
    for arm in arms(run):
        one = partial(predictions_stage, run, arm, images)
        made = made_or_why(one, arm.key, run.log)
        (missing if isinstance(made, str) else stages)[arm.key] = made
    return stages, missing


def clinical_stage(run: Run) -> Stage:
    """Score every setting; write both tables, their tests and their notes."""
    stages, missing = predictions(run)
    if not stages:
        raise ValueError(f"Tables 2 and 3: {next(iter(missing.values()))}")
    outputs = [
        f"results/{table}{name}.csv"
        for table in TABLES
        for name in ("", "_tests", "_notes")
    ]
    outputs.append("results/downstream_predictions.parquet")

    def build(work: Path) -> None:
        folder = work / "results"
        folder.mkdir(parents=True, exist_ok=True)
        form = {"index": False, "na_rep": "NA", "float_format": "%.8g"}
        read = {key: read_predictions(stage) for key, stage in stages.items()}
        frames = {key: frame for key, (frame, _) in read.items()}
        rhos = {arm.key: arm.rho for arm in arms(run)}
        for table in TABLES:
            tidy, tests, counted = score_table(
                table, frames, rhos, run.profile.evaluation.bootstrap, run.profile
            )
            tidy = pd.concat([tidy, _ceilings(run, table)], ignore_index=True)
            notes = [(*k, "missing", text) for k, text in missing.items()]
            for key, (_, texts) in read.items():
                notes += [(*key, "counted", t) for t in texts if _belongs(t, table)]
            notes += counted
            tidy.to_csv(folder / f"{table}.csv", **form)
            tests.to_csv(folder / f"{table}_tests.csv", **form)
            frame = pd.DataFrame(notes, columns=NOTES)
            frame.to_csv(folder / f"{table}_notes.csv", **form)
        every = [
            frame.assign(row=key[0], design=key[1], variant=key[2])
            for key, frame in frames.items()
        ]
        path = folder / "downstream_predictions.parquet"
        pd.concat(every, ignore_index=True).to_parquet(path, index=False)

    return run.stage(
        "clinical",
        module=__name__,
        settings={
            "bootstrap": run.profile.evaluation.bootstrap,
            "ceilings": run.profile.evaluation.ceiling_people,
            "rhos": [run.profile.cohort.rho, *run.profile.rhos],
            "missing": {" ".join(k): v for k, v in missing.items()},
        },
        inputs=[cohort_stage(run), *stages.values()],
        outputs=outputs,
        build=build,
    )


def _belongs(text: str, table: str) -> bool:
    return text.startswith("diagnosis") == (table == "table2")


def scores_of(
    frame: pd.DataFrame, target: str, n_boot: int, seed: int, on: str = "real"
) -> dict[str, Scored]:
    """Score what one setting predicted of one target."""
    part = frame[(frame["target"] == target) & (frame["on"] == on)]
    values = [f"p_{name}" for name in CLASSES] if target == "diagnosis" else "predicted"
    trained = [own for _, own in part.groupby("seed", sort=True)]
    predicted = np.stack([own[values].to_numpy(float) for own in trained])
    truth, people = trained[0]["truth"].to_numpy(), list(trained[0]["participant_id"])
    keys = {"n_boot": n_boot, "seed": seed}
    if target == "diagnosis":
        return score_classes(predicted, truth.astype(int), people, **keys)
    return score_values(predicted, truth, people, **keys)


def score_table(
    table: str,
    frames: dict[tuple, pd.DataFrame],
    rhos: dict[tuple, float | None],
    n_boot: int,
    profile,
) -> tuple[pd.DataFrame, pd.DataFrame, list[tuple]]:
    """Values, tests and notes of one table, from predictions.

    Parameters
    ----------
    table : {"table2", "table3"}
    frames : mapping (setting, design, variant) -> DataFrame
        Of `read_predictions`.
    rhos : mapping of the same keys
        The cohort's rho where it is not the profile's.
    n_boot : int
    profile : Profile
        Gives the seed and rho.
    """
    lines, tests, notes = [], [], []
    for target, region in TABLES[table].items():
        n_tests = max(n_boot, RESAMPLES)
        scored = {
            key: scores_of(frame, target, n_tests, profile.seed)
            for key, frame in frames.items()
            if (frame["target"] == target).any()
        }
        for key, found in scored.items():
            frame = frames[key]
            constant = _constant(frame, target)
            if constant:
                text = f"{region}: {constant} trainings predict the same for everybody"
                notes.append((*key, "counted", text))
            about = dict(zip(COLUMNS[:3], key, strict=True))
            about |= {"region": region, "k": 1, "seed": profile.seed}
            rho = rhos.get(key)
            about["rho"] = profile.cohort.rho if rho is None else rho
            others = _comparisons(key, scored)
            for metric, own in found.items():
                beside = {} if key[2] else _printed(table, key[0], metric, region)
                lines += _values({**about, **beside, "metric": metric}, own)
                if own.undefined:
                    share = f"{own.undefined} of {len(own.people_B)}"
                    text = f"{region}, {metric}: {share} resamples are undefined"
                    notes.append(("", "", "", "counted", text))
                for name, other in others.items():
                    difference = own.minus(other[metric])
                    line = {**about, "metric": metric, "comparison": name}
                    lines += _values(line, difference)
                    if key[2] == "" and (key[0], name) in COMPARISONS:
                        tests.append(_test(line, difference))
    tidy = pd.DataFrame(lines).reindex(columns=COLUMNS)
    text = [*COLUMNS[:6], "interval", "source"]
    tidy[text] = tidy[text].fillna("")
    return tidy, _adjusted(tests), list(dict.fromkeys(notes))


def _printed(table: str, row: str, metric: str, region: str) -> dict:
    """The paper's value beside ours; it has no scores below 20 in Table 3."""
    if region == "full_range":
        return {}
    try:
        found = published.entry(table, row, metric)
    except ValueError:
        return {}
    return {"published": found.value, "source": f"paper, {found.source}"}


def _comparisons(key, scored) -> dict[str, dict[str, Scored]]:
    """What a setting is compared with; a variant with its own setting."""
    setting, design, variant = key
    if variant:
        own = {setting: scored.get((setting, design, ""))}
        if variant == TEMPLATE and setting in STEPS:
            own[STEPS[setting]] = scored.get((STEPS[setting], "", ""))
        return {name: other for name, other in own.items() if other}
    found = {}
    for name, other in (*COMPARISONS, *CLAIMED):
        if name == setting:
            choice = scored.get((other, "", "")) or scored.get((other, design, ""))
            if choice:
                found[other] = choice
    return found


def _constant(frame: pd.DataFrame, target: str) -> int:
    part = frame[(frame["target"] == target) & (frame["on"] == "real")]
    column = f"p_{CLASSES[0]}" if target == "diagnosis" else "predicted"
    return int((part.groupby("seed")[column].nunique() == 1).sum())


def _values(about: dict, scored: Scored) -> list[dict]:
    lines = []
    for interval, (low, high), n in (
        ("people", scored.over_people(), scored.people),
        ("seeds", scored.over_seeds(), len(scored.seeds_S)),
    ):
        spread = {"value": scored.value, "low": low, "high": high}
        lines.append({**about, **spread, "interval": interval, "n": n})
    return lines


def _test(line: dict, difference: Scored) -> dict:
    low, high = difference.over_people()
    spread = {"value": difference.value, "low": low, "high": high}
    return {**line, **spread, "p": difference.p_value(), "n": difference.people}


def _adjusted(tests: list[dict]) -> pd.DataFrame:
    """Holm's adjustment within design, metric and region."""
    if not tests:
        return pd.DataFrame(columns=TESTS)
    frame = pd.DataFrame(tests)
    for places in frame.groupby(["metric", "region"]).groups.values():
        frame.loc[places, "p_holm"] = holm(frame.loc[places, "p"])
        frame.loc[places, "family"] = len(places)
    return frame.reindex(columns=TESTS)


def _ceilings(run: Run, table: str) -> pd.DataFrame:
    """What the latents allow, for the run's rho and the others; phantoms only."""
    lines, people = [], run.profile.evaluation.ceiling_people
    if cohort(run).truth is None:
        return pd.DataFrame(columns=COLUMNS)
    for rho in (run.profile.cohort.rho, *run.profile.rhos):
        own = rho == run.profile.cohort.rho
        some = {"n": people, "information": None if own else OF_AMYLOID}
        if table == "table2":
            best = ceilings(rho, target="diagnosis", **some)
            best = best.rename(columns={"auc": "value"})
            best = best.assign(metric="auroc_macro", region="all")
        else:
            best = mmse_ceilings(rho, lowest=run.profile.downstream.mmse_from, **some)
        for line in best.to_dict("records"):
            variant = line["information"]
            if not own:
                variant += f", rho={rho:g}"
            kept = {k: line[k] for k in ("metric", "region", "value")}
            lines.append({"row": "ceiling", "variant": variant, "rho": rho, **kept})
    frame = pd.DataFrame(lines).reindex(columns=COLUMNS)
    frame["n"], frame["seed"] = people, run.profile.seed
    text = ["design", "comparison", "interval", "source"]
    frame[text] = frame[text].fillna("")
    return frame
