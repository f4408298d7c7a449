"""Pairs of MRI and PET: at most a year apart, each scan once, in any order."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri2pet.cohort.pairing import pair


def _images(rows):
    columns = ["image", "participant_id", "kind", "days"]
    return pd.DataFrame(rows, columns=columns)


def test_the_greedy_rule_loses_a_pair_that_the_optimal_one_makes():
    images = _images(
        [
            ("m1", "a", "mri", 0),
            ("m2", "a", "mri", 400),
            ("p1", "a", "pet", 230),
            ("p2", "a", "pet", 500),
        ]
    )
    assert pair(images)["days_apart"].tolist() == [-230, -100]
    assert pair(images, "greedy")[["mri", "pet"]].values.tolist() == [["m2", "p1"]]


def test_a_year_is_the_limit_and_people_are_not_mixed():
    images = _images(
        [
            ("m1", "a", "mri", 0),
            ("p1", "a", "pet", 365),
            ("m2", "b", "mri", 0),
            ("p2", "b", "pet", 366),
            ("m3", "c", "mri", 0),
            ("p4", "d", "pet", 0),
        ]
    )
    assert pair(images)["mri"].tolist() == ["m1"]
    assert pair(images, most_days=366)["mri"].tolist() == ["m1", "m2"]


def test_without_a_date_only_a_session_can_tell():
    images = _images([("m1", "a", "mri", np.nan), ("p1", "a", "pet", np.nan)]).assign(
        session_id=["ses-1", "ses-1"]
    )
    assert pair(images)["days_apart"].tolist() == [0]
    apart = images.assign(session_id=["ses-1", "ses-2"])
    assert len(pair(apart)) == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from(["mri", "pet"]), st.integers(0, 1500)
        ),
        min_size=2,
        max_size=10,
    ),
    st.randoms(use_true_random=False),
)
def test_optimal_is_never_worse_and_order_does_not_matter(rows, random):
    images = _images([(f"i{n:02}", *row) for n, row in enumerate(rows)])
    found = {rule: pair(images, rule) for rule in ("optimal", "greedy")}
    for rule, pairs in found.items():
        assert not pairs["mri"].duplicated().any()
        assert not pairs["pet"].duplicated().any()
        assert (pairs["days_apart"].abs() <= 365).all()
        turned = pair(images.sample(frac=1, random_state=random.randint(0, 99)), rule)
        pd.testing.assert_frame_equal(pairs, turned)
    assert len(found["optimal"]) >= len(found["greedy"])
    if len(found["optimal"]) == len(found["greedy"]):
        days = {rule: f["days_apart"].abs().sum() for rule, f in found.items()}
        assert days["optimal"] <= days["greedy"]


def test_wrong_arguments():
    images = _images([("m1", "a", "mri", 0)])
    with pytest.raises(ValueError, match="pairing 'best'"):
        pair(images, "best")
    with pytest.raises(ValueError, match="most_days is -1"):
        pair(images, most_days=-1)
    with pytest.raises(ValueError, match="kind 'ct'"):
        pair(images.assign(kind="ct"))
