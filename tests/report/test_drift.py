"""Drift: one changed value is caught, noise of another machine is not."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mri2pet.report.drift import (
    check_run,
    compare,
    load_tolerances,
    to_html,
    to_markdown,
    tolerance,
)


@pytest.fixture
def folders(tmp_path, tidy):
    run, expected = tmp_path / "run", tmp_path / "expected"
    (run / "results").mkdir(parents=True)
    expected.mkdir()
    _write(tidy, expected / "table1.csv")
    _write(tidy, run / "results" / "table1.csv")
    return run, expected


def _write(frame, path):
    frame.to_csv(path, index=False, na_rep="NA", float_format="%.8g")


def _changed(tidy, column, by, metric="ssim", comparison=""):
    frame = tidy.copy()
    fits = (frame["metric"] == metric) & (frame["comparison"] == comparison)
    line = frame[fits & (frame["row"] == "mri2pet")].index[0]
    frame.loc[line, column] += by
    return frame


def test_same_results_agree(folders):
    report, ok = compare(folders[0] / "results", folders[1])
    assert ok
    assert (report["status"] == "ok").all()
    assert report["published"].notna().any()


def test_one_changed_value_is_caught(folders, tidy):
    _write(_changed(tidy, "value", 0.02), folders[0] / "results" / "table1.csv")
    report, ok = compare(folders[0] / "results", folders[1])
    assert not ok
    bad = report[report["status"] != "ok"]
    assert len(bad) == 1
    assert bad.iloc[0][["row", "metric", "what"]].tolist() == [
        "mri2pet",
        "ssim",
        "value",
    ]


def test_noise_of_another_machine_is_accepted(folders, tidy):
    frame = tidy.copy()
    rng = np.random.default_rng(0)
    for column in ("value", "low", "high"):
        frame[column] *= 1 + 1e-4 * rng.standard_normal(len(frame))
    _write(frame, folders[0] / "results" / "table1.csv")
    assert compare(folders[0] / "results", folders[1])[1]


@pytest.mark.parametrize(
    ("column", "by"), [("n", 1), ("k", 1), ("low", -0.1), ("published", 0.001)]
)
def test_people_samples_intervals_and_published_values_count(folders, tidy, column, by):
    frame = tidy.copy()
    line = frame.index[frame["published"].notna()][0]
    frame.loc[line, column] += by
    _write(frame, folders[0] / "results" / "table1.csv")
    report, ok = compare(folders[0] / "results", folders[1])
    assert not ok
    assert report.loc[report["status"] == "drift", "what"].tolist() == [column]


def test_a_value_that_became_nan_is_drift(folders, tidy):
    frame = _changed(tidy, "value", np.nan)
    _write(frame, folders[0] / "results" / "table1.csv")
    assert not compare(folders[0] / "results", folders[1])[1]


def test_missing_and_new_lines_are_drift(folders, tidy):
    renamed = tidy.replace({"row": {"vanilla": "gan"}})
    _write(renamed, folders[0] / "results" / "table1.csv")
    report, ok = compare(folders[0] / "results", folders[1])
    assert not ok
    counts = report["status"].value_counts()
    assert counts["missing"] == counts["new"] == (tidy["row"] == "vanilla").sum()
    (folders[0] / "results" / "table1.csv").unlink()
    report, ok = compare(folders[0] / "results", folders[1])
    assert not ok
    assert report["what"].tolist() == ["table1.csv was not made"]


def test_differences_may_move_by_both_rows(tidy):
    content = load_tolerances()
    assert content["interval_factor"] >= 1
    single = tolerance(content, "ssim", 0.8)
    assert single < 0.02 < tolerance(content, "psnr", 20)
    assert tolerance(content, "unheard_of", 100) == pytest.approx(2.001)


def test_the_report_names_all_three_values_and_escapes(folders, tidy):
    frame = _changed(tidy, "value", 0.05)
    frame["source"] = "<script>"
    _write(frame, folders[0] / "results" / "table1.csv")
    report, _ = compare(folders[0] / "results", folders[1])
    page, text = to_html(report, "A <title>"), to_markdown(report, "Title")
    for word in ("regenerated", "expected", "published", "1 drift"):
        assert word in page
        assert word in text
    assert "<script>" not in page
    assert "A &lt;title&gt;" in page
    assert "http" not in page
    # what drifted comes first
    assert page.index('class="bad"') < page.index("<tr><td>table1")


def test_check_run_writes_the_report_and_says_what_drifted(folders, tidy, capsys):
    run, expected = folders
    fake = SimpleNamespace(path=run, profile=SimpleNamespace(name="smoke"))
    assert check_run(fake, expected)
    _write(_changed(tidy, "value", 0.05), run / "results" / "table1.csv")
    assert not check_run(fake, expected)
    said = capsys.readouterr().out
    assert "1 drift" in said
    assert "drift: table1 mri2pet published ssim" in said
    assert (run / "report" / "drift.html").is_file()
    assert (run / "report" / "drift.md").is_file()
    assert not list((run / "report").glob("*.partial"))


def test_nothing_expected_and_broken_files_are_refused(folders, tmp_path, tidy):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no expected results"):
        compare(folders[0] / "results", tmp_path / "empty")
    doubled = tidy.loc[[*tidy.index, tidy.index[0]]]
    _write(doubled, folders[0] / "results" / "table1.csv")
    with pytest.raises(ValueError, match="stands twice"):
        compare(folders[0] / "results", folders[1])


def test_two_spreads_of_a_value_are_two_lines(folders, tidy):
    """The ends of an interval over few trainings may move, its value may not."""
    line = tidy[(tidy["metric"] == "ssim") & (tidy["comparison"] == "")].iloc[[0]]
    seeds = line.assign(interval="seeds", n=2)
    for folder in (folders[1], folders[0] / "results"):
        _write(pd.concat([tidy, seeds]), folder / "table1.csv")
    where = folders[0] / "results"
    assert compare(where, folders[1])[1]
    _write(pd.concat([tidy, seeds.assign(low=-5.0)]), where / "table1.csv")
    assert compare(where, folders[1])[1]
    for change in ({"low": np.nan}, {"value": seeds["value"] + 0.1}):
        _write(pd.concat([tidy, seeds.assign(**change)]), where / "table1.csv")
        report, ok = compare(where, folders[1])
        assert not ok and (report["status"] == "drift").sum() == 1
