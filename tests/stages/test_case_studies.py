"""Case studies of a tiny run, and of people who are made up for one question each."""

import numpy as np
import pandas as pd
import pytest
from fake_people import FakeStore, profile, rows

from mri2pet.cohort.regions import REGIONS
from mri2pet.evaluation.changes import CLEAR_CHANGE
from mri2pet.evaluation.scoring import COLUMNS
from mri2pet.report.tables import lookup
from mri2pet.stages import cases
from mri2pet.stages.plan import AFTER_TRAINING, CHAPTERS, STAGES
from mri2pet.stages.regional import measured

MAIN = ("mri2pet", "corrected")


@pytest.fixture(scope="module")
def tidy(tiny_run):
    return cases.cases(tiny_run)


def made(store=None, **changes):
    store = store or FakeStore()
    return cases.study(store, rows(store), profile(**changes))


def value(tidy, key, metric, variant, region="composite", comparison=""):
    return lookup(tidy, *key, metric, region, comparison, variant)["value"]


def test_the_stage_on_a_tiny_run(tiny_run, tidy):
    people = tiny_run.results("figure3_people")
    assert list(tidy.columns) == COLUMNS
    store = tiny_run.cohort()
    assert set(people["rule"]) <= {"median_ad", "longest_time", "worst"}
    assert {"longest_time", "worst"} <= set(people["rule"])
    for scan in people["scan_id"]:
        assert store.scans.at[scan, "part"] == "test"
        for region in (*REGIONS, "composite"):
            real = value(tidy, ("real_pet", ""), "suvr", scan, region)
            mean = value(tidy, MAIN, "suvr", scan, region)
            gap = value(tidy, MAIN, "suvr", scan, region, "real_pet")
            assert gap == pytest.approx(mean - real, abs=1e-6)
        truth = store.truth.loc[scan]
        assert value(tidy, ("truth", ""), "V", scan, "") == pytest.approx(truth["V"])
        real = value(tidy, ("real_pet", ""), "suvr", scan)
        assert real == pytest.approx(truth["suvr_composite"], abs=0.1)
    ours = measured(tiny_run, *MAIN, "test")
    scan = people["scan_id"].iloc[0]
    place = ours.scan_ids.index(scan)
    drawn = ours.drawn_NKR[place, :, -1]
    assert value(tidy, MAIN, "sample_sd", scan) == pytest.approx(drawn.std(ddof=1))
    assert value(tidy, MAIN, "suvr_sample", scan) == pytest.approx(drawn[0])
    kept = pd.read_parquet(tiny_run.path / "results/figure3_scans.parquet")
    assert len(kept) == 3 * len(store.ids(part="test"))
    assert {"ssim", "mae"} <= set(tidy["metric"])


def test_nobody_shown_was_seen_in_training_and_the_results_say_so(tiny_run, tidy):
    people = tiny_run.results("figure3_people")
    assert (people[["scans_train", "scans_val", "scans_unpaired"]] == 0).all(axis=None)
    lines = tidy[tidy["metric"] == "people_in_training"]
    assert set(lines["variant"]) == set(people["rule"])
    assert (lines["value"] == 0).all()


def test_a_shown_person_in_training_is_counted():
    store = FakeStore()
    tidy, people, _, _ = made(store)
    worst = people.loc[people["rule"] == "worst", "participant_id"].item()
    first = store.ids(part="train")[0]
    store.scans.loc[first, "participant_id"] = worst
    leaky, people, _, _ = made(store)
    assert people.loc[people["rule"] == "worst", "scans_train"].item() == 1
    assert value(tidy, ("people", ""), "people_in_training", "worst", "") == 0
    assert value(leaky, ("people", ""), "people_in_training", "worst", "") == 1
    # a copy under another name
    store = FakeStore()
    shown = people.loc[people["rule"] == "worst", "scan_id"].item()
    store.scans.loc[store.ids(part="train")[0], "pet_sha256"] = store.scans.at[
        shown, "pet_sha256"
    ]
    copied, people, _, _ = made(store)
    assert people.loc[people["scan_id"] == shown, "copies"].max() == 1
    assert value(copied, ("people", ""), "people_in_training", "worst", "") == 1


def test_too_few_validation_people_for_an_interval_are_noted(tiny_run, tidy):
    """Two people cannot calibrate an interval for 80 %."""
    notes = tiny_run.results("figure3_notes")
    assert notes["note"].str.contains("at least 4 people to calibrate").any()
    mean = tidy[(tidy["row"] == "mri2pet") & (tidy["metric"] == "suvr")]
    assert mean["low"].isna().all()


def test_conformal_intervals_hold_what_they_promise():
    store = FakeStore({"train": 2, "val": 30, "test": 400}, twice=8)
    _, _, _, scans = made(store)
    for _, group in scans.groupby("row"):
        first = group[group["days"] == 0]
        gap = (first["mean_composite"] - first["real_composite"]).abs()
        held = (gap <= first["half_composite"]).mean()
        assert 0.7 < held < 0.95


def test_nothing_is_computed_twice(tiny_run, tidy, monkeypatch):
    names = []
    monkeypatch.setattr(tiny_run, "log", names.append)
    assert cases.cases(tiny_run).equals(tidy)
    assert names == []


def test_a_control_that_cannot_be_made_is_named_and_the_rest_stands(
    tiny_run, tidy, monkeypatch
):
    stage = cases.samples_stage

    def broken(run, row, design, part):
        if row == "regression_unet":
            raise ValueError("the network\nhas diverged")
        return stage(run, row, design, part)

    monkeypatch.setattr(cases, "samples_stage", broken)
    few = cases.cases(tiny_run)
    assert "regression_unet" not in set(few["row"])
    assert set(few["row"]) == set(tidy["row"]) - {"regression_unet"}
    notes = tiny_run.results("figure3_notes")
    assert "the network has diverged" in set(notes["note"])
    monkeypatch.setattr(cases, "samples_stage", stage)
    assert cases.cases(tiny_run).equals(tidy)


def test_real_people_have_no_truth_and_the_note_says_so():
    tidy, _, notes, _ = made(FakeStore(truth=False))
    assert "truth" not in set(tidy["row"])
    assert notes["note"].str.contains("not known").any()
    phantom, *_ = made(FakeStore())
    assert "truth" in set(phantom["row"])


def test_nobody_with_ad_or_two_visits_leaves_the_worst_case():
    store = FakeStore(twice=0)
    store.scans["diagnosis"] = "CN"
    tidy, people, notes, _ = made(store)
    assert set(people["rule"]) == {"worst"}
    assert "suvr_change" not in set(tidy["metric"])
    said = " ".join(notes["note"])
    assert "none of the 3 people" in said
    assert "no test person has two visits" in said


def test_changes_are_those_of_a_loop():
    store = FakeStore(twice=10)
    tidy, _, notes, scans = made(store)
    mine = scans[scans["row"] == "mri2pet"].set_index("scan_id")
    real, synthetic = [], []
    for i in range(10):
        a, b = (mine.loc[f"test-{i:02d}_{visit}"] for visit in (0, 1))
        real.append(b["real_composite"] - a["real_composite"])
        synthetic.append(b["mean_composite"] - a["mean_composite"])
        shown = value(tidy, MAIN, "suvr_change", f"test-{i:02d}_1")
        assert shown == pytest.approx(synthetic[-1])
    real, synthetic = np.array(real), np.array(synthetic)
    where = ("change_slope", "two_visits")
    assert value(tidy, MAIN, *where) == pytest.approx(
        (real * synthetic).sum() / (real**2).sum()
    )
    share = (np.sign(real) == np.sign(synthetic)).mean()
    assert value(tidy, MAIN, "change_sign", "two_visits") == share
    error = np.abs(real - synthetic).mean()
    assert value(tidy, MAIN, "change_error", "two_visits") == pytest.approx(error)
    nothing = np.abs(real).mean()
    gap = value(tidy, MAIN, "change_error", "two_visits", comparison="no_change")
    assert gap == pytest.approx(error - nothing)
    clear = lookup(tidy, *MAIN, "change_sign", "composite", variant="clear_change")
    assert clear["n"] == (np.abs(real) >= CLEAR_CHANGE).sum()
    assert (
        notes.loc[notes["kind"] == "few", "note"].str.contains("two visits: 10").any()
    )


def test_a_picture_that_never_changes_is_no_better_than_no_change():
    tidy, *_ = made(FakeStore(twice=10))
    template = ("mean_template", "")
    assert value(tidy, template, "change_sign", "two_visits") == 0
    assert value(tidy, template, "change_slope", "two_visits") == pytest.approx(0)
    gap = lookup(
        tidy, *template, "change_error", "composite", "no_change", "two_visits"
    )
    assert (gap["value"], gap["low"], gap["high"]) == pytest.approx((0, 0, 0))


def test_the_chapter_and_its_stages_are_registered():
    assert "10_case_studies" in CHAPTERS
    assert STAGES["cases"] is CHAPTERS["10_case_studies"]
    assert {"figure3", "certainty"} <= set(AFTER_TRAINING)
