"""Reading a store, and what is refused."""

import shutil

import numpy as np
import pytest
import zarr

from mri2pet.cohort import geometry
from mri2pet.cohort.phantom import make_cohort
from mri2pet.cohort.regions import REGIONS
from mri2pet.cohort.store import Store

GRID_MRI, GRID_PET = (12, 16, 16), (8, 12, 12)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_cohort(
        tmp_path_factory.mktemp("store") / "store.zarr",
        grid_mri=GRID_MRI,
        grid_pet=GRID_PET,
        unpaired=2,
        labelled=1,
        train=2,
        val=1,
        test=1,
        work_mm=6.0,
        seed=3,
    )


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made.path, tmp_path / "copy.zarr")


def test_volumes_have_their_shapes_and_ranges(made):
    mri, pet = made.read("mri"), made.read("pet")
    brain, regions = made.read("brain"), made.read("regions")
    assert mri.shape == (6, *GRID_MRI)
    assert pet.shape == (4, *GRID_PET)
    assert brain.shape == (6, *GRID_PET)
    assert regions.shape == (4, len(REGIONS), *GRID_PET)
    for volume in (mri, pet, brain, regions):
        assert volume.dtype == np.float32
        assert np.isfinite(volume).all()
    assert mri.min() == 0
    assert mri.max() == 1
    assert pet.min() >= 0
    assert 1.0 < pet.max() < 4.0
    assert set(np.unique(brain)) == {0, 1}
    assert regions.min() >= 0
    assert regions.max() <= 1


def test_read_keeps_the_order_that_is_asked_for(made):
    ids = made.ids("train")
    there, back = made.read("mri", ids), made.read("mri", ids[::-1])
    assert np.array_equal(there, back[::-1])
    assert np.array_equal(made.read("mri", ids[0]), there[:1])


def test_ids_follow_part_and_pet(made):
    assert len(made.ids()) == 6
    assert len(made.ids("unpaired")) == 2
    assert made.ids("unpaired", has_pet=True) == []
    assert made.ids(has_pet=True) == made.ids("train") + made.ids("val") + made.ids(
        "test"
    )
    with pytest.raises(ValueError, match="part"):
        made.ids("training")


def test_affine_is_that_of_the_grid(made):
    assert np.array_equal(made.affine("mri"), geometry.grid_affine(GRID_MRI))
    assert np.array_equal(made.affine("pet"), geometry.grid_affine(GRID_PET))


def test_scans_are_in_bids_terms(made):
    assert made.scans.index[0] == "sub-00000_ses-M000"
    for column in (
        "participant_id",
        "session_id",
        "days",
        "age",
        "sex",
        "education",
        "apoe_e4",
        "diagnosis",
        "mmse",
        "part",
        "labelled",
        "has_pet",
    ):
        assert column in made.scans
    for column in ("A", "N", "V", "c", "status", "suvr_positive"):
        assert column in made.truth
    for region in (*REGIONS, "composite"):
        for prefix in ("suvr", "suvr0", "suvr1"):
            assert f"{prefix}_{region}" in made.truth
    assert made.attrs["seed"] == 3
    assert "simulated" in (made.path / "README.md").read_text()


def test_noise_free_truth_is_what_the_image_shows(made):
    ids = made.ids(has_pet=True)
    pet, regions = made.read("pet", ids), made.read("regions", ids)
    measured = (pet[:, None] * regions).sum((2, 3, 4)) / regions.sum((2, 3, 4))
    truth = made.truth.loc[ids, [f"suvr_{r}" for r in REGIONS]].to_numpy()
    assert np.abs(measured - truth).max() < 0.15
    assert np.abs(measured - truth).mean() < 0.03


def test_unknown_things_are_refused(made):
    with pytest.raises(ValueError, match="kind"):
        made.read("ct")
    with pytest.raises(ValueError, match="no scan"):
        made.read("mri", ["sub-99999_ses-M000"])
    with pytest.raises(ValueError, match="has no PET"):
        made.read("pet", made.ids("unpaired"))


def test_another_grid_is_refused(made):
    Store(made.path, grid_mri=GRID_MRI, grid_pet=GRID_PET)
    with pytest.raises(ValueError, match=r"pet grid is \(8, 12, 12\)"):
        Store(made.path, grid_pet=(8, 12, 14))


def test_nan_in_a_volume_is_refused(copy):
    group = zarr.open_group(str(copy), mode="r+")
    group["mri"][1, 3, 3, 3] = np.nan
    store = Store(copy)
    store.read("mri", [store.ids()[0]])
    with pytest.raises(ValueError, match=r"mri of sub-00001_ses-M000.*NaN"):
        store.read("mri")


def test_a_lost_chunk_is_refused(copy):
    (copy / "pet" / "c" / "0" / "0" / "0" / "0").unlink()
    store = Store(copy)
    with pytest.raises(ValueError, match="missing or holds NaN"):
        store.read("pet")


def test_a_changed_volume_fails_verification(copy, made):
    made.verify()
    group = zarr.open_group(str(copy), mode="r+")
    group["pet"][0, 3, 3, 3] = 9.0
    with pytest.raises(ValueError, match="differs from its hash"):
        Store(copy).verify()


def test_missing_half_written_and_foreign_folders_are_refused(copy, tmp_path):
    with pytest.raises(ValueError, match="no such store"):
        Store(tmp_path / "nowhere.zarr")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="not a Zarr group"):
        Store(tmp_path / "empty")
    group = zarr.open_group(str(copy), mode="r+")
    group.attrs["complete"] = False
    with pytest.raises(ValueError, match="half written"):
        Store(copy)
    group.attrs.update({"complete": True, "version": 99})
    with pytest.raises(ValueError, match="version 99"):
        Store(copy)


def test_a_table_that_lost_a_row_is_refused(copy):
    file = copy / "scans.tsv"
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(ValueError, match="rows"):
        Store(copy)


def test_the_fingerprint_follows_the_content(made, copy):
    assert Store(copy).fingerprint() == made.fingerprint()
    file = copy / "scans.tsv"
    file.write_text(file.read_text().replace("train", "val", 1))
    assert Store(copy).fingerprint() != made.fingerprint()
