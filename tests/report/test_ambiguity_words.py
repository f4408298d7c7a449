"""Verdicts on the paper's sentences and the words of the chapter follow the numbers."""

import atrophy_cases as cases
import numpy as np
import pandas as pd
import pytest

from mri2pet import paths
from mri2pet.report import appendix_c_text as text
from mri2pet.report.ambiguity import (
    NOT_TESTABLE,
    Measure,
    decide,
    judge,
    load_sentences,
)
from mri2pet.report.claims import NOT_REPRODUCED, NOT_RESOLVED, REPRODUCED
from mri2pet.report.discussion import shows_a_brain

NUMBERS = ["value", "low", "high"]


@pytest.fixture(scope="module")
def paper():
    """Results as the paper has it."""
    return cases.results()


@pytest.fixture(scope="module")
def opposite():
    """Everything the other way round, and a synthetic PET that knows amyloid."""
    effects = cases.flipped(cases.AS_THE_PAPER_SAYS)
    frames = cases.frames(effects, real={"detail": 0.5}, ideal=0.3)
    changes = cases.made(effects, {"composite": 0.4}, leak=0.3)
    changes["change_r"] *= -1
    return cases.results(frames, changes)


def _overall(results, design="corrected"):
    judged = judge(*results)
    judged = judged[judged["design"] == design].drop_duplicates("claim")
    return judged.set_index("claim")["overall"]


def test_every_sentence_is_judged_in_both_designs(paper):
    judged = judge(*paper)
    wanted = {(s.id, d) for s in load_sentences() for d in ("corrected", "published")}
    assert set(zip(judged["claim"], judged["design"], strict=True)) == wanted
    assert len(load_sentences()) >= 12


def test_verdicts_flip_with_the_results(paper, opposite):
    before, after = _overall(paper), _overall(opposite)
    directed = {
        s.id
        for s in load_sentences()
        if {m.expects for m in s.measures} <= {"positive", "negative"} and s.measures
    }
    assert len(directed) >= 8
    flipping = directed - {"uncertainty-blurs"}
    assert set(before[sorted(flipping)]) == {REPRODUCED}
    assert set(after[sorted(flipping)]) == {NOT_REPRODUCED}
    assert before["sees-the-hidden"] == NOT_REPRODUCED
    assert after["sees-the-hidden"] == REPRODUCED
    assert after["not-the-real-scans"] == NOT_REPRODUCED
    assert before["amyloid-comes-first"] == after["amyloid-comes-first"] == NOT_TESTABLE
    # blur where there is doubt: in both, since both have turned round together
    assert before["uncertainty-blurs"] == after["uncertainty-blurs"] == REPRODUCED


def test_a_sentence_needs_all_its_measures(paper):
    tidy, notes = paper
    tidy = tidy.copy()
    one = (tidy["row"] == "mri2pet") & (tidy["metric"] == "pearson_r:atrophy:sharpness")
    one &= tidy["comparison"] == ""
    tidy.loc[one, ["low", "high"]] = [-0.1, 0.5]
    assert _overall((tidy, notes))["sharper-with-atrophy"] == NOT_RESOLVED
    tidy.loc[one, NUMBERS] = [-0.5, -0.6, -0.4]
    assert _overall((tidy, notes))["sharper-with-atrophy"] == NOT_REPRODUCED


def test_a_row_below_a_random_person_is_not_testable(paper):
    tidy, notes = paper
    tidy = tidy.copy()
    random = (tidy["row"] == "random_subject") & (tidy["metric"] == "ssim")
    assert shows_a_brain(tidy, "mri2pet", "corrected")
    tidy.loc[random, NUMBERS] = [0.99, 0.98, 1.0]
    found = _overall((tidy, notes))
    about_others = {"early-is-open", "not-the-real-scans", "sees-the-hidden"}
    assert set(found.drop(sorted(about_others))) == {NOT_TESTABLE}
    assert found["sees-the-hidden"] == NOT_REPRODUCED  # of a bad network, too
    assert found["early-is-open"] == REPRODUCED
    said = text.explain(judge(tidy, notes), "sharper-with-atrophy")
    assert "not above a random person" in said


def test_without_truth_interventions_are_not_testable_and_say_why(paper):
    tidy, notes = paper
    tidy = tidy[(tidy["variant"] == "") & (tidy["comparison"] == "")]
    tidy = tidy[tidy["row"] != "ideal"]
    reason = "the store has no truth: real people cannot be made again"
    lines = [
        {"row": "mri2pet", "design": "corrected", "variant": v, "kind": "missing"}
        for v in ("do(V), do(A)", "rho=0")
    ]
    notes = pd.concat([notes, pd.DataFrame(lines).assign(note=reason)])
    judged = judge(tidy, notes)
    found = _overall((tidy, notes))
    assert found["sharper-with-atrophy"] == REPRODUCED
    for claim in ("atrophy-makes-sharp", "sees-the-hidden", "link-explains"):
        assert found[claim] == NOT_TESTABLE
        assert reason in text.explain(judged, claim)
    assert found["early-is-open"] == NOT_TESTABLE
    for tell in (text.tell_amyloid, text.tell_invented, text.tell_cause):
        assert "was changed" in tell(tidy) or "was possible" in tell(tidy)


def test_no_spread_is_not_testable():
    frames = cases.frames()
    columns = ["spread", "spread_composite", "entropy"]
    frames[("mri2pet", "corrected", "")][columns] = 0.0
    changes = cases.made()
    changes[columns] *= 0.0
    results = cases.results(frames, changes)
    found = _overall(results)
    for claim in ("generator-unsure-early", "uncertainty-blurs", "atrophy-makes-sure"):
        assert found[claim] == NOT_TESTABLE, claim
    judged = judge(*results)
    assert "the same for everybody" in text.explain(judged, "generator-unsure-early")
    assert "the same, bit by bit" in text.explain(judged, "atrophy-makes-sure")


@pytest.mark.parametrize(
    ("expects", "numbers", "verdict"),
    [
        ("positive", (0.3, 0.1, 0.5), REPRODUCED),
        ("positive", (0.3, -0.1, 0.5), NOT_RESOLVED),
        ("positive", (-0.3, -0.5, -0.1), NOT_REPRODUCED),
        ("positive", (0.0, 0.0, 0.0), NOT_REPRODUCED),
        ("negative", (-0.3, -0.5, -0.1), REPRODUCED),
        ("negative", (0.3, 0.1, 0.5), NOT_REPRODUCED),
        ("nonzero", (-0.3, -0.5, -0.1), REPRODUCED),
        ("nonzero", (0.1, -0.1, 0.3), NOT_RESOLVED),
        ("nonzero", (0.0, 0.0, 0.0), NOT_REPRODUCED),
        ("zero", (0.0, -0.1, 0.15), REPRODUCED),
        ("zero", (0.0, -0.3, 0.1), NOT_RESOLVED),
        ("zero", (-0.4, -0.5, -0.3), NOT_REPRODUCED),
        ("below_one", (0.5, 0.4, 0.9), REPRODUCED),
        ("below_one", (1.5, 1.1, 1.9), NOT_REPRODUCED),
        ("below_one", (1.0, 0.9, 1.1), NOT_RESOLVED),
        ("positive", (np.nan, np.nan, np.nan), NOT_TESTABLE),
        ("positive", (0.3, np.nan, np.nan), NOT_TESTABLE),
    ],
)
def test_the_rule(expects, numbers, verdict):
    assert decide(Measure("m", expects, margin=0.2), *numbers) == verdict


def test_the_largest_change_needs_no_interval():
    nan = float("nan")
    measure = Measure("max_change", "nonzero")
    assert decide(measure, 0.0, nan, nan) == NOT_REPRODUCED
    assert decide(measure, 1e-7, nan, nan) == REPRODUCED
    assert decide(measure, nan, nan, nan) == NOT_TESTABLE


def test_words_flip_with_the_results(paper, opposite):
    (one, _), (other, _) = paper, opposite
    assert "With more atrophy rises: detail" in text.tell_observation(one)
    assert "With more atrophy falls: detail" in text.tell_observation(other)
    assert "no relation of detail and atrophy is resolved" in text.tell_real(one)
    assert "the **real** PETs, too, detail rises with" in text.tell_real(other)
    assert "doubt falls with atrophy" in text.tell_ideal(one)
    assert "doubt *rises* with atrophy" in text.tell_ideal(other)
    assert "neither does the synthetic PET" in text.tell_amyloid(one)
    assert "That cannot be" in text.tell_amyloid(other)
    assert "differ from the run's own" in text.tell_rhos(one)


@pytest.mark.parametrize(
    ("across", "within", "words"),
    [
        (0.5, 0.5, "the correlation stands"),
        (0.5, -0.5, "the correlation misleads"),
        (-0.5, 0.5, "the correlation misleads"),
        (0.5, None, "that atrophy does it is not shown"),
        (None, 0.5, "it rises when nothing but atrophy changes"),
        (None, None, "neither is resolved"),
    ],
)
def test_words_on_cause_and_correlation(across, within, words):
    frames = cases.frames({"detail": across or 0.0})
    changes = cases.made({"detail": within or 0.0})
    tidy, _ = cases.results(frames, changes)
    lines = tidy["metric"] == "slope:detail"
    if across is None:
        tidy.loc[lines & (tidy["variant"] == ""), ["low", "high"]] = [-1.0, 1.0]
    if within is None:
        tidy.loc[lines & (tidy["variant"] == "do(V)"), ["low", "high"]] = [-1.0, 1.0]
    assert words in text.tell_cause(tidy)


@pytest.mark.parametrize(
    ("size", "words"),
    [(0.6, "adds uptake where it sees atrophy, although"), (-0.6, "takes away more")],
)
def test_words_on_invented_amyloid(size, words):
    tidy, _ = cases.results(changes=cases.made({"composite": size}))
    assert words in text.tell_invented(tidy)
    mine = (tidy["metric"] == "slope:composite") & (tidy["comparison"] == "real_pet")
    tidy.loc[mine, ["low", "high"]] = [-1.0, 1.0]
    assert "is not resolved" in text.tell_invented(tidy)


def test_verdicts_are_counted_and_explained(paper, opposite):
    judged = judge(*paper)
    said = text.tell_verdicts(judged)
    assert "reproduced" in said
    assert "synthetic PETs are clearer" in said
    table = text.sentences_table(judged)
    assert len(table) == len(load_sentences())
    assert {"Verdict (corrected)", "Verdict (published)"} < set(table)
    for sentence in load_sentences():
        for results in (judged, judge(*opposite)):
            line = text.explain(results, sentence.id)
            assert line.startswith("**")
            assert line.endswith(".")
    assert text.explain(judged, "atrophy-makes-sharp") != text.explain(
        judge(*opposite), "atrophy-makes-sharp"
    )
    with pytest.raises(ValueError, match="was not judged"):
        text.explain(judged, "nothing")


def test_few_people_are_called_illustrative():
    tidy, _ = cases.results(cases.frames(people=8))
    assert "With 8 people all of this is illustrative" in text.tell_observation(tidy)
    tidy, _ = cases.results()
    assert "illustrative" not in text.tell_observation(tidy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("idea:", "thought:"), "keys"),
        (("expects: positive", "expects: upwards"), "upwards"),
        (("id: truer-with-atrophy", "id: sharper-with-atrophy"), "stands twice"),
        (("  premise:", "  margin:"), "keys"),
        (("metric: change_r", "metrik: change_r"), "keys"),
    ],
)
def test_a_wrong_file_of_sentences_is_refused(tmp_path, change, message):
    source = (paths.data_dir() / "claims_appendix_c.yaml").read_text(encoding="utf-8")
    assert change[0] in source
    path = tmp_path / "claims.yaml"
    path.write_text(source.replace(*change, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_sentences(path)
    both = source.replace("  premise:", "  measures: []\n  premise:", 1)
    path.write_text(both, encoding="utf-8")
    with pytest.raises(ValueError, match="either measures or a premise"):
        load_sentences(path)


def test_every_metric_of_the_sentences_is_one_that_the_stage_makes(paper):
    tidy, _ = paper
    made = set(zip(tidy["row"], tidy["metric"], tidy["variant"], strict=True))
    for sentence in load_sentences():
        for m in sentence.measures:
            assert (m.row, m.metric, m.variant) in made, m
