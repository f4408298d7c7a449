"""Bytes of a NIfTI file to fields and voxels, whatever the bytes are.

The fields are decoded by nibabel; which bytes are read, and how many, is decided here,
because a damaged or hostile header may promise any number of them. A file is known by
its content, not by its name.

References
----------
NIfTI-1 and NIfTI-2, https://nifti.nimh.nih.gov.
"""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from mri2pet.cohort.files import refuse, size_of, unpacked

CHUNK = 2**20  # voxels converted at a time, so that float64 is never held whole
SPARE = 2**20  # bytes that may follow the voxels; some programs pad
MOST_EXTENSION = 2**26  # bytes before the voxels; whole DICOM headers fit
DEFLATE = 1032  # bytes that one byte of gzip can become at most
DATATYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4",
    1024: "i8", 1280: "u8",
}  # fmt: skip
OTHER_DATATYPES = {
    1: "one bit per voxel", 128: "RGB colours", 2304: "RGBA colours",
    32: "complex numbers", 1792: "complex numbers", 2048: "complex numbers",
    1536: "128-bit numbers",
}  # fmt: skip
# First bytes of what people give instead, and what to do with it.
FOREIGN = {
    b"\x89PNG": "a PNG picture; give the image that it was drawn from",
    b"\xff\xd8\xff": "a JPEG picture; give the image that it was drawn from",
    b"PK\x03\x04": "a ZIP archive; unpack it first",
    b"\x89HDF": "HDF5 or MINC 2; convert it with mnc2nii",
    b"CDF": "MINC; convert it with mnc2nii",
    b"\x00\x00\x00\x01": "FreeSurfer MGH; convert it with mri_convert",
}


@dataclass(frozen=True)
class Header:
    """What a NIfTI header says, as far as it is needed.

    Attributes
    ----------
    path : Path
    shape : tuple of int
        (x, y, z, ...) without trailing axes of length 1 beyond the third.
    dtype : dtype
        As stored, with its byte order.
    offset : int
        Byte of the first voxel.
    slope, inter : float
        Stored values times `slope` plus `inter`.
    sform, qform : ndarray, shape (4, 4), or None
        None where the code is 0; NaN where a qform cannot be decoded.
    pixdim : tuple of float
        The three voxel sizes.
    unit : int
        0 unknown, 1 metre, 2 mm, 3 micrometre.
    remarks : tuple of str
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    slope: float
    inter: float
    sform: np.ndarray | None
    qform: np.ndarray | None
    pixdim: tuple[float, float, float]
    unit: int
    remarks: tuple[str, ...]

    @property
    def voxels(self) -> int:
        """Number of voxels of all frames."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Voxels:
    """Scaled voxels, and what was noticed on the way.

    Attributes
    ----------
    data : ndarray, float32
    not_finite : int
        NaN or infinite as stored.
    overflown : int
        Finite as stored, but not in float32 after scaling.
    at_top : int
        Stored as the largest number of a type of up to 16 bits.
    spare : int
        Bytes after the last voxel.
    """

    data: np.ndarray
    not_finite: int
    overflown: int
    at_top: int
    spare: int


def read_fields(path: Path) -> Header:
    """Read a header and refuse what cannot be one; no voxel is read.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Header

    Raises
    ------
    ValueError
        With the file, the value and the remedy.
    """
    size = size_of(path)
    with unpacked(path) as stream:
        start, packed = stream.read(540), isinstance(stream, gzip.GzipFile)
    block, kind, order = _known(path, start)
    fields = kind(block, order, check=False)
    shape = _shape(path, [int(n) for n in fields["dim"]])
    dtype, remarks = _dtype(path, fields, order)
    least, offset = {348: 352, 540: 544}[len(block)], float(fields["vox_offset"])
    if not (least <= offset <= MOST_EXTENSION and offset.is_integer()):
        refuse(
            path,
            f"voxels are said to start at byte {offset:g} (vox_offset), expected "
            f"{least} to {MOST_EXTENSION}; the header is damaged, convert it again",
        )
    needed = int(offset) + math.prod(shape) * dtype.itemsize
    if needed > size * (DEFLATE if packed else 1):
        refuse(
            path,
            f"cannot be read to its end: the header promises {needed:,} bytes, "
            f"{'a gzip' if packed else 'a file'} of {size:,} cannot hold them; copy or "
            "download it again",
        )
    slope, inter = _scaling(path, fields)
    sform, qform = _forms(fields)
    return Header(
        *(path, shape, dtype, int(offset), slope, inter, sform, qform),
        pixdim=tuple(float(v) for v in fields["pixdim"][1:4]),
        unit=int(fields["xyzt_units"]) & 7,
        remarks=remarks,
    )


def read_voxels(header: Header) -> Voxels:
    """Read and scale the voxels; hardly more is unpacked than the header promises."""
    item, count = header.dtype.itemsize, header.voxels
    whole = header.dtype.kind in "iu" and item <= 2
    top = np.iinfo(header.dtype).max if whole else None
    not_finite = overflown = at_top = 0
    with unpacked(header.path) as stream, np.errstate(all="ignore"):
        stream.read(header.offset)
        flat = np.empty(count, dtype=np.float32)
        for first in range(0, count, CHUNK):
            part = flat[first : first + CHUNK]
            raw = stream.read(part.size * item)
            if len(raw) < part.size * item:
                refuse(
                    header.path,
                    f"cannot be read to its end: the header promises {count:,} voxels, "
                    f"the file has {first + len(raw) // item:,}; copy or download it "
                    "again",
                )
            stored = np.frombuffer(raw, dtype=header.dtype)
            finite = int(np.isfinite(stored).sum())
            not_finite += part.size - finite
            if whole:
                at_top += int((stored == top).sum())
            part[:] = stored * np.float64(header.slope) + np.float64(header.inter)
            overflown += finite - int(np.isfinite(part).sum())
        spare = len(stream.read(SPARE + 1))  # to the end, where gzip keeps a checksum
    data = flat.reshape(header.shape, order="F")
    return Voxels(data, not_finite, overflown, at_top, spare)


def _known(path: Path, start: bytes):
    """Return the header's bytes, its nibabel class and its byte order."""
    for order, name in (("<", "little"), (">", "big")):
        size = int.from_bytes(start[:4], name)
        if size == 348 and len(start) >= 348:
            magic = start[344:348]
            if magic == b"n+1\0":
                return start[:348], nib.Nifti1Header, order
            if magic in (b"ni1\0", b"\0\0\0\0"):
                what = "NIfTI pair" if magic[:1] == b"n" else "Analyze image"
                refuse(path, f"the header of a two-file {what}; convert it to .nii.gz")
        if size == 540 and len(start) == 540 and start[4:8] == b"n+2\0":
            return start, nib.Nifti2Header, order
    reason = next((v for k, v in FOREIGN.items() if start.startswith(k)), None)
    if start[128:132] == b"DICM":
        reason = "DICOM; convert it with dcm2niix"
    elif reason is None and not set(start) - {*range(32, 127), 9, 10, 13}:
        reason = "text; give a .nii or .nii.gz"
    elif reason is None:
        reason = f"it begins with {start[:4].hex()}; give a .nii or .nii.gz"
    return refuse(path, f"not a readable NIfTI image ({reason})")


def _shape(path: Path, dim: list[int]) -> tuple[int, ...]:
    shape = tuple(dim[1 : 1 + dim[0]]) if 1 <= dim[0] <= 7 else ()
    if not shape or min(shape) < 1:
        refuse(
            path,
            f"dimensions {dim} are impossible; the header is damaged, convert it again",
        )
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _dtype(path: Path, fields, order: str) -> tuple[np.dtype, tuple[str, ...]]:
    code, bits = int(fields["datatype"]), int(fields["bitpix"])
    if code not in DATATYPES:
        what = OTHER_DATATYPES.get(code, "unknown")
        refuse(
            path,
            f"datatype {code} ({what}), expected real numbers; save the image as "
            "int16 or float32 (magnitude, one channel)",
        )
    dtype = np.dtype(order + DATATYPES[code])
    if bits == 8 * dtype.itemsize:
        return dtype, ()
    return dtype, (f"bitpix is {bits}, not that of its datatype; it is ignored",)


def _scaling(path: Path, fields) -> tuple[float, float]:
    slope, inter = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or math.isnan(slope):  # no scaling, says the standard
        return 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(inter)):
        refuse(
            path,
            f"scaling by {slope:g} plus {inter:g} (scl_slope, scl_inter) gives no "
            "numbers; convert it again from the scanner's files",
        )
    return slope, inter


def _forms(fields) -> tuple[np.ndarray | None, np.ndarray | None]:
    sform = qform = None
    if int(fields["sform_code"]) > 0:
        sform = fields.get_sform().astype(np.float64)
    if int(fields["qform_code"]) > 0:
        # The standard knows only a sign here; nibabel would refuse other numbers.
        fields["pixdim"][0] = -1 if fields["pixdim"][0] < 0 else 1
        try:
            with np.errstate(all="ignore"):
                qform = np.array(fields.get_qform(), dtype=np.float64)
        except (ValueError, nib.spatialimages.HeaderDataError):
            qform = np.full((4, 4), np.nan)
    return sform, qform
