"""Raw images that are used, with their remarks; and what values tell of a T1."""

import gzip
import re

import nibabel as nib
import numpy as np
import pytest
from image_files import T1_AFFINE, content, pet_data, refused, srows, t1_data, write

from mri2pet.cohort.images import (
    check_t1,
    read_header,
    read_image,
    read_t1,
)

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("name", ["t1.nii", "t1.nii.gz", "Ein Bild ü/t 1.nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_t1_is_read_as_nibabel_reads_it(tmp_path, name, order):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    write(path, order=order, scl_slope=0.5, scl_inter=3)
    raw = read_image(path)
    image = nib.load(path)
    np.testing.assert_array_equal(raw.data, image.get_fdata(dtype=np.float32))
    np.testing.assert_array_equal(raw.affine, image.affine)
    assert (raw.path, raw.data.dtype) == (path, np.float32)
    assert raw.affine.dtype == np.float64
    assert raw.remarks == ("coarse voxels, 8 x 8 x 8 mm: small structures are lost",)
    shape, affine, remarks = read_header(str(path))
    assert shape == raw.data.shape and remarks == raw.remarks
    np.testing.assert_array_equal(affine, raw.affine)
    check_t1(raw)
    assert read_t1(path).get_fdata().min() == 0


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_every_real_datatype(tmp_path, dtype):
    data = (t1_data() // 8).astype(dtype)
    image = nib.Nifti1Image(data, T1_AFFINE, dtype=data.dtype)
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii").data, data)


def test_nifti_2_and_extensions(tmp_path):
    image = nib.Nifti2Image(t1_data(), T1_AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 999))
    nib.save(image, tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii.gz").data, t1_data())


def test_frames_and_axes_of_length_1(tmp_path):
    pet = write(tmp_path / "pet.nii.gz", pet_data())
    np.testing.assert_array_equal(read_image(pet, "PET").data, pet_data())
    refused(pet, r"shape \(16, 16, 16, 3\), expected one 3-D volume")
    one = write(tmp_path / "one.nii", pet_data()[..., :1])
    assert read_image(one, "T1").data.shape == read_image(one, "PET").data.shape
    assert read_header(pet, "PET")[0] == (16, 16, 16, 3)


@pytest.mark.parametrize("slope", [0.0, NAN])
def test_no_slope_means_no_scaling(tmp_path, slope):
    path = write(tmp_path / "a.nii", scl_slope=slope, scl_inter=NAN)
    np.testing.assert_array_equal(read_image(path).data, t1_data())


def test_only_a_qform(tmp_path):
    path = write(tmp_path / "a.nii", sform_code=0, srow_x=[NAN] * 4)
    np.testing.assert_allclose(read_image(path).affine, T1_AFFINE, atol=1e-4)


# -- what is remarked ------------------------------------------------------------------


def turned(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return [*np.column_stack([8 * turn, [-60, -60, -60]])]


SATURATED = np.where(t1_data() > 700, 32767, t1_data()).astype(np.int16)
NEGATIVE = t1_data() - np.int16(30)
LATE = pet_data() * np.array([0, 1, 1], dtype=np.float32)
REMARKS = {
    "differ by 2.5 mm at a corner and 0.0 deg": (
        "T1",
        None,
        {"qoffset_x": -62.5},
    ),
    r"differ by [\d.]+ mm at a corner and 5.0 degrees; the sform is used": (
        "T1",
        None,
        srows(turned(5)),
    ),
    "the qform cannot be decoded": ("T1", None, {"quatern_b": 5.0}),
    "unit is metres, but voxels of 8 x 8 x 8": ("T1", None, {"xyzt_units": 1}),
    "unit is micrometres": ("T1", None, {"xyzt_units": 3}),
    "unit 7 is unknown": ("T1", None, {"xyzt_units": 7}),
    r"8 x 8 x 7 mm \(pixdim\) differ": (
        "T1",
        None,
        {"pixdim": [1, 8, 8, 7, 0, 0, 0, 0], "qform_code": 0},
    ),
    "axes span 0.958 of a box": (
        "T1",
        None,
        {"srow_x": [8, 2.4, 0, -60], "qform_code": 0},
    ),
    "centre lies 1000 mm from the origin": (
        "T1",
        None,
        {"srow_x": [8, 0, 0, 940], "qform_code": 0},
    ),
    "extents 48 x 48 x 48 mm, a head": (
        "PET",
        None,
        {**srows(np.eye(4)[:3] * 3), "pixdim": [1, 3, 3, 3, 0, 0, 0, 0]},
    ),
    "have the largest value of int16": ("T1", SATURATED, {}),
    "% of the voxels are negative": ("T1", NEGATIVE, {}),
    "constant frames: 1$": ("PET", LATE, {}),
    "bitpix is 8": ("T1", None, {"bitpix": 8}),
}


@pytest.mark.parametrize("message", REMARKS)
def test_what_is_unusual_is_used_and_remarked(tmp_path, message):
    kind, data, fields = REMARKS[message]
    plain = " ".join(read_image(write(tmp_path / "plain.nii"), kind).remarks)
    remarks = read_image(write(tmp_path / "a.nii", data, **fields), kind).remarks
    assert any(re.search(message, remark) for remark in remarks), remarks
    assert not re.search(message, plain)


def test_small_differences_are_not_remarked(tmp_path):
    path = write(tmp_path / "a.nii", qoffset_x=-61.0, **srows(turned(0.3)))
    assert not any("differ" in remark for remark in read_image(path).remarks)


def test_bytes_after_the_voxels(tmp_path):
    for name in ("a.nii", "a.nii.gz"):
        whole = content() + b"\0" * 100
        path = tmp_path / name
        path.write_bytes(gzip.compress(whole) if name.endswith("gz") else whole)
        assert "100 bytes follow the voxels" in " ".join(read_image(path).remarks)
    path.write_bytes(gzip.compress(content() + b"\0" * 2**21))
    refused(path, "holds much more than the 4,096 voxels")


# -- what its values tell of a T1 ------------------------------------------------------


def test_a_ct_is_refused_as_a_t1(tmp_path):
    ct = np.where(t1_data() > 400, 40, -1000) + t1_data() % 60
    for values in (ct, np.where(np.indices(ct.shape)[0] < 2, -3024, ct)):
        path = write(tmp_path / "ct.nii.gz", values.astype(np.int16))
        raw = read_image(path)
        with pytest.raises(ValueError, match=r"ct.nii.gz: \d+% .* near -1000.*CT"):
            check_t1(raw)
        with pytest.raises(ValueError, match="as air does in a CT"):
            read_t1(path)


def test_a_mask_or_frames_are_refused_as_a_t1(tmp_path):
    mask = write(tmp_path / "mask.nii", (t1_data() > 400).astype(np.uint8))
    with pytest.raises(ValueError, match=r"mask\.nii: has 2 different values"):
        check_t1(read_image(mask))
    pet = write(tmp_path / "pet.nii", pet_data())
    with pytest.raises(ValueError, match="expected one 3-D volume as a T1"):
        check_t1(read_image(pet, "PET"))


def test_standardised_values_are_a_t1(tmp_path):
    data = t1_data().astype(np.float32)
    path = write(tmp_path / "a.nii", (data - data.mean()) / data.std() * 900)
    check_t1(read_image(path))
