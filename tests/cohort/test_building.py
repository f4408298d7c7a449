"""Filling a folder: what fails is recorded, what was killed goes on."""

import json
from functools import partial

import pandas as pd
import pytest

from mri2pet.cohort.building import FAILED, Build, check_same

TABLE = pd.DataFrame({"name": ["a", "b", "c", "d"]})


def write(folder, broken, row, line):
    """A task: b is broken, d should never be seen."""
    [name] = line["name"]
    if name in broken:
        raise broken[name]
    (folder / name).write_text(str(row))
    return {"row": row}


@pytest.fixture
def build(tmp_path):
    made = Build(tmp_path / "x.partial", {"seed": 1}, kind="dataset", sign="done")
    made.folder.mkdir()
    made.begin()
    return made


def test_a_scan_that_fails_does_not_stop_the_others(build):
    broken = {"b": ValueError("b.nii: 0 bytes;\n copy it again")}
    seen = []
    markers = build.run(
        partial(write, build.folder, broken),
        TABLE,
        recorded=(ValueError,),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert markers[1] == {FAILED: "b.nii: 0 bytes; copy it again"}
    assert [m.get("row") for m in markers] == [0, None, 2, 3]
    assert seen == [(n, 4) for n in (1, 2, 3, 4)]
    # Resumed after a repair: only what failed is tried again.
    (build.folder / "a").unlink()
    markers = build.run(partial(write, build.folder, {}), TABLE)
    assert [m["row"] for m in markers] == [0, 1, 2, 3]
    assert not (build.folder / "a").exists()


def test_another_error_stops_and_what_was_done_stays(build):
    broken = {"c": OSError("disk")}
    task = partial(write, build.folder, broken)
    with pytest.raises(OSError, match="disk"):
        build.run(task, TABLE, recorded=(ValueError,))
    assert not (build.folder / "d").exists()
    calls = []
    build.begin(lambda: pytest.fail("began anew"))
    build.run(
        partial(write, build.folder, {}),
        TABLE,
        progress=lambda done, _: calls.append(done),
    )
    assert calls == [3, 4]


def test_a_damaged_scan_is_made_again(build):
    task = partial(write, build.folder, {})
    build.run(task, TABLE)
    (build.folder / "c").unlink()
    build.run(task, TABLE, intact=lambda row, marker: "abcd"[row] != "c")
    assert (build.folder / "c").read_text() == "2"


def test_other_arguments_begin_anew_and_cleaning_leaves_the_content(build):
    build.run(partial(write, build.folder, {}), TABLE)
    other = Build(build.folder, {"seed": 2})
    other.begin()
    assert not (build.folder / "a").exists()
    other.run(partial(write, build.folder, {}), TABLE)
    (build.folder / ".1.mri2pet-partial.nii.gz").write_text("left by a kill")
    other.clean()
    assert sorted(f.name for f in build.folder.iterdir()) == list("abcd")


def test_one_process_at_a_time_and_no_files_of_others(build, tmp_path):
    twice = pytest.raises(ValueError, match="making this dataset; wait for it")
    with build.alone(), twice, build.alone():
        pytest.fail("two at a time")
    foreign = Build(tmp_path / "y.partial", {}, kind="dataset", sign="done")
    foreign.folder.mkdir()
    (foreign.folder / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="not a dataset; move them away"):
        foreign.begin()


def test_the_difference_is_named():
    check_same("x", {"seed": 1, "more": 2}, json.loads('{"seed": 1}'))
    with pytest.raises(ValueError, match="x: holds another cohort .seed is 1, asked"):
        check_same("x", {"seed": 1}, {"seed": 2})
