"""Raw scans of a phantom: everything that preparation has to find is as stated."""

import dataclasses
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from mri2pet.cohort import geometry, rigid
from mri2pet.cohort.phantom import anatomy, pet, plan, simulate
from mri2pet.cohort.phantom import raw_constants as r
from mri2pet.cohort.phantom.atlas import load_atlases
from mri2pet.cohort.phantom.raw import scan
from mri2pet.cohort.regions import REGIONS

COARSE = {"t1_mm": 4.0, "pet_mm": 4.0, "frames": 2}
WORK_MM = 3.0  # what a scan of 4 mm is made on
WORK = geometry.work_shape(WORK_MM)
CENTRE = np.array(geometry.BOX_CENTRE_MM[::-1])


@pytest.fixture(scope="module")
def people():
    return plan(
        unpaired=1, labelled=1, train=2, val=0, test=0, train_two_visits=1, seed=0
    )


@pytest.fixture(scope="module")
def scans(people):
    return [scan(person, seed=0, **COARSE) for person in people.itertuples()]


@pytest.fixture(scope="module")
def brains(people):
    """Everybody's tissues in the box, made without the code of the scanners."""
    [atlas] = load_atlases("", WORK_MM)
    made = []
    for person in people.itertuples():
        shape = anatomy.draw_shape(person.person, seed=0)
        upright = {"shift_mm": np.zeros(3), "degrees": np.zeros(3)}
        shape = dataclasses.replace(shape, **upright)
        made.append(anatomy.build(atlas, [shape], [person.V], WORK))
    return made


def in_box(image, box_from_image, *, frame=None, mirrored=False):
    """An image at the cells of the box, by its header and a map of millimetres."""
    points = geometry.world_grid(WORK).numpy()[::-1].reshape(3, -1).T
    points = points * ([-1, 1, 1] if mirrored else 1)
    points = rigid.apply(np.linalg.inv(box_from_image), points)
    voxels = rigid.apply(np.linalg.inv(image.affine), points)
    data = np.asarray(image.dataobj, dtype=np.float32)
    data = data if frame is None else data[..., frame]
    return map_coordinates(data, voxels.T, order=1).reshape(WORK)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_the_brain_lies_where_the_map_says(scans, brains):
    for made, tissues in zip(scans, brains, strict=True):
        own = tissues.mask[0].numpy() > 0.5
        found = in_box(made.brain, made.box_from_t1) > 0.5
        assert dice(found, own) > 0.97
        # Brains are nearly symmetric, yet a swap of left and right shows.
        swapped = in_box(made.brain, made.box_from_t1, mirrored=True) > 0.5
        assert dice(swapped, own) < 0.97
        signal = 0.26 * tissues.csf + 0.63 * tissues.gm + 0.87 * tissues.wm
        straight, swapped = (
            np.corrcoef(image[own], signal[0].numpy()[own])[0, 1]
            for image in (
                in_box(made.t1, made.box_from_t1),
                in_box(made.t1, made.box_from_t1, mirrored=True),
            )
        )
        assert straight > swapped + 0.08


def test_axes_are_stored_in_any_order_and_direction(scans):
    codes = [nib.aff2axcodes(made.t1.affine) for made in scans]
    for made in scans:
        axes = np.abs(made.t1.affine[:3, :3]) / 4
        np.testing.assert_array_equal(axes @ axes.T, np.eye(3))  # a permutation
        assert made.t1.header["qform_code"] == made.t1.header["sform_code"] == 1
        np.testing.assert_allclose(made.t1.get_qform(), made.t1.affine, atol=1e-4)
        assert made.brain.shape == made.t1.shape
        np.testing.assert_array_equal(made.brain.affine, made.t1.affine)
    assert len(set(codes)) > 1


def test_heads_lie_turned_within_bounds(scans):
    for made in scans:
        for matrix in (made.box_from_t1, made.box_from_pet):
            if matrix is not None:
                assert 0 < rigid.degrees_of(matrix) <= np.sqrt(3) * r.TURN_MAX + 1
                assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)


def test_uptake_is_inside_the_head(scans, brains):
    for made, tissues in zip(scans, brains, strict=True):
        if made.pet is not None:
            own = tissues.mask[0].numpy() > 0.5
            image = in_box(made.pet, made.box_from_pet, frame=0)
            assert image[own].mean() > 4 * image[~own].mean()
            assert image.min() >= 0


def test_frames_move_a_little_and_the_first_not_at_all(scans, brains):
    for made, tissues in zip(scans, brains, strict=True):
        if made.pet is None:
            assert made.first_from_frame == ()
            continue
        first, second = made.first_from_frame
        np.testing.assert_array_equal(first, np.eye(4))
        centre = rigid.apply(np.linalg.inv(made.box_from_pet), CENTRE)
        moved = np.linalg.norm(rigid.apply(second, centre) - centre)
        assert 0 < moved <= r.MOTION_MM == 4
        assert 0 < rigid.degrees_of(second) <= r.MOTION_DEGREES == 4
        own = tissues.mask[0].numpy() > 0.5
        still = in_box(made.pet, made.box_from_pet, frame=0)[own]
        followed, ignored = (
            np.corrcoef(in_box(made.pet, matrix, frame=1)[own], still)[0, 1]
            for matrix in (made.box_from_pet @ second, made.box_from_pet)
        )
        assert followed > ignored + 0.01


def test_truth_is_that_of_the_prepared_phantom_and_of_the_image(people, scans, brains):
    [(_, prepared)] = simulate(
        people.iloc[[0]],
        grid_mri=(12, 16, 16),
        grid_pet=(48, 64, 64),
        seed=0,
        work_mm=WORK_MM,
    )
    known = scans[0].known
    assert set(known) == set(prepared)
    for name, value in prepared.items():
        if name.startswith("suvr") and name != "suvr_positive":
            assert known[name] == pytest.approx(value, rel=0.03), name
    # The image of either frame, where the head lay in it, shows the same.
    for made, tissues in zip(scans, brains, strict=True):
        if made.pet is None:
            continue
        weights = pet.region_weights(tissues, WORK)[0][0].numpy()
        images = [
            in_box(made.pet, made.box_from_pet @ matrix, frame=frame)
            for frame, matrix in enumerate(made.first_from_frame)
        ]
        means = [(w * sum(images)).sum() / w.sum() for w in weights]
        reference = means[REGIONS.index("cerebellum")]
        for name, mean in zip(REGIONS, means, strict=True):
            truth = made.known[f"suvr_{name}"]
            assert mean / reference == pytest.approx(truth, rel=0.04), name


def test_the_same_seed_gives_the_same_bytes(people, scans):
    [person, *_] = people.itertuples()
    again = scan(person, seed=0, **COARSE)
    other = scan(person, seed=1, **COARSE)
    for name in ("t1", "pet", "brain"):
        image = getattr(scans[0], name)
        assert getattr(again, name).to_bytes() == image.to_bytes()
        assert getattr(other, name).to_bytes() != image.to_bytes()
    assert again.known == scans[0].known


def test_people_and_visits_differ(scans):
    first, later, *_ = scans
    images = {made.t1.to_bytes() for made in scans}
    assert len(images) == len(scans)
    assert first.known["brain_ml"] == pytest.approx(later.known["brain_ml"], rel=0.03)
    assert rigid.degrees_of(first.box_from_t1) != rigid.degrees_of(later.box_from_t1)


def test_a_static_pet_has_three_axes(people):
    [person, *_] = people.itertuples()
    made = scan(person, seed=0, t1_mm=6.0, pet_mm=6.0, frames=1)
    assert made.pet.ndim == 3
    assert len(made.first_from_frame) == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"t1_mm": 0.5}, "T1 is 0.5 mm"),
        ({"pet_mm": float("nan")}, "PET is nan mm"),
        ({"frames": 0}, "frames is 0"),
    ],
)
def test_scanners_that_there_are_not(change, text):
    nobody = SimpleNamespace(person=0, visit=0, A=0.0, V=0.0, has_pet=True)
    with pytest.raises(ValueError, match=text):
        scan(nobody, seed=0, **{**COARSE, **change})
