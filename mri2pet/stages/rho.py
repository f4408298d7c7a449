"""The run's people with another link between amyloid and the MRI, and their network.

The pre-training is the run's own: no amyloid is in it but what the style images of
the training PETs carry. Only the fine-tuning is done again, on the other PETs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mri2pet.cohort.store import Store
from mri2pet.stages.cohort import TrainingPeople, other_rho_stage
from mri2pet.stages.learn import finetune
from mri2pet.stages.sample import (
    Synthetic,
    draw,
    drawing_code,
    read_synthetic,
    sampling_settings,
    write_synthetic,
)

if TYPE_CHECKING:
    from pathlib import Path

    from mri2pet.artifacts import Stage
    from mri2pet.run import Run
    from mri2pet.stages.learned import Learned

ROW, DESIGN = "mri2pet", "corrected"


def rho_store(run: Run, rho: float) -> Store:
    """Return the paired people of the run, their amyloid drawn with another rho."""
    return Store(other_rho_stage(run, rho).path())


def rho_people(run: Run, rho: float) -> TrainingPeople:
    """Return these people as training data."""
    return TrainingPeople(f"rho={rho:g}", other_rho_stage(run, rho))


def rho_learned(run: Run, rho: float) -> Learned:
    """Return MRI2PET fine-tuned on their PETs."""
    return finetune(run, ROW, DESIGN, people=rho_people(run, rho))


def rho_synthetic_stage(run: Run, rho: float) -> Stage:
    """Synthetic PETs of all test scans, as many samples as the main row has."""
    learned = rho_learned(run, rho)
    settings = sampling_settings(run, ROW, DESIGN, {})
    output = f"rho/{rho:g}/synthetic.zarr"

    def build(work: Path) -> None:
        store = rho_store(run, rho)
        ids = store.ids(part="test", has_pet=True)
        pets = draw(run, learned, store.read("mri", ids), ids, settings)
        write_synthetic(work / output, ids, pets)

    return run.stage(
        f"sample-rho={rho:g}",
        module=__name__,
        settings={**settings, "code of drawing": drawing_code()},
        inputs=[other_rho_stage(run, rho), learned.stage],
        outputs=[output],
        build=build,
    )


def rho_synthetic(run: Run, rho: float) -> Synthetic:
    """Return these synthetic PETs."""
    return read_synthetic(rho_synthetic_stage(run, rho).path())
