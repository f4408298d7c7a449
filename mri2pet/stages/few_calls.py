"""Stage `check_999`: what few ancestral calls lose against all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mri2pet.evaluation.scans import score_scans
from mri2pet.stages.cohort import cohort, cohort_stage
from mri2pet.stages.sample import read_synthetic, sample_stage

if TYPE_CHECKING:
    from mri2pet.cohort.store import Store
    from mri2pet.run import Run
    from mri2pet.stages.sample import Synthetic


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
            frame = score_synthetic(store, read_synthetic(stage.path()))
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


def score_synthetic(store: Store, made: Synthetic) -> pd.DataFrame:
    """Scores of the first sample of each scan, as `score_scans` gives them."""
    ids = made.scan_ids
    return score_scans(
        store.read("pet", ids),
        made.samples[:, 0],
        store.read("brain", ids),
        store.read("regions", ids),
        ids,
        list(store.scans["participant_id"].loc[ids]),
    )
