"""Maps between spaces: closed forms, and what least squares gives back."""

import numpy as np
import pytest

from mri2pet.cohort.rigid import (
    apply,
    degrees_of,
    nearest_affine,
    nearest_rigid,
    rigid,
    target_error,
)


def test_turns_follow_the_right_hand_about_each_axis():
    for axis, (start, end) in enumerate(
        (((0, 1, 0), (0, 0, 1)), ((0, 0, 1), (1, 0, 0)), ((1, 0, 0), (0, 1, 0)))
    ):
        degrees = [0, 0, 0]
        degrees[axis] = 90
        np.testing.assert_allclose(
            apply(rigid(degrees, (0, 0, 0)), np.array(start, float)), end, atol=1e-12
        )


def test_the_centre_only_shifts():
    centre = np.array([10.0, -20, 30])
    moved = rigid((10, 20, 30), (1, 2, 3), centre)
    np.testing.assert_allclose(apply(moved, centre), centre + [1, 2, 3])
    assert np.linalg.det(moved[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize("degrees", [0.0, 4.0, 90.0, 179.0])
def test_angle_of_a_turn(degrees):
    assert degrees_of(rigid((0, degrees, 0), (5, 5, 5))) == pytest.approx(degrees)


def test_target_error_is_the_distance_between_two_places():
    points = np.random.default_rng(0).normal(size=(50, 3)) * 40
    shifted = rigid((0, 0, 0), (3, 4, 0))
    np.testing.assert_allclose(target_error(shifted, np.eye(4), points), 5.0)


def test_the_nearest_rigid_map_undoes_size_and_noise_but_not_the_pose():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(4000, 3)) * 40
    pose = rigid((8, -5, 12), (4, -7, 9))
    sized = points * [1.08, 0.95, 1.02]
    found = nearest_rigid(points, apply(pose, sized) + rng.normal(size=points.shape))
    assert target_error(found, pose, points).mean() < 0.3
    assert np.linalg.det(found[:3, :3]) == pytest.approx(1)


def test_the_nearest_rigid_map_is_never_a_mirror_image():
    points = np.random.default_rng(2).normal(size=(100, 3)) * [40, 40, 1e-3]
    found = nearest_rigid(points, points * [1, 1, -1])
    assert np.linalg.det(found[:3, :3]) == pytest.approx(1)


def test_the_nearest_affine_map_is_the_map_itself():
    rng = np.random.default_rng(5)
    points = rng.normal(0, 60, (40, 3))
    true = rigid((5, -7, 11), (4, 5, -6))
    true[:3, :3] = true[:3, :3] @ np.diag([1.1, 0.9, 1.05])
    found = nearest_affine(points, apply(true, points))
    np.testing.assert_allclose(found, true, atol=1e-9)
