"""Tables, figures, verdicts and text of Tables 2 and 3 follow the numbers."""

import dataclasses
import math

import clinical_cases as cases
import nbformat
import numpy as np
import pandas as pd
import pytest
from test_exchanged_rows import typed_winners

from mri2pet import paths
from mri2pet.evaluation.inference import Estimate
from mri2pet.evaluation.published import fact, value
from mri2pet.report import clinical_claims as rules
from mri2pet.report.claims import (
    NOT_REPRODUCED,
    NOT_RESOLVED,
    NOT_RUN,
    NOT_TESTABLE,
    REPRODUCED,
)
from mri2pet.report.clinical_discussion import (
    discuss_clinical,
    gain_paragraph,
    holm_paragraph,
    learned_paragraph,
    like_for_like_paragraph,
    opening,
)
from mri2pet.report.clinical_variants import (
    covariates_paragraph,
    crossfit_paragraph,
    people_paragraph,
    rho_paragraph,
)
from mri2pet.report.downstream import (
    BETTER,
    OPEN,
    PARTS,
    SETTING_LABELS,
    STEPS,
    WORSE,
    difference,
    is_illustrative,
    label_of,
    outcome,
    parts_frame,
    value_of,
)
from mri2pet.report.downstream_curves import over_people_figure, over_rho_figure
from mri2pet.report.downstream_figures import (
    parts_figure,
    planned_figure,
    values_figure,
)
from mri2pet.report.downstream_tables import (
    planned_table,
    settings_notes,
    settings_table,
    wide_clinical,
)
from mri2pet.stages.settings import SETTINGS, TEMPLATE

AUROC = "auroc_macro"
WITH_TEMPLATE = f"augmented_paired/{TEMPLATE}"


@pytest.fixture(scope="module")
def made():
    return cases.tables_of()


@pytest.fixture(scope="module")
def tidy(made):
    return made[0]


@pytest.fixture(scope="module")
def flipped():
    """Augmented Paired exchanged with its template."""
    return cases.tables_of(cases.swapped("augmented_paired", WITH_TEMPLATE))[0]


# -- looking up -----------------------------------------------------------------


def test_differences_are_found_whichever_way_round(tidy):
    there = difference(tidy, "augmented_paired", "real_pet", AUROC)
    back = difference(tidy, "real_pet", "augmented_paired", AUROC)
    assert there["value"] == pytest.approx(-back["value"])
    assert there["low"] == pytest.approx(-back["high"])
    values = [
        value_of(tidy, row, AUROC)["value"] for row in ("real_pet", WITH_TEMPLATE)
    ]
    own = value_of(tidy, "augmented_paired", AUROC)["value"]
    assert there["value"] == pytest.approx(own - values[0])
    beyond = difference(tidy, "augmented_paired", WITH_TEMPLATE, AUROC)
    assert beyond["value"] == pytest.approx(own - values[1])
    assert difference(tidy, "real_mri", "real_pet", AUROC) is None  # never compared
    seeds = difference(tidy, "real_paired", "real_pet", AUROC, interval="seeds")
    assert seeds["n"] == 2


def test_an_interval_that_touches_zero_resolves_nothing():
    def line(low, high):
        return pd.Series({"low": low, "high": high})

    assert outcome(line(0.01, 0.2), AUROC) == BETTER
    assert outcome(line(0.01, 0.2), "mse") == WORSE
    assert outcome(line(-0.2, -0.01), AUROC) == WORSE
    assert outcome(line(-0.2, -0.01), "mse") == BETTER
    for low, high in ((0.0, 0.2), (-0.1, 0.2), (1e-17, 0.2), (math.nan, 0.2)):
        assert outcome(line(low, high), AUROC) == OPEN
    assert outcome(None, AUROC) == OPEN


@pytest.mark.parametrize("metric,table", [(AUROC, "table2"), ("mse", "table3")])
def test_steps_add_up_to_the_total(metric, table):
    tidy = cases.tables_of(table=table)[0]
    region = "all" if table == "table2" else "mmse_20"
    steps = parts_frame(tidy, metric, region, parts=STEPS)
    total = parts_frame(tidy, metric, region).iloc[0]
    assert total["id"] == "total" and abs(total["value"]) > 0.05
    assert steps["value"].sum() == pytest.approx(total["value"])


def test_parts_name_settings_that_exist():
    for part in (*PARTS, *STEPS):
        for row in (part.row, part.other):
            assert row.partition("/")[0] in SETTINGS
    assert set(SETTING_LABELS) == set(SETTINGS)
    assert label_of("real_pet/rho=0") == "Real PET with rho = 0"


# -- tables -----------------------------------------------------------------------


def test_the_paper_stands_in_columns_of_its_own(tidy):
    wide = wide_clinical(tidy, "table2", [AUROC], intervals=("people", "seeds"))
    wide = wide.set_index("Setting")
    assert list(wide.columns) == [
        "AUROC, over people",
        "AUROC, over seeds",
        "AUROC, paper (ADNI)",
    ]
    assert len(wide) == len(SETTINGS)
    assert wide.loc["Augmented Paired", "AUROC, paper (ADNI)"] == "0.780 ± 0.005***"
    assert wide.loc["Augmented PET", "AUROC, paper (ADNI)"] == ""
    own = value_of(tidy, "real_mri", AUROC)
    assert wide.loc["Real MRI", "AUROC, over people"].startswith(
        f"{own['value']:.3f} ["
    )


def test_a_setting_that_could_not_be_run_has_a_line_that_says_so(tidy):
    notes = pd.DataFrame(
        [
            ("real_pet", "", "", "missing", "the loss is nan."),
            ("", "", "", "counted", "all, auroc_macro: 3 of 200 resamples"),
            ("real_mri", "", "labelled=0.5", "counted", "diagnosis: nobody with AD"),
        ],
        columns=["row", "design", "variant", "kind", "note"],
    )
    rest = tidy[(tidy["row"] != "real_pet") & (tidy["comparison"] != "real_pet")]
    wide = wide_clinical(rest, "table2", [AUROC], notes=notes).set_index("Setting")
    assert wide.loc["Real PET", "AUROC, over people"] == "not made"
    told = settings_notes(notes).set_index("Setting")["Note"]
    assert told["Real PET"] == "Could not be run: the loss is nan"
    assert told["Real MRI (labelled=0.5)"] == "diagnosis: nobody with AD"
    assert told["all settings"].startswith("all, auroc_macro")
    assert "cannot be taken apart" in gain_paragraph(rest)


def test_two_designs_of_the_generator_have_a_line_and_a_verdict_each(made):
    tidy, tests = made
    other = tidy[tidy["design"] == "corrected"].assign(design="published")
    both = pd.concat([tidy, other], ignore_index=True)
    both.loc[both["design"] == "published", ["value", "low", "high"]] -= 2
    wide = wide_clinical(both, "table2", [AUROC])
    made_by = [s for s in SETTINGS.values() if s.synthetic]
    assert len(wide) == len(SETTINGS) + len(made_by)
    assert set(wide["Generator"]) == {"", "corrected", "published"}
    claim = _claim("augmented_paired", "real_mri")
    judged = rules.judge_clinical(
        {"table2": both}, [claim], ("corrected", "published")
    ).set_index("design")
    assert judged["overall"]["corrected"] == REPRODUCED
    assert judged["overall"]["published"] == NOT_REPRODUCED
    table = rules.verdicts_table(judged.reset_index(), [claim])
    assert list(table.columns)[2:] == ["Verdict (corrected)", "Verdict (published)"]
    twice = pd.concat([tests, tests[tests["design"] != ""].assign(design="published")])
    assert "Generator" in planned_table(twice, AUROC)


def test_settings_say_what_they_learn_from():
    table = settings_table({True: 100, False: 30}).set_index("Setting")
    assert table.loc["Augmented Paired", "Scans to learn from"] == 100
    assert table.loc["Real Paired", "Scans to learn from"] == 30
    assert table.loc["Generated PET", "PETs to learn from"] == "generated"
    assert table.loc["Augmented PET", "In the paper"] == "no"


def test_planned_comparisons_are_all_there(made):
    from mri2pet.stages.clinical import COMPARISONS

    _, tests = made
    table = planned_table(tests, AUROC)
    assert len(table) == len(COMPARISONS)
    assert "Generator" not in table  # one design only
    text = holm_paragraph(tests, AUROC)
    stands = int((tests.loc[tests["metric"] == AUROC, "p_holm"] < 0.05).sum())
    assert stands > 0 and f"Holm's adjustment: {stands}" in text
    none = holm_paragraph(tests.assign(p_holm=1.0), AUROC)
    assert none.endswith("Holm's adjustment: 0.")


# -- figures ----------------------------------------------------------------------


def test_figures_are_drawn_with_caption_and_alt_from_the_data(made, flipped):
    tidy, tests = made
    drawn = [
        values_figure(tidy, "table2", AUROC),
        parts_figure(tidy, AUROC),
        planned_figure(tidy, tests, AUROC),
        over_people_figure(tidy, AUROC, {True: 40, False: 20}),
        over_rho_figure(tidy, AUROC, 0.67, (0.0,)),
    ]
    for fig, caption, alt in drawn:
        fig.draw_without_rendering()
        assert caption.endswith(".") and f"{cases.PEOPLE}" in caption
        assert any(c.isdigit() for c in alt) and len(alt) > 60
    own = value_of(tidy, "augmented_paired", AUROC)["value"]
    assert f"Augmented Paired {own:.3f}" in drawn[0][2]
    assert "in place of template, MRI + PET +" in drawn[1][2]
    assert "in place of template, MRI + PET -" in parts_figure(flipped, AUROC)[2]
    assert "at 20" in drawn[3][2] and "at 40" in drawn[3][2]
    assert "at rho 0," in drawn[4][2]


# -- text -------------------------------------------------------------------------


def test_the_opening_is_illustrative_with_few_people(tidy):
    assert f"same {cases.PEOPLE} test people" in opening(tidy)
    assert "illustrative" not in opening(tidy)
    assert "illustrative" in opening(cases.tables_of(people=21)[0])


def test_guessing_is_called_guessing():
    tidy = cases.tables_of()[0]
    text = learned_paragraph(tidy)
    assert "Above guessing** in AUROC" in text and "Augmented Paired 0." in text
    assert "nothing is learned" not in text
    blind = cases.tables_of(dict.fromkeys(cases.LEVELS, 0.0))[0]
    assert "no setting" in learned_paragraph(blind)
    assert "no comparison of settings says anything" in learned_paragraph(blind)


STEPPING = ("real_pet", "real_paired", "augmented_paired")


def _gain(**levels):
    return gain_paragraph(cases.tables_of(cases.with_levels(*STEPPING, **levels))[0])


def test_a_gain_is_credited_to_what_makes_it(tidy, flipped):
    assert "Part of the gain is the synthetic PETs' own" in gain_paragraph(tidy)
    assert "in spite of the synthetic PETs" in gain_paragraph(flipped)
    same = _gain(augmented_paired__template_pet=cases.LEVELS["augmented_paired"])
    assert "beyond a template is not resolved; what does count is" in same
    assert "a second input" in same.split("what does count is")[1]


def test_without_a_gain_nothing_is_explained():
    behind = _gain(real_pet=6.0)
    assert "no gain to explain, although its synthetic PETs do more" in behind
    worse = _gain(real_pet=6.0, augmented_paired=1.5)
    assert worse.endswith("no gain to explain.")
    level = cases.LEVELS["augmented_paired"]
    unclear = _gain(real_pet=level, augmented_paired__template_pet=level)
    assert "Whether there is a gain at all is not resolved, and so is" in unclear
    half = _gain(real_pet=level)
    assert "not resolved, although its synthetic PETs do more than a template" in half
    less = _gain(real_pet=level, augmented_paired__template_pet=6.0)
    assert "not resolved; its synthetic PETs do less than a template" in less


def test_like_for_like_follows(tidy):
    text = like_for_like_paragraph(tidy)
    assert "(Augmented PET minus Real PET): +0." in text and "ahead" in text
    other = cases.tables_of(cases.swapped("augmented_pet", "real_pet"))[0]
    assert "(Augmented PET minus Real PET): -0." in like_for_like_paragraph(other)


def _memory(low, high):
    return {
        "seen": Estimate(0.5, 0.3, 0.7, 40, 40),
        "unseen": Estimate(0.2, 0.0, 0.4, 40, 40),
        "difference": Estimate((low + high) / 2, low, high, 40, 40),
    }


def test_the_leak_pays_or_not(tidy):
    assert "flatters the synthetic PETs" in crossfit_paragraph(tidy)
    two = ("generated_pet", "synthetic_paired")
    alike = cases.with_levels(
        *two, generated_pet__no_crossfit=1.6, synthetic_paired__no_crossfit=1.6
    )
    assert "Whether the leak pays is not resolved" in crossfit_paragraph(
        cases.tables_of(alike)[0]
    )
    worse = cases.with_levels(
        *two, generated_pet__no_crossfit=0.1, synthetic_paired__no_crossfit=0.1
    )
    assert "no help here" in crossfit_paragraph(cases.tables_of(worse)[0])
    for ends, words in (
        ((0.1, 0.5), "it does)"),
        ((-0.1, 0.5), "not resolved)"),
        ((-0.5, -0.1), "follows strangers"),
    ):
        assert words in crossfit_paragraph(tidy, memory=_memory(*ends))


def test_people_rho_and_covariates(tidy):
    text = people_paragraph(tidy)
    assert "With 50% of the labelled people" in text
    assert "Behind: Real MRI -0." in text
    at_zero = rho_paragraph(tidy)
    assert "is of use here by the amyloid it shows" in at_zero
    same = cases.with_levels("real_pet", "augmented_pet", "augmented_paired")
    same["real_pet/rho=0"] = same["real_pet"]
    assert "is not resolved" in rho_paragraph(cases.tables_of(same)[0])
    same["real_pet/rho=0"] = 3.0
    assert "amyloid is not what" in rho_paragraph(cases.tables_of(same)[0])
    assert "Real MRI +0." in covariates_paragraph(tidy)
    other = cases.tables_of(cases.swapped("real_mri", "covariates"))[0]
    assert "Real MRI -0." in covariates_paragraph(other)


def test_the_same_text_is_written_for_the_other_table():
    tidy = cases.tables_of(table="table3")[0]
    text = "\n".join(discuss_clinical(tidy, "mse", "mmse_20"))
    assert "MSE (less is better)" in text and "for MMSE" in text
    assert "Part of the gain" in text  # less error is ahead
    assert not is_illustrative(tidy, "mmse_20")


# -- verdicts -----------------------------------------------------------------------


def _claim(row, other, direction="better", margin=0.0, metric=AUROC):
    return rules.ClinicalClaim(
        *("c", "table2", "4.6", "idea", ((row, other),), (metric,), direction, "all"),
        margin,
    )


def _verdict(tidy, claim):
    judged = rules.judge_clinical({"table2": tidy}, [claim])
    assert len(judged) == 1
    return judged["overall"].iloc[0]


def test_the_committed_claims_are_about_settings_of_ours(tidy):
    claims = rules.load_clinical_claims()
    assert {c.table for c in claims} == {"table2", "table3", "agreement"}
    for claim in claims:
        for row in (row for pair in claim.pairs for row in pair):
            setting = row.partition("/")[0]
            assert setting in SETTINGS or (row, claim.table) == ("chance", "agreement")
    mine = rules.load_clinical_claims("table2")
    judged = rules.judge_clinical({"table2": tidy}, mine)
    assert NOT_RUN not in set(judged["verdict"])  # all of them are compared
    table = rules.verdicts_table(judged, mine)
    assert len(table) == len(mine) and list(table.columns)[-1] == "Verdict"
    first = judged.iloc[0]
    printed = [value("table2", r, AUROC) for r in ("augmented_paired", "real_pet")]
    assert first["published"] == pytest.approx(printed[0] - printed[1])


def test_verdicts_follow_the_interval_over_people(tidy, flipped):
    claim = _claim("augmented_paired", WITH_TEMPLATE)
    assert _verdict(tidy, claim) == REPRODUCED
    assert _verdict(flipped, claim) == NOT_REPRODUCED
    level = cases.LEVELS["augmented_paired"]
    same = cases.with_levels("augmented_paired", augmented_paired__template_pet=level)
    same = cases.tables_of(same)[0]
    assert _verdict(same, claim) == NOT_RESOLVED
    # the interval over seeds decides nothing
    turned = tidy.copy()
    seeds = turned["interval"] == "seeds"
    turned.loc[seeds, ["low", "high"]] = -1.0
    assert _verdict(turned, claim) == REPRODUCED


def test_what_has_learned_nothing_is_not_judged(tidy):
    blind = cases.tables_of(
        cases.with_levels(
            *("real_pet", "augmented_pet", "generated_pet"),
            real_pet=-0.3,
            augmented_pet=0.0,
            generated_pet=-0.3,
        )
    )[0]
    claim = _claim("augmented_pet", "real_pet")
    assert _verdict(blind, claim) == NOT_TESTABLE
    judged = rules.judge_clinical({"table2": blind}, [claim])
    text = rules.explain_clinical(judged, "c")
    assert "not above guessing" in text and "Augmented PET; Real PET" in text
    # two coins are alike, and that says nothing
    alike = _claim("generated_pet", "real_pet", "similar", 0.5)
    assert _verdict(blind, alike) == NOT_TESTABLE
    assert _verdict(tidy, alike) != NOT_TESTABLE


def test_alike_needs_the_whole_interval_within_the_margin(tidy):
    def alike(margin, metric=AUROC):
        return _claim("generated_pet", "real_pet", "similar", margin, metric)

    assert _verdict(tidy, alike(0.2)) == REPRODUCED
    assert _verdict(tidy, alike(1e-4)) == NOT_RESOLVED
    apart = cases.with_levels("generated_pet", "real_pet", generated_pet=4.0)
    apart = cases.tables_of(apart)[0]
    assert _verdict(apart, alike(0.02)) == NOT_REPRODUCED


def test_few_people_make_a_verdict_illustrative(tidy):
    claim = _claim("augmented_paired", "real_pet")
    few = cases.tables_of(people=27)[0]
    for table, words in ((tidy, False), (few, True)):
        judged = rules.judge_clinical({"table2": table}, [claim])
        assert judged["illustrative"].iloc[0] == words
        shown = rules.verdicts_table(judged, [claim])["Verdict"].iloc[0]
        assert shown.endswith("(illustrative)") == words
        assert ("(illustrative)**" in rules.explain_clinical(judged, "c")) == words


def test_a_claim_is_as_weak_as_its_weakest_part(tidy):
    pairs = (("augmented_paired", "real_pet"), ("augmented_paired", "real_mri"))
    claim = dataclasses.replace(_claim(*pairs[0]), pairs=pairs)
    assert _verdict_of_many(tidy, claim) == REPRODUCED
    other = cases.tables_of(cases.swapped("augmented_paired", "real_mri"))[0]
    assert _verdict_of_many(other, claim) == NOT_REPRODUCED
    text = rules.explain_clinical(rules.judge_clinical({"table2": other}, [claim]), "c")
    assert "minus Real MRI is -0." in text and "Real PET" not in text
    gone = tidy[(tidy["row"] != "real_mri") & (tidy["comparison"] != "real_mri")]
    assert _verdict_of_many(gone, claim) == NOT_RUN


def _verdict_of_many(tidy, claim):
    judged = rules.judge_clinical({"table2": tidy}, [claim])
    assert len(judged) == len(claim.pairs)
    return judged["overall"].iloc[0]


WHOLE = (
    "- {id: a, table: table2, where: x, idea: y, pairs: [[a, b]], metrics: [mse], "
    "direction: "
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- {id: a, where: x}", "keys"),
        (WHOLE + "up}", "direction 'up'"),
        ((WHOLE + "better}").replace("table2", "table9"), "table 'table9'"),
        (f"{WHOLE}better}}\n" * 2, "stands twice"),
    ],
)
def test_bad_claims_are_refused(tmp_path, content, message):
    path = tmp_path / "claims.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        rules.load_clinical_claims(path=path)


# -- the r of real against synthetic ----------------------------------------------


def _agreement_verdicts(own, floor, predicts):
    table = cases.agreement_table(
        [
            ("", "", 0.4, *own, 60),
            ("rho=0", "", 0.2, 0.1, 0.3, 60),
            ("rho=0", "real_pet", -0.2, *floor, 60),
        ]
    )
    strength = 1.5 if predicts else 0.0
    levels = {"real_pet": strength, "real_mri": 1.0}
    tidy = cases.tables_of(levels, table="table3")[0]
    claims = rules.load_clinical_claims("agreement")
    judged = rules.judge_clinical({"agreement": table, "table3": tidy}, claims)
    assert judged["published"].iloc[0] == fact("r_real_generated")
    return dict(zip(judged["claim"], judged["overall"], strict=True))


def test_an_r_is_diagnostic_only_above_its_floor_and_if_the_network_predicts():
    first, second = "predictions-correlate", "correlation-is-diagnostic"
    good = _agreement_verdicts((0.2, 0.6), (-0.3, -0.1), predicts=True)
    assert good == {first: REPRODUCED, second: REPRODUCED}
    anatomy = _agreement_verdicts((0.2, 0.6), (-0.3, 0.1), predicts=True)
    assert anatomy == {first: REPRODUCED, second: NOT_RESOLVED}
    below = _agreement_verdicts((-0.6, -0.2), (0.1, 0.3), predicts=True)
    assert below == {first: NOT_REPRODUCED, second: NOT_REPRODUCED}
    blind = _agreement_verdicts((0.2, 0.6), (-0.3, -0.1), predicts=False)
    assert blind == {first: REPRODUCED, second: NOT_TESTABLE}


# -- and nobody has typed who wins ------------------------------------------------


@pytest.mark.parametrize("chapter", ["11_table2", "12_table3"])
def test_nobody_types_which_setting_wins(chapter):
    path = paths.notebooks_dir() / f"{chapter}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cells = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    rows = (*SETTING_LABELS.values(), "generated PET", "synthetic PET", "template")
    assert len(cells) > 20
    assert [s for cell in cells for s in typed_winners(cell, rows)] == []
    assert typed_winners("Augmented Paired is better than Real MRI.", rows)


def test_toy_levels_are_resolved(tidy):
    """The cases above rest on it: the made-up differences are large enough."""
    frame = parts_frame(tidy, AUROC)
    assert set(frame["outcome"]) == {BETTER}
    assert np.isfinite(frame[["value", "low", "high"]].to_numpy(float)).all()
