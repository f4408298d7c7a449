"""A cohort of which no truth is known: what falls back, and where phantoms stand in."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mri2pet.cohort.store import Store
from mri2pet.evaluation.status import amyloid_status
from mri2pet.evaluation.uptake import POSITIVITY_SUVR
from mri2pet.report import notebook, whose
from mri2pet.run import Run
from mri2pet.stages import appendix_c, chance, clinical, interventions, questions
from mri2pet.stages import table1 as table
from mri2pet.stages.cohort import phantoms, phantoms_stage, stands_in, why_not
from mri2pet.stages.plan import estimate, people_of
from mri2pet.stages.settings import arms


def stripped(store, folder, **columns):
    """Copy of a store without its truth, some columns of its table replaced."""
    path = shutil.copytree(store.path, folder / "people.zarr")
    (path / "truth.parquet").unlink()
    if columns:
        table = pd.read_csv(path / "scans.tsv", sep="\t", dtype=str).assign(**columns)
        table.to_csv(path / "scans.tsv", sep="\t", index=False, na_rep="n/a")
    return Store(path)


@pytest.fixture(scope="module")
def real(tiny_run, tiny_profile, tmp_path_factory):
    """Run on the people of the tiny run, as if they had been scanned."""
    folder = tmp_path_factory.mktemp("real")
    store = stripped(tiny_run.cohort(), folder)
    run = Run.open(tiny_profile, folder / "tiny", store=str(store.path), quiet=True)
    run.log = lambda text: None
    return run


def test_the_status_falls_back_to_the_real_composite(tiny_run, real):
    store = tiny_run.cohort()
    ids = store.ids(part="test", has_pet=True)
    composite = pd.Series(np.linspace(0.9, 1.4, len(ids)), index=ids)
    known = amyloid_status(store, composite)
    assert (known == store.truth.loc[ids, "status"]).all()
    read = amyloid_status(real.cohort(), composite)
    assert (read == (composite > POSITIVITY_SUVR)).all()


def test_phantoms_stand_in_where_people_cannot_be_made_again(tiny_run, real):
    assert not stands_in(tiny_run)
    assert phantoms(tiny_run).path == tiny_run.cohort().path
    assert "phantoms" not in tiny_run.stage_keys()
    assert stands_in(real)
    made = real.phantoms()
    assert made.path == real.path / "phantoms/store.zarr"
    assert why_not(made) == ""
    # the same numbers and the same seed: the very people of the profile
    assert made.fingerprint() == tiny_run.cohort().fingerprint()
    assert made.shape("pet") == real.cohort().shape("pet")
    assert phantoms_stage(real).key == real.stage_keys()["phantoms"]


def test_truth_alone_is_not_enough_to_be_made_again(tiny_run):
    store = tiny_run.cohort()
    prepared = SimpleNamespace(truth=store.truth, attrs={"seed": 4})
    assert "work_mm" in why_not(prepared)


def test_the_adopted_store_is_a_stage_with_a_key(real):
    assert real.stage_keys()["cohort"] == real.cohort().fingerprint()


def test_a_directory_of_its_own_keeps_its_changes(tiny_profile, real, capsys):
    """A chapter opens it by the profile's name and must not fall back to phantoms."""
    again = Run.open(tiny_profile, real.path)
    assert again.profile == real.profile
    assert again.path == real.path
    assert "its own" not in capsys.readouterr().out
    kept = json.loads((real.path / "profile.json").read_text())
    assert kept["store"] == real.profile.store
    # the profile's file is nowhere among the book's: the run itself knows it
    assert Run.open("tiny", real.path, quiet=True).profile == real.profile
    other = Run.open("tiny", real.path, quiet=True, bootstrap=30)
    assert other.profile.store == real.profile.store
    assert other.path != real.path
    with pytest.raises(ValueError, match="tiny"):
        Run.open("tiny", real.path.parent / "nowhere", quiet=True)


def test_interventions_ask_the_networks_of_the_run_about_phantoms(tiny_run, real):
    made = interventions.interventions(real)
    assert set(made["cause"]) == {"V", "A"}
    assert {"mri2pet", "regression_unet", "real_pet"} < set(made["row"])
    assert made["participant_id"].nunique() == real.profile.atrophy.people
    hidden = made[(made["cause"] == "A") & (made["row"] == "mri2pet")]
    assert hidden["change"].max() == 0


def test_appendix_c_observes_people_and_experiments_on_phantoms(real):
    tidy = appendix_c.appendix_c(real)
    seen = tidy[tidy["variant"] == ""]
    assert {"mri2pet", "real_pet"} < set(seen["row"])
    assert seen["rho"].isna().all()
    line = seen[seen["metric"] == "pearson_r:atrophy:detail"].set_index("row")
    assert np.isfinite(line.at["real_pet", "value"])  # against the ventricles it sees
    assert "ideal" not in set(tidy["row"])
    assert {"do(V)", "do(A)"} < set(tidy["variant"])
    assert not tidy["variant"].str.contains("rho=").any()
    notes = real.results("appendix_c_notes").set_index("kind")
    assert notes.at["phantoms", "note"] == appendix_c.ON_PHANTOMS
    assert notes.at["missing", "note"] == appendix_c.OTHER_PEOPLE
    ideal = real.results("appendix_c_ideal")
    assert set(ideal["rho"]) == {0.0, real.profile.cohort.rho}


def test_pretraining_takes_what_mris_there_are(real, tiny_profile, tmp_path):
    """A profile may style more MRIs than a cohort has of people without a PET."""
    text = tiny_profile.read_text()
    for old, new in (("unpaired: 4", "unpaired: 9"), ("volumes: 4", "volumes: 9")):
        assert old in text
        text = text.replace(old, new)
    profile = tmp_path / "wants.yaml"
    profile.write_text(text)
    run = Run.open(profile, tmp_path / "run", store=real.profile.store, quiet=True)
    run.log = lambda text: None
    pool = run.cohort().ids(part="unpaired")
    assert len(pool) == 4
    assert run.styled("corrected").scan_ids == pool
    for kind in ("style", "self"):
        assert np.isfinite(run.pretrain(kind, "corrected").losses["loss"]).all()


def test_limits_of_table_1_are_those_of_phantoms_only(tiny_run, real):
    for run, rows in ((tiny_run, {"real_pet", "ceiling"}), (real, {"real_pet"})):
        store = run.cohort()
        test = table._Test.read(store)
        composite = test.score(test.real)["suvr_real_composite"]
        found = table._limits(run, store, test, amyloid_status(store, composite))
        assert {line["row"] for line in found} == rows


def test_ceilings_of_tables_2_and_3_are_those_of_phantoms_only(tiny_run, real):
    for name in ("table2", "table3"):
        assert len(clinical._ceilings(tiny_run, name))
        assert clinical._ceilings(real, name).empty


def test_no_classifier_is_trained_for_another_rho(tiny_run, real):
    assert any(arm.rho == 0 for arm in arms(tiny_run))
    assert all(arm.rho is None for arm in arms(real))


def test_chance_still_asks_for_phantoms(real):
    with pytest.raises(ValueError, match="chance needs phantoms"):
        chance.chance(real)


def test_the_plan_counts_the_people_that_there_are(tiny_run, real):
    assert people_of(tiny_run) == tiny_run.profile.cohort
    assert people_of(real).test == real.profile.cohort.test
    assert people_of(real).test_two_visits == real.profile.cohort.test_two_visits
    assert estimate(real)["cohort"] > 0


def test_phantoms_of_a_profile_leave_no_chapter_out(tiny_run):
    assert questions.unanswered(tiny_run) == {}


@pytest.mark.parametrize(
    "columns,gone",
    [
        ({}, set()),
        ({"mmse": None}, {"12_table3"}),
        ({"diagnosis": None}, {"11_table2"}),
        ({"diagnosis": "CN"}, {"11_table2"}),
        ({"age": None, "sex": None, "apoe_e4": None, "education": None}, set()),
    ],
)
def test_chapters_without_labels_are_named(real, tmp_path, monkeypatch, columns, gone):
    store = stripped(SimpleNamespace(path=real.phantoms().path), tmp_path, **columns)
    if columns.get("diagnosis", "") is None:
        file = store.path / "scans.tsv"
        known = pd.read_csv(file, sep="\t", dtype=str, na_values=["n/a"])
        known.assign(labelled="False").to_csv(file, sep="\t", index=False, na_rep="n/a")
        store = Store(store.path)
    monkeypatch.setattr(questions, "cohort", lambda run: store)
    monkeypatch.setattr(questions, "LEAST", 3)
    found = questions.unanswered(real)
    labels = {k: v for k, v in found.items() if k != "10_case_studies"}
    if columns.get("diagnosis", "") is None:  # nobody has a label at all
        assert set(labels) == {"11_table2", "12_table3"}
    else:
        assert set(labels) == gone
    assert all("\n" not in reason for reason in found.values())


def test_one_status_for_all_leaves_the_decision_out(real, monkeypatch):
    monkeypatch.setattr(
        questions, "amyloid_status", lambda store, real: pd.Series(True, real.index)
    )
    assert "amyloid-positive" in questions.unanswered(real)["10_case_studies"]


@pytest.fixture
def shown(monkeypatch):
    bundles = []
    monkeypatch.setattr(notebook, "_display", bundles.append)
    return bundles


def test_the_marked_heading_stands_above_phantoms_and_nowhere_else(
    tiny_run, real, shown
):
    notebook.mark_phantoms(tiny_run, "The next figure is", "it needs the truth")
    assert shown == []
    notebook.mark_phantoms(real, "The next figure is", "it needs the truth")
    text = shown[0]["text/markdown"]
    assert text.startswith(f":::{{admonition}} {whose.TITLE}\n")
    assert (
        "The next figure is about the book's phantoms, not about your cohort: "
        "it needs the truth." in text
    )
    assert whose.TITLE in shown[0]["text/html"]


def test_the_banner_says_whose_people_these_are(tiny_run, real, shown):
    notebook.chapter_banner(tiny_run)
    notebook.chapter_banner(real)
    own, other = (bundle["text/markdown"] for bundle in shown)
    assert "phantoms, not ADNI" in own
    assert "phantoms, not ADNI" not in other
    assert whose.TITLE in other
    people = real.cohort().scans["participant_id"].nunique()
    assert f"scans of {people} people" in other
    assert whose.whose(tiny_run, "a", "b") == "a"
    assert whose.whose(real, "a", "b") == "b"
