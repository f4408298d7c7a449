"""Every exercise: a right answer passes, a wrong one gets a hint, none is silent."""

import importlib
import json
import re

import numpy as np
import pytest

from mri2pet import paths
from mri2pet.exercises import (
    Wrong,
    _chapter,
    as_function,
    as_number,
    check,
    exercise_ids,
    expect,
)

IDS = exercise_ids()
CHAPTERS = sorted({int(i.split(".")[0]) for i in IDS})
NONSENSE = (
    1e9,
    -1,
    "forty-two",
    [],
    {},
    object(),
    float("nan"),
    np.zeros((2, 3)),
    lambda *_: None,
    lambda *_: 1 / 0,
)


def _cells(chapter):
    found = list(paths.notebooks_dir().glob(f"{chapter:02d}_*.ipynb"))
    if not found:
        pytest.skip(f"chapter {chapter} has no notebook")
    cells = json.loads(found[0].read_text(encoding="utf-8"))["cells"]
    return [(c["cell_type"], "".join(c["source"])) for c in cells]


def test_there_are_exercises():
    assert IDS[0] == "1.1"
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("number", CHAPTERS)
def test_every_check_has_a_solution(number):
    module = importlib.import_module(f"mri2pet.exercises.chapter{number:02d}")
    assert set(module.SOLUTIONS) == set(module.CHECKS)
    assert all(i.split(".")[0] == str(number) for i in module.CHECKS)
    assert len(module.CHECKS) >= 2


@pytest.mark.parametrize("exercise", IDS)
def test_solution_passes(exercise, capsys):
    check(exercise, _chapter(exercise).SOLUTIONS[exercise]())
    assert capsys.readouterr().out == f"Exercise {exercise}: right.\n"


@pytest.mark.parametrize("exercise", IDS)
@pytest.mark.parametrize("answer", NONSENSE, ids=lambda a: type(a).__name__)
def test_nonsense_gets_a_hint(exercise, answer):
    with pytest.raises(Wrong) as caught:
        check(exercise, answer)
    assert str(caught.value).startswith(f"Exercise {exercise}: not yet. ")


@pytest.mark.parametrize("exercise", IDS)
@pytest.mark.parametrize("answer", [None, ...])
def test_no_answer_is_no_mistake(exercise, answer, capsys):
    check(exercise, answer)
    assert "no answer yet" in capsys.readouterr().out


@pytest.mark.parametrize("exercise", IDS)
def test_chapter_asks_and_solves(exercise):
    cells = _cells(int(exercise.split(".")[0]))
    calls = [
        source
        for kind, source in cells
        if kind == "code" and re.search(rf"check\(\s*['\"]{exercise}['\"]", source)
    ]
    assert len(calls) >= 2, "the reader's cell and the solution's cell call check"
    assert any(re.search(r"=\s*(\.\.\.|None)", source) for source in calls)
    text = "\n".join(source for kind, source in cells if kind == "markdown")
    assert "{exercise-start}" in text
    assert "{solution-start}" in text


def test_notebooks_check_known_exercises_only():
    for path in paths.notebooks_dir().glob("[0-9][0-9]_*.ipynb"):
        for exercise in re.findall(r"check\(\s*['\"]([\d.]+)['\"]", path.read_text()):
            assert exercise in IDS, f"{path.name} checks {exercise}"


@pytest.mark.parametrize("exercise", ["1.99", "99.1", "x", "", "1"])
def test_unknown_exercise(exercise):
    with pytest.raises(ValueError, match=r"no exercise .* there are 1\.1"):
        check(exercise, 1)


def test_wrong_shows_the_hint_without_a_trace():
    assert Wrong("look again")._render_traceback_() == ["look again"]


def test_helpers():
    assert as_number(np.float32(2)) == 2.0
    with pytest.raises(Wrong, match="expected a number, not str"):
        as_number("a")
    with pytest.raises(Wrong, match="not inf"):
        as_number(float("inf"))
    with pytest.raises(Wrong, match="expected a function"):
        as_function(3)
    with pytest.raises(Wrong, match="ZeroDivisionError"):
        as_function(lambda: 1 / 0)()
    slips = [(9.0, "its square"), (3.0, "never reached")]
    expect(3.0 + 1e-7, 3.0, "another", slips=slips)
    with pytest.raises(Wrong, match="its square"):
        expect(9.0, 3.0, "another", slips=slips)
    with pytest.raises(Wrong, match="another"):
        expect(9.1, 3.0, "another", slips=slips)
    expect(9.1, 9.0, "another", tolerance=0.2)


def test_hints_of_chapter_1():
    from mri2pet.exercises import chapter01 as c

    def mean_of_all(activity, weights):
        return activity.mean() * 1e-3

    def pooled(activity, weights):
        total = weights[:4].sum(0)
        reference = (weights[8] * activity).sum() / weights[8].sum()
        return (total * activity).sum() / total.sum() / reference

    with pytest.raises(Wrong, match="divide by"):
        c.check_composite(mean_of_all)
    with pytest.raises(Wrong, match="equal weight"):
        c.check_composite(pooled)
    with pytest.raises(Wrong, match="upside down"):
        c.check_auc_without_link(1 - c.auc_without_link())
    with pytest.raises(Wrong, match="comes once"):
        c.check_leak_probability(lambda m: c.TRAIN_SHARE)
    with pytest.raises(Wrong, match="none of the other"):
        c.check_leak_probability(lambda m: (m - 1) * c.TRAIN_SHARE)
