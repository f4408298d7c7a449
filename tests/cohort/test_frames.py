"""How long the frames of a PET are, and what sidecars say wrongly."""

import numpy as np
import pytest
from image_files import pet_data, write

from mri2pet.cohort.images import (
    check_frames,
    read_image,
)

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def pet(tmp_path):
    return read_image(write(tmp_path / "pet.nii", pet_data()), "PET")


def test_frame_durations(pet, tmp_path):
    found = check_frames(pet, {"FrameDuration": [300, 300.0, 600]})
    np.testing.assert_array_equal(found, [300, 300, 600])
    timed = {"FrameDuration": [5, 5, 10], "FrameTimesStart": [-5, 0, 5.4]}
    assert check_frames(pet, timed).sum() == 20
    static = read_image(write(tmp_path / "a.nii"), "PET")
    assert check_frames(static, None) is None
    assert check_frames(static, {"TracerName": "AV45"}) is None
    for one in (600, [600]):
        assert check_frames(static, {"FrameDuration": one}).tolist() == [600]
    with pytest.raises(ValueError, match="has 3 values for 1 frames"):
        check_frames(static, {"FrameDuration": [1, 2, 3]})


@pytest.mark.parametrize(
    ("sidecar", "message"),
    [
        (None, "3 frames, but no FrameDuration"),
        ({}, "3 frames, but no FrameDuration"),
        ({"FrameTimesStart": [0, 1, 2]}, "no FrameDuration"),
        ([1], "sidecar is a list"),
        ({"FrameDuration": [1, 2]}, "FrameDuration has 2 values for 3 frames"),
        ({"FrameDuration": 300}, "FrameDuration has 1 values for 3 frames"),
        ({"FrameDuration": [1, -2, 3]}, "FrameDuration has -2 s"),
        ({"FrameDuration": [1, 0, 3]}, "FrameDuration has 0 s"),
        ({"FrameDuration": [1, "2", 3]}, "FrameDuration has '2', expected seconds"),
        ({"FrameDuration": [1, None, 3]}, "has 'None', expected"),
        ({"FrameDuration": [1, True, 3]}, "has 'True', expected"),
        ({"FrameDuration": [1, NAN, 3]}, "has 'nan', expected"),
        ({"FrameDuration": [1, 10**400, 3]}, "has '1000.*', expected"),
        ({"FrameDuration": [3e5] * 3}, "adds up to 900000 s.*not milliseconds"),
        (
            {"FrameDuration": [5, 5, 5], "FrameTimesStart": [0, 5]},
            "FrameTimesStart has 2 values",
        ),
        (
            {"FrameDuration": [5, 5, 5], "FrameTimesStart": [0, 5, 6]},
            "frame 2 is 5 s long, but the next starts 1 s after it",
        ),
        (
            {"FrameDuration": [1, 1, 1], "FrameTimesStart": [0, 2, 1.5]},
            "frame 2 is 1 s long, but the next starts -0.5 s",
        ),
    ],
)
def test_wrong_frame_times_are_refused(pet, sidecar, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_frames(pet, sidecar)
    assert str(caught.value).startswith(f"{pet.path}: ")
    assert "\n" not in str(caught.value)
