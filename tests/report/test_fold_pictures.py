"""Pictures of who trains whom, and what a network remembers."""

import numpy as np
import pandas as pd
import pytest

from mri2pet.cohort.labels import MOST_DAYS
from mri2pet.evaluation.downstream import Sample
from mri2pet.report import crossfit
from mri2pet.report.crossfit import (
    folds_figure,
    held_figure,
    label_changes,
    remembered,
)

NAMES = [f"sub-{i:02d}" for i in range(11)]


def test_every_person_is_drawn_by_one_network_that_did_not_learn_from_them():
    fig, caption, alt = folds_figure(NAMES, 3, seed=1)
    fig.draw_without_rendering()
    released, crossed = (
        np.asarray(ax.collections[0].get_array()).reshape(rows, -1)
        for ax, rows in zip(fig.axes, (1, 3), strict=True)
    )
    assert (released == 2).all()  # learned from and drawn
    assert (crossed.sum(0) == 1).all()
    assert "3 networks" in caption and "11 people" in alt


def _sample(people):
    return Sample({}, None, np.zeros(len(people)), list(people))


def test_held_people_are_those_of_the_split():
    few, many = NAMES[:5], NAMES
    samples = {"few": _sample(few), "many": _sample(many)}
    classes = {"few": ["CN"] * 5, "many": ["CN"] * 11}
    fig, caption, alt = held_figure(samples, classes, 0.4, [0, 4])
    fig.draw_without_rendering()
    tables = [
        np.asarray(ax.collections[0].get_array()).reshape(2, -1) for ax in fig.axes[:2]
    ]
    assert ((tables[0] == 2).sum(1) == 2).all()  # two of five
    assert ((tables[1] == 2).sum(1) == 4).all()  # four of eleven
    assert (tables[0][:, 5:] == 0).all()  # who is not in a setting
    assert "held back" in caption and " of " in alt


@pytest.mark.parametrize("copied", [False, True])
def test_a_network_that_hands_back_what_it_saw_is_found(monkeypatch, copied):
    rng = np.random.default_rng(0)
    names = [f"sub-{i:02d}" for i in range(30)]
    level = rng.normal(1.3, 0.3, 30)
    shape = (4, 4, 4)
    pets = {n: np.full(shape, x) for n, x in zip(names, level, strict=True)}
    strange = {n: np.full(shape, x) for n, x in zip(names, level[::-1], strict=True)}
    weights = np.ones((30, 10, *shape))

    class Store:
        scans = pd.DataFrame({"participant_id": names}, index=names)

        def ids(self, **_):
            return names

        def read(self, kind, ids):
            if kind == "regions":
                return weights
            return np.stack([pets[i] for i in ids])

    class Settings:
        bootstrap = 200

    class Profile:
        evaluation, seed = Settings, 1

    class Run:
        profile = Profile

        def cohort(self):
            return Store()

    ways = {"no_crossfit": pets if copied else strange, "": strange}
    monkeypatch.setattr(crossfit, "generated_stages", lambda run, design, way: way)
    monkeypatch.setattr(crossfit, "read_generated", ways.__getitem__)
    found = remembered(Run())
    assert found["unseen"].value < 0.5
    if copied:
        assert found["seen"].value == pytest.approx(1.0)
        assert found["difference"].low > 0
    else:
        assert found["difference"].value == pytest.approx(0.0)
    few = Store()
    few.ids = lambda **_: names[:3]
    run = Run()
    run.cohort = lambda: few
    assert remembered(run) is None


def test_labels_that_hang_on_the_rule_are_counted():
    scans = pd.DataFrame(
        {
            "participant_id": ["ann", "ann", "bob", "bob", "cid"],
            "days": [0, MOST_DAYS + 500, 0, MOST_DAYS + 500, 0],
            "diagnosis": ["CN", "AD", "MCI", "MCI", "CN"],
            "mmse": [29.0, 18.0, 24.0, 17.0, 30.0],
        },
        index=list("vwxyz"),
    )
    found = label_changes(scans, ["v", "y", "z"], 20)
    assert found == {"scans": 3, "diagnosis": 1, "mmse": 1, "filtered": 1}
    assert label_changes(scans, ["z"], 20)["diagnosis"] == 0
