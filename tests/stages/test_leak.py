"""A planted leak: it is refused by name, and where it is forced it shows."""

import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import zarr

from mri2pet.cohort.store import KINDS, Store
from mri2pet.run import Run
from mri2pet.stages.few_calls import score_synthetic

LEAKED = ("mri_sha256", "pet_sha256")


@pytest.fixture(scope="module")
def clean(tiny_run):
    return tiny_run.cohort()


@pytest.fixture
def plant(clean, tmp_path):
    """Copy of the store, and ways to spoil it."""
    path = shutil.copytree(clean.path, tmp_path / "leaky.zarr")
    rows = {scan: row for row, scan in enumerate(clean.scans.index)}

    def table(change):
        scans = pd.read_csv(path / "scans.tsv", sep="\t", na_values=["n/a"])
        scans = scans.set_index("scan_id")
        change(scans)
        scans.to_csv(path / "scans.tsv", sep="\t", na_rep="n/a")

    def volumes(source, target):
        group = zarr.open_group(str(path), mode="r+")
        for kind in KINDS:
            group[kind][rows[target]] = group[kind][rows[source]]

    def hashes(source, target):
        def change(scans):
            scans.loc[target, list(LEAKED)] = scans.loc[source, list(LEAKED)].tolist()

        table(change)

    return SimpleNamespace(path=path, table=table, volumes=volumes, hashes=hashes)


def _open(profile, folder, store, **switches):
    run = Run.open(profile, folder / "run", store=str(store), quiet=True, **switches)
    run.log = lambda text: None
    return run


def test_the_clean_store_is_taken(clean, tiny_profile, tmp_path):
    assert len(_open(tiny_profile, tmp_path, clean.path).cohort()) == len(clean)


def test_a_test_person_in_training_is_refused(clean, plant, tiny_profile, tmp_path):
    """A second visit of a test person, dealt to training as the release does."""
    test = clean.scans.loc[clean.ids("test")]
    twice = test["participant_id"].duplicated(keep=False)
    first, second = test.index[twice]
    plant.table(lambda scans: scans.__setitem__("part", _moved(scans, second)))
    run = _open(tiny_profile, tmp_path, plant.path)
    with pytest.raises(ValueError, match="more than one part") as caught:
        run.cohort()
    message = str(caught.value)
    assert f"{first} in test" in message
    assert f"{second} in train" in message
    assert str(plant.path) in message
    assert "\n" not in message
    with pytest.raises(ValueError, match="more than one part"):
        run.sample("mean_template")  # no stage works on it


def _moved(scans, scan):
    return scans["part"].mask(scans.index == scan, "train")


def test_a_copy_under_another_name_is_refused_and_shows_if_forced(
    clean, plant, tiny_profile, tmp_path
):
    """A test person's scan in training, under the name of a training person."""
    source, target = clean.ids("test")[0], clean.ids("train")[0]
    plant.volumes(source, target)
    with pytest.raises(ValueError, match=f"mri of {target} differs from its hash"):
        Store(plant.path).verify()
    plant.hashes(source, target)
    Store(plant.path).verify()  # nothing else is wrong with it
    run = _open(tiny_profile, tmp_path, plant.path)
    with pytest.raises(ValueError, match="2 volumes are in more than one") as caught:
        run.cohort()
    assert f"{target} in train, {source} in test" in str(caught.value)

    forced = _open(tiny_profile, tmp_path, plant.path, split="pair")
    scores = _nearest(forced, forced.cohort())
    before = _nearest(_open(tiny_profile, tmp_path / "b", clean.path), clean)
    others = [scan for scan in scores.index if scan[:9] != source[:9]]
    assert scores.loc[source, "ssim_brain"] > 0.999
    assert scores.loc[source, "mae_brain"] == 0
    assert np.isinf(scores.loc[source, "psnr_brain"])
    assert before.loc[source, "ssim_brain"] < 0.95
    assert scores.loc[others, "ssim_brain"].max() < 0.95
    real, made = (
        scores.loc[source, f"suvr_{k}_composite"] for k in ("real", "synthetic")
    )
    assert made == pytest.approx(real)


def _nearest(run, store):
    """Scores of the control that can only look up, for every test scan."""
    return score_synthetic(store, run.sample("nearest_subject"))
