"""Exchange the results of two rows: verdicts, discussion and reasons follow.

Every number of `mri2pet` and of `vanilla` changes places, in both designs. The text
must then be the same text with the two names exchanged, and a claim that held about
one of them must fall.
"""

import re

import nbformat
import numpy as np
import pandas as pd
import pytest

from mri2pet import paths
from mri2pet.evaluation.published import beside_table1
from mri2pet.evaluation.scoring import KEY, summarise
from mri2pet.report.claims import (
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    explain,
    judge,
    load_claims,
)
from mri2pet.report.discussion import discuss
from mri2pet.report.labels import ROW_LABELS

DESIGNS = ("published", "corrected")
FIRST, LAST = "mri2pet", "vanilla"
OTHERS = (
    *("no_style", "self_pretrained", "no_pretraining", "no_loss"),
    *("gan", "cdc", "dcl", "diffaugment", "maskgan", "ddpm_pa"),
)
NAMES = {FIRST: LAST, LAST: FIRST}


def _levels(last=0.74):
    """Masked SSIM, detail, amyloid shown: `mri2pet` leads and `vanilla` is last."""
    levels = {
        ("mean_template", ""): (0.80, 0.5, 0.0),
        ("random_subject", ""): (0.60, 1.0, 0.0),
        ("regression_unet", ""): (0.86, 0.7, 0.5),
    }
    for design, more in (("published", 0.0), ("corrected", 0.02)):
        levels[FIRST, design] = (0.93 + more, 0.9, 0.9)
        for i, row in enumerate(OTHERS):
            levels[row, design] = (0.84 - 0.005 * i + more, 0.8, 0.4)
        levels[LAST, design] = (last + more, 3.0, 0.0)
    return levels


@pytest.fixture(scope="module")
def pair(cases):
    """Table 1 before and after the exchange; made by `pair(last)`."""
    made = {}

    def tables(last=0.74):
        if last not in made:
            made[last] = _tables(cases, _levels(last))
        return made[last]

    return tables


@pytest.fixture(scope="module")
def judged(pair):
    """Verdicts before and after the exchange."""
    return tuple(judge(tidy) for tidy in pair())


def _tables(cases, levels):
    frames = cases.scan_scores(levels)
    rng = np.random.default_rng(0)
    people = len(next(iter(frames.values())))
    real = rng.standard_normal((people, 3, 4))
    far = {key: 10 * (1 - level[0]) for key, level in levels.items()}
    features = {
        key: real + far[key] + 0.1 * rng.standard_normal(real.shape) for key in frames
    }
    positive = dict(
        zip(
            frames[FIRST, "published"].index,
            frames[FIRST, "published"]["suvr_real_composite"] > 1.25,
            strict=True,
        )
    )

    def tidy(exchange):
        def name(key):
            return (NAMES.get(key[0], key[0]), key[1]) if exchange else key

        return summarise(
            {name(key): frame for key, frame in frames.items()},
            positive=positive,
            features={name(key): f for key, f in features.items()},
            real_features_NSF=real,
            published=beside_table1(),
            n_boot=200,
            rho=0.67,
        )

    return tidy(False), tidy(True)


def _exchanged(text):
    """The same text about the other of the two rows."""
    a, b = ROW_LABELS[FIRST], ROW_LABELS[LAST]
    return re.sub(f"{a}|{b}", lambda m: b if m.group() == a else a, text)


def test_the_exchange_is_one_of_results(pair):
    """All metrics, both designs; differences between the two change their sign."""
    before, after = (frame.set_index(KEY) for frame in pair())
    numbers = ["value", "low", "high"]
    swapped = 0
    for key in before.index[before.index.get_level_values("row") == FIRST]:
        _, design, variant, metric, region, comparison = key
        there = (LAST, design, variant, metric, region, comparison)
        if comparison.startswith(FIRST):
            continue  # against itself in the other design
        pd.testing.assert_series_equal(
            before.loc[key, numbers], after.loc[there, numbers], check_names=False
        )
        swapped += 1
    assert swapped > 60
    flipped = 0
    for design in DESIGNS:
        for metric, region in (("ssim", "brain"), ("psnr", "brain"), ("mae", "whole")):
            key = (LAST, design, "", metric, region, FIRST)
            one, other = before.loc[key, numbers], after.loc[key, numbers]
            assert one["value"] == pytest.approx(-other["value"])
            assert one["low"] == pytest.approx(-other["high"])
            assert one["high"] == pytest.approx(-other["low"])
            flipped += 1
    assert flipped == 6


def test_every_verdict_follows(judged):
    before, after = judged
    claims = {claim.id: claim for claim in load_claims()}
    assert set(before["claim"]) == set(claims)
    keys = ["claim", "design", "comparison", "metric"]
    lines = before.merge(after, on=keys, suffixes=("", "_after"), validate="1:1")
    assert len(lines) == len(before) == len(after)
    assert set(lines["design"]) == set(DESIGNS)
    for line in lines.to_dict("records"):
        claim = claims[line["claim"]]
        where = f"{claim.id}, {line['design']}, {line['comparison']}, {line['metric']}"
        assert claim.row == FIRST, f"{where}: exchange the rows that it is about"
        if line["comparison"] == LAST:
            assert line["value_after"] == pytest.approx(-line["value"]), where
        assert line["value_after"] * line["value"] < 0, where
        if claim.direction == "similar":
            # as far apart as before, the other way round
            assert line["verdict"] == line["verdict_after"] == NOT_REPRODUCED, where
            continue
        flips = {REPRODUCED: NOT_REPRODUCED, NOT_REPRODUCED: REPRODUCED}
        good = REPRODUCED if claim.direction == "better" else NOT_REPRODUCED
        assert line["verdict"] == line["overall"] == good, where
        assert line["verdict_after"] == line["overall_after"] == flips[good], where


def test_every_reason_follows(judged):
    before, after = judged
    for claim in load_claims():
        for design in DESIGNS:
            one, other = (explain(j, claim.id, design) for j in (before, after))
            assert one != other
            if claim.direction == "better":
                assert one.startswith("**Reproduced**")
                assert other.startswith("**Not reproduced**")
            ours = after[(after["claim"] == claim.id) & (after["design"] == design)]
            for line in ours.head(4).to_dict("records"):  # the rest is counted
                digits = {"ssim": 3, "psnr": 2}.get(line["metric"], 1)
                assert f"{line['value']:+.{digits}f}" in other


def test_the_discussion_is_the_same_with_the_names_exchanged(pair):
    before, after = (discuss(tidy) for tidy in pair())
    assert len(before) == len(after) >= 6
    changed = 0
    for one, other in zip(before, after, strict=True):
        assert other == _exchanged(one)
        changed += one != other
    assert changed >= 4  # and it is not that nobody was named
    ahead = next(text for text in before if text.startswith("**Against the mean"))
    assert re.search(r"ahead of it in masked SSIM: MRI2PET \(corrected\)", ahead)


def test_whoever_falls_below_a_random_person_takes_the_claims_along(pair):
    before, after = (judge(tidy) for tidy in pair(last=0.5))
    about = before["comparison"] == LAST
    assert set(before.loc[about, "verdict"]) == {NOT_TESTABLE}
    assert set(before.loc[~about, "verdict"]) == {REPRODUCED}
    assert set(after["verdict"]) == {NOT_TESTABLE}
    for claim in load_claims():
        assert "not above a random person" in explain(after, claim.id, "published")


# -- and nobody has typed who wins -----------------------------------------------

ROWS = (*ROW_LABELS.values(), *ROW_LABELS, "Style Transfer", "published design")
ROWS += ("corrected design", "the template", "random person", "random training person")
WINNING = (
    r"better than",
    r"worse than",
    r"(clearly|far|markedly|significantly|slightly) (better|worse|ahead|behind)",
    r"outperform(s|ed|ing)?",
    r"surpass(es|ed)?",
    r"wins?",
    r"won",
    r"beats?",
    r"is (the )?(best|worst|superior|inferior|ahead|behind)",
    r"(ahead|in front) of",
    r"leads?",
    r"loses?",
)
# What the paper says, what is asked, supposed or worked out by hand, and how to read
# a figure is no result.
NO_RESULT = re.compile(
    r"\?$|\bthe paper\b|\bwhen(ever)?\b|\bif\b|\bmust\b|\bhas to\b|\bhave to\b|"
    r"\b(left|right) of zero\b|\bis said\b|\bin the toy\b|\bthe toy\b|\bequation\b",
    re.IGNORECASE,
)


def typed_winners(text, names=ROWS):
    """Sentences that name a row and say that it wins or loses."""
    text = re.sub(r"\$\$.*?\$\$", " ", text, flags=re.DOTALL)
    rows = "|".join(rf"\b{re.escape(name)}\b" for name in names)
    found = []
    for block in re.split(r"\n\s*\n|\n(?=- |\d\. |#)", text):
        for sentence in re.split(r"(?<=[.!?;])\s+", " ".join(block.split())):
            named = re.search(rows.replace(r"\bw/o", "w/o"), sentence, re.IGNORECASE)
            said = re.search(rf"\b({'|'.join(WINNING)})\b", sentence, re.IGNORECASE)
            if named and said and not NO_RESULT.search(sentence):
                found.append(sentence)
    return found


def test_nobody_types_who_wins_in_the_chapter_of_table_1():
    notebook = nbformat.read(paths.notebooks_dir() / "09_table1.ipynb", as_version=4)
    cells = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    assert len(cells) > 20
    assert [s for cell in cells for s in typed_winners(cell)] == []


@pytest.mark.parametrize(
    "sentence",
    [
        "MRI2PET is better than Vanilla Diffusion.",
        "As one sees, `mri2pet` outperforms every baseline.",
        "Here the regression U-Net wins.",
        "Blur helps.\n\n- w/o Loss is clearly behind.",
        "The corrected design is ahead of the published one.",
        "The GAN loses detail and the mean template beats it.",
    ],
)
def test_a_typed_winner_is_found(sentence):
    assert typed_winners(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "The paper says that MRI2PET is better than every baseline.",
        "Is MRI2PET better than Vanilla Diffusion?",
        "Left of zero, `mri2pet` is ahead of the row.",
        "A regression U-Net wins if the score is a squared error.",
        "The rows differ in one thing; better scores need an interval.",
    ],
)
def test_what_is_no_result_may_be_said(sentence):
    assert typed_winners(sentence) == []
