"""Stage `cohort`: prepared volumes of everybody, in one store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mri2pet.artifacts import Stage
from mri2pet.cohort.phantom import make_cohort
from mri2pet.cohort.store import Store

if TYPE_CHECKING:
    from mri2pet.run import Run

OUTPUT = "store.zarr"


def cohort_stage(run: Run) -> Stage:
    """Make the phantom cohort of the run's profile, or adopt a prepared store."""
    if run.profile.store is not None:
        return _prepared(run, Path(run.profile.store))
    profile = run.profile
    people = profile.cohort.model_dump()
    workers = people.pop("workers")  # does not change a byte

    def build(work: Path) -> None:
        make_cohort(
            work / OUTPUT,
            grid_mri=profile.grids.mri,
            grid_pet=profile.grids.pet,
            seed=profile.seed,
            workers=workers,
            **people,
        )

    return run.stage(
        "cohort",
        module=__name__,
        settings={"cohort": people, "grids": profile.grids.model_dump()},
        inputs=[],
        outputs=[OUTPUT],
        build=build,
    )


def cohort(run: Run) -> Store:
    """Return the store of the run."""
    store = Store(cohort_stage(run).path())
    for kind, wanted in (
        ("mri", run.profile.grids.mri),
        ("pet", run.profile.grids.pet),
    ):
        if tuple(store.shape(kind)) != tuple(wanted):
            raise ValueError(
                f"store {store.path}: {kind} grid is {tuple(store.shape(kind))}, but "
                f"the profile has {tuple(wanted)}; prepare it again or change `grids:`"
            )
    return store


def _prepared(run: Run, path: Path) -> Stage:
    if not path.exists():
        raise ValueError(
            f"store {path}: there is no such folder; see `mri2pet prepare`"
        )
    key = Store(path).fingerprint()
    run.used["cohort"] = key
    return Stage("cohort", key, path.parent, {path.name: key}, 0.0)
