"""Stage `cohort`: prepared volumes of everybody, in one store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri2pet.artifacts import Stage
from mri2pet.cohort.phantom import make_cohort
from mri2pet.cohort.splits import check_no_leak
from mri2pet.cohort.store import Store

if TYPE_CHECKING:
    from mri2pet.run import Run

OUTPUT = "store.zarr"
PHANTOMS_OUTPUT = "phantoms/store.zarr"
# What a store must know of its people for them to be simulated once more.
NEEDED = ("person", "visit", "V", "A")
UNLINKED_OUTPUT = "chance/store.zarr"
UNLINKED_SEED = 1000  # added to the run's


@dataclass(frozen=True)
class TrainingPeople:
    """Who a network learns from, where these are not all of the run's people.

    Attributes
    ----------
    name : str
        Part of the names of stages.
    stage : Stage
        Whose output is a store.
    without : frozenset of str
        Participants who are left out.
    """

    name: str
    stage: Stage
    without: frozenset[str] = frozenset()

    def store(self) -> Store:
        """Return the store."""
        return Store(self.stage.path())

    def keep(self, scan_ids: list[str]) -> list[str]:
        """Return those scans whose person is not left out."""
        people = self.store().scans["participant_id"]
        return [s for s in scan_ids if people[s] not in self.without]

    def key(self) -> dict[str, object]:
        """Return what decides who they are, for the settings of a stage."""
        return {"people": self.name, "without": sorted(self.without)}


def cohort_stage(run: Run) -> Stage:
    """Make the phantom cohort of the run's profile, or adopt a prepared store."""
    if run.profile.store is not None:
        return _prepared(run, Path(run.profile.store))
    return _phantoms(run, "cohort", OUTPUT, run.profile.cohort.model_dump())


def why_not(store: Store) -> str:
    """Say why the people of a store cannot be made again; empty if they can."""
    if store.truth is None:
        return "the store has no truth: real people cannot be made again"
    missing = [c for c in NEEDED if c not in store.truth]
    missing += [k for k in ("seed", "work_mm", "variability") if k not in store.attrs]
    if missing:
        return f"the store does not say {', '.join(missing)}"
    return ""


def phantoms_stage(run: Run) -> Stage:
    """Return people whose truth is known and who can be made again.

    The run's own where they are such; for other people, scanned or prepared from raw
    images, the phantom cohort of the profile is made beside them.
    """
    if not why_not(cohort(run)):
        return cohort_stage(run)
    people = run.profile.cohort.model_dump()
    return _phantoms(run, "phantoms", PHANTOMS_OUTPUT, people)


def phantoms(run: Run) -> Store:
    """Return the store of `phantoms_stage`."""
    return Store(phantoms_stage(run).path())


def stands_in(run: Run) -> bool:
    """Whether phantoms stand in for the run's own people, where truth is asked for."""
    return bool(why_not(cohort(run)))


def other_rho_stage(run: Run, rho: float) -> Stage:
    """Make the run's paired people again with another link of amyloid to the MRI.

    Their MRIs are the run's own: rho moves amyloid alone (a test compares them).
    """
    people = run.profile.cohort.model_dump()
    # Who is chosen for a small test part depends on amyloid: choose as the run does.
    people |= {"rho": rho, "select_rho": people["rho"], "unpaired": 0, "labelled": 0}
    return _phantoms(run, f"cohort-rho={rho:g}", f"rho/{rho:g}/store.zarr", people)


def _phantoms(run: Run, name: str, output: str, people: dict[str, Any]) -> Stage:
    """Make phantom people with the run's seed, on its grids."""
    profile = run.profile
    workers = people.pop("workers")  # does not change a byte

    def build(work: Path) -> None:
        make_cohort(
            work / output,
            grid_mri=profile.grids.mri,
            grid_pet=profile.grids.pet,
            seed=profile.seed,
            workers=workers,
            **people,
        )

    return run.stage(
        name,
        module=__name__,
        settings={"cohort": people, "grids": profile.grids.model_dump()},
        inputs=[],
        outputs=[output],
        build=build,
    )


def unlinked_stage(run: Run, people: int) -> Stage:
    """Make people of whom nothing but their own PET tells amyloid: rho 0, unlinked.

    They are all test people, other ones than the run's: another seed draws them.
    """
    profile = run.profile
    arguments = {
        "grid_mri": profile.grids.mri,
        "grid_pet": profile.grids.pet,
        "seed": profile.seed + UNLINKED_SEED,
        "rho": 0.0,
        "linked": False,
        "work_mm": profile.cohort.work_mm,
        "anatomies": profile.cohort.anatomies,
        **dict.fromkeys(("unpaired", "labelled", "train", "val"), 0),
        "test": people,
    }

    def build(work: Path) -> None:
        make_cohort(work / UNLINKED_OUTPUT, workers=profile.cohort.workers, **arguments)

    return run.stage(
        "chance-cohort",
        module=__name__,
        settings={"chance cohort": arguments},
        inputs=[],
        outputs=[UNLINKED_OUTPUT],
        build=build,
    )


def cohort(run: Run) -> Store:
    """Return the store of the run.

    Raises
    ------
    ValueError
        Another grid than the profile's, or a person or a volume in two parts (unless
        the profile asks for the released leak with ``split: pair``).
    """
    store = Store(cohort_stage(run).path())
    if run.profile.split == "patient":
        _check_no_leak(store)
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


def _check_no_leak(store: Store) -> None:
    try:
        check_no_leak(store.scans)
    except ValueError as error:
        raise ValueError(
            f"store {store.path}: {error}, or see what such a leak does with "
            "`split: pair` in the profile"
        ) from None


def _prepared(run: Run, path: Path) -> Stage:
    if not path.exists():
        raise ValueError(
            f"store {path}: there is no such folder; see `mri2pet prepare`"
        )
    key = Store(path).fingerprint()
    run.used["cohort"] = key
    return Stage("cohort", key, path.parent, {path.name: key}, 0.0)
