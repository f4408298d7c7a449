"""`mri2pet reproduce`: every stage and chapter of a profile, on phantoms or your data.

With ``--data`` the path is a prepared store, or raw scans (BIDS or ADNI). Raw scans are
first prepared as `mri2pet prepare` does it, into ``prepared/`` beside the runs. Nothing
of a run is written before the cohort is known to be enough for it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mri2pet.cohort.bids import Dataset
    from mri2pet.config import Profile

TEXT = "Run every stage and chapter of a profile and build the book."
EXAMPLES = (
    "mri2pet reproduce --profile smoke\n"
    "         mri2pet reproduce --profile tutorial --data people.zarr\n"
    "         mri2pet reproduce --profile tutorial --data bids/"
)
PREPARED = "prepared"  # folder beside the runs


def add_options(command: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    command.add_argument("--profile", default="smoke", help="name or YAML file")
    command.add_argument("--run-dir", default="", help="instead of runs/<profile>")
    command.add_argument(
        "--data",
        default=None,
        help="your people instead of phantoms: a store of `mri2pet prepare`, or raw "
        "scans (a BIDS dataset, an ADNI download), which are prepared first; the run "
        "gets a directory of its own",
    )
    command.add_argument(
        "--dry-run", action="store_true", help="print the plan, run nothing"
    )
    command.add_argument(
        "--chapters", nargs="*", default=None, help="only these chapters"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command.

    Raises
    ------
    ValueError
        A cohort or an option that the book cannot be run with.
    """
    from mri2pet.config import load_profile
    from mri2pet.report.reproduce import plan_lines, reproduce
    from mri2pet.run import Run

    profile = load_profile(options.profile)
    if options.dry_run:
        print("\n".join(_plan(profile, options, plan_lines)))
        return 0
    store, data = None, options.data or profile.store
    if data is not None:
        store = str(cohort_of(data, profile, options.run_dir))
    reproduce(Run.open(options.profile, options.run_dir, store=store), options.chapters)
    return 0


def cohort_of(data: str, profile: Profile, run_dir: str = "") -> Path:
    """Return the store of some people, prepared now if they are raw scans.

    Parameters
    ----------
    data : str
        A store, or a folder of raw scans.
    profile : Profile
    run_dir : str
        Of the run, if it is not the profile's own.

    Raises
    ------
    ValueError
        Neither a store nor raw scans, other grids, or too few people.
    """
    from mri2pet.cohort.adopting import adopt, check_people, looks_like_store, summary
    from mri2pet.commands.prepare import prepare_dataset, settings_of

    path = Path(data).resolve()
    if not looks_like_store(path):
        settings = settings_of(profile)
        dataset = _raw(path, profile)
        check_people(_dealt(dataset, settings), path)
        path = _place(dataset, settings, run_dir)
        plan = profile.prepare
        print(f"Raw scans {dataset.path} are prepared as {path}", flush=True)
        prepare_dataset(dataset, path, settings, plan.workers, plan.scheduler)
    grids = {"mri": profile.grids.mri, "pet": profile.grids.pet}
    store = adopt(path, grids)
    print(summary(store, profile.style.volumes), flush=True)
    return path


def _raw(path: Path, profile: Profile) -> Dataset:
    from mri2pet.commands.prepare import read_dataset

    if not path.is_dir():
        raise ValueError(
            f"{path}: there is no such folder; expected a store of `mri2pet prepare`, "
            "a BIDS dataset or an ADNI download"
        )
    try:
        return read_dataset(str(path), profile.prepare.tracer)
    except ValueError as error:
        raise ValueError(f"{error}; nor is it a store of `mri2pet prepare`") from None


def _dealt(dataset: Dataset, settings):
    """Scans with their parts, as they would be if every image can be used."""
    from mri2pet.cohort.inventory import deal, take_inventory

    found = take_inventory(dataset, pairing=settings.pairing, label=settings.label)
    rows = found.rows.set_index("scan_id", drop=False)
    try:
        return deal(rows, settings.fractions, settings.seed)[0]
    except ValueError as error:
        raise ValueError(f"{dataset.path}: {error}") from None


def _place(dataset: Dataset, settings, run_dir: str) -> Path:
    """Where raw scans are prepared: one place for the same scans and settings."""
    from mri2pet import provenance
    from mri2pet.cohort.preparing import specification
    from mri2pet.run import runs_home

    home = Path(run_dir).resolve().parent if run_dir else runs_home()
    spec = specification(dataset, settings) | {"path": str(dataset.path)}
    tag = provenance.digest(spec)[:8]
    return home / PREPARED / f"{dataset.path.name}-{tag}.zarr"


def _plan(profile: Profile, options: argparse.Namespace, plan_lines) -> list[str]:
    """Lines of a dry run; with raw scans, who would be prepared comes first."""
    from mri2pet.cohort.adopting import adopt, check_people, looks_like_store, summary
    from mri2pet.cohort.inventory import take_inventory
    from mri2pet.commands.prepare import settings_of

    if options.data is None:
        return plan_lines(options.profile)
    path = Path(options.data).resolve()
    if looks_like_store(path):
        grids = {"mri": profile.grids.mri, "pet": profile.grids.pet}
        about = [summary(adopt(path, grids), profile.style.volumes)]
        return about + plan_lines(options.profile, str(path))
    settings = settings_of(profile)
    dataset = _raw(path, profile)
    check_people(_dealt(dataset, settings), path)
    found = take_inventory(dataset, pairing=settings.pairing, label=settings.label)
    about = [f"Raw scans {path} would be prepared first:", *found.lines()]
    return about + plan_lines(options.profile)
