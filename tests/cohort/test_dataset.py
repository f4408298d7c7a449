"""A raw BIDS dataset of phantoms: valid, readable, resumable, with its truth."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from mri2pet.cohort.bids import read_bids
from mri2pet.cohort.files import PARTIAL
from mri2pet.cohort.images import check_frames, read_image, read_t1
from mri2pet.cohort.pairing import pair
from mri2pet.cohort.phantom import make_cohort
from mri2pet.cohort.phantom.dataset import choose_people, make_dataset
from mri2pet.cohort.store import partial_path

COARSE = {"subjects": 3, "t1_mm": 4.0, "pet_mm": 4.0, "frames": 2}
VALIDATOR = "bids-validator@1.15.0"
NO_REGISTRY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENOTCACHED")
# What the validator says of any dataset like this one: people without a PET and with
# one session only, heads of different sizes and orientations, and one line of authors.
EXPECTED_WARNINGS = {
    "INCONSISTENT_SUBJECTS",
    "INCONSISTENT_PARAMETERS",
    "MISSING_SESSION",
    "TOO_FEW_AUTHORS",
}


def tree(folder):
    """Every file of a folder with its bytes."""
    return {
        str(f.relative_to(folder)): f.read_bytes()
        for f in sorted(folder.rglob("*"))
        if f.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    calls = []
    out = make_dataset(
        tmp_path_factory.mktemp("raw") / "people",
        **COARSE,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(n, 4) for n in (1, 2, 3, 4)]
    return out


@pytest.fixture(scope="module")
def truth(made):
    path = made / "derivatives" / "truth" / "truth.tsv"
    return pd.read_csv(path, sep="\t", na_values="n/a").set_index("scan_id")


@pytest.fixture(scope="session")
def validator():
    """How to call the BIDS validator; npx keeps it after the first time."""
    if shutil.which("npx") is None:
        pytest.skip("npx is not installed, which runs the BIDS validator")
    command = ["npx", "--yes", VALIDATOR]
    done = subprocess.run(
        [*command, "--version"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if any(code in done.stderr for code in NO_REGISTRY):
        pytest.skip(f"npm's registry cannot be reached for {VALIDATOR}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == VALIDATOR.partition("@")[2]
    return command


def test_everybody_is_found_and_nothing_is_skipped(made, truth):
    found = read_bids(made)
    assert found.skipped.empty
    assert len(found.images) == 7
    images = found.images
    assert set(images["tracer"]) == {"", "AV45"}
    assert (images["sidecar"] != "").all()
    ids = images["participant_id"] + "_" + images["session_id"]
    assert set(ids) == set(truth.index)
    assert pair(images)["days_apart"].tolist() == [0, 0, 0]
    visits = found.visits
    assert list(visits.groupby("participant_id").size()) == [2, 1, 1]
    assert visits["days"].tolist() == [0, 730, 0, 0]
    known = truth.set_axis(visits.index)
    for column in ("sex", "education", "apoe_e4"):
        assert (visits[column] == known[column]).all()
    np.testing.assert_allclose(visits["age"], known["age"], atol=0.0051)
    labelled = visits["diagnosis"].notna()
    assert labelled.tolist() == [True, True, True, False]
    assert (visits["diagnosis"] == known["diagnosis"])[labelled].all()
    assert (visits["mmse"] == known["mmse"])[labelled].all()
    assert visits["mmse"].isna().tolist() == [False, False, False, True]


def test_images_pass_the_door_of_raw_images(made):
    for line in read_bids(made).images.itertuples():
        if line.kind == "mri":
            assert read_t1(line.path).shape
            continue
        raw = read_image(line.path, "PET")
        sidecar = json.loads(Path(line.sidecar).read_text(encoding="utf-8"))
        assert check_frames(raw, sidecar).tolist() == [300, 300]
        assert sidecar["FrameTimesStart"] == [3000, 3300]
        assert "simulated" in sidecar["Manufacturer"]
        # 370 MBq at 100 GBq/umol; decay from the injection to the frame's middle.
        assert sidecar["InjectedMass"] == pytest.approx(3.7e-3 * 360.4, rel=1e-3)
        activity = sidecar["SpecificRadioactivity"] * sidecar["InjectedMass"] * 1e-6
        assert activity == pytest.approx(370e6, rel=1e-3)
        factors = 2 ** (np.array([3150, 3450]) / (109.77 * 60))
        np.testing.assert_allclose(sidecar["DecayCorrectionFactor"], factors, rtol=1e-4)


def test_truth_is_that_of_a_prepared_store(made, truth, tmp_path):
    store = make_cohort(
        tmp_path / "s.zarr",
        grid_mri=(12, 16, 16),
        grid_pet=(8, 12, 12),
        work_mm=6.0,
        **dict.fromkeys(("unpaired", "labelled", "val", "test"), 0),
        train=1,
    )
    assert list(truth) == list(store.truth)
    # The same person: what is no measure of an image is equal.
    [mine], [theirs] = truth.iloc[:1].to_dict("records"), store.truth.to_dict("records")
    for name in ("z_A", "A", "V", "c", "diagnosis", "status", "on_pathway_A"):
        assert mine[name] == theirs[name]
    with_pet = truth["suvr_composite"].notna()
    assert with_pet.tolist() == [True, True, True, False]


def test_true_brains_and_maps(made, truth):
    folder = made / "derivatives" / "truth"
    description = json.loads((folder / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    for scan_id in truth.index:
        where = scan_id.replace("_", "/")
        t1 = nib.load(made / where / "anat" / f"{scan_id}_T1w.nii.gz")
        mask = nib.load(folder / where / "anat" / f"{scan_id}_desc-brain_mask.nii.gz")
        np.testing.assert_array_equal(mask.affine, t1.affine)
        inside = np.asarray(mask.dataobj) == 1
        assert inside.sum() * 0.064 == pytest.approx(
            truth.at[scan_id, "brain_ml"], rel=0.1
        )
        maps = json.loads((folder / where / f"{scan_id}_xfm.json").read_text())
        assert np.shape(maps["box_from_t1"]) == (4, 4)
        if pd.isna(truth.at[scan_id, "suvr_composite"]):
            assert maps["box_from_pet"] is None
            assert maps["first_from_frame"] == []
        else:
            assert np.shape(maps["box_from_pet"]) == (4, 4)
            assert np.shape(maps["first_from_frame"]) == (2, 4, 4)


def test_a_process_killed_while_writing_is_resumed_to_the_same_bytes(made, tmp_path):
    out = tmp_path / "people"
    code = f"""
import os, signal
from mri2pet.cohort.phantom.dataset import make_dataset
replace, seen = os.replace, []
def stop(source, target):
    seen.append(str(target))
    if sum(name.endswith("pet.nii.gz") for name in seen) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = stop
make_dataset({str(out)!r}, **{COARSE!r})
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    left = [p for p in partial_path(out).rglob(f".*{PARTIAL}*") if p.is_file()]
    assert left
    calls = []
    make_dataset(out, **COARSE, progress=lambda done, _: calls.append(done))
    assert calls == [2, 3, 4]
    assert tree(out) == tree(made)
    # Killed between the last file and the new name.
    out.rename(partial_path(out))
    make_dataset(out, **COARSE, progress=lambda *_: pytest.fail("made again"))
    assert tree(out) == tree(made)
    assert not partial_path(out).exists()


def test_a_file_damaged_between_two_attempts_is_made_again(made, tmp_path):
    out = tmp_path / "people"

    def stop(done, total):
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        make_dataset(out, **COARSE, progress=stop)
    [damaged] = partial_path(out).glob("sub-00000/ses-M000/anat/*_T1w.nii.gz")
    damaged.write_bytes(damaged.read_bytes()[:-100])
    calls = []
    make_dataset(out, **COARSE, progress=lambda done, _: calls.append(done))
    assert calls == [2, 3, 4]
    assert tree(out) == tree(made)


def test_a_complete_dataset_is_returned_and_anything_else_refused(made, tmp_path):
    before = tree(made)
    again = make_dataset(made, **COARSE, progress=lambda *_: pytest.fail("made again"))
    assert again == made
    with pytest.raises(ValueError, match="seed is 0, asked for 1"):
        make_dataset(made, **COARSE, seed=1)
    assert tree(made) == before
    (tmp_path / "thesis").mkdir()
    with pytest.raises(ValueError, match="thesis: holds something else"):
        make_dataset(tmp_path / "thesis", **COARSE)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"subjects": 1}, "subjects is 1"),
        ({"subjects": 40000}, "subjects is 40000"),
        ({"t1_mm": 9.0}, "T1 is 9.0 mm"),
        ({"frames": 31}, "frames is 31"),
        ({"workers": 0}, "workers"),
        ({"rho": 1.0}, "rho"),
    ],
)
def test_impossible_numbers_leave_nothing_behind(tmp_path, change, text):
    with pytest.raises(ValueError, match=text):
        make_dataset(tmp_path / "people", **{**COARSE, **change})
    assert list(tmp_path.iterdir()) == []


def test_two_processes_never_make_one_dataset(tmp_path):
    import fcntl

    partial = partial_path(tmp_path / "people")
    partial.mkdir()
    handle = os.open(partial, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(ValueError, match="another process is making this dataset"):
            make_dataset(tmp_path / "people", **COARSE)
    finally:
        os.close(handle)


def test_without_truth_only_the_raw_images_are_there(made, tmp_path):
    out = make_dataset(tmp_path / "people", **COARSE, truth=False)
    assert not (out / "derivatives").exists()
    mine, theirs = tree(out), tree(made)
    assert set(mine) == {name for name in theirs if not name.startswith("deriv")}
    differ = {name for name, content in mine.items() if content != theirs[name]}
    assert differ == {"README", "code/phantom.json"}


@pytest.mark.parametrize("subjects", [12, 24, 60])
def test_who_is_in_a_dataset(subjects):
    for seed in range(4):
        people = choose_people(subjects, seed=seed)
        first = people[people["visit"] == 0]
        assert len(first) == first["person"].nunique() == subjects
        paired = first[first["has_pet"]]
        assert len(paired) == subjects - round(subjects / 3)
        assert set(paired["diagnosis"]) == {"CN", "MCI", "AD"}
        assert set(paired["status"]) == {True, False}
        again = people[people["visit"] > 0]
        assert len(again) == round(len(paired) / 8)
        assert set(again["visit"]) <= {24, 48}
        assert again["has_pet"].all()
        unknown = first[~first["labelled"]]
        assert 0 < len(unknown) < subjects - len(paired)
        assert not unknown["has_pet"].any()


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(made, tmp_path):
    out = make_dataset(tmp_path / "people", **COARSE, workers=2)
    assert tree(out) == tree(made)


@pytest.mark.slow
def test_the_validator_of_bids_finds_no_error(made, validator):
    done = subprocess.run(
        [*validator, str(made), "--json"], capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout[done.stdout.index("{") :])
    issues = report["issues"]
    assert [issue["key"] for issue in issues["errors"]] == []
    assert {issue["key"] for issue in issues["warnings"]} <= EXPECTED_WARNINGS
    assert report["summary"]["modalities"] == ["MRI", "PET"]
    assert report["summary"]["totalFiles"] == len(
        [f for f in tree(made) if not f.startswith(("derivatives", "code"))]
    )
    assert done.returncode == 0


@pytest.mark.slow
def test_the_validator_can_find_an_error(made, validator, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(made, broken)
    sidecar = next(broken.rglob("*_pet.json"))
    content = json.loads(sidecar.read_text())
    del content["TracerName"]
    sidecar.write_text(json.dumps(content))
    done = subprocess.run(
        [*validator, str(broken), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout[done.stdout.index("{") :])
    assert "PET_JSON_KEY_REQUIRED" in {e["key"] for e in report["issues"]["errors"]}
    assert done.returncode == 1
