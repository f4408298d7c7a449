"""Making a cohort: same bytes whatever the workers, interruptions and sizes."""

import fcntl
import json
import os
import signal
import subprocess
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from mri2pet.cohort import template
from mri2pet.cohort.geometry import default_work_mm
from mri2pet.cohort.phantom import make_cohort, plan, simulate
from mri2pet.cohort.phantom.plan import choose_test
from mri2pet.cohort.store import Store, partial_path

PEOPLE = {
    "unpaired": 3,
    "labelled": 2,
    "train": 3,
    "val": 1,
    "test": 2,
    "train_two_visits": 1,
    "test_two_visits": 1,
}
TINY = {"grid_mri": (12, 16, 16), "grid_pet": (8, 12, 12), "work_mm": 6.0, "seed": 0}


def tree(folder):
    """Every file of a folder with its bytes."""
    return {
        str(f.relative_to(folder)): f.read_bytes()
        for f in sorted(folder.rglob("*"))
        if f.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("cohort") / "store.zarr"
    return make_cohort(path, **PEOPLE, **TINY)


def test_the_store_holds_what_was_asked_for(made):
    counts = made.scans.groupby("part")["participant_id"].nunique()
    assert dict(counts) == {"test": 2, "train": 3, "unpaired": 3, "val": 1}
    assert len(made) == 11
    visits = made.scans.groupby("participant_id").size()
    assert (visits == 2).sum() == 2
    unpaired = made.scans[made.scans["part"] == "unpaired"]
    assert unpaired["labelled"].sum() == 2
    unknown = unpaired[~unpaired["labelled"]]
    assert unknown["diagnosis"].isna().all()
    assert unknown["mmse"].isna().all()
    assert made.truth.loc[unknown.index, "diagnosis"].notna().all()
    paired = made.ids(has_pet=True)
    assert made.truth.loc[paired, "suvr_composite"].notna().all()
    assert made.truth.loc[unpaired.index, "suvr_composite"].isna().all()


def test_two_workers_write_the_same_bytes(made, tmp_path):
    calls = []
    other = make_cohort(
        tmp_path / "two.zarr",
        **PEOPLE,
        **TINY,
        workers=2,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert tree(other.path) == tree(made.path)
    assert other.fingerprint() == made.fingerprint()
    assert calls == [(n, 11) for n in range(1, 12)]


def test_a_killed_build_resumes_to_the_same_bytes(made, tmp_path):
    path = tmp_path / "killed.zarr"
    code = f"""
import os, signal
from mri2pet.cohort.phantom import make_cohort
def stop(done, total):
    if done == 4:
        os.kill(os.getpid(), signal.SIGKILL)
make_cohort({str(path)!r}, progress=stop, **{PEOPLE!r}, **{TINY!r})
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not path.exists()
    with pytest.raises(ValueError, match="half written"):
        Store(path)
    # A volume damaged in between is noticed and made again.
    chunk = partial_path(path) / "mri" / "c" / "1" / "0" / "0" / "0"
    chunk.unlink()
    calls = []
    resumed = make_cohort(
        path, **PEOPLE, **TINY, progress=lambda done, total: calls.append(done)
    )
    assert len(calls) == 11 - 3
    assert tree(resumed.path) == tree(made.path)
    assert not partial_path(path).exists()


def test_killed_between_sealing_and_renaming(made, tmp_path):
    path = tmp_path / "sealed.zarr"
    make_cohort(path, **PEOPLE, **TINY)
    path.rename(partial_path(path))
    again = make_cohort(path, **PEOPLE, **TINY, progress=pytest.fail)
    assert tree(again.path) == tree(made.path)


def test_a_complete_store_is_returned_and_another_one_refused(made):
    before = tree(made.path)
    again = make_cohort(made.path, **PEOPLE, **TINY, progress=pytest.fail)
    assert again.fingerprint() == made.fingerprint()
    with pytest.raises(ValueError, match="another cohort"):
        make_cohort(made.path, **PEOPLE, **{**TINY, "seed": 1})
    assert tree(made.path) == before


def test_a_build_of_other_arguments_begins_anew(tmp_path):
    path = tmp_path / "s.zarr"
    partial = partial_path(path)
    partial.mkdir()
    (partial / "specification.json").write_text(json.dumps({"seed": 99}))
    few = {**PEOPLE, "unpaired": 1, "labelled": 0, "train": 1, "test": 1}
    assert len(make_cohort(path, **few, **TINY)) == 6


def test_two_processes_never_build_one_store(tmp_path):
    partial = partial_path(tmp_path / "s.zarr")
    partial.mkdir()
    handle = os.open(partial, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(ValueError, match="another process"):
            make_cohort(tmp_path / "s.zarr", **PEOPLE, **TINY)
    finally:
        os.close(handle)


def test_files_of_somebody_else_are_left_alone(tmp_path):
    partial = partial_path(tmp_path / "s.zarr")
    partial.mkdir()
    (partial / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="not a store"):
        make_cohort(tmp_path / "s.zarr", **PEOPLE, **TINY)
    assert (partial / "thesis.txt").read_text() == "mine"


def test_unlinked_people_are_another_cohort_and_say_so(made, tmp_path):
    few = {**dict.fromkeys(PEOPLE, 0), "test": 2}
    linked = make_cohort(tmp_path / "s.zarr", **few, **TINY, linked=True)
    assert "linked" not in {**linked.attrs, **made.attrs}  # as in every store so far
    with pytest.raises(ValueError, match="linked is None, asked for False"):
        make_cohort(tmp_path / "s.zarr", **few, **TINY, linked=False)
    free = make_cohort(tmp_path / "free.zarr", **few, **TINY, linked=False)
    assert free.attrs["linked"] is False
    assert (free.truth["z_A"] != linked.truth["z_A"]).all()
    assert (free.scans["mri_sha256"] == linked.scans["mri_sha256"]).all()
    # Nor is one taken for the other when it was sealed and not yet renamed.
    free.path.rename(partial_path(free.path))
    again = make_cohort(free.path, **few, **TINY)
    assert tree(again.path) == tree(linked.path)
    with pytest.raises(ValueError, match="linked is None"):
        make_cohort(again.path, **few, **TINY, linked=False)


def test_growing_a_part_changes_nobody(made, tmp_path):
    grown = make_cohort(
        tmp_path / "grown.zarr", **{**PEOPLE, "train": 4, "unpaired": 4}, **TINY
    )
    columns = ["mri_sha256", "pet_sha256", "diagnosis", "age"]
    pd.testing.assert_frame_equal(
        grown.scans.loc[made.scans.index, columns], made.scans[columns]
    )


def test_a_scan_does_not_depend_on_its_neighbours():
    people = plan(unpaired=0, labelled=0, train=3, val=0, test=0, seed=0)
    kwargs = {k: v for k, v in TINY.items() if k != "seed"}
    batch = simulate(people, seed=0, **kwargs)
    [(alone, known)] = simulate(people.iloc[[2]], seed=0, **kwargs)
    for kind, volume in alone.items():
        assert np.array_equal(volume, batch[2][0][kind]), kind
    assert known == batch[2][1]


def test_a_second_visit_is_the_same_brain_later(made):
    two = made.scans[made.scans["part"] == "test"]
    pair = two[two["participant_id"].duplicated(keep=False)].sort_values("days")
    truth = made.truth.loc[pair.index]
    assert pair["days"].iloc[1] in (730, 1461)
    assert (truth["z_A"].nunique(), truth["V_noise"].nunique()) == (1, 1)
    assert truth["brain_ml"].iloc[0] == pytest.approx(
        truth["brain_ml"].iloc[1], rel=0.02
    )
    first, second = made.read("mri", pair.index)
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.97


def test_chosen_test_people_cover_every_kind():
    for seed in range(4):
        numbers = choose_test(8, seed=seed, rho=0.67)
        people = plan(
            unpaired=0,
            labelled=0,
            train=0,
            val=0,
            test=8,
            test_two_visits=2,
            seed=seed,
            select_test=True,
        )
        assert sorted(set(people["person"])) == numbers
        first = people[people["visit"] == 0]
        counts = first["diagnosis"].value_counts()
        assert counts["AD"] == 3
        assert counts["CN"] >= 2
        assert counts["MCI"] >= 2
        assert first["status"].nunique() == 2
        assert (people.groupby("person").size() == 2).sum() == 2
    with pytest.raises(ValueError, match="at least 4"):
        choose_test(3, seed=0, rho=0.67)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"labelled": 9}, "labelled"),
        ({"train_two_visits": 4}, "train_two_visits"),
        ({"train": -1}, "train"),
        ({"val": 20001}, "val"),
    ],
)
def test_impossible_numbers_are_refused(tmp_path, change, name):
    with pytest.raises(ValueError, match=name):
        make_cohort(tmp_path / "s.zarr", **{**PEOPLE, **change}, **TINY)
    assert list(tmp_path.iterdir()) == []


def test_work_grids_of_the_profiles():
    assert default_work_mm((32, 64, 64)) == 3.0
    assert default_work_mm((32, 96, 96)) == 2.0
    assert default_work_mm((64, 144, 144)) == 1.5


def test_brains_of_a_folder_are_used_in_turn(tmp_path):
    brain = template.mni152()
    step = 4
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = brain.first_mm[::-1]
    for name, flip in (("a", False), ("b", True)):
        for key in ("t1", "gm", "wm"):
            data = getattr(brain, key)[::step, ::step, ::step].transpose(2, 1, 0)
            data = data[:, ::-1] if flip else data
            label = "T1w" if key == "t1" else key.upper()
            nib.save(
                nib.Nifti1Image(np.ascontiguousarray(data), affine),
                tmp_path / f"{name}_{label}.nii.gz",
            )
    people = plan(unpaired=4, labelled=0, train=0, val=0, test=0, seed=0)
    kwargs = {k: v for k, v in TINY.items() if k != "seed"}
    scans = simulate(people, seed=0, anatomies=str(tmp_path), **kwargs)
    # The mirrored brain has its narrow end behind.
    ratio = [v["mri"][:, :8].sum() / v["mri"][:, 8:].sum() for v, _ in scans]
    assert max(ratio) / min(ratio) > 1.05
    (tmp_path / "b_GM.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"b_GM\.nii\.gz: missing"):
        template.load_anatomies(tmp_path)
    with pytest.raises(ValueError, match="no NAME_T1w"):
        template.load_anatomies(tmp_path / "nothing")
