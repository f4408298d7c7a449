"""Whether a store of other people can stand where the phantoms of a profile stood."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mri2pet.cohort.store import PARTS, Store, partial_path

# People of each part below which a chapter would have nothing to compare: two to style,
# four to cut into folds, two to calibrate on, four to correlate over.
LEAST = {"unpaired": 2, "train": 4, "val": 2, "test": 4}
_WHAT = {"unpaired": "an MRI only", "train": "a PET in training"}
_WHAT |= {"val": "a PET in validation", "test": "a PET in test"}


def looks_like_store(path: str | Path) -> bool:
    """Whether a folder is a store, or one that was not finished."""
    path = Path(path)
    if (path / "zarr.json").is_file() or path.suffix == ".zarr":
        return True
    return not path.exists() and partial_path(path).exists()


def counted(scans: pd.DataFrame) -> pd.DataFrame:
    """Return the scans that the book uses: in train, val and test those with a PET."""
    return scans[(scans["part"] == "unpaired") | scans["has_pet"].astype(bool)]


def people_of(scans: pd.DataFrame) -> dict[str, int]:
    """Count the people of each part.

    Parameters
    ----------
    scans : DataFrame
        With participant_id, part and has_pet.
    """
    counts = counted(scans).groupby("part")["participant_id"].nunique()
    return {part: int(counts.get(part, 0)) for part in PARTS}


def check_people(scans: pd.DataFrame, path: str | Path) -> None:
    """Refuse a cohort in which a part has too few people for the book.

    Raises
    ------
    ValueError
        Names the path, the first part that is too small, and the remedy.
    """
    for part, found in people_of(scans).items():
        if found < LEAST[part]:
            raise ValueError(
                f"{path}: {found} people with {_WHAT[part]}, but the book needs "
                f"{LEAST[part]}; add people, or change `prepare: fractions:` in the "
                "profile"
            )


def adopt(path: str | Path, grids: Mapping[str, tuple[int, int, int]]) -> Store:
    """Open a store and check that the book can be run on it.

    Parameters
    ----------
    path : str or Path
    grids : mapping "mri", "pet" -> (z, y, x)
        Of the profile.

    Returns
    -------
    Store

    Raises
    ------
    ValueError
        No such store, other grids, or too few people.
    """
    store = Store(path, tuple(grids["mri"]), tuple(grids["pet"]))
    check_people(store.scans, store.path)
    return store


def summary(store: Store, volumes: int) -> str:
    """Say in one line who is used, and what is clipped.

    Parameters
    ----------
    store : Store
    volumes : int
        `style.volumes` of the profile: MRIs that pre-training wants.
    """
    scans, people = store.scans, people_of(store.scans)
    parts = ", ".join(f"{count} {part}" for part, count in people.items())
    text = (
        f"Cohort {store.path}: {len(scans)} MRIs and {int(scans['has_pet'].sum())} "
        f"PETs of {scans['participant_id'].nunique()} people are used ({parts})"
    )
    left_out = store.path / "left_out.tsv"
    if left_out.is_file():
        table = pd.read_csv(left_out, sep="\t", keep_default_na=False)
        text += f"; {len(table)} left out, see {left_out}"
    pool = len(store.ids(part="unpaired"))
    if pool < volumes:
        text += (
            f". Pre-training wants {volumes} MRIs of people without a PET "
            f"(style.volumes); all {pool} that there are will be used"
        )
    return text + "."
