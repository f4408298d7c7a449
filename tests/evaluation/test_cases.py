"""Who is shown: by the rules, whatever the order of the table, and never by the eye."""

import numpy as np
import pandas as pd
import pytest

from mri2pet.evaluation.cases import (
    RULES,
    choose_cases,
    first_visits,
    visit_pairs,
)


def table(*lines):
    """Lines of (scan, person, days, diagnosis, error)."""
    columns = ["scan_id", "participant_id", "days", "diagnosis", "error"]
    return pd.DataFrame(lines, columns=columns).set_index("scan_id")


AD5 = table(
    *(
        (f"p{i}_1", f"p{i}", 0, "AD", e)
        for i, e in enumerate([0.5, 0.1, 0.2, 0.3, 0.9])
    ),
    ("c_1", "c", 0, "CN", 0.3),
    ("c_2", "c", 700, "AD", 0.3),
)


def shown(scans, rule):
    chosen, _ = choose_cases(scans)
    return chosen.loc[chosen["rule"] == rule, "scan_id"].tolist()


def test_the_median_ad_people_are_nearest_to_the_median_and_sorted_by_error():
    # median of .5 .1 .2 .3 .9 is .3; nearest are .3, .2, then .5 or .1 (a tie)
    assert shown(AD5, "median_ad") == ["p2_1", "p3_1", "p0_1"]


def test_who_has_ad_later_only_is_no_ad_person_at_the_first_visit():
    only = AD5.drop(["p0_1", "p1_1"])
    assert "c_2" not in shown(only, "median_ad")
    assert len(shown(only, "median_ad")) == 3


def test_the_order_of_the_table_and_other_people_change_nothing():
    for seed in range(5):
        mixed = AD5.sample(frac=1, random_state=seed)
        pd.testing.assert_frame_equal(choose_cases(mixed)[0], choose_cases(AD5)[0])


def test_two_visits_are_chosen_by_time_and_never_by_a_pet():
    scans = table(
        ("a_2", "a", 730, "CN", 0.1),
        ("a_1", "a", 0, "CN", 0.1),
        ("b_1", "b", 0, "CN", 0.1),
        ("b_2", "b", 1461, "CN", 0.1),
        ("d_1", "d", 0, "CN", 0.1),
        ("d_2", "d", 365, "CN", 0.1),
        ("d_3", "d", 1461, "CN", 0.1),
    )
    assert shown(scans, "longest_time") == ["b_1", "b_2", "d_1", "d_3"]
    rng = np.random.default_rng(0)
    for _ in range(5):
        other = scans.assign(error=rng.random(len(scans)))
        assert shown(other, "longest_time") == ["b_1", "b_2", "d_1", "d_3"]


def test_the_worst_is_the_worst_of_all_visits_with_ties_by_scan_id():
    scans = table(
        ("b_1", "b", 0, "CN", 0.7), ("a_2", "a", 9, "AD", 0.7), ("a_1", "a", 0, "AD", 0)
    )
    assert shown(scans, "worst") == ["a_2"]
    assert shown(scans.assign(error=[0.8, 0.7, 0.0]), "worst") == ["b_1"]


def test_nobody_with_ad_and_nobody_with_two_visits_leaves_a_note_and_the_rest():
    scans = table(("a", "a", 0, "CN", 0.1), ("b", "b", 0, None, 0.4))
    chosen, notes = choose_cases(scans)
    assert chosen["rule"].tolist() == ["worst"]
    said = dict.fromkeys(RULES, "")
    for rule, text in notes:
        said[rule] += text + ". "
    assert "none of the 3 people" in said["median_ad"]
    assert "left out without a diagnosis: 1" in said["median_ad"]
    assert "none of the 2 people" in said["longest_time"]
    assert said["worst"] == ""


def test_fewer_people_than_wanted_are_all_shown_and_counted():
    chosen, notes = choose_cases(AD5.drop(["p0_1", "p1_1", "p2_1"]))
    assert (chosen["rule"] == "median_ad").sum() == 2
    said = [text for _, text in notes]
    assert "Figure 3a: only 2 of the 3 people that it wants" in said
    assert "Figure 3b: only 1 of the 2 people that it wants" in said


def test_visits_without_known_different_days_are_left_out_and_counted():
    scans = table(
        ("a_1", "a", 0, "CN", 0.1),
        ("a_2", "a", None, "CN", 0.1),
        ("b_1", "b", 5, "CN", 0.1),
        ("b_2", "b", 5, "CN", 0.1),
        ("c_1", "c", 0, "CN", 0.1),
        ("c_2", "c", 365.25, "CN", 0.1),
    )
    pairs, left_out = visit_pairs(scans)
    assert pairs.index.tolist() == ["c"]
    assert pairs.loc["c", "years"] == 1.0
    assert left_out == 2
    said = " ".join(text for _, text in choose_cases(scans)[1])
    assert "left out without two different known days: 2" in said
    assert first_visits(scans).index.tolist() == ["a_1", "b_1", "c_1"]


@pytest.mark.parametrize(
    ("scans", "message"),
    [
        (AD5.iloc[:0], "no test scan"),
        (pd.concat([AD5, AD5.iloc[:1]]), "p0_1 stands twice"),
        (AD5.assign(error=np.nan), "error of p0_1 is not finite"),
    ],
)
def test_bad_tables_are_refused(scans, message):
    with pytest.raises(ValueError, match=message):
        choose_cases(scans)
