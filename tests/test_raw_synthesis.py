"""A raw head in, a PET in the head's own space out."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri2pet.cli import main
from mri2pet.cohort import rigid
from mri2pet.cohort.brain import find_brain, mni, whole_head
from mri2pet.cohort.phantom import plan
from mri2pet.cohort.phantom.raw import scan
from mri2pet.cohort.registration import Volume

REAL = Path(__file__).parents[2] / "shared" / "real"
T1, PET = REAL / "single_subject_T1.nii.gz", REAL / "pet_template.nii.gz"
real = pytest.mark.skipif(not T1.is_file(), reason="the real scans are not here")


@pytest.fixture(scope="module")
def network(tiny_run):
    return tiny_run.finetune("mri2pet", "corrected").path.parent


def synthesize(*arguments):
    return main(["synthesize", *(str(a) for a in arguments)])


def test_a_turned_head_gets_its_pet_where_its_brain_is(network, tmp_path, capsys):
    people = plan(unpaired=0, labelled=0, train=2, val=0, test=0, seed=0)
    raw = scan(next(people.itertuples()), seed=0, t1_mm=4.0, pet_mm=4.0, frames=1)
    path, out = tmp_path / "Kopf ü.nii.gz", tmp_path / "pet.nii.gz"
    nib.save(raw.t1, path)
    status = synthesize(path, "--out", out, "--calls", 2, "--checkpoint", network)
    said = capsys.readouterr()
    assert (status, said.err) == (0, "")
    assert "look: coarse voxels" in said.out
    pet = nib.load(out)
    assert pet.shape == raw.t1.shape
    np.testing.assert_allclose(pet.affine, raw.t1.affine, atol=1e-4)
    values = pet.get_fdata()
    volume = Volume(np.asarray(raw.t1.dataobj, np.float32), raw.t1.affine)
    head = whole_head(volume)
    assert (values[~head] == 0).all()
    true = np.asarray(raw.brain.dataobj) > 0
    assert values[true].mean() > 2 * values[head & ~true].mean()
    card = json.loads((tmp_path / "pet.json").read_text())
    assert card["Quality"] == "look"
    centre = np.array([[0.0, -17, 5]])
    ours = rigid.apply(np.linalg.inv(card["BoxFromT1"]), centre)
    there = rigid.apply(np.linalg.inv(raw.box_from_t1), centre)
    assert np.linalg.norm(ours - there) < 4
    assert (tmp_path / "pet.png").is_file()


@real
@pytest.mark.slow
def test_a_real_head_gets_a_plausible_pet(network, tmp_path):
    out = tmp_path / "pet.nii.gz"
    assert synthesize(T1, "--out", out, "--checkpoint", network) == 0
    pet, source = nib.load(out), nib.load(T1)
    assert pet.shape == source.shape[:3]
    np.testing.assert_allclose(pet.affine, source.affine, atol=1e-4)
    volume = Volume(np.squeeze(np.asarray(source.dataobj, np.float32)), source.affine)
    values = pet.get_fdata()
    assert (values[~whole_head(volume)] == 0).all()


@real
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_real_head_is_brought_back_from_anywhere(seed):
    image = nib.load(T1)
    data = np.squeeze(np.asarray(image.dataobj, np.float32))
    rng = np.random.default_rng(seed)
    move = rigid.rigid(rng.uniform(-15, 15, 3), rng.uniform(-20, 20, 3))
    order = np.stack([rng.permutation(3), rng.choice([-1, 1], 3)], axis=1)
    moved = nib.Nifti1Image(data, move @ image.affine).as_reoriented(order)
    here = find_brain(Volume(data, image.affine))
    there = find_brain(Volume(np.asarray(moved.dataobj), moved.affine))
    template, inside, _ = mni()
    points = rigid.apply(template.affine, np.argwhere(inside)[::50])
    own = rigid.apply(np.linalg.inv(here.box_from_t1), points)
    # The file's own space is 1.6 mm off MNI152 sideways: its midline lies there. So
    # the place that counts is where the scan lies when it is not moved.
    found = there.box_from_t1 @ move
    assert rigid.target_error(found, here.box_from_t1, own).mean() < 1
    # Against the header itself, which is that much off:
    assert rigid.target_error(found, np.eye(4), own).mean() < 3


@real
@pytest.mark.slow
def test_a_pet_given_as_a_t1_is_refused(network, tmp_path, capsys):
    status = synthesize(PET, "--out", tmp_path / "pet.nii.gz", "--checkpoint", network)
    said = capsys.readouterr().err
    assert status == 2
    assert "is it a T1 of a head?" in said
    assert list(tmp_path.iterdir()) == []
