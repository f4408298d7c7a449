"""The stage behind chapter 2: raw people, prepared once, held against the truth."""

import numpy as np
import pandas as pd
import pytest

from mri2pet.cohort.registration import Volume
from mri2pet.cohort.rigid import apply, rigid
from mri2pet.config import load_profile
from mri2pet.run import Run
from mri2pet.stages import preprocessing as stage


def test_swapping_sides_mirrors_places_and_twice_gives_the_same_scan():
    old = Volume(
        np.random.default_rng(0).random((5, 6, 7)), rigid((5, -8, 20), (11, -3, 40))
    )
    new = stage._swapped(old)
    np.testing.assert_array_equal(old.data, new.data)
    voxels = np.argwhere(np.ones(old.data.shape))
    np.testing.assert_allclose(
        apply(new.affine, voxels), np.array([-1, 1, 1]) * apply(old.affine, voxels)
    )
    np.testing.assert_allclose(stage._swapped(new).affine, old.affine)


@pytest.mark.slow
def test_raw_people_are_prepared_and_judged(tmp_path):
    profile = load_profile("smoke", raw_people=1)
    run = Run(profile, tmp_path / "run")
    run._prepare()
    [one] = stage.preprocessing(run)
    table = pd.read_csv(run.path / stage.TABLE)
    assert set(table["what"]) == set(stage.BARS)
    assert set(table["scan_id"]) == {one.name}
    assert np.isfinite(table["value"]).all()
    # Coarse scans miss the bars of 2 mm ones by a factor, a broken step by far more.
    wrong = (table["value"].abs() > 2 * table["bar"]) & (table["what"] != "dice")
    assert not wrong.any(), table[wrong]
    assert one.about["verdicts"]["T1"]["verdict"] == "pass"
    assert one.about["verdicts"]["PET"]["verdict"] == "pass"
    swapped = one.about["verdicts"]["PET, left and right swapped"]
    assert any("left and right" in reason for reason in swapped["reasons"])
    t1, pet = one.image("t1"), one.image("pet")
    assert one.arrays["mask"].shape == one.image("brain").shape == t1.shape
    assert one.arrays["mean"].shape == pet.shape[:3]
    made = (run.path / stage.TABLE).stat().st_mtime_ns
    stage.preprocessing(run)
    assert (run.path / stage.TABLE).stat().st_mtime_ns == made
