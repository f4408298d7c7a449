"""Raw images that are refused: which, and in which words."""

import gzip
import logging
import os
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from image_files import content, refused, srows, t1_data, write

from mri2pet.cohort.images import (
    MOST_VOXELS,
    read_header,
    read_image,
)

NAN, INF = float("nan"), float("inf")

HUGE = [3, 500, 500, 500, 1, 1, 1, 1]
BYTES = {
    r"NIfTI image \(0 bytes\)": b"",
    r"NIfTI image \(text": b"hello\n",
    r"NIfTI image \(a PNG picture": b"\x89PNG\r\n\x1a\n" + bytes(500),
    r"NIfTI image \(DICOM; convert it with dcm2niix": bytes(128) + b"DICM" + bytes(500),
    r"NIfTI image \(FreeSurfer MGH": b"\0\0\0\x01" + bytes(500),
    r"NIfTI image \(it begins with f3a1": b"\xf3\xa1\x00\x07" * 200,
    "two-file NIfTI pair": content(magic=b"ni1"),
    "two-file Analyze image": content(magic=b""),
    "promises 8,544 bytes, a file of 5,000 cannot": content()[:5000],
    "to its end .the gzip stream is cut off": gzip.compress(content())[:3000],
    "promises 4,096 voxels, the file has 2,324": gzip.compress(content()[:5000]),
    "to its end .damaged gzip": gzip.compress(content())[:-8] + b"12345678",
    "a gzip of .* cannot hold them": gzip.compress(
        content(dim=[3, *[500] * 3, *[1] * 4])
    ),
}


@pytest.mark.parametrize("message", BYTES)
def test_what_is_no_whole_nifti_is_refused(tmp_path, message):
    path = tmp_path / "a b ü.nii.gz"
    path.write_bytes(BYTES[message])
    refused(path, message)


def test_what_is_no_file_is_refused(tmp_path):
    refused(tmp_path / "x.nii", "there is no such file")
    refused(write(tmp_path / "a.nii") / "x.nii", "there is no such file")
    refused(tmp_path, "is a folder")
    os.mkfifo(tmp_path / "pipe.nii")
    refused(tmp_path / "pipe.nii", "not a regular file")
    (tmp_path / "ring.nii").symlink_to(tmp_path / "ring.nii")
    refused(tmp_path / "ring.nii", "cannot be read .*levels of symbolic links")
    refused(tmp_path / ("x" * 256), "cannot be read .*too long")
    with pytest.raises(ValueError, match=r"two\\nlines\.nii': there is no") as caught:
        read_image(tmp_path / "two\nlines.nii")
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="kind is 'CT'"):
        read_image(tmp_path / "a.nii", "CT")


def test_what_may_not_be_read_is_refused(tmp_path):
    path = write(tmp_path / "a.nii")
    path.chmod(0)
    folders = {f: f.stat().st_mode for f in (tmp_path, *tmp_path.parents[:2])}
    if root := os.geteuid() == 0:  # may read everything; be someone else for a while
        for folder in folders:
            folder.chmod(0o755)
        os.seteuid(65534)
    try:
        refused(path, "Permission denied.*may you read it")
    finally:
        if root:
            os.seteuid(0)
        for folder, mode in folders.items():
            folder.chmod(mode)


def sizes(*mm):
    return {
        **srows(np.column_stack([np.diag(mm), [-60, -60, -60]])),
        "pixdim": [1, *mm, 0, 0, 0, 0],
    }


def with_values(*values, dtype=np.float32):
    data = t1_data().astype(dtype)
    data.flat[: len(values)] = values
    return data


HEADERS = {
    r"shape \(16, 16\), expected one 3-D volume": {"dim": [2, 16, 16, 1, 1, 1, 1, 1]},
    r"shape \(16, 16, 1\), expected": {"dim": [3, 16, 16, 1, 1, 1, 1, 1]},
    r"shape \(8, 8, 8, 2, 4\), expected": {"dim": [5, 8, 8, 8, 2, 4, 1, 1]},
    r"dimensions \[9, .* are impossible": {"dim": [9, 16, 16, 16, 1, 1, 1, 1]},
    r"dimensions .*-16.* are impossible": {"dim": [3, 16, -16, 16, 1, 1, 1, 1]},
    "datatype 128 .RGB colours": {"datatype": 128},
    "datatype 32 .complex numbers": {"datatype": 32},
    "datatype 77 .unknown": {"datatype": 77},
    "start at byte 20 .vox_offset": {"vox_offset": 20},
    "start at byte nan": {"vox_offset": NAN},
    "start at byte 1e.30": {"vox_offset": 1e30},
    "scaling by inf plus 0": {"scl_slope": INF, "scl_inter": 0},
    "scaling by 2 plus nan": {"scl_slope": 2, "scl_inter": NAN},
    "has no orientation .*dcm2niix": {"sform_code": 0, "qform_code": 0},
    "sform has a zero column .axis y": srows(
        [[8, 0, 0, 0], [0, 0, 0, 0], [0, 0, 8, 0]]
    ),
    "sform is singular": srows([[8, 8, 0, 0], [8, 8, 0, 0], [0, 0, 8, 0]]),
    "sform holds NaN": {"srow_y": [0, NAN, 0, 0]},
    "qform holds NaN": {"sform_code": 0, "quatern_c": 2.0},
    "opposite handedness, so left and right": {"srow_x": [-8, 0, 0, 60]},
    r"0 x 8 x 8 mm \(pixdim\): 0": {"pixdim": [1, 0, 8, 8, 0, 0, 0, 0]},
    r"8 x 8 x -8 mm \(pixdim\): negative": {"pixdim": [1, 8, 8, -8, 0, 0, 0, 0]},
    r"nan x 8 x 8 mm \(pixdim\): not finite": {"pixdim": [1, NAN, 8, 8, 0, 0, 0, 0]},
    "0.008 x 0.008 x 0.008 mm.*look like metres": sizes(0.008, 0.008, 0.008),
    "8000 x 8000 x 8000 mm.*look like micrometres": sizes(8e3, 8e3, 8e3),
    "8 x 8 x 12 mm, expected 0.2 to 10; convert": sizes(8, 8, 12),
    "extents 128 x 128 x 64 mm, a head": sizes(8, 8, 4),
    "centre lies 2.01e.04 mm": {"srow_x": [8, 0, 0, 2e4]},
}


@pytest.mark.parametrize("message", HEADERS)
def test_a_wrong_header_is_refused_before_voxels_are_read(tmp_path, message):
    data = np.tile(t1_data(), (1, 1, 8)) if "datatype" in message else None
    path = write(tmp_path / "a.nii", data, **HEADERS[message])
    assert refused(path, message) == refused(path, message, read=read_header)


VOXELS = {
    "NaN or infinite values in 3 of 4,096 voxels": (with_values(NAN, INF, -INF), {}),
    "every voxel is 3; give": (np.full((16,) * 3, 3, np.int16), {}),
    r"every voxel is 0 \(an empty image\)": (np.zeros((16,) * 3, np.int16), {}),
    r"above 1e\+15 after scaling by 1e\+38 plus 0": (
        None,
        {"scl_slope": 1e38, "scl_inter": 0},
    ),
    r"above 1e\+15 after scaling by 1 plus 0": (with_values(1e300, dtype="f8"), {}),
}


@pytest.mark.parametrize("message", VOXELS)
def test_wrong_voxels_are_refused(tmp_path, message):
    data, fields = VOXELS[message]
    path = write(tmp_path / "a.nii.gz", data, **fields)
    read_header(path)
    refused(path, message)


def test_what_is_too_large_is_refused_before_it_takes_memory(tmp_path):
    zeros = gzip.compress(bytes(2**24), 9, mtime=0)
    bombs = {
        "too large, more than 216,000,000 voxels": [3, 2000, 2000, 2000, 1, 1, 1, 1],
        "too large, more than 200 frames or": [4, 64, 64, 64, 30000, 1, 1, 1],
        "holds much more than the 4,096 voxels": [3, 16, 16, 16, 1, 1, 1, 1],
    }
    path = tmp_path / "bomb.nii.gz"
    assert MOST_VOXELS == 600**3
    for message, dim in bombs.items():
        start = content(np.zeros((16,) * 3, np.uint8), dim=dim)
        path.write_bytes(gzip.compress(start) + zeros * 600)  # 10 GB unpacked
        tracemalloc.start()
        begun = time.perf_counter()
        refused(path, message, "PET")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2e7 and time.perf_counter() - begun < 5
    small = write(tmp_path / "a.nii")
    refused(small, "more than 4,095 voxels a volume", most_voxels=4095)
    read_image(small, most_voxels=4096)


def test_nothing_is_warned_logged_or_printed(tmp_path, capfd, caplog):
    noisy = {"bitpix": 8, "xyzt_units": 7, "sform_code": 99}
    noisy["pixdim"] = [3, 8, 8, 8, 0, 0, 0, 0]
    path = write(tmp_path / "a.nii", with_values(1e300, NAN, dtype="f8"), **noisy)
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        refused(path, "NaN or infinite")
        refused(write(tmp_path / "b.nii", srow_x=[INF] * 4), "sform holds")
        refused(write(tmp_path / "c.nii", quatern_b=INF, sform_code=0), "qform holds")
    assert (capfd.readouterr(), caplog.records) == (("", ""), [])
