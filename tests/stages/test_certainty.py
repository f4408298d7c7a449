"""Probabilities of amyloid: fitted on the right people, scored as they should be."""

import numpy as np
import pandas as pd
import pytest
from fake_people import FakeStore, rows
from sklearn.metrics import brier_score_loss, roc_auc_score

from mri2pet.evaluation.certainty import (
    TEST_COLUMNS,
    certainty_lines,
    certainty_tests,
)
from mri2pet.evaluation.decision import fit_probability
from mri2pet.evaluation.scoring import COLUMNS
from mri2pet.provenance import source_hashes
from mri2pet.report.tables import lookup
from mri2pet.stages import certainty
from mri2pet.stages.certainty import probabilities

MAIN = ("mri2pet", "corrected")
ROWS = {
    "mri2pet",
    "regression_unet",
    "mean_template",
    "covariates",
    "prevalence",
    "real_pet",
}


def made(store=None, **how):
    store = store or FakeStore()
    return probabilities(store, rows(store, **how))


def lines_of(people):
    return certainty_lines(people, seed=4, rho=0.67, n_boot=200)


def of(people, row):
    return people[people["row"] == row]


def test_the_stage_on_a_tiny_run(tiny_run, monkeypatch):
    store = tiny_run.cohort()
    status = store.truth["status"]
    known = status.loc[store.ids(part="val")]
    tidy = certainty.certainty(tiny_run)
    assert list(tidy.columns) == COLUMNS
    people = pd.read_parquet(tiny_run.path / "results/certainty_scans.parquet")
    expected = ROWS if known.nunique() == 2 else {"covariates", "prevalence"}
    assert set(people["row"]) == expected
    assert people["participant_id"].nunique() == 5
    assert people["probability"].between(0, 1).all()
    for _, group in people.groupby("row"):
        assert group["scan_id"].is_unique
        right = status.loc[group["scan_id"]].to_numpy(bool)
        assert (group["positive"].to_numpy(bool) == right).all()
    tests = tiny_run.results("certainty_tests")
    assert list(tests.columns) == TEST_COLUMNS
    assert (tests["p_holm"] >= tests["p"]).all()
    names = []
    monkeypatch.setattr(tiny_run, "log", names.append)
    assert certainty.certainty(tiny_run).equals(tidy)
    assert names == []


def test_the_code_that_makes_the_numbers_is_part_of_the_key():
    """Modules of other stages are not, so none of it may stand in one."""
    for stage, modules in (
        ("certainty", ("certainty", "decision", "selective", "regional", "status")),
        ("cases", ("cases", "changes", "visits", "regional", "lines")),
        ("table1", ("status",)),
    ):
        counted = source_hashes(f"mri2pet.stages.{stage}")
        assert {f"mri2pet.evaluation.{name}" for name in modules} <= set(counted)
    for stage, shared in (("downstream", "settings"), ("learn", "learned")):
        counted = source_hashes(f"mri2pet.stages.{stage}")
        assert f"mri2pet.stages.{shared}" in counted
        assert "mri2pet.stages.cohort" not in counted


def test_a_pet_is_calibrated_on_validation_people_and_covariates_on_both():
    store = FakeStore()
    read = rows(store)
    people, _ = probabilities(store, read)
    assert set(people["row"]) == ROWS
    fitted = people.groupby("row")["fitted_on"].first()
    assert fitted["mri2pet"] == fitted["real_pet"] == 16
    assert fitted["covariates"] == fitted["prevalence"] == 28
    test, val = read[MAIN]
    features = [np.column_stack([v.mean[:, -1], v.sd[:, -1]]) for v in (val, test)]
    status = store.truth.loc[val.scan_ids, "status"]
    p = pd.Series(fit_probability(features[0], status)(features[1]), test.scan_ids)
    mine = of(people, "mri2pet").set_index("scan_id")["probability"]
    np.testing.assert_allclose(mine, p.loc[mine.index])
    # other training people, and other second visits, change nothing for it
    again, _ = probabilities(FakeStore({"train": 3, "val": 16, "test": 40}), read)
    assert set(of(again, "mri2pet")["fitted_on"]) == {16}


def test_one_visit_a_person():
    people, _ = made()
    assert (people["scan_id"].str[-2:] == "_0").all()
    assert of(people, "mri2pet")["participant_id"].is_unique


def test_scores_are_those_of_scikit_learn():
    people, _ = made()
    tidy = lines_of(people)
    for row, design in people[["row", "design"]].drop_duplicates().values:
        mine = of(people, row)
        p, y = mine["probability"], mine["positive"]
        score = lookup(tidy, row, design, "brier", "composite")
        assert score["value"] == pytest.approx(brier_score_loss(y, p))
        assert score["low"] <= score["value"] <= score["high"]
        area = lookup(tidy, row, design, "positivity_auc", "composite")
        assert area["value"] == pytest.approx(roc_auc_score(y, p))
        wrong = lookup(tidy, row, design, "risk_call", "composite", variant="keep=1")
        assert wrong["value"] == pytest.approx(((p >= 0.5) != y).mean())
        everybody = lookup(
            tidy, "treat_all", "", "net_benefit", "composite", variant="t=0.25"
        )
        acted = lookup(
            tidy, row, design, "net_benefit", "composite", "treat_all", "t=0.25"
        )
        alone = lookup(tidy, row, design, "net_benefit", "composite", "", "t=0.25")
        assert acted["value"] == pytest.approx(alone["value"] - everybody["value"])
    n = tidy[tidy["variant"].str.startswith("bin=") & (tidy["metric"] == "observed")]
    assert set(n.groupby("row")["n"].sum()) == {40}


def test_leaving_one_calibration_person_out_moves_the_score():
    people, _ = made()
    tidy = lines_of(people)
    line = lookup(tidy, *MAIN, "brier", "composite", variant="leave_one_out")
    assert line["low"] < line["high"]
    assert line["interval"] == "calibration people"
    assert line["n"] == 16


def test_one_class_in_validation_leaves_what_needs_no_validation():
    store = FakeStore()
    store.truth.loc[store.ids(part="val"), "status"] = True
    people, notes = probabilities(store, rows(store))
    assert set(people["row"]) == {"covariates", "prevalence"}
    said = {row: text for row, _, _, kind, text in notes if kind == "missing"}
    assert set(said) == {"mri2pet", "regression_unet", "mean_template", "real_pet"}
    assert "all 16 people are positive" in said["mri2pet"]
    tidy, tests = lines_of(people), certainty_tests(people, n_boot=1000)
    assert lookup(tidy, *MAIN, "brier", "composite") is None
    assert "brier" not in set(tests["metric"])


def test_one_class_anywhere_is_refused():
    store = FakeStore()
    store.truth["status"] = False
    with pytest.raises(ValueError, match="no row gives a probability"):
        probabilities(store, rows(store))


def test_one_class_among_the_test_people_is_noted_and_has_no_area():
    store = FakeStore()
    store.truth.loc[store.ids(part="test"), "status"] = True
    people, notes = probabilities(store, rows(store))
    assert any("all test people have the same status" in n[-1] for n in notes)
    tidy = lines_of(people)
    assert np.isnan(lookup(tidy, *MAIN, "positivity_auc", "composite")["value"])
    assert np.isfinite(lookup(tidy, *MAIN, "brier", "composite")["value"])


def test_a_constant_prediction_is_noted_and_is_refusing_at_random():
    flat = {"share": 0.0, "noise": 0.0, "spread": 0.0, "samples": 1}
    people, notes = made(main=flat)
    kinds = {(row, kind) for row, _, _, kind, _ in notes}
    assert ("mri2pet", "constant") in kinds
    mine = of(people, "mri2pet")["probability"]
    assert mine.nunique() == 1
    tidy = lines_of(people)
    line = lookup(tidy, *MAIN, "aurc_call", "composite", "random")
    assert (line["value"], line["low"], line["high"]) == (0, 0, 0)


def test_unknown_covariates_are_filled_and_counted():
    store = FakeStore()
    some = store.ids(part="test")[:3]
    store.scans.loc[some, "age"] = np.nan
    store.scans["apoe_e4"] = np.nan  # known of nobody
    people, notes = probabilities(store, rows(store))
    text = next(n[-1] for n in notes if n[3] == "filled")
    assert "people lack age, sex or APOE" in text
    assert of(people, "covariates")["probability"].notna().all()


def test_the_status_of_real_people_is_read_from_their_scans():
    store = FakeStore(truth=False)
    people, notes = probabilities(store, rows(store))
    mine = of(people, "mri2pet")
    assert (mine["positive"] == (mine["real_composite"] > 1.11)).all()
    assert any(kind == "label" for *_, kind, _ in notes)


def test_a_row_that_knows_is_found_and_one_that_does_not_is_not():
    big = FakeStore({"train": 20, "val": 40, "test": 120}, twice=4)
    knows = {"share": 1.0, "noise": 0.01}
    blind = {"share": 0.0, "noise": 0.1}
    for how, found in ((knows, True), (blind, False)):
        people, _ = probabilities(big, rows(big, main=how))
        tests = certainty_tests(people, n_boot=2000)
        brier = tests[tests["metric"] == "brier"].set_index("comparison")
        assert (brier.loc["prevalence", "p_holm"] < 0.05) == found
        use = tests[(tests["metric"] == "net_benefit") & (tests["row"] == "mri2pet")]
        half = use[use["variant"] == "t=0.5"]
        assert (half["p_holm"] < 0.05).all() == found
        assert set(use["family"]) == {6}


def test_a_spread_that_announces_the_error_gains_and_is_tested():
    store = FakeStore({"train": 20, "val": 20, "test": 150}, twice=0)
    people, _ = probabilities(store, rows(store))
    mine = people["row"] == "mri2pet"
    error = (people["composite"] - people["real_composite"]).abs()
    honest = people.assign(sample_sd=error.where(mine))
    tests = certainty_tests(honest, n_boot=1000)
    suvr = tests[(tests["metric"] == "aurc") & (tests["variant"] == "suvr")]
    assert suvr["row"].tolist() == ["mri2pet"]
    assert suvr["value"].item() < 0 and suvr["p_holm"].item() < 0.05
    line = lookup(lines_of(honest), *MAIN, "refusal_gain_suvr", "composite")
    assert line["value"] == pytest.approx(1)


def test_rows_of_other_people_are_refused():
    people, _ = made()
    with pytest.raises(ValueError, match="other people"):
        lines_of(people.drop(people.index[-1]))
