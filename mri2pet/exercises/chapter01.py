"""Checks of chapter 1: the composite, the link rho, and the leak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mri2pet.cohort.phantom import disease
from mri2pet.evaluation.uptake import (
    composite_suvr,
    positivity_auc,
    regional_suvr,
    rereference,
)
from mri2pet.exercises import Wrong, as_function, as_number, expect

PEOPLE, SEED = 4000, 1  # of exercise 1.2
TRAIN_SHARE = 0.9 * 0.9  # a tenth to test, then a tenth of the rest to validation


def _activity_and_weights(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    activity_DHW = rng.gamma(4.0, 1500.0, size=(4, 6, 5))
    weights_RDHW = rng.random((10, 4, 6, 5)) * (rng.random((10, 4, 6, 5)) > 0.6)
    return activity_DHW, weights_RDHW


def composite_from_activity(activity_DHW: Any, weights_RDHW: Any) -> float:
    """Composite SUVR of one scan in raw units (solution of 1.1).

    Parameters
    ----------
    activity_DHW : ndarray, shape (D, H, W)
        In any unit, for example Bq/ml.
    weights_RDHW : ndarray, shape (R, D, H, W)
        Region weights in the order of `mri2pet.cohort.regions.REGIONS`.
    """
    regional = regional_suvr(np.asarray(activity_DHW)[None], weights_RDHW[None])
    return float(composite_suvr(rereference(regional))[0])


def check_composite(answer: Any) -> None:
    """1.1: a function of the activity and the regions' weights."""
    function = as_function(answer)
    activity, weights = _activity_and_weights(0)
    value = as_number(function(activity.copy(), weights.copy()), "one number")
    double = as_number(function(2 * activity, weights.copy()), "one number")
    if abs(double - value) > 1e-6 * abs(value):
        raise Wrong(
            "When all activities double (twice the dose) an SUVR must not change. "
            "What do you divide by?"
        )
    for seed in range(3):
        activity, weights = _activity_and_weights(seed)
        value = as_number(function(activity.copy(), weights.copy()), "one number")
        if abs(value - composite_from_activity(activity, weights)) > 1e-6:
            raise Wrong(
                "It does not change with the dose, which is good, but the value is "
                "another. Take the weighted mean of each region first, divide by the "
                "cerebellum's, then average the four regions of COMPOSITE with equal "
                "weight."
            )


def auc_without_link() -> float:
    """Area under the curve of V for amyloid status at rho = 0 (solution of 1.2)."""
    people = disease.draw_people(range(PEOPLE), seed=SEED, rho=0.0)
    return positivity_auc(people["V"], people["status"])


def check_auc_without_link(answer: Any) -> None:
    """1.2: one number."""
    value = as_number(answer, "one number, an area under the curve")
    if not 0 <= value <= 1:
        raise Wrong("An area under a ROC curve lies between 0 and 1.")
    right = auc_without_link()
    if abs(value - right) <= 2e-3:
        return
    linked = disease.draw_people(range(PEOPLE), seed=SEED)
    if abs(value - positivity_auc(linked["V"], linked["status"])) <= 2e-3:
        raise Wrong("These people are linked: pass rho=0.0 to draw_people.")
    if abs(1 - value - right) <= 2e-3:
        raise Wrong("You have it upside down: a larger V speaks for amyloid.")
    raise Wrong(
        f"Draw people 0 to {PEOPLE - 1} with seed={SEED} and rho=0.0, and give "
        "positivity_auc the column V as score and the column status as label."
    )


def leak_probability(visits: int) -> float:
    """Chance that a test pair's person is also in training (solution of 1.3)."""
    return 1.0 - (1.0 - TRAIN_SHARE) ** (visits - 1)


def check_leak_probability(answer: Any) -> None:
    """1.3: a function of the number of visits."""
    function = as_function(answer)
    once = as_number(function(1), "one number")
    if abs(once) > 1e-9:
        raise Wrong("Somebody who comes once has no other pair: the chance is 0.")
    twice = as_number(function(2), "one number")
    if abs(twice - TRAIN_SHARE) > 1e-6:
        raise Wrong(
            "With two visits there is one other pair. What share of all pairs is in "
            "training, after a tenth went to test and a tenth of the rest to "
            "validation?"
        )
    for visits in (3, 4, 5, 9):
        value = as_number(function(visits), "one number")
        expect(
            value,
            leak_probability(visits),
            "One and two visits are right. For more, think of the chance that none of "
            "the other pairs is in training.",
        )


CHECKS: dict[str, Callable[[Any], None]] = {
    "1.1": check_composite,
    "1.2": check_auc_without_link,
    "1.3": check_leak_probability,
}
SOLUTIONS: dict[str, Callable[[], Any]] = {
    "1.1": lambda: composite_from_activity,
    "1.2": auc_without_link,
    "1.3": lambda: leak_probability,
}
