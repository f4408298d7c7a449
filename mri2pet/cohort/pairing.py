"""Which MRI belongs to which PET: at most a year apart, each scan used once.

The release walks through a person's PETs in the order of a directory listing and gives
each the nearest MRI that is still free (`greedy`; audit, 1.4). What the first one takes
the second one lacks, so it can lose pairs and days. `optimal` makes as many pairs as
possible and of these the ones with the fewest days in all.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

MOST_DAYS = 365
RULES = ("optimal", "greedy")
COLUMNS = ["participant_id", "mri", "pet", "days_apart"]


def pair(
    images: pd.DataFrame, rule: str = "optimal", most_days: int = MOST_DAYS
) -> pd.DataFrame:
    """Pair the MRIs and PETs of each person.

    Parameters
    ----------
    images : DataFrame
        Columns image (a name), participant_id, kind ("mri" or "pet"), days (since any
        fixed day; NaN where unknown). The result does not depend on the order of rows.
    rule : {"optimal", "greedy"}
    most_days : int
        Pairs further apart are not made.

    Returns
    -------
    DataFrame
        A line per pair, by person and day of the PET: participant_id, mri and pet
        (names), days_apart (MRI minus PET).

    Raises
    ------
    ValueError
        An unknown rule, kind or a negative `most_days`.

    Notes
    -----
    Where a day is unknown, only scans of one session can be a pair, 0 days apart; the
    caller gives them the same `session_id`.

    Examples
    --------
    >>> frame = pd.DataFrame(
    ...     [("m1", "a", "mri", 0), ("m2", "a", "mri", 400),
    ...      ("p1", "a", "pet", 230), ("p2", "a", "pet", 500)],
    ...     columns=["image", "participant_id", "kind", "days"],
    ... )
    >>> pair(frame)[["mri", "pet", "days_apart"]].values.tolist()
    [['m1', 'p1', -230], ['m2', 'p2', -100]]
    >>> pair(frame, "greedy")[["mri", "pet"]].values.tolist()
    [['m2', 'p1']]
    """
    if rule not in RULES:
        raise ValueError(f"pairing {rule!r}: expected one of {', '.join(RULES)}")
    if most_days < 0:
        raise ValueError(f"most_days is {most_days}: expected 0 or more")
    strange = set(images["kind"]) - {"mri", "pet"}
    if strange:
        raise ValueError(f"kind {min(strange)!r}: expected mri or pet")
    if "session_id" not in images:
        images = images.assign(session_id="")
    choose = _optimal if rule == "optimal" else _greedy
    lines = []
    ordered = images.sort_values(["participant_id", "days", "image"], kind="stable")
    for person, own in ordered.groupby("participant_id", sort=True):
        mris, pets = (own[own["kind"] == kind] for kind in ("mri", "pet"))
        if len(mris) == 0 or len(pets) == 0:
            continue
        apart = _apart(mris, pets)
        for m, p in choose(apart, most_days):
            names = mris["image"].iloc[m], pets["image"].iloc[p]
            lines.append((person, *names, int(apart[m, p])))
    return pd.DataFrame(lines, columns=COLUMNS)


def _apart(mris: pd.DataFrame, pets: pd.DataFrame) -> np.ndarray:
    """Days from each PET (columns) to each MRI (rows); infinite if unknown."""
    days = mris["days"].to_numpy(float)[:, None] - pets["days"].to_numpy(float)[None]
    sessions = mris["session_id"].to_numpy()[:, None] == pets["session_id"].to_numpy()
    unknown = np.isnan(days)
    return np.where(unknown, np.where(sessions, 0.0, np.inf), days)


def _greedy(apart: np.ndarray, most_days: int) -> list[tuple[int, int]]:
    free = np.ones(len(apart), dtype=bool)
    found = []
    for p in range(apart.shape[1]):
        away = np.where(free, np.abs(apart[:, p]), np.inf)
        m = int(away.argmin())
        if away[m] <= most_days:
            free[m] = False
            found.append((m, p))
    return found


def _optimal(apart: np.ndarray, most_days: int) -> list[tuple[int, int]]:
    from scipy.optimize import linear_sum_assignment

    away = np.abs(apart)
    allowed = away <= most_days
    # A pair that is not allowed costs more than all others together, so that as many
    # as possible are allowed.
    cost = np.where(allowed, away, (most_days + 1.0) * (1 + min(apart.shape)))
    rows, columns = linear_sum_assignment(cost)
    kept = [(int(m), int(p)) for m, p in zip(rows, columns, strict=True)]
    kept = [(m, p) for m, p in kept if allowed[m, p]]
    return sorted(kept, key=lambda pair: pair[1])
