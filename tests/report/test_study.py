"""The committed long run in the chapters: whole, in part, or not there at all."""

import json

import pandas as pd
import pytest

from mri2pet.config import CONTROLS
from mri2pet.report.claims import (
    NOT_RUN,
    NOT_TESTABLE,
    claims_table,
    explain,
    judge,
    load_claims,
)
from mri2pet.report.curves import (
    crossed_controls,
    crossings_table,
    curves_in_words,
    learning_curves,
    long_run,
    passed_in_words,
)
from mri2pet.report.study import load_study
from mri2pet.report.tables import noted

KEYS = [(row, d) for row in ("gan", "cdc") for d in ("published", "corrected")]
DATE = "2031-05-06"


def curve(row, design, values, half=0.01):
    """Lines of one curve; a control has one point."""
    where = {"row": row, "design": design, "metric": "ssim", "region": "brain"}
    return [
        where
        | {"samples": 10**i if design else 0, "value": value, "n": 60}
        | {"low": value - half, "high": value + half}
        for i, value in enumerate(values, start=1)
    ]


LINES = [
    *curve("mean_template", "", [0.8]),
    *curve("random_subject", "", [0.6]),
    *curve("regression_unet", "", [0.9]),
    *curve("gan", "published", [0.2, 0.3, 0.4]),
    *curve("gan", "corrected", [0.2, 0.7, 0.85]),
    *curve("cdc", "corrected", [0.2, 0.7, float("nan")]),
    *curve("mri2pet", "corrected", [0.3, 0.9, 0.95]),
]


@pytest.fixture
def keep(tmp_path):
    """Write tables as `mri2pet keep` does, and read them as the chapters do."""

    def study(**tables):
        about = {"profile": "study", "date": DATE, "cores": 2, "cpu": "X"}
        about |= {"hours": 9.0, "commit": "0123456789"}
        (tmp_path / "provenance.json").write_text(json.dumps(about))
        for name, frame in tables.items():
            frame.to_csv(tmp_path / f"{name}.csv", index=False, na_rep="NA")
        return load_study(tmp_path)

    return study


def test_without_a_long_run_one_sentence_says_so(keep):
    for study in (None, keep()):
        curves, said = long_run(study, KEYS)
        assert curves is None
        assert "No long run" in said and "<long-run>" in said


def test_a_long_run_without_these_rows_is_named(keep):
    lines = pd.DataFrame(LINES)
    curves, said = long_run(
        keep(learning_curves=lines[lines["row"] != "gan"]), [("gan", "corrected")]
    )
    assert curves is None
    assert "not in the long run" in said and DATE in said


def test_only_the_rows_asked_for_are_drawn_and_the_absent_are_named(keep):
    curves, said = long_run(keep(learning_curves=pd.DataFrame(LINES)), KEYS)
    there = set(zip(curves["row"], curves["design"], strict=True))
    controls = {(c, "") for c in CONTROLS if c != "nearest_subject"}
    assert there == {*controls, *set(KEYS) - {("cdc", "published")}}
    assert said == "Not in that run: CDC (published)."
    whole = [("gan", "published"), ("mri2pet", "corrected")]
    assert long_run(keep(learning_curves=pd.DataFrame(LINES)), whole)[1] == ""
    labels = [t.get_text() for t in learning_curves(curves).legends[0].get_texts()]
    assert labels[:2] == ["GAN", "CDC"]
    assert len(labels) == 5  # and the levels of three controls


def test_a_control_has_no_design_however_the_table_says_so(keep):
    lines = pd.DataFrame(LINES)
    unsaid = lines.assign(design=lines["design"].replace("", None))
    for frame in (lines, unsaid):
        curves, _ = long_run(keep(learning_curves=frame), KEYS)
        labels = [t.get_text() for t in learning_curves(curves).legends[0].get_texts()]
        assert len(labels) == len(set(labels)) == 5


def test_what_is_said_follows_from_the_curves(keep):
    curves, _ = long_run(keep(learning_curves=pd.DataFrame(LINES)), KEYS)
    crossed = crossed_controls(curves)
    said = passed_in_words(crossed)
    assert said == (
        "After 1,000 samples at most there end above the random training person 0 of 1 "
        "published and 1 of 2 corrected rows; above the mean template 0 of 1 published "
        "and 1 of 2 corrected rows; above the regression U-Net 0 of 1 published and 0 "
        "of 2 corrected rows."
    )
    keys = list(zip(crossed["row"], crossed["design"], strict=True))
    assert keys == [
        ("gan", "published"),
        ("gan", "corrected"),
        ("cdc", "corrected"),
    ]
    table = crossings_table(crossed).set_index(["Row", "Design"])
    gan = table.loc[("GAN", "corrected")]
    assert gan["above random training person"] == "from 100"
    assert gan["above mean template"] == "from 1,000"
    assert gan["above regression U-Net"] == "not here"
    assert table.loc[("CDC", "corrected"), "Score at the end"] == "diverged"
    assert "CDC corrected diverged after 1,000" in curves_in_words(crossed)


def test_curves_of_a_run_that_has_not_trained_all_controls(keep):
    lines = pd.DataFrame(LINES)
    lines = lines[lines["row"] != "regression_unet"]
    curves, _ = long_run(keep(learning_curves=lines), KEYS)
    crossed = crossed_controls(curves)
    assert "regression_unet" not in crossed
    assert "regression" not in passed_in_words(crossed)
    assert len(crossings_table(crossed)) == 3


def test_claims_are_judged_on_a_table_with_some_rows_only(keep, tidy, cases):
    """The rest is named, and what is there is judged as in the whole table."""
    notes = pd.DataFrame(
        [
            ("no_style", "published", "", "missing", "finetune-no_style is not ready"),
            ("no_loss", "published", "x0_mse", "missing", "of a variant only"),
            ("vanilla", "published", "", "failure", "collapsed"),
        ],
        columns=["row", "design", "variant", "kind", "note"],
    )
    gone = {("no_style", "published")}
    levels = {k: v for k, v in cases.levels.items() if k not in gone}
    study = keep(table1=cases.make_tidy(levels), table1_notes=notes)
    kept = study.tables["table1_notes"]
    assert noted(kept, "missing") == gone
    failed = noted(kept, "failure")
    assert failed == {("vanilla", "published")}
    judged = judge(study.tables["table1"], failed=failed)
    whole = judge(tidy, failed=failed)
    keys = ["claim", "design", "comparison", "metric"]
    both = judged.merge(whole, on=keys, suffixes=("", "_whole"), validate="1:1")
    assert len(both) == len(judged) == len(whole)
    lost = (both["comparison"] == "no_style") & (both["design"] == "published")
    assert lost.any()
    assert set(both.loc[lost, "verdict"]) == {NOT_RUN}
    assert (both.loc[~lost, "verdict"] == both.loc[~lost, "verdict_whole"]).all()
    vanilla = (judged["comparison"] == "vanilla") & (judged["design"] == "published")
    found = set(judged.loc[vanilla & (judged["metric"] == "ssim"), "verdict"])
    assert found == {NOT_TESTABLE}
    claims = load_claims()
    shown = claims_table(judged, claims)
    assert len(shown) == len(claims)
    assert not shown.isna().any(axis=None)
    for claim in claims:
        for design in ("published", "corrected"):
            assert explain(judged, claim.id, design).startswith("**")


def test_claims_on_a_table_without_learned_rows_are_not_run(keep, cases):
    levels = {k: v for k, v in cases.levels.items() if not k[1]}
    study = keep(table1=cases.make_tidy(levels))
    judged = judge(study.tables["table1"], failed=noted(None, "failure"))
    assert set(judged["verdict"]) == {NOT_RUN}
