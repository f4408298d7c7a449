"""Tiny NIfTI files, valid or damaged field by field."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from mri2pet.cohort.images import read_image

T1_AFFINE = np.array([[8.0, 0, 0, -60], [0, 8, 0, -60], [0, 0, 8, -60], [0, 0, 0, 1]])


def t1_data(seed=0):
    """A bright ball with noise, int16."""
    rng = np.random.default_rng(seed)
    radius = np.linalg.norm(np.indices((16, 16, 16)) - 7.5, axis=0)
    return ((radius < 6) * 800 + rng.integers(0, 60, radius.shape)).astype(np.int16)


def pet_data(seed=0):
    """Three frames of the ball, float32."""
    rng = np.random.default_rng(seed)
    ball = t1_data()[..., None] / 400 * np.array([0.5, 1.0, 1.5])
    return (ball + rng.random(ball.shape)).astype(np.float32)


def content(data=None, affine=T1_AFFINE, order="<", **fields):
    """Bytes of a NIfTI-1; `fields` overwrite the header, unchecked."""
    data = t1_data() if data is None else data
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(data.dtype)
    image = nib.Nifti1Image(data, affine, header)
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    whole = image.to_bytes()
    header = nib.Nifti1Header(whole[:348], order, check=False)
    for key, value in fields.items():
        header[key] = value
    return header.binaryblock + whole[348:]


def write(path, data=None, affine=T1_AFFINE, **fields):
    """Write `content`, packed where the name says so."""
    whole = content(data, affine, **fields)
    packed = path.name.endswith(".gz")
    path.write_bytes(gzip.compress(whole, 1, mtime=0) if packed else whole)
    return path


def refused(path, message, kind="T1", read=read_image, **how):
    """See the image refused in one line that names its file; return the line."""
    with pytest.raises(ValueError, match=message) as caught:
        read(path, kind, **how)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and "\n" not in text and len(text) < 400
    assert caught.value.__suppress_context__
    return text


def srows(rows):
    """Fields of the sform from its three rows."""
    return dict(zip(("srow_x", "srow_y", "srow_z"), rows, strict=True))
