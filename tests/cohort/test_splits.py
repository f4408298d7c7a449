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


@pytest.fixture
def table(scans):
    """A clean split with a hash for each volume; one scan has no PET."""
    part = splits.patient_split(scans, (0.8, 0.1, 0.1), seed=1)
    hashes = {f"{k}_sha256": [f"{k}{n}" for n in scans.index] for k in ("mri", "pet")}
    table = scans.assign(part=part, **hashes)
    table.iloc[:2, table.columns.get_loc("pet_sha256")] = None
    return table


def _one(table, part):
    return table.index[table["part"] == part][3]


def test_a_clean_table_passes(table):
    splits.check_no_leak(table)
    assert splits.copies(table) == []


def test_a_person_in_two_parts_is_named_with_the_scans(table):
    a, b = _one(table, "train"), _one(table, "test")
    table.loc[a, "participant_id"] = table.loc[b, "participant_id"]
    with pytest.raises(ValueError, match="more than one part") as caught:
        splits.check_no_leak(table)
    assert f"{a} in train" in str(caught.value)
    assert f"{b} in test" in str(caught.value)


@pytest.mark.parametrize("kind", ["mri", "pet"])
@pytest.mark.parametrize("part", ["train", "val"])
def test_a_copied_volume_under_another_name_is_found_by_its_hash(table, kind, part):
    a, b = _one(table, part), _one(table, "test")
    table.loc[a, f"{kind}_sha256"] = table.loc[b, f"{kind}_sha256"]
    assert splits.leaks(*(table[table["part"] == p] for p in (part, "test"))) == []
    [(found, names)] = splits.copies(table)
    assert (found, set(names)) == (kind, {a, b})
    with pytest.raises(ValueError, match=f"1 volumes .* first the {kind} of") as caught:
        splits.check_no_leak(table)
    assert f"{a} in {part}" in str(caught.value)
    assert f"{b} in test" in str(caught.value)


def test_a_volume_twice_in_one_part_is_no_leak(table):
    a, b = table.index[table["part"] == "train"][:2]
    table.loc[a, "mri_sha256"] = table.loc[b, "mri_sha256"]
    splits.check_no_leak(table)


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
