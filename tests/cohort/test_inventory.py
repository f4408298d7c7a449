"""Which scans are used, who is dealt where, and what is said of the rest."""

import numpy as np
import pandas as pd
import pytest

from mri2pet.cohort.bids import read_bids
from mri2pet.cohort.inventory import deal, take_inventory
from mri2pet.cohort.splits import check_no_leak


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "data"
    t1, pet = "{0}/{1}/anat/{0}_{1}_T1w.nii.gz", "{0}/{1}/pet/{0}_{1}_pet.nii.gz"
    for person, session, kinds in (
        ("sub-1", "ses-M000", (t1, pet)),
        ("sub-2", "ses-M000", (t1,)),
        ("sub-3", "ses-M000", (t1,)),
        ("sub-3", "ses-M024", (pet,)),
        ("sub-4", "ses-M000", (pet,)),
    ):
        touch(root, *(kind.format(person, session) for kind in kinds))
    (root / "sub-1/sub-1_sessions.tsv").write_text(
        "session_id\tdays\tdiagnosis\tmmse\tage\n"
        "ses-M000\t0\tn/a\tn/a\t70.5\nses-M006\t180\tMCI\t26\t71\n"
    )
    return read_bids(root)


def test_pairs_labels_and_reasons(dataset):
    found = take_inventory(dataset)
    rows = found.rows.set_index("scan_id")
    assert rows["has_pet"].to_dict() == {
        "sub-1_ses-M000": True,
        "sub-2_ses-M000": False,
        "sub-3_ses-M000": False,
    }
    # Of the visit half a year later, the nearest one that has a diagnosis.
    assert rows.at["sub-1_ses-M000", "diagnosis"] == "MCI"
    assert rows.at["sub-1_ses-M000", "mmse"] == 26
    assert rows.at["sub-1_ses-M000", "age"] == 70.5
    assert pd.isna(rows.at["sub-2_ses-M000", "diagnosis"])
    reasons = {r.path: r.reason for r in found.left_out.itertuples()}
    assert "730 days away" in reasons["sub-3/ses-M024/pet/sub-3_ses-M024_pet.nii.gz"]
    assert "no T1" in reasons["sub-4/ses-M000/pet/sub-4_ses-M000_pet.nii.gz"]
    text = "\n".join(found.lines())
    assert "3 people, 3 MRIs would be used" in text
    assert "sub-4_ses-M000_pet.nii.gz: the person has no T1" in text


def people(pairs, extra=(), alone=4):
    """Scan table: people with pairs, some with one more MRI, and MRIs alone."""
    lines = [(f"p{i}", f"p{i}_a", True, "CN" if i % 2 else "AD") for i in range(pairs)]
    lines += [(f"p{i}", f"p{i}_b", False, None) for i in extra]
    lines += [(f"m{i}", f"m{i}_a", False, None) for i in range(alone)]
    columns = ["participant_id", "scan_id", "has_pet", "diagnosis"]
    frame = pd.DataFrame(lines, columns=columns).set_index("scan_id")
    return frame.assign(days=np.arange(len(frame), dtype=float))


def test_nobody_who_is_judged_is_seen_in_pretraining():
    rows = people(40, extra=range(40))
    dealt, left_out = deal(rows, (0.6, 0.2, 0.2), seed=0)
    paired = dealt[dealt["has_pet"]]
    assert paired["part"].value_counts().to_dict() == {"train": 24, "val": 8, "test": 8}
    judged = set(paired.loc[paired["part"].isin(["val", "test"]), "participant_id"])
    rest = dealt[dealt["part"] == "unpaired"]
    assert not judged & set(rest["participant_id"])
    assert len(rest) == 4 + 24  # people without a PET, and more MRIs of the trained
    assert len(left_out) == 16
    assert all("kept out of pre-training" in reason for _, reason in left_out)
    check_no_leak(dealt)


def test_both_diagnoses_come_into_every_part():
    dealt, _ = deal(people(40), (0.5, 0.25, 0.25), seed=3)
    paired = dealt[dealt["has_pet"]]
    assert (paired.groupby("part")["diagnosis"].nunique() == 2).all()


def test_small_cohorts_have_somebody_in_every_part():
    for pairs in (3, 4, 5, 7):
        dealt, _ = deal(people(pairs), (0.81, 0.09, 0.10), seed=0)
        parts = dealt.loc[dealt["has_pet"], "part"]
        assert set(parts) == {"train", "val", "test"}
    with pytest.raises(ValueError, match="2 people have an MRI and a PET"):
        deal(people(2), (0.8, 0.1, 0.1), seed=0)


def test_the_split_does_not_depend_on_the_order_of_rows():
    rows = people(20)
    one, _ = deal(rows, (0.6, 0.2, 0.2), seed=1)
    other, _ = deal(rows.iloc[::-1], (0.6, 0.2, 0.2), seed=1)
    assert one["part"].to_dict() == other["part"].to_dict()
