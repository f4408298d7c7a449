"""Case studies in pictures and words; the words follow the numbers."""

import numpy as np
import pytest
from fake_people import FakeStore, profile, rows, saved

from mri2pet.evaluation.cases import RULES
from mri2pet.report import cases as figures
from mri2pet.report.brains import KINDS
from mri2pet.report.case_words import (
    leak_words,
    numbers_table,
    ordinary_words,
    rules_table,
    scans_of,
    worst_words,
)
from mri2pet.report.visit_words import visits_words
from mri2pet.stages import cases

GOOD = {"share": 1.0, "noise": 0.01, "spread": 0.005}
USELESS = {"share": 0.0, "noise": 0.2, "spread": 0.005}


@pytest.fixture
def study(tmp_path):
    def make(store=None, **how):
        store = store or FakeStore(twice=20)
        tidy, people, *_ = cases.study(store, rows(store, **how), profile())
        return saved(tidy, tmp_path), saved(people, tmp_path)

    return make


def shifted(tidy, row, metric, comparison, **ends):
    """The tidy frame with other ends of one row's interval over all with two visits."""
    tidy = tidy.copy()
    fits = (tidy["row"] == row) & (tidy["metric"] == metric)
    fits &= (tidy["comparison"] == comparison) & (tidy["variant"] == "two_visits")
    assert fits.sum() == 1
    for column, value in ends.items():
        tidy.loc[fits, column] = value
    return tidy


# -- pictures ----------------------------------------------------------------------


def images_of(fig):
    return [ax.images[0] for ax in fig.axes if ax.images]


def test_the_panel_shows_the_person_of_its_row(tiny_run):
    cases.cases(tiny_run)
    fig, caption, alt = figures.panel(tiny_run, "worst")
    fig.draw_without_rendering()
    people = tiny_run.results("figure3_people")
    [[scan]] = scans_of(people, "worst")
    shown = images_of(fig)
    made = tiny_run.sample("mri2pet", "corrected")
    mine = made.samples[made.scan_ids.index(scan)]
    store = tiny_run.cohort()
    real = store.read("pet", [scan])[0]
    expected = [
        *(store.read("mri", [scan])[0], real, mine[0], mine.mean(0)),
        *(mine.mean(0) - real, mine.std(0, ddof=1)),
    ]
    from mri2pet.report.slices import nearest_levels, slice_of

    level = nearest_levels(real.shape, [figures.LEVEL_MM])[0]
    for image, volume in zip(shown, expected, strict=False):
        np.testing.assert_allclose(
            image.get_array(), slice_of(volume, "axial", level)[0], atol=1e-6
        )
    titles = [ax.get_title() for ax in fig.axes if ax.get_title()]
    assert titles[:6] == ["MRI", "real PET", "one sample", "mean of 2", "mean - real",
                          "SD"]  # fmt: skip
    assert RULES["worst"].sentence in caption
    assert scan.split("_")[0] in alt and any(c.isdigit() for c in alt)


def test_all_pets_share_one_scale_and_zero_change_is_white(tiny_run):
    cases.cases(tiny_run)
    fig, _, alt = figures.visits_panel(tiny_run)
    fig.draw_without_rendering()
    limits = [image.get_clim() for image in images_of(fig)]
    pet = (KINDS["pet"].low, KINDS["pet"].high)
    assert [limits[i] for i in (2, 3, 5, 6)] == [pet] * 4
    for i in (4, 7):
        assert limits[i][0] == -limits[i][1]
    assert "real" in alt and "synthetic" in alt


def test_bars_and_scatter_are_drawn_with_words(tiny_run):
    cases.cases(tiny_run)
    for fig, caption, alt in (
        figures.regional_bars(tiny_run, "worst"),
        figures.change_scatter(tiny_run),
    ):
        fig.draw_without_rendering()
        assert caption.endswith(".")
        assert any(c.isdigit() for c in alt)


def test_bars_are_as_long_as_the_uptake(tiny_run):
    tidy = cases.cases(tiny_run)
    people = tiny_run.results("figure3_people")
    [[scan]] = scans_of(people, "worst")
    fig, _, _ = figures.regional_bars(tiny_run, "worst")
    ax = fig.axes[0]
    widths = [bar.get_width() for bar in ax.patches]
    here = tidy[(tidy["variant"] == scan) & (tidy["comparison"] == "")]
    here = here[here["metric"] == "suvr"]
    expected = [here[here["row"] == row]["value"] for row in ("real_pet", "mri2pet")]
    np.testing.assert_allclose(widths, np.concatenate(expected))
    assert len(ax.get_yticklabels()) == 11


# -- words -------------------------------------------------------------------------


def test_every_rule_has_a_sentence_and_a_reason():
    table = rules_table()
    assert table["Shown in"].tolist() == ["Figure 3a", "Figure 3b", "worst case"]
    assert table["Rule"].str.endswith(".").all()
    assert table["Why"].str.len().min() > 40


def test_the_table_has_the_numbers_of_its_people(study):
    tidy, people = study()
    table = numbers_table(tidy, people, "median_ad")
    assert len(table) == 3
    np.testing.assert_allclose(table["Error"], table["Mean"] - table["Real"], atol=1e-6)
    assert table["Error"].abs().is_monotonic_increasing
    assert {"Regression U-Net", "Mean template", "Ventricles [ml]", "V"} <= set(table)
    visits = numbers_table(tidy, people, "longest_time")
    assert len(visits) == 4
    real, _ = study(FakeStore(truth=False, twice=20))
    assert "V" not in numbers_table(real, people, "median_ad")


def test_leak_words_flip(study):
    _, people = study()
    assert leak_words(people).startswith("None of the")
    people.loc[0, "scans_train"] = 2
    text = leak_words(people)
    assert text.startswith("**A leak.**")
    assert "1 have scans in training" in text
    assert "no evidence" in text
    people["scans_train"] = 0
    people["scans_unpaired"] = 1
    assert "in pre-training" in leak_words(people)
    people["scans_unpaired"] = 0
    people["copies"] = 1
    assert "copy in another part" in leak_words(people)


def test_words_of_the_ordinary_case_flip_with_the_controls(study):
    good, people = study(main=GOOD, regression=USELESS, template=USELESS)
    assert "regression U-Net is nearer to the real value in 0 of 3" in ordinary_words(
        good, people
    )
    bad, people = study(main=USELESS, regression=GOOD)
    assert "regression U-Net is nearer to the real value in 3 of 3" in ordinary_words(
        bad, people
    )
    nobody = people[people["rule"] != "median_ad"]
    assert "nobody" in ordinary_words(bad, nobody)


def test_words_of_the_worst_case_flip(study):
    tidy, people = study(main=USELESS, regression=GOOD)
    text = worst_words(tidy, people)
    assert "The regression U-Net errs less" in text
    assert "does not hold the real value" in text or "interval holds" in text
    [[scan]] = scans_of(people, "worst")

    def ranked(rank):
        fits = (tidy["metric"] == "sd_rank") & (tidy["variant"] == scan)
        return worst_words(tidy.assign(value=tidy["value"].mask(fits, rank)), people)

    assert "so the spread did warn" in ranked(0.9)
    assert "so the spread did not warn" in ranked(0.2)
    gap = (tidy["variant"] == scan) & (tidy["comparison"] == "real_pet")
    low = worst_words(tidy.assign(value=tidy["value"].mask(gap, -0.4)), people)
    high = worst_words(tidy.assign(value=tidy["value"].mask(gap, 0.4)), people)
    assert "0.40 too low" in low
    assert "0.40 too high" in high


def paragraph(tidy, start):
    [text] = [p for p in visits_words(tidy) if p.startswith(f"**{start}")]
    return text


def test_words_about_change_flip_with_the_results(study):
    good, _ = study(main=GOOD)
    assert "tells something of the change" in paragraph(good, "Error")
    mine = paragraph(good, "Sign").split(";")[0]
    assert mine.endswith("more often than a coin")
    bad, _ = study(main=USELESS)
    assert "errs less without the synthetic PET" in paragraph(bad, "Error")
    where = ("mri2pet", "change_error", "no_change")
    unclear = shifted(good, *where, low=-0.1, high=0.1)
    assert "it is not shown" in paragraph(unclear, "Error")


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.2, 0.7, "too small"),
        (0.8, 1.3, "the right size"),
        (1.2, 1.9, "too large"),
        (-0.9, -0.1, "the wrong way round"),
        (-0.2, 0.4, "a relation is not resolved"),
    ],
)
def test_the_size_of_a_change_in_words(study, low, high, word):
    tidy, _ = study()
    tidy = shifted(tidy, "mri2pet", "change_slope", "", low=low, high=high)
    mine = paragraph(tidy, "Size").split(";")[0]
    assert mine.endswith(word) or f"{word} within" in mine


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.6, 0.99, "more often than a coin"),
        (0.1, 0.4, "less often than a coin"),
        (0.3, 0.8, "which a coin could do"),
    ],
)
def test_the_sign_of_a_change_in_words(study, low, high, word):
    tidy, _ = study()
    tidy = shifted(tidy, "mri2pet", "change_sign", "", low=low, high=high)
    assert paragraph(tidy, "Sign").split(";")[0].endswith(word)


def test_a_few_people_name_no_direction(study):
    tidy, _ = study(FakeStore(twice=2), main=GOOD)
    text = "\n".join(visits_words(tidy))
    assert "no direction can be judged" in text
    assert "more often than a coin" not in text
    assert "tells something" not in text
    assert "**Size.**" not in text
    none, _ = study(FakeStore(twice=0))
    [text] = visits_words(none)
    assert "nothing can be said" in text
