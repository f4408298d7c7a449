"""Rows that have failed or are missing: marked, explained, never judged."""

import pandas as pd
import pytest

from mri2pet.report.claims import NOT_TESTABLE, Claim, judge
from mri2pet.report.tables import MARK, NOT_MADE, noted, notes_table, wide_table1


def line(row, design, value, comparison=""):
    where = {"row": row, "design": design, "variant": "", "comparison": comparison}
    score = {"metric": "ssim", "region": "brain", "interval": "people"}
    ends = {"value": value, "low": value - 0.01, "high": value + 0.01}
    rest = {"n": 40, "k": 1, "seed": 0, "rho": 0.67, "published": None, "source": ""}
    return {**where, **score, **ends, **rest}


@pytest.fixture
def tidy():
    return pd.DataFrame(
        [
            line("random_subject", "", 0.6),
            line("mri2pet", "published", 0.9),
            line("vanilla", "published", 0.8),
            line("vanilla", "published", -0.1, "mri2pet"),
        ]
    )


@pytest.fixture
def notes():
    columns = ["row", "design", "variant", "kind", "note"]
    return pd.DataFrame(
        [
            ("vanilla", "published", "", "failure", "Failed: collapsed (one picture)."),
            ("mri2pet", "published", "v", "failure", "Failed: empty."),
            ("gan", "corrected", "", "missing", "training stopped at step 3"),
        ],
        columns=columns,
    )


METRICS = {("ssim", "brain"): ("SSIM, brain", 3, True)}


def test_failed_rows_are_marked_and_missing_rows_have_a_line(tidy, notes):
    wide = wide_table1(tidy, METRICS, notes=notes, show_not_run=False)
    wide = wide.set_index(["Row", "Design"])["SSIM, brain"]
    assert wide["Vanilla Diffusion" + MARK, "published"].startswith("0.800")
    assert wide["GAN" + MARK, "corrected"] == NOT_MADE
    # A variant that failed is not the row itself.
    assert ("MRI2PET", "published") in wide.index
    plain = wide_table1(tidy, METRICS, show_not_run=False)
    assert not plain["Row"].str.contains(MARK).any()


def test_notes_say_what_and_why(notes):
    table = notes_table(notes)
    text = dict(zip(table["Row"], table["Note"], strict=True))
    assert text["GAN"] == "Missing: training stopped at step 3"
    assert text["Vanilla Diffusion"] == "Failed: collapsed (one picture)"
    assert text["MRI2PET (v)"] == "Failed: empty"
    assert noted(notes, "failure") == {("vanilla", "published")}
    assert noted(None, "failure") == set()


def test_a_failed_row_is_not_judged(tidy):
    claim = Claim("a", "here", "b", "mri2pet", ("vanilla",), ("ssim",), "better")
    judged = judge(tidy, [claim], ("published",))
    assert judged["overall"].tolist() == ["reproduced"]
    judged = judge(tidy, [claim], ("published",), failed={("vanilla", "published")})
    assert judged["overall"].tolist() == [NOT_TESTABLE]
