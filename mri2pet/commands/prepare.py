"""`mri2pet prepare`: raw scans, in BIDS or as ADNI packs them, become a store."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mri2pet.cohort.bids import Dataset
    from mri2pet.cohort.one_scan import Settings
    from mri2pet.config import Profile

TEXT = "Prepare raw T1s and PETs (BIDS, or an ADNI download) for training."
EXAMPLES = (
    "mri2pet prepare bids/ --out people.zarr --profile tutorial\n"
    "         mri2pet prepare ADNI/ --tables csv/ --out adni.zarr --dry-run"
)


def add_options(command: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    command.add_argument("data", help="BIDS dataset, or folder of an ADNI download")
    command.add_argument("--out", required=True, help="folder of the store")
    command.add_argument("--profile", default="smoke", help="gives grids and split")
    command.add_argument("--tables", default=None, help="folder of ADNI's CSV tables")
    command.add_argument("--workers", type=int, default=None, help="processes")
    command.add_argument(
        "--scheduler", default=None, help="address of a Dask scheduler, not processes"
    )
    command.add_argument(
        "--dry-run", action="store_true", help="say what would be used, prepare nothing"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit status is 0 unless nothing can be used."""
    from mri2pet.cohort.inventory import take_inventory
    from mri2pet.config import load_profile

    profile = load_profile(options.profile)
    dataset = read_dataset(options.data, profile.prepare.tracer, options.tables)
    if options.dry_run:
        found = take_inventory(dataset, pairing=profile.prepare.pairing)
        print("\n".join(found.lines()))
        return 0
    workers = profile.prepare.workers if options.workers is None else options.workers
    if workers < 1:
        raise ValueError(f"--workers is {workers}: expected at least 1")
    scheduler = options.scheduler or profile.prepare.scheduler
    prepare_dataset(
        dataset, Path(options.out), settings_of(profile), workers, scheduler
    )
    return 0


def read_dataset(path: str, tracer: str, tables: str | None = None) -> Dataset:
    """Index a folder: ADNI's where `tables` are given or people are named by PTID.

    Raises
    ------
    ValueError
        No such folder, or no T1 in it.
    """
    from mri2pet.cohort.adni import is_adni, read_adni
    from mri2pet.cohort.bids import read_bids

    if tables is not None or is_adni(path):
        return read_adni(path, tables)
    return read_bids(path, tracer)


def settings_of(profile: Profile) -> Settings:
    """What a profile says about preparation."""
    from mri2pet.cohort.one_scan import Settings

    people = profile.cohort
    counts = (people.train, people.val, people.test)
    shares = tuple(count / sum(counts) for count in counts)
    return Settings(
        grid_mri=tuple(profile.grids.mri),
        grid_pet=tuple(profile.grids.pet),
        fractions=profile.prepare.fractions or shares,
        seed=profile.seed,
        pairing=profile.prepare.pairing,
        alignment=profile.prepare.alignment,
        published=profile.prepare.published,
    )


def prepare_dataset(
    dataset: Dataset,
    out: Path,
    settings: Settings,
    workers: int,
    scheduler: str | None = None,
) -> None:
    """Prepare with a progress bar, write the quality page, say how it went."""
    from tqdm import tqdm

    from mri2pet.cohort.preparing import prepare
    from mri2pet.report.quality import summary_lines, write_quality_page
    from mri2pet.report.quality_picture import draw_quality
    from mri2pet.scheduling import on_cluster

    silent = not sys.stderr.isatty()
    with tqdm(unit="scan", disable=silent) as bar, on_cluster(scheduler) as cluster:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        made = prepare(
            *(dataset, out, settings),
            workers=workers,
            cluster=cluster,
            draw=draw_quality,
            progress=progress,
        )
    page = write_quality_page(out)
    print("\n".join(summary_lines(out)))
    scans = made.scans
    print(
        f"{out}: {scans['participant_id'].nunique()} people, {len(scans)} MRIs, "
        f"{int(scans['has_pet'].sum())} PETs; look at {page}"
    )
