"""Where the head ends, on a head of shells: brain, dark skull, bright scalp."""

import numpy as np
import pytest

from mri2pet.cohort.brain import head_mask, whole_head
from mri2pet.cohort.registration import Volume


@pytest.fixture
def shells():
    """A head that the image cuts off below, open through the neck."""
    z, y, x = np.mgrid[0:48, 0:48, 0:48] - 23.5
    radius = np.sqrt((z + 8) ** 2 + y**2 + x**2)
    head = radius < 20
    signal = np.full(head.shape, 2.0)
    signal[radius < 20] = 90  # scalp
    signal[radius < 17] = 2  # bone, as dark as air
    signal[radius < 14] = 100
    signal += 0.1 * np.random.default_rng(0).random(head.shape)
    return head, Volume(signal.astype(np.float32), np.diag([4.0, 4, 4, 1]))


def test_bone_belongs_to_the_head(shells):
    head, t1 = shells
    found = whole_head(t1)
    union = (found | head).sum()
    assert (found & head).sum() / union > 0.93  # the edge is a voxel wide
    assert found[head].mean() > head_mask(t1)[head].mean() + 0.05


def test_air_around_the_head_does_not(shells):
    _, t1 = shells
    z, y, x = np.mgrid[0:48, 0:48, 0:48] - 23.5
    far = np.sqrt((z + 8) ** 2 + y**2 + x**2) > 22
    assert not whole_head(t1)[far].any()
