"""The command `mri2pet phantom`: simulated people, prepared or as raw scans."""

from __future__ import annotations

import argparse
from pathlib import Path

TEXT = "Make phantom people: a prepared store with MRI and PET, or raw scans as BIDS."
EXAMPLES = (
    "mri2pet phantom people.zarr --subjects 20\n"
    "         mri2pet phantom people-bids --subjects 12 --raw --voxel 2"
)
_RAW_ONLY = {"voxel": "t1_mm", "pet_voxel": "pet_mm", "frames": "frames"}


def add_options(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument("out", help="folder of the store or dataset, must not exist")
    command.add_argument(
        "--subjects", type=int, required=True, help="people, 4 or more"
    )
    command.add_argument("--profile", default="smoke", help="gives grids, rho and seed")
    command.add_argument(
        "--raw",
        action="store_true",
        help="a BIDS dataset of raw T1w and AV45 PET images; "
        "a third of the people have no PET, some come twice",
    )
    raw = command.add_argument_group("with --raw")
    raw.add_argument("--voxel", type=float, metavar="MM", help="of the T1w (default 1)")
    raw.add_argument(
        "--pet-voxel", type=float, metavar="MM", help="of the PET (default 2)"
    )
    raw.add_argument("--frames", type=int, metavar="K", help="of the PET (default 4)")
    raw.add_argument(
        "--no-truth",
        action="store_true",
        help="write no derivatives/truth beside the raw images",
    )


def run(options: argparse.Namespace) -> None:
    """Make a store or a dataset of phantom people.

    Raises
    ------
    ValueError
        Impossible options, or the folder exists.
    """
    from mri2pet.config import load_profile

    if options.subjects < 4:
        raise ValueError(f"--subjects is {options.subjects}: expected at least 4")
    for name in (*_RAW_ONLY, "no_truth"):
        if not options.raw and getattr(options, name) not in (None, False):
            raise ValueError(f"--{name.replace('_', '-')} needs --raw")
    out = Path(options.out)
    if out.exists():
        raise ValueError(f"{out}: exists already; choose another folder")
    profile = load_profile(options.profile)
    if options.raw:
        _make_dataset(options, out, profile)
        print(
            f"{out}: {options.subjects} phantom people as a BIDS dataset of raw scans"
        )
    else:
        _make_store(options, out, profile)
        print(f"{out}: {options.subjects} phantom people with MRI and PET")


def _make_store(options: argparse.Namespace, out: Path, profile) -> None:
    from mri2pet.cohort.phantom import make_cohort

    part = max(1, options.subjects // 5)
    make_cohort(
        out,
        grid_mri=profile.grids.mri,
        grid_pet=profile.grids.pet,
        unpaired=0,
        labelled=0,
        train=options.subjects - 2 * part,
        val=part,
        test=part,
        train_two_visits=0,
        test_two_visits=0,
        rho=profile.cohort.rho,
        seed=profile.seed,
        workers=profile.cohort.workers,
        work_mm=profile.cohort.work_mm,
    )


def _make_dataset(options: argparse.Namespace, out: Path, profile) -> None:
    from tqdm import tqdm

    from mri2pet.cohort.phantom.dataset import make_dataset

    asked = {
        name: getattr(options, option)
        for option, name in _RAW_ONLY.items()
        if getattr(options, option) is not None
    }
    with tqdm(unit="scan", disable=None) as bar:  # only on a terminal

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        make_dataset(
            out,
            subjects=options.subjects,
            seed=profile.seed,
            rho=profile.cohort.rho,
            workers=profile.cohort.workers,
            truth=not options.no_truth,
            progress=show,
            **asked,
        )
