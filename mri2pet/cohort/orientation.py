"""Where an image lies: the affine of a NIfTI header, and whether it can be believed.

Rules. The sform is used where its code is above 0, else the qform; an image with
neither is refused, for its left and right are unknown. Sizes are taken as mm whatever
the header's unit, because files that truly are in metres or micrometres give themselves
away by their size.
"""

from __future__ import annotations

import numpy as np
from nibabel.affines import apply_affine, voxel_sizes

from mri2pet.cohort.files import refuse
from mri2pet.cohort.nifti import Header

SIZES_MM = (0.2, 10.0)  # of a voxel; refused outside
COARSE_MM = {"T1": 3.0, "PET": 6.0}  # remarked above
EXTENT_MM = (80.0, 400.0)  # along an axis; no head T1 outside, a remark for a PET
APART_MM, APART_DEG = 2.0, 2.0  # sform and qform; remarked above
AWAY_MM = (500.0, 10_000.0)  # centre from the origin; remarked, refused
SHEAR = (0.1, 0.99)  # volume of a voxel over that of a box; refused, remarked below
UNITS = {1: "metres", 3: "micrometres"}


def place(header: Header, kind: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Choose the affine of an image and judge it.

    Parameters
    ----------
    header : Header
    kind : {"T1", "PET"}

    Returns
    -------
    affine : ndarray, shape (4, 4), float64
        Voxel to RAS mm.
    remarks : tuple of str

    Raises
    ------
    ValueError
        With the file, the value and the remedy.
    """
    _check_pixdim(header)
    name, affine = _chosen(header)
    sizes = _check_columns(header, name, affine)
    _check_sizes(header, sizes)
    return affine, (
        *_unit(header, sizes),
        *_grid(header, kind, affine, sizes),
        *_two_forms(header),
    )


def _check_pixdim(header: Header) -> None:
    sizes = np.array(header.pixdim)
    if not np.isfinite(sizes).all() or (sizes <= 0).any():
        bad = "not finite"
        if np.isfinite(sizes).all():
            bad = "negative" if (sizes < 0).any() else "0"
        refuse(
            header.path,
            f"voxel sizes {_mm(sizes)} mm (pixdim): {bad}, expected "
            f"{SIZES_MM[0]:g} to {SIZES_MM[1]:g}; convert it again",
        )


def _chosen(header: Header) -> tuple[str, np.ndarray]:
    if header.sform is not None:
        return "sform", header.sform
    if header.qform is not None:
        return "qform", header.qform
    return refuse(
        header.path,
        "has no orientation (qform_code and sform_code are 0), so left and right are "
        "unknown; convert it again from DICOM with dcm2niix",
    )


def _check_columns(header: Header, name: str, affine: np.ndarray) -> np.ndarray:
    remedy = "; convert it again"
    if not np.isfinite(affine).all():
        text = f"{name} holds NaN or infinite values or cannot be decoded"
        refuse(header.path, text + remedy)
    columns = affine[:3, :3]
    sizes = voxel_sizes(affine)
    if (sizes == 0).any():
        axis = "xyz"[int(np.argmin(sizes))]
        refuse(header.path, f"{name} has a zero column (axis {axis}){remedy}")
    volume = abs(np.linalg.det(columns / sizes))
    if not volume > SHEAR[0]:
        text = f"{name} is singular or nearly so (axes span {volume:.3g} of a box)"
        refuse(header.path, text + remedy)
    return sizes


def _check_sizes(header: Header, sizes: np.ndarray) -> None:
    low, high = SIZES_MM
    if ((sizes >= low) & (sizes <= high)).all():
        return
    why = "convert it again"
    for factor, unit in ((1e3, "metres"), (1e-3, "micrometres")):
        if ((sizes * factor >= low) & (sizes * factor <= high)).all():
            why = f"they look like {unit}, save it in mm"
    refuse(
        header.path,
        f"voxel sizes {_mm(sizes)} mm, expected {low:g} to {high:g}; {why}",
    )


def _unit(header: Header, sizes: np.ndarray) -> list[str]:
    said = []
    if header.unit in UNITS:
        said.append(
            f"the header's unit is {UNITS[header.unit]}, but voxels of {_mm(sizes)} "
            "can only be mm; taken as mm"
        )
    elif header.unit not in {0, 2}:
        said.append(f"the header's unit {header.unit} is unknown; taken as mm")
    if not np.allclose(sizes, header.pixdim, rtol=0.02):
        said.append(
            f"voxel sizes {_mm(header.pixdim)} mm (pixdim) differ from those of the "
            f"affine, {_mm(sizes)} mm, which is used"
        )
    return said


def _grid(header: Header, kind: str, affine: np.ndarray, sizes: np.ndarray):
    said = []
    shape = np.array(header.shape[:3], dtype=float)
    low, high = EXTENT_MM
    extents = shape * sizes
    if ((extents < low) | (extents > high)).any():
        text = (
            f"extents {_mm(extents)} mm, a head scan has {low:g} to {high:g} along "
            "each axis"
        )
        if kind == "T1":
            refuse(header.path, f"{text}; give a scan of the whole head, and only it")
        said.append(text)
    if sizes.max() > COARSE_MM[kind]:
        said.append(f"coarse voxels, {_mm(sizes)} mm: small structures are lost")
    volume = abs(np.linalg.det(affine[:3, :3] / sizes))
    if volume < SHEAR[1]:
        said.append(f"the affine is sheared (axes span {volume:.3f} of a box)")
    away = float(np.linalg.norm(apply_affine(affine, (shape - 1) / 2)))
    if away > AWAY_MM[1]:
        refuse(
            header.path,
            f"its centre lies {away:.3g} mm from the origin; the affine is damaged, "
            "convert it again",
        )
    if away > AWAY_MM[0]:
        said.append(f"its centre lies {away:.0f} mm from the origin")
    return said


def _two_forms(header: Header) -> list[str]:
    sform, qform = header.sform, header.qform
    if sform is None or qform is None:
        return []
    if not np.isfinite(qform).all():
        return ["the qform cannot be decoded; the sform is used"]
    if np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0:
        refuse(
            header.path,
            "sform and qform are of opposite handedness, so left and right cannot be "
            "told; convert it again from DICOM with dcm2niix",
        )
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(header.shape[:3]) - 1)
    gap = apply_affine(sform, corners) - apply_affine(qform, corners)
    apart = float(np.linalg.norm(gap, axis=1).max())
    turn = _rotation(sform).T @ _rotation(qform)
    angle = float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
    if apart <= APART_MM and angle <= APART_DEG:
        return []
    return [
        f"sform and qform differ by {apart:.1f} mm at a corner and {angle:.1f} degrees"
        "; the sform is used"
    ]


def _rotation(affine: np.ndarray) -> np.ndarray:
    left, _, right = np.linalg.svd(affine[:3, :3] / voxel_sizes(affine))
    return left @ right


def _mm(sizes) -> str:
    return " x ".join(f"{v:.4g}" for v in sizes)
