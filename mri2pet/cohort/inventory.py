"""Which scans of a dataset become rows of a store, and why the others do not.

Shown by a dry run before a single image is opened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mri2pet.cohort.bids import Dataset
from mri2pet.cohort.labels import diagnoses, mmse
from mri2pet.cohort.pairing import pair
from mri2pet.cohort.splits import patient_split

KNOWN = ["age", "sex", "education", "apoe_e4"]
ROWS = [
    *("scan_id", "participant_id", "session_id", "days", *KNOWN),
    *("diagnosis", "mmse", "has_pet", "days_apart"),
    *("mri", "pet", "pet_sidecar"),
]


@dataclass(frozen=True)
class Inventory:
    """What would be prepared.

    Attributes
    ----------
    rows : DataFrame
        A line per MRI that is used (`ROWS`): mri and pet are paths ("" without a
        PET), days_apart is MRI minus PET.
    left_out : DataFrame
        path, reason.
    """

    rows: pd.DataFrame
    left_out: pd.DataFrame

    def lines(self) -> list[str]:
        """Say what would be used and what not, for a dry run."""
        rows = self.rows
        paired = rows[rows["has_pet"]]
        text = [
            f"{rows['participant_id'].nunique()} people, {len(rows)} MRIs would be "
            "used",
            f"{paired['participant_id'].nunique()} people, {len(paired)} of these MRIs "
            "have a PET",
            f"diagnosis known of {rows['diagnosis'].notna().sum()} MRIs, MMSE of "
            f"{rows['mmse'].notna().sum()}, age of {rows['age'].notna().sum()}",
        ]
        if len(paired):
            text.append(
                f"MRI and PET lie at most {paired['days_apart'].abs().max():.0f} days "
                "apart"
            )
        text.append(f"{len(self.left_out)} things are not used:")
        text += [f"  {r.path}: {r.reason}" for r in self.left_out.itertuples()]
        return text


def take_inventory(
    dataset: Dataset, *, pairing: str = "optimal", label: str = "nearest_visit"
) -> Inventory:
    """Pair and label the images of a dataset.

    Parameters
    ----------
    dataset : Dataset
        Of `mri2pet.cohort.bids.read_bids` or `mri2pet.cohort.adni.read_adni`.
    pairing : {"optimal", "greedy"}
    label : {"nearest_visit", "last_row"}

    Raises
    ------
    ValueError
        Nothing can be used.
    """
    images = dataset.images.set_index("image", drop=False)
    pairs = pair(dataset.images, pairing).set_index("mri")
    left_out = [tuple(line) for line in dataset.skipped.itertuples(index=False)]
    used = set(pairs["pet"])
    left_out += [
        (one.image, _no_partner(one, dataset.images))
        for one in images[images["kind"] == "pet"].itertuples()
        if one.image not in used
    ]
    lines = [
        _line(one, pairs, images, dataset.visits)
        for one in images[images["kind"] == "mri"].itertuples()
    ]
    rows = pd.DataFrame(lines).set_index("scan_id", drop=False)
    rows = _labelled(rows, dataset.visits, label)
    if rows.empty:
        raise ValueError(f"{dataset.path}: no T1 can be used")
    table = pd.DataFrame(sorted(left_out), columns=["path", "reason"])
    return Inventory(rows[ROWS].reset_index(drop=True), table)


def _no_partner(pet, images: pd.DataFrame) -> str:
    own = images[
        (images["participant_id"] == pet.participant_id) & (images["kind"] == "mri")
    ]
    if own.empty:
        return "the person has no T1"
    away = (own["days"] - pet.days).abs().min()
    if np.isnan(away):
        return "no T1 in its session, and no dates to find another"
    return f"no free T1 within 365 days (the nearest is {away:.0f} days away)"


def _line(mri, pairs: pd.DataFrame, images: pd.DataFrame, visits: pd.DataFrame) -> dict:
    where = (mri.participant_id, mri.session_id)
    known = visits.loc[where] if where in visits.index else {}
    line = {
        "scan_id": "_".join(part for part in where if part),
        "participant_id": mri.participant_id,
        "session_id": mri.session_id or "ses-1",
        "days": 0.0 if np.isnan(mri.days) else mri.days,
        **{name: known.get(name) for name in KNOWN},
        "mri": mri.path,
        "pet": "",
        "pet_sidecar": "",
        "has_pet": mri.image in pairs.index,
        "days_apart": np.nan,
    }
    if line["has_pet"]:
        pet = images.loc[pairs.at[mri.image, "pet"]]
        line |= {"pet": pet["path"], "pet_sidecar": pet["sidecar"]}
        line["days_apart"] = pairs.at[mri.image, "days_apart"]
    return line


def _labelled(rows: pd.DataFrame, visits: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Diagnosis and MMSE of each MRI, from the visit that the rule names."""
    known = visits.reset_index()[["participant_id", "days", "diagnosis", "mmse"]]
    known["days"] = known["days"].fillna(0.0)
    known.index = [f"visit {i}" for i in range(len(known))]
    asked = rows[["participant_id", "days"]].reindex(
        columns=["participant_id", "days", "diagnosis", "mmse"]
    )
    everything = pd.concat([asked.astype({"mmse": float}), known])
    scans = list(rows.index)
    return rows.assign(
        diagnosis=diagnoses(everything, scans, rule).values.reindex(scans),
        mmse=mmse(everything, scans, rule).values.reindex(scans),
    )


def deal(
    rows: pd.DataFrame, fractions: tuple[float, float, float], seed: int
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Give every row its part, by person.

    People with a pair are dealt to train, val and test. Other MRIs are for
    pre-training, but never those of people who are judged later.

    Parameters
    ----------
    rows : DataFrame
        Indexed by scan_id, of the scans that were prepared.
    fractions : tuple of float
        Of people for train, val and test.
    seed : int

    Returns
    -------
    rows : DataFrame
        With part and labelled.
    left_out : list of (scan_id, reason)

    Raises
    ------
    ValueError
        Fewer than three people with a pair.
    """
    paired = rows[rows["has_pet"]]
    people = paired["participant_id"].nunique()
    if people < 3:
        raise ValueError(
            f"{people} people have an MRI and a PET; train, val and test need at least "
            "3"
        )
    known = paired.assign(diagnosis=paired["diagnosis"].fillna("unknown"))
    counts = _at_least_one(people, fractions)
    part = patient_split(known, counts=counts, seed=seed)
    of = dict(zip(paired["participant_id"], part, strict=True))
    rows = rows.assign(part=part.reindex(rows.index).fillna("unpaired"))
    judged = rows["participant_id"].map(of).isin(["val", "test"])
    extra = judged & ~rows["has_pet"]
    reason = "an MRI without PET of a person in {}: kept out of pre-training"
    left_out = [
        (scan, reason.format(of[rows.at[scan, "participant_id"]]))
        for scan in rows.index[extra]
    ]
    rows = rows[~extra]
    return rows.assign(labelled=rows["diagnosis"].notna()), left_out


def _at_least_one(people: int, fractions) -> tuple[None, int, int]:
    val, test = (max(1, round(people * f)) for f in fractions[1:])
    while val + test > people - 1:  # somebody to train on
        val, test = max(1, val - (val >= test)), max(1, test - (test > val))
    return (None, val, test)
