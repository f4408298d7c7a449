"""Registration against known moves, and ITK's geometry against nibabel's."""

import itertools

import nibabel as nib
import numpy as np
import pytest

from mri2pet.cohort import registration, rigid
from mri2pet.cohort.brain import mni
from mri2pet.cohort.registration import Volume


@pytest.fixture(scope="module")
def template():
    volume, brain, _ = mni()
    small = registration.coarser(volume.with_data(volume.data * brain), 4.0)
    return small


def blob(shape=(20, 24, 28)):
    """An image without any symmetry."""
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    image = np.zeros(shape, dtype=np.float32)
    for centre, height in (((5, 8, 20), 1.0), ((14, 6, 9), 0.6), ((9, 18, 14), 0.8)):
        image += height * np.exp(-((grid - centre) ** 2).sum(-1) / 18)
    return image


ORIENTATIONS = [
    np.stack([axes, signs], axis=1)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


@pytest.mark.parametrize("order", ORIENTATIONS, ids=str)
def test_no_orientation_swaps_anything(order):
    # Real-world places decide, whatever the order and direction of the axes.
    affine = rigid.rigid((7, -4, 12), (3, 5, -9)) @ np.diag([2.0, 2.5, 3.0, 1.0])
    image = nib.Nifti1Image(blob(), affine)
    turned = image.as_reoriented(order)
    volume = Volume(np.asarray(turned.dataobj), turned.affine)
    back = registration.resample(volume, image.shape, affine, interpolation="linear")
    np.testing.assert_allclose(back, blob(), atol=2e-4)


def test_a_map_in_ras_is_the_same_in_itk():
    matrix = rigid.rigid((10, -20, 5), (4, 5, 6)) @ np.diag([1.1, 0.9, 1.0, 1.0])
    transform = registration.itk_transform(matrix)
    point = np.array([12.0, -7.0, 31.0])
    lps = np.array([-1, -1, 1])
    found = np.array(transform.TransformPoint((point * lps).tolist())) * lps
    np.testing.assert_allclose(found, rigid.apply(matrix, point))


def test_coarser_keeps_places_and_the_mean(template):
    finer, _, _ = mni()
    coarse = registration.coarser(finer, 6.0)
    for one in (finer, coarse):
        assert one.sizes.min() >= 1.9
    middle = registration.middle
    assert np.linalg.norm(middle(finer) - middle(coarse)) < 0.3
    assert coarse.data.mean() == pytest.approx(finer.data.mean(), rel=0.02)


@pytest.mark.parametrize("metric", ["information", "correlation"])
def test_a_rigid_move_is_found(template, metric):
    move = rigid.rigid((6, -4, 8), (5, -6, 4), registration.middle(template))
    moved = Volume(template.data, move @ template.affine)

    def find():
        return registration.register(
            template,
            moved,
            start=np.eye(4),
            metric=metric,
            levels=((2, 4.0), (1, 2.0)),
            sampling=1.0,
        )

    found, value = find()
    points = rigid.apply(template.affine, np.argwhere(template.data > 0.3)[::9])
    assert rigid.target_error(found, move, points).max() < 0.5
    again, same = find()
    assert same == value and np.array_equal(found, again)  # nothing by the clock


def test_an_affine_map_does_not_run_away(template):
    sized = np.diag([1.08, 0.93, 1.04, 1.0])
    moved = Volume(template.data, sized @ template.affine)
    found, _ = registration.register(
        template,
        moved,
        start=np.eye(4),
        kind="affine",
        levels=((2, 4.0), (1, 2.0)),
        sampling=1.0,
    )
    points = rigid.apply(template.affine, np.argwhere(template.data > 0.3)[::9])
    assert rigid.target_error(found, sized, points).max() < 1.0


def test_guesses_find_a_head_that_lies_far_off(template):
    move = rigid.rigid((20, 0, -16), (0, 0, 14), registration.middle(template))
    moved = Volume(template.data, move @ template.affine)
    points = rigid.apply(template.affine, np.argwhere(template.data > 0.3)[::9])
    best = registration.best_starts(template, moved, np.eye(4))[0]
    before = rigid.target_error(np.eye(4), move, points).mean()
    assert rigid.target_error(best, move, points).mean() < before / 2


def test_forth_and_back_differs_by_interpolation_only(template):
    marked = template.data.copy()
    marked[: len(marked) // 2] *= 0.5  # the template is symmetric
    template = template.with_data(marked)
    move = rigid.rigid((9, 5, -7), (6, 2, 8), registration.middle(template))
    there = registration.resample(
        template, template.data.shape, template.affine, np.linalg.inv(move)
    )
    back = registration.resample(
        template.with_data(there), template.data.shape, template.affine, move
    )
    core = template.data > 0.15
    r = np.corrcoef(back[core], template.data[core])[0, 1]
    assert r > 0.97
    swapped = np.corrcoef(back[::-1][core], template.data[core])[0, 1]
    assert swapped < r - 0.2  # the number would tell a swap


def test_n4_takes_a_field_away(template):
    mask = template.data > 0.2
    x = np.linspace(-1, 1, template.data.shape[0])[:, None, None]
    biased = template.with_data(template.data * np.exp(0.3 * x))
    mended = registration.unbiased(biased, mask, iterations=(30, 30))
    plain = registration.unbiased(template, mask, iterations=(30, 30))
    slope = np.log((mended.data / np.maximum(plain.data, 1e-6))[mask])
    left = np.polyfit(np.broadcast_to(x, mask.shape)[mask], slope, 1)[0]
    assert abs(left) < 0.06  # of 0.3


def test_what_cannot_be_registered_is_said(template):
    far = Volume(template.data, rigid.rigid((0, 0, 0), (900, 0, 0)) @ template.affine)
    with pytest.raises(ValueError, match="registration failed"):
        registration.register(template, far, start=np.eye(4))
    with pytest.raises(ValueError, match="kind 'bent'"):
        registration.register(template, template, start=np.eye(4), kind="bent")
    with pytest.raises(ValueError, match="metric 'x'"):
        registration.register(template, template, start=np.eye(4), metric="x")
    with pytest.raises(ValueError, match="interpolation 'best'"):
        registration.resample(template, (4, 4, 4), np.eye(4), interpolation="best")
