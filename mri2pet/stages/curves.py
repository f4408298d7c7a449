"""Stage `learning_curves`: how good each row is after so many samples seen."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mri2pet.artifacts import made_or_why
from mri2pet.config import CONTROLS
from mri2pet.evaluation.inference import patient_bootstrap
from mri2pet.evaluation.scans import score_scans
from mri2pet.stages.cohort import cohort, cohort_stage
from mri2pet.stages.learn import regression
from mri2pet.stages.rows import learned_rows, trained
from mri2pet.stages.sample import (
    draw,
    drawing_code,
    read_synthetic,
    sample_stage,
    sampling_settings,
)

if TYPE_CHECKING:
    from mri2pet.artifacts import Stage
    from mri2pet.run import Run

SCORES = (("ssim", "brain"), ("psnr", "brain"))
COLUMNS = ["row", "design", "metric", "region", "samples", "value", "low", "high", "n"]


def learning_curves(run: Run) -> pd.DataFrame:
    """Return the scores of every row on its way, and of the controls.

    Parameters
    ----------
    run : Run
        Its profile names the numbers of samples, `training.snapshots`.

    Returns
    -------
    DataFrame
        Columns row, design, metric, region, samples (seen in fine-tuning; 0 for a
        control that does not learn), value, low, high (95 % over people), n (people).
        A row that cannot be made is named in the log and is not there.

    Raises
    ------
    ValueError
        The profile names no numbers of samples.
    """
    if not run.profile.training.snapshots:
        raise ValueError(
            f"profile {run.profile.name}: training.snapshots is empty; name the "
            "numbers of samples at which weights are kept, as the profile study does"
        )
    stages = []
    for key in [*learned_rows(), *((control, "") for control in CONTROLS)]:
        made = made_or_why(partial(curve_stage, run, *key), key, run.log)
        if not isinstance(made, str):
            stages.append(made)

    def build(work: Path) -> None:
        (work / "results").mkdir(parents=True, exist_ok=True)
        read = {"keep_default_na": False, "na_values": ["NA"]}  # "" is no design
        curves = pd.concat([pd.read_csv(s.path(), **read) for s in stages])
        curves.to_csv(work / "results/learning_curves.csv", index=False, na_rep="NA")

    done = run.stage(
        "learning_curves",
        module=__name__,
        settings={},
        inputs=stages,
        outputs=["results/learning_curves.csv"],
        build=build,
    )
    return pd.read_csv(done.path(), na_values=["NA"]).fillna({"design": ""})


def curve_stage(run: Run, row: str, design: str) -> Stage:
    """Train a row, and score what it made of the test scans on its way."""
    scored = [cohort_stage(run)]
    if row == "regression_unet":
        learned = regression(run)
    else:
        learned = trained(run, row, design) if design else None
    # A control that does not learn has one score, of its finished pictures.
    scored.append(learned.stage if learned else sample_stage(run, row))
    people = run.profile.evaluation.curve_people
    settings = {"row": row, "people": people, "code of drawing": drawing_code()}
    if learned:
        chosen = {"samples": 1, "people": people}
        settings |= sampling_settings(run, row, design or "corrected", chosen)
    output = f"results/curves/{row}{'.' * bool(design)}{design}.csv"

    def build(work: Path) -> None:
        store = cohort(run)
        ids = store.ids(part="test", has_pet=True)[:people]
        patients = list(store.scans["participant_id"].loc[ids])
        truth = [store.read(kind, ids) for kind in ("pet", "brain", "regions")]
        mri = store.read("mri", ids)
        lines = []
        for samples in learned.snapshots() if learned else [0]:
            if learned:
                pets = draw(run, learned, mri, ids, settings, at=samples)[:, 0]
            else:
                pets = read_synthetic(scored[-1].path()).samples[: len(ids), 0]
            about = {"row": row, "design": design, "samples": samples}
            lines += [about | line for line in _scores(run, truth, pets, ids, patients)]
        path = work / output
        path.parent.mkdir(parents=True, exist_ok=True)
        frame = pd.DataFrame(lines, columns=COLUMNS)
        frame.to_csv(path, index=False, na_rep="NA", float_format="%.6g")

    return run.stage(
        f"curve-{row}{'-' * bool(design)}{design}",
        module=__name__,
        settings=settings,
        inputs=scored,
        outputs=[output],
        build=build,
    )


def _scores(run, truth, pets, ids, patients) -> list[dict]:
    """Lines of one point of a curve; no values where the network has diverged."""
    lines = [{"metric": m, "region": r, "n": len(set(patients))} for m, r in SCORES]
    if not np.isfinite(pets).all():
        return lines
    real, brain, regions = truth
    scores = score_scans(real, pets, brain, regions, ids, patients)
    for line in lines:
        e = patient_bootstrap(
            scores[f"{line['metric']}_{line['region']}"].to_numpy(),
            patients,
            n_boot=run.profile.evaluation.bootstrap,
            seed=run.profile.seed,
        )
        line |= {"value": e.value, "low": e.low, "high": e.high}
    return lines
