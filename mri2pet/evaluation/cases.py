"""Case studies: people chosen by rules that were written before anybody looked.

A picture that was picked because it looks good shows that one picture looks good. Here
each figure has a **rule**, stated as a sentence and carried out by a function, so that
another run, or another reader, gets the same people without an eye in between.

Two visits are judged over **all** people who have them
(`mri2pet.evaluation.changes`). What the pictures show of two people is then one line
among many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

AD = "AD"
COLUMNS = ["rule", "place", "visit", "scan_id", "participant_id"]


def first_visits(scans: pd.DataFrame) -> pd.DataFrame:
    """First visit of each person; ties, and unknown days, by scan id.

    Parameters
    ----------
    scans : DataFrame indexed by scan_id
        With ``participant_id`` and ``days`` since the first visit.

    Returns
    -------
    DataFrame
        One line a person, sorted by scan id.
    """
    ordered = _ordered(scans)
    return ordered.drop_duplicates("participant_id").sort_index()


def visit_pairs(scans: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """First and last visit of each person who has two or more.

    Parameters
    ----------
    scans : DataFrame
        As in `first_visits`, in any order.

    Returns
    -------
    pairs : DataFrame indexed by participant_id
        ``first`` and ``last`` scan id, ``years`` between them.
    left_out : int
        People with two scans or more but no two different known days.

    Examples
    --------
    >>> scans = pd.DataFrame(
    ...     {"participant_id": ["a", "a", "b"], "days": [730, 0, 0]},
    ...     index=["a2", "a1", "b1"],
    ... )
    >>> pairs, left_out = visit_pairs(scans)
    >>> pairs.loc["a", ["first", "last"]].tolist(), left_out
    (['a1', 'a2'], 0)
    """
    lines, left_out = {}, 0
    known = _ordered(scans)
    for person, visits in known.groupby("participant_id"):
        if len(visits) < 2:
            continue
        days = visits["days"].dropna()
        if len(days) < 2 or days.iloc[-1] == days.iloc[0]:
            left_out += 1
            continue
        years = float(days.iloc[-1] - days.iloc[0]) / 365.25
        lines[person] = (days.index[0], days.index[-1], years)
    frame = pd.DataFrame.from_dict(
        lines, orient="index", columns=["first", "last", "years"]
    )
    return frame.rename_axis("participant_id"), left_out


def _ordered(scans: pd.DataFrame) -> pd.DataFrame:
    named = scans.assign(_id=scans.index.astype(str))
    return named.sort_values(["days", "_id"], kind="stable").drop(columns="_id")


@dataclass(frozen=True)
class Rule:
    """Who is shown in a figure, and why these.

    Attributes
    ----------
    name : str
    figure : str
        Where they are shown.
    people : int
        How many are wanted.
    sentence : str
        The rule in words.
    reason : str
        Why this rule.
    choose : callable (scans, people) -> list of tuple of scan ids
        The visits of each person chosen; fewer people where there are fewer.
    """

    name: str
    figure: str
    people: int
    sentence: str
    reason: str
    choose: Callable[[pd.DataFrame, int], list[tuple[str, ...]]]

    @property
    def place(self) -> str:
        """Where the people are shown, in words."""
        return f"Figure {self.figure}" if self.figure[0].isdigit() else self.figure


def _median_ad(scans: pd.DataFrame, people: int) -> list[tuple[str, ...]]:
    first = first_visits(scans)
    mine = first[first["diagnosis"] == AD]
    if mine.empty:
        return []
    # Rounded, so that the last bits of a sum do not decide between two people.
    far = (mine["error"] - mine["error"].median()).abs().round(9)
    near = far.sort_index().sort_values(kind="stable").index[:people]
    ordered = mine.loc[near, "error"].sort_index().sort_values(kind="stable")
    return [(scan,) for scan in ordered.index]


def _longest_time(scans: pd.DataFrame, people: int) -> list[tuple[str, ...]]:
    pairs, _ = visit_pairs(scans)
    pairs = pairs.sort_values("first").sort_values(
        "years", ascending=False, kind="stable"
    )
    return [
        (first, last)
        for first, last in pairs[["first", "last"]].head(people).itertuples(index=False)
    ]


def _worst(scans: pd.DataFrame, people: int) -> list[tuple[str, ...]]:
    ordered = scans.sort_index().sort_values("error", ascending=False, kind="stable")
    once = ordered.drop_duplicates("participant_id")
    return [(scan,) for scan in once.index[:people]]


RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "median_ad",
            "3a",
            3,
            "The three test people with AD at their first visit whose error in "
            "composite SUVR (mean of the samples) is nearest to the median of all of "
            "them.",
            "The median is the ordinary case. The error is that of the uptake, since "
            "the paper reads amyloid from these pictures; a score of the whole image "
            "would choose people with an ordinary brain.",
            _median_ad,
        ),
        Rule(
            "longest_time",
            "3b",
            2,
            "The two test people with the longest time between their first and last "
            "visit.",
            "It looks at no PET, neither synthetic nor real. To take the largest "
            "change of the real PET would favour people whose scans happen to be "
            "noisy in opposite directions, and no method can follow noise.",
            _longest_time,
        ),
        Rule(
            "worst",
            "worst case",
            1,
            "The test scan with the largest error in composite SUVR (mean of the "
            "samples) of all.",
            "Who sees only ordinary cases does not learn how wrong a picture can be.",
            _worst,
        ),
    )
}


def choose_cases(scans: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """People of every rule, and what had to be left open.

    Parameters
    ----------
    scans : DataFrame indexed by scan_id
        All test scans: ``participant_id``, ``days``, ``diagnosis`` and ``error``, the
        absolute error of the composite SUVR of the mean of all samples.

    Returns
    -------
    chosen : DataFrame with `COLUMNS`
        A line for each scan shown; ``place`` numbers the people of a rule from 1,
        ``visit`` the scans of a person.
    notes : list of (rule, text)
        Rules that found fewer people than they want, and people left out.

    Raises
    ------
    ValueError
        No scan, a scan id that stands twice, or an error that is not finite.
    """
    if scans.empty:
        raise ValueError("no test scan to choose from")
    if not scans.index.is_unique:
        twice = scans.index[scans.index.duplicated()][0]
        raise ValueError(f"scan {twice} stands twice")
    bad = scans.index[~np.isfinite(scans["error"].to_numpy(float))]
    if len(bad):
        raise ValueError(f"the error of {bad[0]} is not finite")
    lines, notes = [], []
    for rule in RULES.values():
        found = rule.choose(scans, rule.people)
        for place, visits in enumerate(found, start=1):
            for visit, scan in enumerate(visits, start=1):
                person = scans.at[scan, "participant_id"]
                lines.append((rule.name, place, visit, scan, person))
        if len(found) < rule.people:
            seen = f"only {len(found)}" if found else "none"
            text = f"{rule.place}: {seen} of the {rule.people} people that it wants"
            notes.append((rule.name, text))
    unknown = int(first_visits(scans)["diagnosis"].isna().sum())
    _, undated = visit_pairs(scans)
    for name, people, why in (
        ("median_ad", unknown, "without a diagnosis"),
        ("longest_time", undated, "without two different known days"),
    ):
        if people:
            text = f"{RULES[name].place}: people left out {why}: {people}"
            notes.append((name, text))
    return pd.DataFrame(lines, columns=COLUMNS), notes
