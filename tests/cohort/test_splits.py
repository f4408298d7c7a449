"""Splits by patient and by pair, and their leak."""

import pandas as pd
import pytest

from mri2pet.cohort import splits
from mri2pet.cohort.phantom import disease


@pytest.fixture(scope="module")
def scans():
    return disease.draw_visits(150, seed=0)


def test_a_patient_split_never_leaks(scans):
    part = splits.patient_split(scans, (0.8, 0.1, 0.1), seed=1)
    for a, b in (("train", "val"), ("train", "test"), ("val", "test")):
        assert splits.leaks(scans[part == a], scans[part == b]) == []
    people = scans.groupby("participant_id").first().index
    counts = part.groupby(scans["participant_id"]).first().value_counts()
    assert counts["test"] == 15
    assert counts["val"] == 15
    assert counts.sum() == len(people)
    splits.check_no_leak(scans.assign(part=part))


def test_a_pair_split_leaks(scans):
    part = splits.pair_split(scans, (0.8, 0.1, 0.1), seed=1)
    shared = splits.leaks(scans[part == "train"], scans[part == "test"])
    assert len(shared) > 5
    with pytest.raises(ValueError, match="more than one part"):
        splits.check_no_leak(scans.assign(part=part))


def test_parts_keep_the_diagnoses(scans):
    part = splits.patient_split(scans, (0.6, 0.2, 0.2), seed=2)
    first = scans[scans["days"] == 0]
    whole = first["diagnosis"].value_counts(normalize=True)
    for name in splits.PARTS:
        some = first[part[first.index] == name]["diagnosis"].value_counts(
            normalize=True
        )
        assert (some - whole).abs().max() < 0.06


def test_the_split_is_stable_and_follows_the_seed(scans):
    first = splits.patient_split(scans, (0.8, 0.1, 0.1), seed=1)
    shuffled = scans.sample(frac=1, random_state=0)
    again = splits.patient_split(shuffled, (0.8, 0.1, 0.1), seed=1)
    pd.testing.assert_series_equal(first, again[first.index])
    other = splits.patient_split(scans, (0.8, 0.1, 0.1), seed=2)
    assert (first != other).any()


def test_counts_instead_of_fractions(scans):
    part = splits.patient_split(scans, counts=(None, 10, 20), seed=0)
    counts = part.groupby(scans["participant_id"]).first().value_counts()
    assert dict(counts) == {"train": 120, "test": 20, "val": 10}


@pytest.mark.parametrize(
    ("fractions", "counts"),
    [
        (None, None),
        ((0.5, 0.1, 0.1), None),
        ((1.2, -0.1, -0.1), None),
        (None, (100, 50, 50)),
        (None, (None, None, 3)),
    ],
)
def test_impossible_splits_are_refused(scans, fractions, counts):
    with pytest.raises(ValueError, match=r"fractions|counts"):
        splits.patient_split(scans, fractions, counts=counts, seed=0)


def test_an_unknown_stratum_is_refused(scans):
    with pytest.raises(ValueError, match="stratify"):
        splits.patient_split(scans, (0.8, 0.1, 0.1), seed=0, stratify="shoe_size")
