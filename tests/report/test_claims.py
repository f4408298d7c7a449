"""Verdicts follow the numbers: other numbers, other verdicts."""

import pytest

from mri2pet.report.claims import (
    NOT_REPRODUCED,
    NOT_RESOLVED,
    NOT_RUN,
    NOT_TESTABLE,
    REPRODUCED,
    Claim,
    claims_table,
    combine,
    explain,
    judge,
    load_claims,
)

LOSS = Claim("loss", "4.4", "", "mri2pet", ("no_loss",), ("ssim",), "better")


def _verdict(tidy, claim, design="published"):
    judged = judge(tidy, [claim], (design,))
    assert len(judged) == len(claim.against) * len(claim.metrics)
    return judged["overall"].iloc[0]


def test_the_committed_claims_are_readable_and_about_known_rows(tidy):
    from mri2pet.report.claims import METRIC_NAMES
    from mri2pet.report.labels import ROW_LABELS

    claims = load_claims()
    assert len(claims) >= 6
    for claim in claims:
        assert {claim.row, *claim.against} <= set(ROW_LABELS)
        assert set(claim.metrics) <= set(METRIC_NAMES)
    judged = judge(tidy)
    table = claims_table(judged)
    assert len(table) == len(claims)
    assert {"Verdict (published)", "Verdict (corrected)"} <= set(table)


def test_verdict_follows_the_paired_difference(tidy, cases):
    assert _verdict(tidy, LOSS) == REPRODUCED
    flipped = cases.make_tidy(
        cases.swapped(("mri2pet", "published"), ("no_loss", "published"))
    )
    assert _verdict(flipped, LOSS) == NOT_REPRODUCED
    style = Claim("s", "", "", "mri2pet", ("no_style",), ("ssim",), "better")
    assert _verdict(tidy, style) == NOT_RESOLVED
    # each design has a verdict of its own
    assert _verdict(tidy, LOSS, "corrected") == NOT_RESOLVED


def test_a_row_below_a_random_person_cannot_be_judged(tidy, cases):
    claim = Claim("v", "", "", "mri2pet", ("vanilla",), ("ssim",), "better")
    assert _verdict(tidy, claim) == NOT_TESTABLE
    learned = {**cases.levels, ("vanilla", "published"): (0.82, 1.0, 0.0)}
    assert _verdict(cases.make_tidy(learned), claim) == REPRODUCED
    # above on average is not enough: the intervals must not touch
    near = {**cases.levels, ("vanilla", "published"): (0.704, 1.0, 0.0)}
    assert _verdict(cases.make_tidy(near), claim) == NOT_TESTABLE


def test_rows_that_did_not_run_have_no_verdict(tidy):
    claim = Claim("g", "", "", "mri2pet", ("gan",), ("ssim",), "better")
    assert _verdict(tidy, claim) == NOT_RUN
    judged = judge(tidy, [claim], ("published",))
    assert judged["published"].iloc[0] == pytest.approx(0.857 - 0.101)
    assert "GAN was not run" in explain(judged, "g", "published")


def test_lower_is_better_where_it_is(tidy):
    claim = Claim("m", "", "", "mri2pet", ("no_loss",), ("mae",), "better")
    assert _verdict(tidy, claim) == REPRODUCED
    worse = Claim("m", "", "", "mri2pet", ("no_loss",), ("mae",), "worse")
    assert _verdict(tidy, worse) == NOT_REPRODUCED


def test_a_lead_of_so_much(tidy):
    def lead(share):
        return Claim("l", "", "", "mri2pet", ("no_loss",), ("ssim",), "better", share)

    assert _verdict(tidy, lead(0.01)) == REPRODUCED
    assert _verdict(tidy, lead(0.12)) == NOT_REPRODUCED


def test_similar_needs_the_whole_interval_inside_the_margin(tidy):
    def alike(other, margin):
        return Claim(
            "s", "", "", "mri2pet", (other,), ("ssim",), "similar", margin=margin
        )

    assert _verdict(tidy, alike("no_style", 0.05)) == REPRODUCED
    assert _verdict(tidy, alike("no_style", 0.0001)) == NOT_RESOLVED
    assert _verdict(tidy, alike("no_loss", 0.005)) == NOT_REPRODUCED


def test_a_claim_is_as_strong_as_its_weakest_part():
    assert combine([REPRODUCED, REPRODUCED]) == REPRODUCED
    assert combine([REPRODUCED, NOT_RESOLVED]) == NOT_RESOLVED
    assert combine([REPRODUCED, NOT_TESTABLE, NOT_RESOLVED]) == NOT_TESTABLE
    assert combine([NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED]) == NOT_REPRODUCED


def test_explanations_carry_the_numbers_and_flip_with_them(tidy, cases):
    text = explain(judge(tidy, [LOSS]), "loss", "published")
    assert text.startswith(
        "**Reproduced**: masked SSIM of MRI2PET minus w/o Loss is +0.02"
    )
    flipped = cases.make_tidy(
        cases.swapped(("mri2pet", "published"), ("no_loss", "published"))
    )
    text = explain(judge(flipped, [LOSS]), "loss", "published")
    assert text.startswith("**Not reproduced**")
    assert "is -0.02" in text
    with pytest.raises(ValueError, match="was not judged"):
        explain(judge(tidy, [LOSS]), "other", "published")


WHOLE = "- {id: a, where: x, idea: y, row: r, against: [s], metrics: [ssim]"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- {id: a, where: x}", "keys"),
        (WHOLE + ", direction: up}", "direction 'up'"),
        (f"{WHOLE}, direction: better}}\n" * 2, "stands twice"),
    ],
)
def test_bad_claims_are_refused(tmp_path, content, message):
    path = tmp_path / "claims.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_claims(path)
