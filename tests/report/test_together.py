"""Chapters two at a time: order, failures, and no orphans."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from writing import make_project, write_chapter

from mri2pet import paths
from mri2pet.report.execution import ChapterError, executed_path, gate
from mri2pet.report.together import execute_together


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Chapters of a project that workers find, too."""
    root = make_project(tmp_path)
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib\nfrom mri2pet import paths\n"
        f"paths.project_root = lambda: pathlib.Path({str(root)!r})\n"
    )
    # Spawned workers and their kernels read this at their start.
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(paths, "project_root", lambda: root)
    return root


@pytest.fixture
def run(tiny_run, project, tmp_path):
    """A run without stages, with a profile that can be read again."""
    from mri2pet.run import Run

    made = Run(tiny_run.profile, tmp_path / "run")
    made._prepare()
    return made


def test_two_at_a_time_in_the_order_of_the_book(run, project):
    meet = "import pathlib, time\npathlib.Path('{me}').touch()\n"
    meet += "while not pathlib.Path('{other}').exists():\n    time.sleep(0.05)"
    write_chapter(project, "01_a", meet.format(me="a", other="b"))
    write_chapter(project, "02_b", meet.format(me="b", other="a"))
    lines = []
    outcomes = execute_together(run, ["01_a", "02_b"], report=lines.append)
    assert [o.chapter for o in outcomes] == ["01_a", "02_b"]
    assert [o.reason for o in outcomes] == ["not run yet"] * 2
    assert [line.split()[0] for line in lines] == ["01_a:", "01_a:", "02_b:", "02_b:"]
    assert not gate(executed_path(run, "01_a"))
    again = execute_together(run, ["01_a", "02_b"], report=lines.append)
    assert [o.seconds for o in again] == [0.0, 0.0]
    assert lines[-2:] == ["  01_a: up to date", "  02_b: up to date"]


def test_kernels_do_not_spin_beside_each_other(run, project, monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    for name in ("01_a", "02_b"):
        write_chapter(
            project,
            name,
            "import os\nassert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'",
        )
    assert len(execute_together(run, ["01_a", "02_b"], report=lambda _: None)) == 2
    assert "OMP_WAIT_POLICY" not in os.environ


def test_a_failure_leaves_the_other_chapters_done(run, project):
    write_chapter(project, "01_a", "raise ArithmeticError('no')")
    write_chapter(project, "02_b", "print(1)")
    write_chapter(project, "03_c", "print(1)")
    with pytest.raises(ChapterError, match="01_a"):
        execute_together(run, ["01_a", "02_b", "03_c"], report=lambda _: None)
    assert not executed_path(run, "01_a").exists()
    assert not gate(executed_path(run, "02_b")) and not gate(executed_path(run, "03_c"))


def test_workers_end_with_their_parent(tmp_path):
    """A killed runner leaves nothing behind that goes on computing."""
    code = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from mri2pet.report.together import _begin

def main():
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, context, _begin, (os.getpid(),))
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    main()
"""
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail(f"worker {worker} is still there")
