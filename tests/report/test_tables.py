"""Presentation tables carry the tidy numbers and nothing else."""

import pytest

from mri2pet.report.tables import (
    METRIC_LABELS,
    NOT_RUN,
    cell,
    is_illustrative,
    lookup,
    paired_table,
    sorted_rows,
    to_latex,
    wide_table1,
)


def test_lookup_finds_one_line_or_none(tidy):
    line = lookup(tidy, "mri2pet", "corrected", "ssim", "brain")
    assert line["comparison"] == ""
    other = lookup(tidy, "mri2pet", "corrected", "ssim", "brain", "mean_template")
    assert other["value"] == pytest.approx(0.12, abs=0.01)
    assert lookup(tidy, "gan", "published", "ssim", "brain") is None
    doubled = tidy.loc[[line.name, line.name]]
    with pytest.raises(ValueError, match="2 lines"):
        lookup(doubled, "mri2pet", "corrected", "ssim", "brain")


def test_controls_come_first_then_published_then_corrected(tidy, cases):
    keys = sorted_rows(tidy)
    assert len(keys) == len(cases.levels)
    assert [d for _, d in keys] == [""] * 3 + ["published"] * 4 + ["corrected"] * 2
    assert keys[0][0] == "mean_template"


def test_cells_show_value_and_interval(tidy):
    wide = wide_table1(tidy)
    line = lookup(tidy, "mri2pet", "published", "ssim", "brain")
    shown = wide[(wide["Row"] == "MRI2PET") & (wide["Design"] == "published")].iloc[0]
    expected = f"{line['value']:.3f} [{line['low']:.3f}, {line['high']:.3f}]"
    assert shown["SSIM, brain"] == expected
    assert cell(None, 3) == ""
    alone = line.replace(line["low"], float("nan"))
    assert cell(alone, 2) == f"{line['value']:.2f}"


def test_paper_values_stand_in_marked_columns_beside_published_rows_only(tidy):
    wide = wide_table1(tidy)
    marked = [c for c in wide if "paper (ADNI)" in c]
    assert len(marked) == 3
    mri2pet = wide[wide["Row"] == "MRI2PET"].set_index("Design")
    assert mri2pet.loc["published", "SSIM, paper (ADNI)"] == "0.857"
    assert (mri2pet.loc["corrected", marked] == "").all()
    template = wide[wide["Row"] == "Mean template"].iloc[0]
    assert (template[marked] == "").all()


def test_rows_not_run_are_shown_with_the_papers_values(tidy, cases):
    wide = wide_table1(tidy).set_index("Row")
    assert wide.loc["GAN", "SSIM, brain"] == NOT_RUN
    assert wide.loc["GAN", "SSIM, paper (ADNI)"] == "0.101"
    # the ablation that the paper leaves out is known from the log, and says so
    assert wide.loc["Self-pretrained", "SSIM, paper (ADNI)"] == "0.863 (log)"
    ran = wide_table1(tidy, show_not_run=False)
    assert not ran.isin([NOT_RUN]).any().any()
    assert len(ran) == len(cases.levels)


def test_a_part_of_the_metrics(tidy):
    part = {k: METRIC_LABELS[k] for k in [("psnr", "brain")]}
    wide = wide_table1(tidy, part)
    assert list(wide)[:3] == ["Row", "Design", "PSNR, brain [dB]"]
    assert len(list(wide)) == 6


def test_paired_table_marks_what_excludes_zero(tidy):
    table = paired_table(tidy).set_index(["Row", "Design"])
    text = table.loc[("w/o Loss", "published"), "minus MRI2PET"]
    assert text.startswith("**-0.02")
    same = table.loc[("w/o Style Transfer", "published"), "minus MRI2PET"]
    assert not same.startswith("**")
    assert table.loc[("Mean template", ""), "minus Mean template"] == ""


def test_few_people_are_marked(tidy):
    assert not is_illustrative(tidy)
    assert is_illustrative(tidy.assign(n=8))


def test_latex_is_escaped_and_complete(tidy):
    wide = wide_table1(tidy).head(4)
    text = to_latex(wide, caption="50 % & more", label="tab:one")
    assert r"\caption{50 \% \& more}" in text
    assert text.count(r" \\") == 5
    assert text.count("&") == 5 * (wide.shape[1] - 1) + 1
    columns = text.split("tabular}{")[1].split("}")[0]
    assert len(columns) == wide.shape[1]
    assert r"\label{tab:one}" in text


def test_no_minus_zero(cases):
    tidy = cases.make_tidy(
        {k: cases.levels[k] for k in list(cases.levels)[:2]}, n_boot=20
    )
    line = tidy.iloc[0].copy()
    line[["value", "low", "high"]] = [-0.0001, -0.0002, 0.5]
    assert cell(line, 2) == "0.00 [0.00, 0.50]"
