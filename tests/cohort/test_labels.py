"""Which visit a scan's label comes from."""

import pandas as pd
import pytest

from mri2pet.cohort.labels import diagnoses, mmse


def _visits(rows):
    frame = pd.DataFrame(
        rows, columns=["scan_id", "participant_id", "days", "diagnosis", "mmse"]
    )
    return frame.set_index("scan_id")


VISITS = _visits(
    [
        ("a2", "a", 730, "AD", 17.0),  # visits stand out of order
        ("a0", "a", 0, "CN", 29.0),
        ("a1", "a", 365, "MCI", 25.0),
        ("b0", "b", 0, None, None),
        ("b1", "b", 300, "CN", 30.0),
        ("c0", "c", 0, None, None),
        ("c1", "c", 2000, "AD", 21.0),
    ]
)


def test_the_nearest_visit_gives_the_label_and_the_last_row_does_not():
    near = diagnoses(VISITS, ["a0", "a1", "a2", "b0", "c0"])
    assert near.values.to_dict() == {"a0": "CN", "a1": "MCI", "a2": "AD", "b0": "CN"}
    assert near.missing == ["c0"]  # its only label is more than a year away
    released = diagnoses(VISITS, ["a0", "c0"], "last_row")
    assert released.values.to_dict() == {"a0": "AD", "c0": "AD"}


def test_order_of_the_table_does_not_matter():
    ids = ["a0", "a2", "b0"]
    turned = diagnoses(VISITS.iloc[::-1], ids)
    assert turned.values.to_dict() == diagnoses(VISITS, ids).values.to_dict()


def test_the_released_mmse_filter_finds_an_older_better_day():
    ours = mmse(VISITS, ["a0", "a1", "a2"], lowest=20)
    assert ours.values.to_dict() == {"a0": 29.0, "a1": 25.0}
    released = mmse(VISITS, ["a0", "a1", "a2"], lowest=20, filter_rule="released")
    assert released.values["a2"] == 25.0  # 17 on the day of the scan


def test_people_without_any_label_are_named():
    nobody = _visits([("d0", "d", 0, None, None)])
    assert diagnoses(nobody, ["d0"]).missing == ["d0"]
    assert len(mmse(nobody, ["d0"]).values) == 0


def test_wrong_values_are_refused():
    with pytest.raises(ValueError, match="a0: diagnosis 'Dementia'"):
        diagnoses(_visits([("a0", "a", 0, "Dementia", 3.0)]), ["a0"])
    with pytest.raises(ValueError, match=r"a0: MMSE 31\.0"):
        mmse(_visits([("a0", "a", 0, "CN", 31.0)]), ["a0"])
    with pytest.raises(ValueError, match="label rule 'first'"):
        diagnoses(VISITS, ["a0"], "first")
    with pytest.raises(ValueError, match="filter rule 'none'"):
        mmse(VISITS, ["a0"], filter_rule="none")
