"""The only door through which raw images enter: T1-weighted MRIs and PETs, as NIfTI.

What comes through is finite, varies, has a known orientation and plausible sizes. Any
other image is refused in one line that names the file, the value and the remedy; what
is only unusual becomes a remark.

What one image alone cannot tell is left to later checks: whether a PET was given as a
T1 (its smoothness and histogram overlap with those of coarse MRIs; after registration,
the mutual information with its partner tells), and whether the values of a CT were
shifted above 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from mri2pet.cohort.files import refuse, save_image
from mri2pet.cohort.frames import check_frames
from mri2pet.cohort.nifti import SPARE, Header, Voxels, read_fields, read_voxels
from mri2pet.cohort.orientation import place

__all__ = [
    "Raw",
    "check_frames",
    "check_t1",
    "read_header",
    "read_image",
    "read_t1",
    "save_image",
]

KINDS = ("T1", "PET")
MOST_VOXELS = 600**3  # of one volume
MOST_FRAMES = 200
MOST_IN_ALL = 400_000_000  # voxels of all frames, 1.6 GB as float32
LEAST_VOXELS = 8  # along an axis
LARGEST = 1e15  # squares of larger values come near the end of float32
SATURATED = 0.01  # share of voxels at the top of their type; remarked above
NEGATIVE = 0.01  # share of negative voxels of a T1; remarked above
# Air on the scale of Hounsfield, and the share of voxels there that makes a CT.
AIR, CT_SHARE = (-1100.0, -850.0), 0.05
LABELS = 16  # an image of fewer different values is a mask or a label map


@dataclass(frozen=True)
class Raw:
    """An image that was read and found plausible.

    Attributes
    ----------
    path : Path
    data : ndarray, float32
        (x, y, z) or (x, y, z, frames), finite, scaled as the header says.
    affine : ndarray, shape (4, 4), float64
        Voxel to RAS mm.
    remarks : tuple of str
        What a user should look at though the image can be used.
    """

    path: Path
    data: np.ndarray
    affine: np.ndarray
    remarks: tuple[str, ...]


def read_header(
    path: str | Path, kind: str = "T1"
) -> tuple[tuple[int, ...], np.ndarray, tuple[str, ...]]:
    """Read and judge a header, but no voxel; cheap enough for dry runs.

    Parameters
    ----------
    path : str or Path
    kind : {"T1", "PET"}

    Returns
    -------
    shape : tuple of int
        (x, y, z) or, for a dynamic PET, (x, y, z, frames).
    affine : ndarray, shape (4, 4), float64
        Voxel to RAS mm.
    remarks : tuple of str

    Raises
    ------
    ValueError
        With the file, the value and the remedy.
    """
    header, affine, remarks = _judge(Path(path), kind, MOST_VOXELS)
    return header.shape, affine, remarks


def read_image(
    path: str | Path, kind: str = "T1", *, most_voxels: int = MOST_VOXELS
) -> Raw:
    """Read an image and refuse what cannot be one.

    Parameters
    ----------
    path : str or Path
        NIfTI, packed by gzip or not.
    kind : {"T1", "PET"}
        A T1 is one volume, a PET one or several.
    most_voxels : int
        Of one volume; larger ones are refused before they are read.

    Returns
    -------
    Raw

    Raises
    ------
    ValueError
        With the file, the value and the remedy.
    """
    header, affine, remarks = _judge(Path(path), kind, most_voxels)
    path, voxels = header.path, read_voxels(header)
    data, count = voxels.data, header.voxels
    if voxels.spare > SPARE:
        refuse(
            path,
            f"holds much more than the {count:,} voxels that its header promises; the "
            "header is damaged, convert it again",
        )
    if voxels.not_finite:
        refuse(
            path,
            f"holds NaN or infinite values in {voxels.not_finite:,} of {count:,} "
            "voxels; find out why, or set them to 0 where they are background",
        )
    least, most = float(data.min()), float(data.max())
    if voxels.overflown or max(-least, most) > LARGEST:
        refuse(
            path,
            f"holds values above {LARGEST:g} after scaling by {header.slope:g} plus "
            f"{header.inter:g} (scl_slope, scl_inter); convert it again",
        )
    if least == most:
        what = " (an empty image)" if least == 0 else ""
        refuse(path, f"every voxel is {least:g}{what}; give an image")
    return Raw(path, data, affine, remarks + _noticed(header, voxels, kind))


def read_t1(path: str | Path) -> nib.Nifti1Image:
    """Read a T1 with its background at 0, and refuse what cannot be one.

    Raises
    ------
    ValueError
        With the file, the value and the remedy.
    """
    raw = read_image(path, "T1")
    check_t1(raw)
    return nib.Nifti1Image(raw.data - raw.data.min(), raw.affine)


def check_t1(raw: Raw) -> None:
    """Refuse what is no T1-weighted scan, as far as its values tell.

    Refused are several frames, a CT (5 % of the voxels or more are air on Hounsfield's
    scale) and masks or label maps (fewer than 16 different values). A PET in the place
    of a T1 cannot be told from one image.

    Raises
    ------
    ValueError
        With the file, the value and the remedy.
    """
    if raw.data.ndim != 3:
        refuse(raw.path, f"shape {raw.data.shape}, expected one 3-D volume as a T1")
    air = np.count_nonzero((raw.data >= AIR[0]) & (raw.data <= AIR[1])) / raw.data.size
    if air >= CT_SHARE:
        refuse(
            raw.path,
            f"{air:.0%} of the voxels lie near -1000, as air does in a CT; give the "
            "T1-weighted MRI",
        )
    flat = raw.data.ravel(order="K")
    few = len(np.unique(flat[:: max(1, flat.size // 100_000)])) < LABELS
    if few and (values := len(np.unique(flat))) < LABELS:
        refuse(
            raw.path,
            f"has {values} different values, as a mask or a label map does; give the "
            "T1-weighted MRI itself",
        )


def _judge(path: Path, kind: str, most_voxels: int):
    """Return header, affine and remarks; shape and place are plausible."""
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}: expected one of {', '.join(KINDS)}")
    header = read_fields(path)
    shape = header.shape
    if (
        len(shape) not in ((3,) if kind == "T1" else (3, 4))
        or min(shape[:3]) < LEAST_VOXELS
    ):
        wanted = "one 3-D volume" if kind == "T1" else "one 3-D volume or 4-D frames"
        refuse(
            path,
            f"shape {shape}, expected {wanted} of {LEAST_VOXELS} voxels or more along "
            "each axis; give the whole image"
            + (", or one volume of it" if len(shape) > 3 else ""),
        )
    frames = shape[3] if len(shape) == 4 else 1
    if math.prod(shape[:3]) > most_voxels:
        refuse(
            path,
            f"shape {shape} is too large, more than {most_voxels:,} voxels a volume; "
            "resample or crop it",
        )
    if frames > MOST_FRAMES or header.voxels > MOST_IN_ALL:
        refuse(
            path,
            f"shape {shape} is too large, more than {MOST_FRAMES} frames or "
            f"{MOST_IN_ALL:,} voxels in all; sum frames first",
        )
    affine, remarks = place(header, kind)
    return header, affine, header.remarks + remarks


def _noticed(header: Header, voxels: Voxels, kind: str) -> tuple[str, ...]:
    said, data = [], voxels.data
    if voxels.spare:
        said.append(f"{voxels.spare:,} bytes follow the voxels; they are ignored")
    if voxels.at_top > SATURATED * data.size:
        said.append(
            f"{voxels.at_top / data.size:.1%} of the voxels have the largest value of "
            f"{header.dtype.name}; the image may be saturated"
        )
    if kind == "T1" and (data < 0).mean() > NEGATIVE:
        said.append(
            f"{(data < 0).mean():.1%} of the voxels are negative; a T1 from a scanner "
            "has none"
        )
    if data.ndim == 4:
        flat = np.ptp(data, axis=(0, 1, 2)) == 0
        if flat.any():
            numbers = ", ".join(str(n + 1) for n in np.flatnonzero(flat))
            said.append(f"constant frames: {numbers}")
    return tuple(said)
