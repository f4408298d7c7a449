"""Which questions of the book a cohort cannot answer, and why.

A chapter about labels needs people who have them. Where there are too few, it is left
out of the book of that cohort, and the reason is printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from mri2pet.cohort import labels
from mri2pet.evaluation.cases import first_visits
from mri2pet.evaluation.regional import with_composite
from mri2pet.evaluation.status import amyloid_status
from mri2pet.stages.cohort import cohort
from mri2pet.stages.crossfit import labelled_scans

if TYPE_CHECKING:
    from mri2pet.cohort.store import Store
    from mri2pet.run import Run

LEAST = 4  # people with a label, in training and in test: fewer have no correlation


def unanswered(run: Run) -> dict[str, str]:
    """Return the chapters that this run's cohort leaves out, with the reasons.

    Parameters
    ----------
    run : Run

    Returns
    -------
    dict of str
        Name of a chapter to one line; empty for the phantoms of a profile.
    """
    if run.profile.store is None:
        return {}
    store, plan = cohort(run), run.profile.downstream
    found = {
        "10_case_studies": _one_status(store),
        "11_table2": _few_diagnoses(store, plan.label),
        "12_table3": _few_scores(store, plan),
    }
    return {chapter: reason for chapter, reason in found.items() if reason}


def _one_status(store: Store) -> str:
    """A probability of amyloid needs people with and without it to learn from."""
    ids = [s for part in ("train", "val") for s in store.ids(part=part, has_pet=True)]
    ids = list(first_visits(store.scans.loc[ids]).index)
    values = (
        with_composite(*(store.read(k, [s]) for k in ("pet", "regions"))) for s in ids
    )
    composite = pd.Series([v[0, -1] for v in values], index=ids)
    positive = amyloid_status(store, composite)
    if positive.nunique() > 1:
        return ""
    every = "positive" if positive.iloc[0] else "negative"
    return f"all {len(ids)} training and validation people are amyloid-{every}"


def _few_diagnoses(store: Store, rule: str) -> str:
    parts = {
        name: labels.diagnoses(store.scans, ids, rule).values
        for name, ids in _scans(store).items()
    }
    few = _few(store, parts, "diagnosis")
    if few:
        return few
    alone = [name for name, values in parts.items() if values.nunique() < 2]
    return f"all {alone[0]} people have the same diagnosis" if alone else ""


def _few_scores(store: Store, plan) -> str:
    for lowest, name in ((0, "MMSE"), (plan.mmse_from, f"MMSE of {plan.mmse_from} on")):
        parts = {
            part: labels.mmse(
                store.scans, ids, plan.label, lowest, plan.mmse_filter
            ).values
            for part, ids in _scans(store).items()
        }
        few = _few(store, parts, name)
        if few:
            return few
    return ""


def _scans(store: Store) -> dict[str, list[str]]:
    paired = [s for s in labelled_scans(store) if store.scans.at[s, "has_pet"]]
    return {"training": paired, "test": store.ids(part="test", has_pet=True)}


def _few(store: Store, parts: dict[str, pd.Series], what: str) -> str:
    people = store.scans["participant_id"]
    for part, values in parts.items():
        known = people[list(values.index)].nunique()
        if known < LEAST:
            return f"{known} {part} people have a known {what}, {LEAST} are needed"
    return ""
