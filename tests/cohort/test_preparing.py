"""From a raw dataset to a store: what is in it, what was left out, and after a kill."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from mri2pet.cli import main
from mri2pet.cohort.bids import read_bids
from mri2pet.cohort.one_scan import Settings
from mri2pet.cohort.phantom.dataset import make_dataset
from mri2pet.cohort.preparing import prepare
from mri2pet.cohort.store import Store
from mri2pet.scheduling import on_cluster

pytestmark = pytest.mark.slow
SETTINGS = Settings((32, 64, 64), (16, 32, 32), fractions=(0.5, 0.25, 0.25))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    out = tmp_path_factory.mktemp("raw") / "Leute ü"
    return make_dataset(out, subjects=6, t1_mm=4.0, pet_mm=4.0, frames=2)


@pytest.fixture(scope="module")
def damaged(raw, tmp_path_factory):
    """The dataset with one T1 that is no image, and one PET without frame times."""
    root = tmp_path_factory.mktemp("damaged") / "bids"
    shutil.copytree(raw, root)
    with_pet = sorted(root.glob("sub-*/ses-M000/pet/*_pet.nii.gz"))
    sidecar = with_pet[0].with_name(with_pet[0].name.replace(".nii.gz", ".json"))
    about = json.loads(sidecar.read_text())
    del about["FrameDuration"]
    sidecar.write_text(json.dumps(about))
    alone = [
        t1
        for t1 in sorted(root.glob("sub-*/ses-M000/anat/*_T1w.nii.gz"))
        if not (t1.parents[1] / "pet").exists()
    ]
    alone[0].write_bytes(b"hello")
    return root, alone[0], with_pet[0]


@pytest.fixture(scope="module")
def store(damaged, tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "people.zarr"
    seen = []
    made = prepare(
        read_bids(damaged[0]), out, SETTINGS, progress=lambda *a: seen.append(a)
    )
    assert seen[-1][0] == seen[-1][1] == len(seen)
    return made


def test_the_store_keeps_the_contract(store):
    store.verify()
    scans = store.scans
    assert store.shape("mri") == SETTINGS.grid_mri
    assert scans.loc[scans["has_pet"], "part"].isin(["train", "val", "test"]).all()
    assert (scans.loc[~scans["has_pet"], "part"] == "unpaired").all()
    pet = store.read("pet")
    assert 0.5 < pet[pet > 0.2].mean() < 2.5
    assert store.truth is not None  # the dataset says what is true
    assert list(store.truth.index) == list(scans.index)
    for scan in scans.index:
        maps = json.loads((store.path / "transforms" / f"{scan}.json").read_text())
        assert np.linalg.det(np.array(maps["box_from_t1"])[:3, :3]) == pytest.approx(1)


def test_what_cannot_be_used_is_listed_and_the_rest_stands(store, damaged):
    _, t1, pet = damaged
    left_out = pd.read_csv(store.path / "left_out.tsv", sep="\t")
    reasons = dict(zip(left_out["path"], left_out["reason"], strict=True))
    person = t1.name.split("_")[0]
    assert "not a readable NIfTI" in reasons[f"{person}_ses-M000"]
    assert f"{person}_ses-M000" not in store.scans.index
    person = pet.name.split("_")[0]
    assert "FrameDuration" in reasons[f"{person}_ses-M000 PET"]
    assert not store.scans.at[f"{person}_ses-M000", "has_pet"]
    quality = pd.read_csv(store.path / "qc.tsv", sep="\t", index_col=0)
    assert quality.at[f"{person}_ses-M000", "pet_verdict"] == "fail"


def tree(path):
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def test_killed_and_resumed_ends_with_the_same_bytes(damaged, store, tmp_path):
    out = tmp_path / "again.zarr"
    command = [sys.executable, "-m", "mri2pet.cli", "prepare", str(damaged[0])]
    command += [
        "--out",
        str(out),
        "--workers",
        "1",
        "--profile",
        str(tmp_path / "p.yaml"),
    ]
    (tmp_path / "p.yaml").write_text(
        "extends: smoke\nname: smoke\nprepare:\n  fractions: [0.5, 0.25, 0.25]\n"
        "seed: 0\n"
    )
    running = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    progress = out.with_name("again.zarr.partial") / ".progress"
    deadline = time.monotonic() + 300
    while len(list(progress.glob("[0-9]*.json"))) < 2:
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.2)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not out.exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "left out: " in done.stdout
    ours, first = tree(out), tree(store.path)
    first_names = {n for n in first if not n.startswith("qc/")}
    assert first_names <= set(ours)
    assert [n for n in sorted(first_names) if ours[n] != first[n]] == []
    assert (out / "qc" / "index.html").is_file()


def test_a_cluster_gives_the_same_bytes(damaged, store, tmp_path):
    distributed = pytest.importorskip("distributed")
    out = tmp_path / "there.zarr"
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        on_cluster(cluster.scheduler_address),
    ):
        prepare(read_bids(damaged[0]), out, SETTINGS, cluster=True)
    ours, first = tree(out), tree(store.path)
    assert {n for n in ours if ours[n] != first.get(n)} == set()
    assert set(ours) == set(first)


def test_too_few_pairs_are_no_cohort(raw, tmp_path):
    root = tmp_path / "bids"
    shutil.copytree(raw, root, ignore=shutil.ignore_patterns("derivatives"))
    for person in sorted(root.glob("sub-*"))[2:]:
        shutil.rmtree(person)
    with pytest.raises(ValueError, match="people have an MRI and a PET"):
        prepare(read_bids(root), tmp_path / "p.zarr", SETTINGS)


def test_a_store_of_other_scans_is_not_overwritten(store, raw, capsys):
    status = main(["prepare", str(raw), "--out", str(store.path)])
    assert status == 2
    assert "holds another cohort" in capsys.readouterr().err
    assert Store(store.path).fingerprint() == store.fingerprint()


def test_nothing_usable_is_one_clear_line(tmp_path, capsys):
    path = tmp_path / "bids/sub-1/anat/sub-1_T1w.nii.gz"
    path.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(np.zeros((20, 20, 20), np.float32), np.eye(4) * 8), path)
    status = main(
        ["prepare", str(tmp_path / "bids"), "--out", str(tmp_path / "s.zarr")]
    )
    said = capsys.readouterr().err
    assert status == 2
    assert said.count("\n") == 1
    assert "no scan can be used" in said
    assert not (tmp_path / "s.zarr").exists()
