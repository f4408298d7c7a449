"""The runner: order, parameters, reasons, the gate, and half-run chapters."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from writing import make_project, write_chapter

from mri2pet import paths
from mri2pet.report import chapters, fingerprint
from mri2pet.report.chapters import execute_chapters
from mri2pet.report.execution import ChapterError, gate


class _Profile(SimpleNamespace):
    def model_dump_json(self):
        return repr(sorted(vars(self).items()))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own, and a run of it."""
    root = make_project(tmp_path)
    monkeypatch.setattr(paths, "project_root", lambda: root)
    return root


@pytest.fixture
def run(tmp_path, project):
    keys = {"cohort": "k1"}
    return SimpleNamespace(
        path=tmp_path / "run",
        profile=_Profile(name="smoke", seed=4),
        keys=keys,
        stage_keys=lambda: dict(keys),
    )


def _go(run, **options):
    lines = []
    outcomes = execute_chapters(run, report=lines.append, **options)
    return outcomes, "\n".join(lines)


def test_chapters_run_in_order_with_their_parameters_and_this_python(run, project):
    write_chapter(project, "02_b", "print(profile, x)")
    write_chapter(
        project, "01_a", "import sys, os\nprint(sys.executable)\nprint(run_dir)"
    )
    outcomes, _ = _go(run, parameters={"x": 7})
    assert [o.chapter for o in outcomes] == ["01_a", "02_b"]
    assert all(o.reason == "not run yet" for o in outcomes)
    first = nbformat.read(run.path / "notebooks" / "01_a.ipynb", as_version=4)
    second = nbformat.read(run.path / "notebooks" / "02_b.ipynb", as_version=4)
    assert first.cells[-1].outputs[0].text.split() == [sys.executable, str(run.path)]
    assert second.cells[-1].outputs[0].text == "smoke 7\n"
    assert second.metadata.mri2pet["parameters"] == {"profile": "smoke", "x": 7}
    assert second.metadata.mri2pet["stages"] == {"cohort": "k1"}
    assert second.metadata.papermill["input_path"] == "02_b.ipynb"


def test_unknown_parameter_is_an_error_before_anything_runs(run, project):
    write_chapter(project, "01_a", "1")
    with pytest.raises(ValueError, match=r"01_a\.ipynb: no parameter 'steps'"):
        _go(run, parameters={"steps": 3})
    assert not (run.path / "notebooks").exists()


def test_unknown_chapter_is_an_error(run, project):
    write_chapter(project, "01_a", "1")
    with pytest.raises(ValueError, match="chapter '05_x': expected one of 01_a"):
        _go(run, chapters=["05_x"])


def test_reasons_for_running_again_are_given(run, project):
    write_chapter(project, "01_a", "print(1)")
    _go(run)
    assert _go(run)[0][0].reason == ""

    def reason():
        now = chapters.fingerprint(run, "01_a", {"profile": "smoke", "run_dir": "r"})
        target = chapters.executed_path(run, "01_a")
        return chapters.changes(run, target, now)

    assert reason() == ""
    run.keys["cohort"] = "k2"
    assert reason() == "stage cohort changed"
    run.keys["cohort"] = "k1"
    run.profile.seed = 5
    assert reason() == "the profile changed"
    run.profile.seed = 4
    (project / "constraints.txt").write_text("a==2\n")
    assert reason() == "the lock of libraries changed"
    (project / "constraints.txt").write_text("a==1\n")
    (project / "data" / "published" / "t.csv").write_text("1")
    assert reason() == "the published values changed"
    (project / "data" / "published" / "t.csv").unlink()
    write_chapter(project, "01_a", "print(2)")
    assert reason() == "its text or code changed"


def test_a_kept_study_is_a_reason_for_the_chapters_that_read_it(run, project):
    """It may come after a chapter has been executed without it."""
    write_chapter(project, "01_a", "print(1)")
    write_chapter(project, "02_b", "from mri2pet.report.study import load_study")

    def reason(chapter):
        given = {"profile": "smoke", "run_dir": "r"}
        return chapters.changes(
            run,
            chapters.executed_path(run, chapter),
            chapters.fingerprint(run, chapter, given),
        )

    _go(run)
    assert reason("01_a") == reason("02_b") == ""
    kept = project / "data" / "expected" / "study"
    kept.mkdir(parents=True)
    (kept / "provenance.json").write_text("{}")
    assert reason("01_a") == ""
    assert reason("02_b") == "data/expected/study changed"


def test_all_that_chapters_read_from_data_is_known():
    """A module that reads another file must be named beside it."""
    package = Path(chapters.__file__).parents[1]
    # The expected results and the page of switches are not read by chapters.
    aside = {"report/drift.py", "report/switches.py", "report/fingerprint.py"}
    reading = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "data_dir() /" in path.read_text()
    }
    published = {"evaluation/published.py"}
    assert reading - aside - published == set(fingerprint._READS)


def test_a_changed_module_is_a_reason():
    names = fingerprint.imported_modules("from mri2pet.report import tables\n%time 1")
    assert "mri2pet.report.tables" in names
    hashes = fingerprint.source_hashes(set(names))
    assert "report/tables.py" in hashes
    assert "paths.py" in fingerprint.source_hashes({"mri2pet.evaluation.published"})


def test_failing_cell_leaves_no_usable_chapter_and_keeps_finished_ones(run, project):
    write_chapter(project, "01_a", "print(1)")
    write_chapter(project, "02_b", "raise ArithmeticError('two')", "print(3)")
    with pytest.raises(ChapterError, match="02_b.*ArithmeticError: two"):
        _go(run)
    folder = run.path / "notebooks"
    assert not gate(folder / "01_a.ipynb")
    assert not (folder / "02_b.ipynb").exists()
    faults = gate(folder / "failed" / "02_b.ipynb")
    assert any("raised ArithmeticError" in fault for fault in faults)
    assert any("was not run" in fault for fault in faults)
    assert any("papermill recorded an exception" in fault for fault in faults)


def test_cell_that_hangs_is_stopped(run, project):
    write_chapter(project, "01_a", "import time\ntime.sleep(60)")
    with pytest.raises(ChapterError, match="the kernel stopped"):
        _go(run, cell_timeout=2)
    assert not (run.path / "notebooks" / "01_a.ipynb").exists()


def test_runner_killed_midway_leaves_no_usable_chapter(run, project, tmp_path):
    write_chapter(project, "01_a", "import time\nopen('started', 'w')\ntime.sleep(60)")
    code = f"""
import pathlib, types
from mri2pet import paths
root = pathlib.Path({str(project)!r})
paths.project_root = lambda: root
from mri2pet.report.chapters import execute_chapters
profile = types.SimpleNamespace(name="smoke", model_dump_json=lambda: "")
run = types.SimpleNamespace(
    path=pathlib.Path({str(run.path)!r}), profile=profile, stage_keys=dict)
execute_chapters(run)
"""
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    started = run.path / "notebooks" / "started"
    for _ in range(400):
        if started.exists():
            break
        time.sleep(0.1)
    assert started.exists()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (run.path / "notebooks" / "01_a.ipynb").exists()
    started.unlink()
    write_chapter(project, "01_a", "print(1)")
    assert _go(run)[0][0].reason == "not run yet"
    assert not gate(run.path / "notebooks" / "01_a.ipynb")


@pytest.mark.parametrize("content", ["", "{}", "not json"])
def test_gate_refuses_what_is_no_notebook(tmp_path, content):
    path = tmp_path / "a.ipynb"
    path.write_text(content)
    assert gate(path)
    assert gate(tmp_path / "missing.ipynb")


def test_gate_refuses_a_clean_notebook(run, project):
    write_chapter(project, "01_a", "print(1)")
    assert gate(project / "notebooks" / "01_a.ipynb")


def test_a_chapter_depends_on_what_its_modules_read():
    """Sentences and settings in `data/*.yaml` are part of a chapter's fingerprint."""
    package = Path(fingerprint.__file__).parents[1]
    found = 0
    for path in sorted(package.rglob("report/*.py")):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r'data_dir\(\) / "(claims[\w.]*)"', text):
            module = path.relative_to(package).as_posix()
            assert fingerprint._READS[module] == name
            assert (paths.data_dir() / name).is_file()
            found += 1
    assert found == len(list(paths.data_dir().glob("claims*.yaml")))
