"""Preparation of raw phantoms, of which every map, mask and uptake is known.

Coarse scans (4 mm, 2 frames) are tried always, with wide bars that a broken step would
still miss; the bars that count, at 2 mm, are in the slow tests.
"""

import numpy as np
import pytest

from mri2pet.cohort import rigid
from mri2pet.cohort.motion import correct_motion
from mri2pet.cohort.phantom import plan
from mri2pet.cohort.phantom.raw import scan
from mri2pet.cohort.preprocessing import prepare_pet, prepare_t1
from mri2pet.cohort.qc import judge, pet_numbers, t1_numbers
from mri2pet.cohort.regions import COMPOSITE, REGIONS
from mri2pet.cohort.registration import Volume
from mri2pet.evaluation.preparation import preparation_errors

GRIDS = (32, 64, 64), (16, 32, 32)


def prepared(number, *, mm, frames, grids=GRIDS):
    """A raw phantom, and what preparation makes of it."""
    people = plan(unpaired=0, labelled=0, train=number + 1, val=0, test=0, seed=0)
    raw = scan(
        list(people.itertuples())[number],
        seed=0,
        t1_mm=mm,
        pet_mm=max(mm, 2.5),
        frames=frames,
    )
    volume = Volume(np.asarray(raw.t1.dataobj, dtype=np.float32), raw.t1.affine)
    t1 = prepare_t1(volume, *grids)
    frames = np.asarray(raw.pet.dataobj, dtype=np.float32)
    motion = correct_motion(frames, raw.pet.affine)
    return raw, t1, prepare_pet(motion, t1, grids[1])


@pytest.fixture(scope="module")
def coarse():
    return prepared(0, mm=4.0, frames=2)


def test_coarse_scans_come_near_the_truth(coarse):
    found = preparation_errors(*coarse)
    assert found.t1_mm < 4
    assert found.pet_mm < 3
    assert found.dice > 0.9
    assert found.motion_mm.max() < 1
    assert found.motion_degrees.max() < 1
    assert abs(np.mean([found.suvr[name] for name in COMPOSITE])) < 0.08


def test_prepared_volumes_keep_the_contract(coarse):
    _, t1, pet = coarse
    assert t1.mri_DHW.shape == GRIDS[0]
    assert t1.mri_DHW.dtype == np.float32
    assert t1.mri_DHW.min() == 0
    assert t1.mri_DHW.max() == 1
    assert 0.1 < (t1.mri_DHW > 0).mean() < 0.5
    assert set(np.unique(t1.brain_DHW)) == {0.0, 1.0}
    assert t1.regions_RDHW.shape == (len(REGIONS), *GRIDS[1])
    assert 0 <= t1.regions_RDHW.min() <= t1.regions_RDHW.max() <= 1
    assert (t1.regions_RDHW.sum((1, 2, 3)) > 0).all()
    assert pet.pet_DHW.shape == GRIDS[1]
    assert pet.pet_DHW.min() >= 0
    reference = t1.regions_RDHW[REGIONS.index("cerebellum")]
    mean = (reference * pet.pet_DHW).sum() / reference.sum()
    assert mean == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_left_stays_left(coarse):
    raw, t1, pet = coarse
    # Uptake tells the sides apart: brighten the right half of the head in the PET.
    data = np.asarray(raw.pet.dataobj, dtype=np.float32)
    voxels = np.stack(np.indices(data.shape[:3]), -1)
    x = rigid.apply(raw.box_from_pet @ raw.pet.affine, voxels)[..., 0]
    data = data * np.where(x > 0, 1.3, 1.0)[..., None]
    marked = prepare_pet(correct_motion(data, raw.pet.affine), t1, GRIDS[1])
    gain = marked.pet_DHW * marked.reference / (pet.pet_DHW * pet.reference + 1e-3)
    inside = t1.brain_DHW > 0
    half = GRIDS[1][2] // 2
    left, right = gain[..., : half - 2], gain[..., half + 2 :]
    assert np.median(right[inside[..., half + 2 :]]) > 1.2
    assert np.median(left[inside[..., : half - 2]]) < 1.1


def test_quality_control_passes_a_scan_and_sees_a_mirrored_pet(coarse):
    raw, t1, pet = coarse
    numbers = t1_numbers(t1.brain, t1.box_from_t1) | pet_numbers(pet, t1)
    assert judge(numbers) == ("pass", [])
    data = np.asarray(raw.pet.dataobj, dtype=np.float32)
    flipped = np.diag([-1.0, 1, 1, 1]) @ raw.pet.affine
    wrong = prepare_pet(correct_motion(data, flipped), t1, GRIDS[1])
    verdict, reasons = judge(pet_numbers(wrong, t1))
    assert verdict != "pass"
    assert any("left and right" in reason for reason in reasons)


@pytest.mark.slow
def test_published_preprocessing_scales_every_scan_to_its_own_range(coarse):
    raw, t1, _ = coarse
    data = np.asarray(raw.pet.dataobj, dtype=np.float32)
    motion = correct_motion(data, raw.pet.affine, published=True)
    made = prepare_pet(motion, t1, GRIDS[1], published=True)
    assert (made.pet_DHW.min(), made.pet_DHW.max()) == (0, 1)


def test_what_cannot_be_prepared_is_said(coarse):
    raw, t1, _ = coarse
    flat = Volume(np.ones((40, 40, 40), np.float32), np.diag([4.0, 4, 4, 1]))
    with pytest.raises(ValueError, match="no contrast"):
        prepare_t1(flat, *GRIDS)
    with pytest.raises(ValueError, match="alignment 'bent'"):
        prepare_t1(t1.brain.t1, *GRIDS, alignment="bent")
    data = np.asarray(raw.pet.dataobj, dtype=np.float32).copy()
    data[..., 1] = 0
    with pytest.raises(ValueError, match="frame 2 has no uptake"):
        correct_motion(data, raw.pet.affine)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_fine_scans_meet_the_bars(number):
    raw, t1, pet = prepared(
        number, mm=2.0, frames=4, grids=((32, 96, 96), (16, 48, 48))
    )
    found = preparation_errors(raw, t1, pet)
    assert found.t1_mm < 2
    assert found.pet_mm < 2
    assert found.dice > 0.93
    assert found.motion_mm.max() < 0.5
    assert found.motion_degrees.max() < 0.5
    assert max(abs(e) for e in found.suvr.values()) < 0.05, found.suvr
    assert judge(t1_numbers(t1.brain, t1.box_from_t1))[0] == "pass"
