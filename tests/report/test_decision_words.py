"""What probabilities are worth, in pictures and words; the words follow the numbers."""

import numpy as np
import pandas as pd
import pytest
from fake_people import FakeStore, rows, saved

from mri2pet.evaluation.certainty import certainty_lines, certainty_tests
from mri2pet.report import decision
from mri2pet.report.decision_words import (
    decision_words,
    notes_words,
    scores_table,
    verdict,
)
from mri2pet.stages.certainty import NOTES, probabilities


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certainty")
    store = FakeStore()
    people, notes = probabilities(store, rows(store))
    tidy = certainty_lines(people, seed=4, rho=0.67, n_boot=200)
    tests = certainty_tests(people, n_boot=1000)
    return (
        saved(tidy, folder),
        saved(tests, folder),
        pd.DataFrame(notes, columns=NOTES),
    )


def paragraph(tidy, tests, start):
    [text] = [p for p in decision_words(tidy, tests) if p.startswith(f"**{start}")]
    return text


def with_test(tests, value, p, **where):
    """The tests with another outcome of those that fit."""
    tests = tests.copy()
    fits = pd.Series(True, index=tests.index)
    for column, content in where.items():
        fits &= tests[column].fillna("") == content
    assert fits.any()
    tests.loc[fits, ["value", "low", "high"]] = [value, value - 0.01, value + 0.01]
    tests.loc[fits, ["p", "p_holm"]] = p
    return tests


MAIN = {"row": "mri2pet", "design": "corrected"}


def test_figures_are_drawn_with_words(frames):
    tidy, _, _ = frames
    for draw in (decision.reliability, decision.decision_curve, decision.risk_coverage):
        fig, caption, alt = draw(tidy)
        fig.draw_without_rendering()
        assert caption.endswith(".") and alt.endswith(".")
        assert any(c.isdigit() for c in alt)


def test_curves_are_the_results(frames):
    tidy, _, _ = frames
    fig, _, _ = decision.decision_curve(tidy)
    lines = {line.get_label(): line for line in fig.axes[0].get_lines()}
    mine = tidy[(tidy["row"] == "mri2pet") & (tidy["metric"] == "net_benefit")]
    mine = mine[mine["comparison"] == ""]
    np.testing.assert_allclose(lines["MRI2PET"].get_ydata(), mine["value"])
    np.testing.assert_allclose(lines["MRI2PET"].get_xdata(), np.arange(1, 20) * 0.05)
    fig, _, _ = decision.risk_coverage(tidy)
    assert len(fig.axes) == 2  # calls, and uptake by the spread of samples
    lines = {line.get_label(): line for line in fig.axes[0].get_lines()}
    random, whole = lines["refused at random"], lines["MRI2PET"]
    assert random.get_ydata()[0] == whole.get_ydata()[-1]
    assert (lines["oracle"].get_ydata() <= whole.get_ydata() + 1e-9).all()


def test_without_samples_there_is_one_kind_of_refusal(frames):
    tidy = frames[0]
    fig, _, _ = decision.risk_coverage(tidy[~tidy["metric"].str.contains("suvr")])
    assert len(fig.axes) == 1


def test_the_table_lists_every_row_and_the_real_pet_last(frames):
    table = scores_table(frames[0])
    assert table["Probability from"].iloc[0] == "MRI2PET"
    assert table["Probability from"].iloc[-1] == "Real PET"
    assert len(table) == 6
    assert table["ECE by chance"].str.contains(r"\[").all()


@pytest.mark.parametrize(
    ("metric", "value", "p", "word"),
    [
        ("brier", -0.1, 0.01, "better"),
        ("brier", 0.1, 0.01, "worse"),
        ("brier", -0.1, 0.2, "not resolved"),
        ("net_benefit", 0.1, 0.01, "better"),
        ("net_benefit", -0.1, 0.01, "worse"),
        ("aurc", -0.1, 0.01, "better"),
        ("aurc", -0.1, float("nan"), "not resolved"),
    ],
)
def test_a_verdict_follows_the_adjusted_p_value_and_the_sign(metric, value, p, word):
    test = pd.Series({"metric": metric, "value": value, "p_holm": p, "p": 0.001})
    assert verdict(test) == word


def test_words_about_the_error_flip(frames):
    tidy, tests, _ = frames
    for value, p, word in (
        (-0.1, 0.01, "lower, so better, than that of the regression U-Net"),
        (0.1, 0.01, "higher, so worse, than that of the regression U-Net"),
        (-0.1, 0.3, "Not resolved, after Holm's adjustment"),
    ):
        where = {"metric": "brier", "comparison": "regression_unet"}
        changed = with_test(tests, value, p, **MAIN, **where)
        text = paragraph(tidy, changed, "Error")
        assert word in text
    # the row that it was compared with stands in the group
    assert (
        "the regression U-Net -0.1"
        in text.split("Not resolved, after Holm's adjustment")[1]
    )


def test_words_about_the_decision_flip(frames):
    tidy, tests, _ = frames
    use = {**MAIN, "metric": "net_benefit", "variant": "t=0.5"}
    tests = with_test(tests, 0.0, 1.0, **MAIN, metric="net_benefit")

    def said(tests):
        text = paragraph(tidy, tests, "Decision")
        return text.split("MRI2PET:")[1].split(". ")[0]

    assert said(tests).strip() == "not resolved at 0.25, 0.5, 0.75"
    same = tests.copy()
    fits = (tests["row"] == "mri2pet") & (tests["comparison"] == "treat_all")
    same.loc[fits & (tests["variant"] == "t=0.25"), ["low", "high"]] = 0.0
    assert "it acts on everybody at 0.25; not resolved at 0.5" in said(same)
    good = with_test(tests, 0.2, 0.01, **use)
    assert "of use at 0.5" in said(good)
    # above one of the two references only is not of use
    half = with_test(good, 0.0, 1.0, **use, comparison="treat_none")
    assert "of use" not in said(half)
    bad = with_test(good, -0.2, 0.01, **use, comparison="treat_all")
    assert "worse than acting on everybody or on nobody at 0.5" in said(bad)


def test_words_about_refusal_flip(frames):
    tidy, tests, _ = frames
    where = {**MAIN, "metric": "aurc", "variant": "suvr"}
    for value, p, word in (
        (-0.1, 0.01, "spread most helps"),
        (0.1, 0.01, "spread most does harm"),
        (0.1, 0.5, "spread most is not shown to help"),
    ):
        text = paragraph(tidy, with_test(tests, value, p, **where), "Refusal")
        assert word in text


def test_words_about_calibration_flip(frames):
    tidy, tests, _ = frames
    fits = (tidy["row"] == "mri2pet") & (tidy["metric"] == "ece")
    fits &= (tidy["variant"] == "") & (tidy["comparison"] == "")
    off = tidy.assign(value=tidy["value"].mask(fits, 0.9))
    text = paragraph(off, tests, "Calibration")
    assert "announced chances are off for MRI2PET 0.90" in text
    fine = tidy.assign(value=tidy["value"].mask(fits, 0.001))
    text = paragraph(fine, tests, "Calibration")
    assert "MRI2PET 0.00" in text.split("right chances would show as much")[1]


def test_the_opening_counts_who_calibrates(frames):
    tidy, tests, _ = frames
    text = decision_words(tidy, tests)[0]
    assert "40 test people" in text
    assert "16 validation people" in text
    assert "With so few people" in text
    without = tidy[tidy["row"] != "mri2pet"]
    assert "gives no probability" in decision_words(without, tests)[0]


def test_without_the_method_the_rest_is_said(frames):
    tidy, tests, _ = frames
    rest = decision_words(
        tidy[tidy["row"] != "mri2pet"], tests[tests["row"] != "mri2pet"]
    )
    assert not any(p.startswith("**Error") for p in rest)
    assert any("Age, sex and APOE" in p for p in rest if p.startswith("**Decision"))


def test_notes_are_listed(frames):
    text = notes_words(frames[2])
    assert "validation people: 16, so this illustrates only." in text
    assert text.count("\n") == len(frames[2]) - 1
    assert notes_words(frames[2].iloc[:0]) == ""
