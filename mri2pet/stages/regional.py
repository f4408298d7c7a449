"""Synthetic PETs of the test and of the validation people, and what is read in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mri2pet.evaluation.regional import Measured, measure
from mri2pet.stages.cohort import cohort
from mri2pet.stages.sample import MAIN_ROWS, read_synthetic, sample_stage

if TYPE_CHECKING:
    from mri2pet.artifacts import Stage
    from mri2pet.run import Run


def samples_stage(run: Run, row: str, design: str, part: str) -> Stage:
    """Return the synthetic PETs of a row for the test or the validation scans.

    A main row has as many samples on validation people as on test people.
    """
    if part == "test":
        return sample_stage(run, row, design)
    many = {}
    if (row, design) in MAIN_ROWS:
        many = {"samples": run.profile.sampling.samples}
    return sample_stage(run, row, design, part=part, **many)


def measured(run: Run, row: str, design: str, part: str) -> Measured:
    """Return what a row of a run shows in some part."""
    stage = samples_stage(run, row, design, part)
    return measure(cohort(run), read_synthetic(stage.path()))
