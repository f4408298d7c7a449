"""Folds, cross-fitted PETs, and a leak that is there or not."""

import numpy as np
import pytest

from mri2pet.baselines.controls import nearest_subject
from mri2pet.cohort.phantom.disease import draw_visits
from mri2pet.cohort.splits import pair_split, patient_split
from mri2pet.evaluation.downstream import Plan, Sample, fit
from mri2pet.evaluation.utility import score_classes
from mri2pet.stages.cohort import cohort
from mri2pet.stages.crossfit import (
    folds,
    generated_stages,
    labelled_scans,
    read_generated,
)

GRID = (8, 12, 12)
PLAN = Plan(
    epochs=40, patience=40, batch_size=16, learning_rate=2e-3, dropout="released"
)
SHARES = (0.6, 0.1, 0.3)


def test_folds_divide_people_and_depend_on_the_seed():
    people = [f"sub-{i}" for i in range(11)] * 2
    parts = folds(people, 3, seed=4)
    assert sorted(map(len, parts)) == [3, 4, 4]
    assert frozenset.union(*parts) == frozenset(people)
    assert parts == folds(people[::-1], 3, seed=4) != folds(people, 3, seed=5)
    with pytest.raises(ValueError, match="11 people cannot make 12 folds"):
        folds(people, 12, seed=4)


def test_a_cross_fitted_pet_comes_from_a_network_that_never_saw_the_person(tiny_run):
    store = cohort(tiny_run)
    ids, train = labelled_scans(store), store.ids(part="train")
    plain = read_generated(generated_stages(tiny_run, "corrected", "no_crossfit"))
    stages = generated_stages(tiny_run, "corrected")
    crossed = read_generated(stages)
    assert list(plain) == ids and set(crossed) == set(ids)
    for scan in ids:
        assert np.array_equal(plain[scan], crossed[scan]) == (scan not in train)
    # Every training person is in one fold, and the fold's network left her out.
    person = store.scans["participant_id"]
    made = [set(read_generated([stage])) for stage in stages[1:]]
    assert set.union(*made) == set(train) and not set.intersection(*made)
    for stage, scans in zip(stages[1:], made, strict=True):
        assert {person[s] for s in scans}.isdisjoint(
            {person[s] for s in train if s not in scans}
        )
        assert "fold=" in stage.name
    with pytest.raises(ValueError, match="way 'somehow'"):
        generated_stages(tiny_run, "corrected", "somehow")


def test_pretraining_can_leave_a_fold_out_too(tiny_run):
    ids = labelled_scans(cohort(tiny_run))
    found = read_generated(generated_stages(tiny_run, "corrected", "pretrain_crossfit"))
    crossed = read_generated(generated_stages(tiny_run, "corrected"))
    part = cohort(tiny_run).scans["part"]
    for scan in ids:
        same = np.array_equal(found[scan], crossed[scan])
        assert same == (part[scan] != "unpaired")


def _marked(scans, rng):
    """Images without any disease; each person carries a mark of her own."""
    # Blocks of two voxels, so that pooling does not average the marks away.
    blocks, coarse = np.ones((2, 2, 2)), tuple(n // 2 for n in GRID)
    people = scans["participant_id"].unique()
    marks = {p: np.kron(rng.uniform(1, 4, coarse), blocks) for p in people}
    noise = rng.uniform(0, 1, (len(scans), *GRID))
    return np.stack([marks[p] for p in scans["participant_id"]]) + noise


def _auroc(scans, images, parts):
    label = scans["diagnosis"].map({"CN": 0, "MCI": 1, "AD": 2}).to_numpy()
    people = list(scans["participant_id"])
    places = {
        part: np.flatnonzero((parts == part).to_numpy()) for part in ("train", "test")
    }
    samples = {
        part: Sample(
            {"mri": images[where].astype("f4")},
            None,
            label[where],
            [people[i] for i in where],
        )
        for part, where in places.items()
    }
    train, test = samples["train"], samples["test"]
    found = [
        fit(train, {"real": test}, list(train.target_N), PLAN, seed)["real"]
        for seed in (0, 4)
    ]
    return score_classes(
        np.stack(found), test.target_N, test.people, n_boot=400, seed=0
    )["auroc_macro"]


def test_a_leak_between_visits_is_visible_in_a_pair_split_and_absent_in_ours():
    """The marks say nothing about disease, but they say who it is."""
    scans = draw_visits(150, seed=3)
    images = _marked(scans, np.random.default_rng(0))
    leaky = _auroc(scans, images, pair_split(scans, SHARES, seed=0))
    ours = _auroc(scans, images, patient_split(scans, SHARES, seed=0))
    low, high = ours.over_people()
    assert low <= 0.5  # no advantage
    assert leaky.over_people()[0] > max(0.5, high)


def test_a_generator_that_copies_leaks_unless_it_is_cross_fitted():
    """A generator that returns the PET of the most similar training MRI."""
    scans = draw_visits(150, seed=5)
    rng = np.random.default_rng(1)
    mri, amyloid = _marked(scans, rng), scans["A"].to_numpy()
    people = np.array(scans["participant_id"])
    several = scans.groupby("participant_id")["A"].transform("size").to_numpy() > 1
    groups = folds(list(people), 2, seed=0)
    copied = np.empty(len(scans))
    for fold in groups:
        inside = np.isin(people, list(fold))
        found = nearest_subject(
            mri[inside], mri[~inside], people[inside], people[~inside]
        )
        copied[inside] = amyloid[~inside][found]
    released = np.empty(len(scans))
    for i in range(len(scans)):
        others = np.arange(len(scans)) != i
        apart = (mri[others] - mri[i]) ** 2
        released[i] = amyloid[others][apart.sum((1, 2, 3)).argmin()]
    leak = np.corrcoef(released[several], amyloid[several])[0, 1]
    none = np.corrcoef(copied[several], amyloid[several])[0, 1]
    assert leak > 0.9 and abs(none) < 0.25
