"""`mri2pet reproduce --data`: a store, raw scans, and what is refused in one line."""

import json
import shutil

import pandas as pd
import pytest

from mri2pet.cli import main
from mri2pet.cohort.phantom import make_cohort
from mri2pet.commands import prepare as preparing
from mri2pet.commands import reproduce as command
from mri2pet.report import reproduce as way

PROFILE = """
extends: smoke
name: mine
grids: {mri: [32, 32, 32], pet: [16, 32, 32]}
prepare: {fractions: [0.5, 0.2, 0.3]}
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("people") / "people.zarr"
    make_cohort(
        out, grid_mri=(32, 32, 32), grid_pet=(16, 32, 32), unpaired=3, labelled=2,
        train=4, val=2, test=4, train_two_visits=0, test_two_visits=0, rho=0.5,
        work_mm=6.0, seed=1,
    )  # fmt: skip
    return out


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Call the command; what would be reproduced is kept instead of computed."""
    monkeypatch.setenv("MRI2PET_RUNS", str(tmp_path / "runs"))
    profile = tmp_path / "mine.yaml"
    profile.write_text(PROFILE)
    runs = []
    monkeypatch.setattr(way, "reproduce", lambda run, chapters: runs.append(run))

    def call(*arguments):
        status = main(["reproduce", "--profile", str(profile), *map(str, arguments)])
        return status, runs

    return call


def bids(root, people, without_pet=0):
    """A dataset whose images are empty files: the inventory opens none."""
    for number in range(people):
        person = f"sub-{number:02d}"
        kinds = [("anat", "T1w")]
        if number >= without_pet:
            kinds.append(("pet", "trc-AV45_pet"))
        for kind, suffix in kinds:
            file = root / person / "ses-M000" / kind / f"{person}_ses-M000_{suffix}.nii"
            file.parent.mkdir(parents=True)
            file.touch()
    return root


def test_a_store_is_adopted_in_a_directory_of_its_own(asked, store, tmp_path, capsys):
    status, [run] = asked("--data", store)
    assert status == 0
    assert run.profile.store == str(store)
    assert run.path.parent == tmp_path / "runs"
    assert run.path.name.startswith("mine-")
    assert json.loads((run.path / "profile.json").read_text())["store"] == str(store)
    out = capsys.readouterr().out
    assert "3 unpaired, 4 train, 2 val, 4 test" in out
    assert "all 3 that there are" in out  # smoke styles twelve
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == [run.path.name]


def test_a_dry_run_of_a_store_counts_its_people_and_makes_nothing(
    asked, store, tmp_path, capsys
):
    status, runs = asked("--data", store, "--dry-run")
    out = capsys.readouterr().out
    assert (status, runs) == (0, [])
    assert "3 unpaired" in out
    assert "Estimate" in out
    assert not (tmp_path / "runs").exists()


def _bad(kind, store, tmp_path):
    """A path that cannot be used, and what the one line says of it."""
    path = tmp_path / "data"
    if kind == "nothing there":
        return path, "there is no such folder"
    if kind == "a file":
        path.write_text("people")
        return path, "there is no such folder"
    if kind == "neither":
        path.mkdir()
        return path, "nor is it a store"
    if kind == "few raw people":
        return bids(path, 7, without_pet=3), "people with"
    if kind == "hardly any":
        return bids(path, 2), "2 people have an MRI and a PET"
    if kind == "half a store":
        shutil.copytree(store, path)
        (path / "scans.tsv").unlink()
        return path, "cannot read scans.tsv"
    if kind == "other grids":
        (tmp_path / "mine.yaml").write_text(
            PROFILE.replace("[32, 32, 32]", "[64, 64, 64]")
        )
        return store, "mri grid is (32, 32, 32)"
    shutil.copytree(store, path)
    table = pd.read_csv(path / "scans.tsv", sep="\t", dtype=str, na_filter=False)
    table["part"] = table["part"].replace("test", "train")
    table.to_csv(path / "scans.tsv", sep="\t", index=False)
    return path, "0 people with a PET in test"


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        *("nothing there", "a file", "neither", "few raw people", "hardly any"),
        *("half a store", "other grids", "no test people"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_nothing_is_written(
    asked, store, tmp_path, capsys, kind, dry
):
    path, message = _bad(kind, store, tmp_path)
    status, runs = asked("--data", path, *(["--dry-run"] if dry else []))
    captured = capsys.readouterr()
    assert (status, runs) == (2, [])
    assert message in captured.err
    assert path.name in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def prepared(store, monkeypatch):
    """Preparation that copies a store, and the places it was asked for."""
    places = []

    def fake(dataset, out, settings, workers, scheduler=None):
        places.append(out)
        if not out.exists():
            shutil.copytree(store, out)

    monkeypatch.setattr(preparing, "prepare_dataset", fake)
    return places


def test_raw_scans_are_prepared_beside_the_runs_and_then_used(
    asked, prepared, tmp_path, capsys
):
    data = bids(tmp_path / "study", 16, without_pet=4)
    status, runs = asked("--data", data)
    assert status == 0
    [place] = prepared
    assert place.parent == tmp_path / "runs" / command.PREPARED
    assert place.name.startswith("study-")
    assert runs[0].profile.store == str(place)
    assert "are prepared as" in capsys.readouterr().out
    asked("--data", data)  # the same scans, the same place
    assert prepared[1] == place
    truth = data / "derivatives/truth/truth.tsv"
    truth.parent.mkdir(parents=True)
    truth.write_text("scan_id\tA\n")
    asked("--data", data)  # another truth, another store
    assert prepared[2] != place


def test_raw_scans_follow_the_run_directory(asked, prepared, tmp_path):
    data = bids(tmp_path / "study", 16, without_pet=4)
    _, [run] = asked("--data", data, "--run-dir", tmp_path / "there" / "mine")
    assert prepared[0].parent == tmp_path / "there" / command.PREPARED
    assert run.path.parent == tmp_path / "there"


def test_a_dry_run_of_raw_scans_says_who_would_be_prepared(
    asked, prepared, tmp_path, capsys
):
    data = bids(tmp_path / "study", 16, without_pet=4)
    status, runs = asked("--data", data, "--dry-run")
    out = capsys.readouterr().out
    assert (status, runs, prepared) == (0, [], [])
    assert "16 people, 16 MRIs would be used" in out


def test_chapters_that_a_cohort_cannot_answer_are_left_out_and_named(
    tiny_run, monkeypatch, capsys
):
    monkeypatch.setattr(way, "unanswered", lambda run: {"12_table3": "no MMSE"})
    assert way._left_out(tiny_run, ["01_cohort", "12_table3"]) == {
        "12_table3": "no MMSE"
    }
    assert "12_table3 is left out: no MMSE" in capsys.readouterr().out
    assert way._left_out(tiny_run, ["01_cohort"]) == {}
    way.write_run_json(tiny_run, [], {"12_table3": "no MMSE"})
    record = json.loads((tiny_run.path / "run.json").read_text())
    assert record["left_out"] == {"12_table3": "no MMSE"}


@pytest.mark.parametrize("name", ["check", "keep"])
def test_results_of_other_people_are_not_taken_for_the_books(
    asked, store, capsys, name
):
    _, [run] = asked("--data", store)
    capsys.readouterr()
    assert main([name, "--run", str(run.path)]) == 2
    err = capsys.readouterr().err
    assert str(store) in err
    assert err.count("\n") == 1
