"""Appendix C on a run of seconds: what construction fixes, and what may be missing."""

import numpy as np
import pandas as pd
import pytest

from mri2pet.cohort.store import Store
from mri2pet.evaluation.scoring import COLUMNS, KEY
from mri2pet.report.ambiguity import find, judge
from mri2pet.report.claims import NOT_REPRODUCED
from mri2pet.stages import appendix_c as stage
from mri2pet.stages import interventions as made
from mri2pet.stages.cohort import cohort

MAIN = ("mri2pet", "corrected")


@pytest.fixture(scope="module")
def store(tiny_run):
    return cohort(tiny_run)


@pytest.fixture(scope="module")
def first(store):
    return made.chosen_people(store, 1)[0]


@pytest.fixture(scope="module")
def changed(tiny_run):
    return made.interventions(tiny_run)


@pytest.fixture(scope="module")
def tidy(tiny_run):
    return stage.appendix_c(tiny_run)


def test_people_are_chosen_by_their_place_and_come_with_their_first_visit(store):
    test = store.scans.loc[store.ids(part="test", has_pet=True)]
    people = list(dict.fromkeys(test["participant_id"]))
    chosen = made.chosen_people(store, 3)
    assert list(test.loc[chosen, "participant_id"]) == people[:3]
    assert (test.loc[chosen, "days"] == 0).all()
    assert len(made.chosen_people(store, 99)) == len(people)


def test_visits_out_of_order_do_not_matter(store):
    """The person with two visits, in a table that lists the later one first."""

    class Turned:
        scans = store.scans.iloc[::-1]

        def ids(self, **kwargs):
            return store.ids(**kwargs)[::-1]

    chosen = made.chosen_people(Turned(), 99)
    assert (store.scans.loc[chosen, "days"] == 0).all()


def test_whoever_is_made_again_unchanged_is_the_same_bit_by_bit(tiny_run, store, first):
    volumes, known = made.made_again(tiny_run, store, first)
    for kind in ("mri", "pet", "brain", "regions"):
        np.testing.assert_array_equal(volumes[kind], store.read(kind, [first])[0])
    assert known["ventricle_ml"] == store.truth.at[first, "ventricle_ml"]


def test_more_amyloid_leaves_the_mri_and_moves_the_pet(tiny_run, store, first):
    (low, a), (high, b) = (
        made.made_again(tiny_run, store, first, A=level) for level in (0.0, 1.0)
    )
    for kind in ("mri", "brain", "regions"):
        np.testing.assert_array_equal(low[kind], high[kind])
    assert b["suvr_composite"] > a["suvr_composite"] + 0.3
    assert not np.array_equal(low["pet"], high["pet"])
    for measure in ("ventricle_ml", "cortex_mm", "gm_ml"):
        assert a[measure] == b[measure]


def test_more_atrophy_widens_ventricles_and_thins_the_cortex(tiny_run, store, first):
    known = [
        made.made_again(tiny_run, store, first, V=level)[1]
        for level in made.levels("V", 3)
    ]
    assert (np.diff([k["ventricle_ml"] for k in known]) > 0).all()
    assert (np.diff([k["cortex_mm"] for k in known]) < 0).all()


def test_more_amyloid_leaves_the_synthetic_pet_bit_by_bit(changed, tidy):
    """Construction fixes it: the MRI is the same, so the synthetic PET must be."""
    mine = changed[changed["cause"] == "A"]
    synthetic = mine[mine["row"].isin(["mri2pet", "regression_unet"])]
    assert len(synthetic) == 2 * 2 * 3
    assert (mine.loc[mine["row"] == "mri", "change"] == 0).all()
    assert (synthetic["change"] == 0).all()
    for measure in ("composite", "detail", "edge", "spread", "spread_composite"):
        values = synthetic.groupby(["participant_id", "row"])[measure]
        assert (values.nunique() <= 1).all(), measure
    real = mine[(mine["row"] == "real_pet") & (mine["level"] > 0)]
    assert (real["change"] > 0.3).all()
    assert find(tidy, *MAIN, "max_change", "do(A)")["value"] == 0
    assert find(tidy, "real_pet", "", "slope:composite", "do(A)")["value"] > 0.3


def test_the_network_is_asked_again_and_a_peeking_one_is_found(
    tiny_run, store, first, monkeypatch
):
    """A network that is shown the real PET must be caught by the same numbers."""
    asked = []

    def peeking(run, learned, mri, ids, settings):
        asked.append(mri)
        amyloid = made_pets[-1].mean()
        return np.full((1, 2, *run.profile.grids.pet), amyloid, dtype=np.float32)

    made_pets = []
    again = made.made_again

    def watched(*args, **kwargs):
        volumes, known = again(*args, **kwargs)
        made_pets.append(volumes["pet"])
        return volumes, known

    monkeypatch.setattr(made, "draw", peeking)
    monkeypatch.setattr(made, "made_again", watched)
    lines, _ = made._one_person(tiny_run, store, first, {MAIN: None}, {}, ("A",))
    assert len(asked) == 2  # the lowest and the highest level
    np.testing.assert_array_equal(*asked)
    assert lines.loc[lines["row"] == "mri2pet", "change"].max() > 0.01


def test_more_atrophy_moves_the_synthetic_pet(changed):
    mine = changed[(changed["cause"] == "V") & (changed["row"] == "mri2pet")]
    highest = mine[mine["level"] == mine["level"].max()]
    assert (highest["change"] > 0).all()
    assert np.isfinite(highest["change_r"]).all()
    assert mine.loc[mine["level"] < 1, "change_r"].isna().all()
    np.testing.assert_allclose(sorted(mine["level"].unique()), made.levels("V", 3))


def test_the_table(tiny_run, tidy):
    assert list(tidy.columns) == COLUMNS
    assert not tidy.duplicated(KEY).any()
    assert {"", "do(V)", "do(A)", "rho=0", "do(V), rho=0"} == set(tidy["variant"])
    assert {"mri2pet", "regression_unet", "real_pet", "ideal"} < set(tidy["row"])
    people = cohort(tiny_run).scans.query("part == 'test'")["participant_id"].nunique()
    assert find(tidy, *MAIN, "pearson_r:atrophy:detail")["n"] == people
    assert find(tidy, *MAIN, "slope:detail", "do(V)")["n"] == 2
    assert find(tidy, *MAIN, "spread")["k"] == tiny_run.profile.sampling.samples
    scans = pd.read_parquet(tiny_run.path / "results/appendix_c_scans.parquet")
    assert {"scan_id", "V", "ventricle_mri_ml", "sharpness", "row"} < set(scans)
    ideal = tiny_run.results("appendix_c_ideal")
    assert set(ideal["rho"]) == {0.0, tiny_run.profile.cohort.rho}
    judged = judge(tidy, tiny_run.results("appendix_c_notes"))
    mine = judged[(judged["claim"] == "sees-the-hidden")].set_index("design")
    assert mine.at["corrected", "overall"] == NOT_REPRODUCED


def test_the_stage_is_not_computed_twice(tiny_run, tidy, monkeypatch):
    computed = []
    monkeypatch.setattr(tiny_run, "log", computed.append)
    pd.testing.assert_frame_equal(stage.appendix_c(tiny_run), tidy)
    assert computed == []


def test_people_of_other_code_are_not_intervened_on(tiny_run, store, first):
    changed = Store(store.path)
    changed.truth = store.truth.assign(V=store.truth["V"] + 0.2)
    with pytest.raises(ValueError, match="made again unchanged, has another mri"):
        made._check_made_again(tiny_run, changed, first)
    changed.truth = store.truth.drop(columns="A")
    assert made.why_not(changed) == "the store does not say A"
    with pytest.raises(ValueError, match="does not say A"):
        made.made_again(tiny_run, changed, first)


def test_what_cannot_be_made_is_named_and_the_rest_stands(tiny_run, tidy, monkeypatch):
    def diverged(run, rho):
        raise ValueError("the network has\n diverged")

    monkeypatch.setattr(stage, "rho_synthetic_stage", diverged)
    found = stage.appendix_c(tiny_run)
    assert "rho=0" not in set(found["variant"])
    assert find(found, *MAIN, "slope:detail", "do(V)") is not None
    notes = tiny_run.results("appendix_c_notes").set_index("variant")
    assert notes.at["rho=0", "note"] == "the network has diverged"
