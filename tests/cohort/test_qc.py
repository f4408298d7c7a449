"""Verdicts follow from the numbers, at either side of every limit."""

import math

import pytest

from mri2pet.cohort.qc import RULES, judge

GOOD = {
    "likeness": 0.85,
    "information": 1.3,
    "brain_ml": 1500.0,
    "inside_box": 1.0,
    "motion_mm": 1.0,
    "motion_degrees": 1.0,
    "pet_information": 1.1,
    "mirror_gain": -0.3,
    "reference_noise": 0.12,
    "composite": 1.2,
}


def test_a_good_scan_passes_and_every_rule_is_tried_here():
    assert judge(GOOD) == ("pass", [])
    assert {rule["name"] for rule in RULES} == set(GOOD)


LIMITS = [
    pytest.param(rule, verdict, side, id=f"{rule['name']}-{verdict}-{side}")
    for rule in RULES
    for verdict in ("look", "fail")
    for side in (0, 1)
    if rule[verdict][side] is not None
]


@pytest.mark.parametrize(("rule", "verdict", "side"), LIMITS)
def test_a_number_beyond_a_limit_decides(rule, verdict, side):
    limit = rule[verdict][side]
    step = 1e-6 * max(1, abs(limit)) * (1 if side else -1)
    assert judge({rule["name"]: limit + step})[0] == verdict
    assert judge({rule["name"]: limit - step})[0] != verdict
    found, [reason] = judge(GOOD | {rule["name"]: limit + step})
    assert found == verdict
    assert "{" not in reason


def test_the_worst_comes_first_and_nan_fails():
    verdict, reasons = judge(GOOD | {"motion_mm": 9.0, "brain_ml": 100.0})
    assert verdict == "fail"
    assert "100 ml" in reasons[0]
    assert "9.0 mm" in reasons[1]
    assert judge(GOOD | {"likeness": math.nan})[0] == "fail"


def test_what_was_not_measured_is_not_judged():
    assert judge({}) == ("pass", [])
    assert judge({"likeness": 0.9, "something_else": -5.0}) == ("pass", [])
