"""Diagnosis and MMSE of a scan, by a rule that is stated.

The release takes a person's last diagnosis whatever the date of the scan, and keeps
MMSE scores from 20 on *before* it looks for the one nearest to the scan, so that a
person with 17 today and 21 three years ago counts with 21 (audit, 1.7, D10, D11).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

MOST_DAYS = 365  # between a scan and the visit that its label comes from
LabelRule = Literal["nearest_visit", "last_row"]
FilterRule = Literal["nearest", "released"]


@dataclass(frozen=True)
class Labels:
    """Labels of scans, and how many have none.

    Attributes
    ----------
    values : Series
        By scan id, in the order asked for; only scans with a label.
    missing : list of str
        Scans without one.
    """

    values: pd.Series
    missing: list[str]


def diagnoses(
    scans: pd.DataFrame,
    scan_ids: list[str],
    rule: LabelRule = "nearest_visit",
    known: tuple[str, ...] = ("CN", "MCI", "AD"),
) -> Labels:
    """Diagnosis of each scan.

    Parameters
    ----------
    scans : DataFrame
        Indexed by scan id: participant_id, days, diagnosis. All visits of a person
        may give a label, in whatever order they stand.
    scan_ids : list of str
    rule : {"nearest_visit", "last_row"}
        The visit nearest in time, the earlier one of two, at most `MOST_DAYS` away;
        or the last of the person, as released.
    known : tuple of str
        Diagnoses that count; another one raises.

    Returns
    -------
    Labels

    Raises
    ------
    ValueError
        An unknown rule or diagnosis.
    """
    found = _labels(scans, scans, scan_ids, "diagnosis", rule)
    strange = sorted(set(found.values) - set(known))
    if strange:
        where = found.values.index[found.values == strange[0]][0]
        raise ValueError(
            f"{where}: diagnosis {strange[0]!r}; expected one of {', '.join(known)}"
        )
    return found


def mmse(
    scans: pd.DataFrame,
    scan_ids: list[str],
    rule: LabelRule = "nearest_visit",
    lowest: int = 0,
    filter_rule: FilterRule = "nearest",
) -> Labels:
    """MMSE of each scan, of those who reach a lowest score.

    Parameters
    ----------
    scans, scan_ids, rule
        As in `diagnoses`, with a column mmse.
    lowest : int
        Scores below are left out.
    filter_rule : {"nearest", "released"}
        Find the score of the scan, then leave it out if it is too low; or leave out
        low scores first and find the nearest of the rest, however far, as released.

    Returns
    -------
    Labels

    Raises
    ------
    ValueError
        A score outside 0..30, or an unknown rule.
    """
    wrong = scans["mmse"].dropna()
    wrong = wrong[(wrong < 0) | (wrong > 30)]
    if len(wrong):
        raise ValueError(f"{wrong.index[0]}: MMSE {wrong.iloc[0]}; expected 0 to 30")
    if filter_rule == "released":
        high = scans[scans["mmse"] >= lowest]
        return _labels(scans, high, scan_ids, "mmse", rule, most_days=None)
    if filter_rule != "nearest":
        raise ValueError(f"filter rule {filter_rule!r}: expected nearest or released")
    found = _labels(scans, scans, scan_ids, "mmse", rule)
    keep = found.values >= lowest
    return Labels(found.values[keep], found.missing)


def _labels(
    scans: pd.DataFrame,
    visits: pd.DataFrame,
    scan_ids: list[str],
    column: str,
    rule: str,
    most_days: int | None = MOST_DAYS,
) -> Labels:
    if rule not in ("nearest_visit", "last_row"):
        raise ValueError(f"label rule {rule!r}: expected nearest_visit or last_row")
    labelled = visits.dropna(subset=[column]).sort_values("days", kind="stable")
    of = dict(tuple(labelled.groupby("participant_id", sort=False)))
    values, missing = {}, []
    for scan in scan_ids:
        own = of.get(scans["participant_id"][scan])
        if own is None:
            missing.append(scan)
        elif rule == "last_row":
            values[scan] = own[column].iloc[-1]
        else:
            away = (own["days"] - scans["days"][scan]).abs().to_numpy()
            place = int(np.argmin(away))
            if most_days is not None and away[place] > most_days:
                missing.append(scan)
            else:
                values[scan] = own[column].iloc[place]
    kind = object if column == "diagnosis" else float
    return Labels(pd.Series(values, dtype=kind), missing)
