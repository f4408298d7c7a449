"""Shapes: diffeomorphic, inside the box, and what V does to them."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from mri2pet.cohort import geometry, template
from mri2pet.cohort.phantom import anatomy, disease
from mri2pet.cohort.phantom import constants as k
from mri2pet.cohort.phantom.atlas import load_atlases

WORK_MM = 4.0
WORK = geometry.work_shape(WORK_MM)
V_OF = (-1.1, 0.0, 0.4, 1.2, 1.2, -0.5, 0.9, 0.2)


@pytest.fixture(scope="module")
def atlas():
    return load_atlases("", WORK_MM)[0]


@pytest.fixture(scope="module")
def shapes():
    return [anatomy.draw_shape(p, seed=0) for p in range(len(V_OF))]


@pytest.fixture(scope="module")
def brains(atlas, shapes):
    return anatomy.build(atlas, shapes, V_OF, WORK)


def test_the_jacobian_is_positive_everywhere(atlas, brains):
    for position in brains.position:
        assert float(atlas.jacobian(position).min()) > 0


def test_every_brain_lies_in_the_box(atlas, brains):
    # Measured on a finer mask than the one that the damping looks at.
    shape = geometry.work_shape(2.0)
    brain = template.mni152()
    mask = template.on_box(brain, brain.mask[None], shape)
    total = float(mask.sum()) * np.prod(geometry.voxel_mm(shape))
    cell = np.prod(geometry.voxel_mm(atlas.warp_shape))
    first = tuple(float(c[0]) for c in geometry.axis_coordinates(shape))
    for position in brains.position:
        where = geometry.normalised(
            position[None], first, geometry.voxel_mm(shape), shape
        )
        found = torch.nn.functional.grid_sample(mask[None], where, align_corners=False)
        inside = float((found[0, 0] * atlas.jacobian(position)).sum()) * cell
        assert inside / total > 0.995


def test_a_brain_too_large_for_the_box_is_damped(atlas):
    person = anatomy.draw_shape(0, seed=0)
    giant = dataclasses.replace(person, scale=np.full(3, 1.25))
    position = anatomy.pull_back(atlas, [giant], [0.0])[0]
    assert atlas.covered(position) > 0.995


def test_fractions_sum_to_one_inside_the_brain(brains):
    total = brains.gm + brains.wm + brains.csf
    inside = brains.mask > 0.999
    assert inside.sum() > 1000
    torch.testing.assert_close(total[inside], brains.mask[inside], atol=1e-4, rtol=0)
    for tissue in (brains.gm, brains.wm, brains.csf):
        assert float(tissue.min()) > -1e-5
        assert float(tissue.max()) < 1 + 1e-5


def test_ventricles_grow_and_cortex_thins_with_v(atlas, shapes):
    v = np.linspace(-0.6, 1.2, 10)
    for person in shapes[:2]:
        rows = anatomy.measures(anatomy.build(atlas, [person] * len(v), v, WORK))
        for name, sign in (
            ("ventricle_ml", 1),
            ("cortex_mm", -1),
            ("medial_temporal_ml", -1),
            ("gm_ml", -1),
        ):
            values = [row[name] for row in rows]
            assert sign * spearmanr(v, values).statistic > 0.9, name
        assert rows[-1]["ventricle_ml"] > 2.5 * rows[0]["ventricle_ml"]
        lost = 1 - rows[-1]["medial_temporal_ml"] / rows[3]["medial_temporal_ml"]
        assert 0.08 < lost < 0.4


def test_volumes_are_those_of_people(brains):
    for row in anatomy.measures(brains):
        assert 1300 < row["brain_ml"] < 2500
        assert 3 < row["ventricle_ml"] < 150
        assert row["gm_ml"] > row["wm_ml"] > 350


def test_atrophy_stops_beyond_its_range(atlas, shapes):
    a = anatomy.build(atlas, shapes[:1], [k.V_RANGE[1]], WORK)
    b = anatomy.build(atlas, shapes[:1], [2.5], WORK)
    torch.testing.assert_close(a.gm, b.gm)


def test_a_shape_is_the_persons_own():
    a, b = (anatomy.draw_shape(5, seed=1) for _ in range(2))
    assert np.array_equal(a.scale, b.scale)
    assert all(np.array_equal(p, q) for p, q in zip(a.warp, b.warp, strict=True))
    other = anatomy.draw_shape(6, seed=1)
    assert not np.array_equal(a.scale, other.scale)
    scales = np.array([anatomy.draw_shape(p, seed=1).scale for p in range(200)])
    assert np.abs(scales - 1).max() <= k.SCALE_MAX + 1e-9
    assert scales.std() == pytest.approx(k.SCALE_SD, rel=0.15)


def test_variability_scales_the_differences(atlas):
    same = [anatomy.draw_shape(p, seed=0, variability=0.0) for p in (1, 2)]
    built = anatomy.build(atlas, same, [0.0, 0.0], WORK)
    # Only the residual pose is left.
    assert float((built.mask[0] - built.mask[1]).abs().mean()) < 0.01
    with pytest.raises(ValueError, match="variability"):
        anatomy.draw_shape(0, seed=0, variability=-1.0)


def test_a_warp_moves_no_brain_as_a_whole(atlas, shapes):
    field = torch.stack(
        [
            geometry.apply_axes(
                torch.from_numpy(s.warp[0]),
                geometry.splines(atlas.warp_shape, k.WARP_SPACING[0]),
            )
            for s in shapes[:2]
        ]
    )
    field = field + 7.0
    weight = atlas.brain_weight / atlas.brain_weight.sum()
    left = (atlas.without_rigid(field) * weight).sum((2, 3, 4))
    assert float(left.abs().max()) < 1e-2


def test_no_two_people_look_alike(brains):
    masks = brains.mask.flatten(1)
    for i in range(len(masks)):
        for j in range(i):
            assert float((masks[i] - masks[j]).abs().mean()) > 0.01


def test_latents_of_a_second_visit_reach_the_same_shape(atlas, shapes):
    people = disease.draw_people([1], seed=0)
    later = disease.later_visit(people, 4.0, seed=0)
    first, second = (
        anatomy.build(atlas, shapes[1:2], list(p["V"]), WORK) for p in (people, later)
    )
    # The skull does not change: the brain mask is the same but for the ventricles'
    # push, and the tissue inside moves on.
    difference = (first.mask - second.mask).abs().mean()
    assert float(difference) < 0.004
