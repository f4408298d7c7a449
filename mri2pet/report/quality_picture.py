"""One picture per prepared scan, by which a person sees what went wrong.

Upper row: the T1 in its own space with the outline of the brain mask. Middle row: in
the box, the prepared MRI with the outline of the template's brain, and the PET over it.
Lower row: the PET before and after motion correction, and the histograms.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mri2pet.cohort import registration
from mri2pet.cohort.brain import mni
from mri2pet.cohort.geometry import grid_affine
from mri2pet.cohort.preprocessing import PreparedPet, PreparedT1
from mri2pet.cohort.registration import Volume
from mri2pet.report.brains import KINDS, draw_slice
from mri2pet.report.slices import middle_mm, slice_of

PLANES = ("sagittal", "coronal", "axial")
COLOURS = {"pass": "#1b7837", "look": "#b35806", "fail": "#b2182b"}


@dataclass(frozen=True)
class Shown:
    """What the picture is made of.

    Attributes
    ----------
    t1 : Volume
        Without bias field, in its own space.
    mask : ndarray
        Of the brain, on the T1's grid.
    mri_DHW, brain_DHW : ndarray
        In the box.
    pet_DHW : ndarray or None
        SUVR in the box.
    before, after : Volume or None
        Mean of the PET's frames, without and with motion correction.
    """

    t1: Volume
    mask: np.ndarray
    mri_DHW: np.ndarray
    brain_DHW: np.ndarray
    pet_DHW: np.ndarray | None = None
    before: Volume | None = None
    after: Volume | None = None


def draw_quality(
    path: Path,
    scan_id: str,
    t1: PreparedT1,
    pet: PreparedPet | None,
    about: dict[str, Any],
) -> None:
    """Draw a scan's picture for quality control and write it as PNG.

    Parameters
    ----------
    path : Path
    scan_id : str
    t1, pet : PreparedT1, PreparedPet or None
    about : dict
        Under t1 and pet: verdict and reasons.
    """
    shown = Shown(t1.brain.t1, t1.brain.mask, t1.mri_DHW, t1.brain_DHW)
    if pet is not None:
        motion = pet.motion
        shown = replace(
            shown, pet_DHW=pet.pet_DHW, before=motion.before, after=motion.mean
        )
    figure = quality_figure(scan_id, shown, about)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    figure.savefig(temporary, dpi=70, format="png", metadata={"Software": None})
    os.replace(temporary, path)


def quality_figure(scan_id: str, shown: Shown, about: dict[str, Any]) -> Figure:
    """Draw a scan's picture for quality control.

    Parameters
    ----------
    scan_id : str
    shown : Shown
    about : dict
        Under t1 and pet: verdict and reasons.
    """
    figure = Figure(figsize=(9, 8.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, 3)
    figure.suptitle(_title(scan_id, about), fontsize=9)
    upright = _upright(shown.t1)
    mask = _upright(shown.t1.with_data(shown.mask.astype(np.float32)))
    for number, (axis, plane) in enumerate(zip(axes[0], PLANES, strict=True)):
        place = _middle_of(mask, number)
        _draw_own(axis, upright, number, place)
        inside = np.take(mask.data, place, number).T
        axis.contour(inside, [0.5], colors="tab:red", linewidths=0.8)
        axis.set_title(f"T1 as given, brain mask ({plane})", fontsize=8)
    template, inside, _ = mni()
    for axis, plane in zip(axes[1], PLANES, strict=True):
        draw_slice(axis, shown.mri_DHW, "mri", plane=plane)
        if shown.pet_DHW is not None:
            _overlay(axis, shown.pet_DHW, plane)
        _outline(axis, template.with_data(inside.astype(np.float32)), plane)
        what = "MRI" if shown.pet_DHW is None else "PET over MRI"
        axis.set_title(f"{what}, outline of MNI152", fontsize=8)
    _lower(axes[2], shown)
    return figure


def _title(scan_id: str, about: dict[str, Any]) -> str:
    parts = [scan_id]
    for kind, name in (("t1", "T1"), ("pet", "PET")):
        if about.get(kind):
            parts.append(f"{name}: {about[kind]['verdict']}")
    return " · ".join(parts)


def _upright(volume: Volume) -> Volume:
    """The same voxels with axes to right, anterior and superior."""
    image = nib.as_closest_canonical(nib.Nifti1Image(volume.data, volume.affine))
    return Volume(np.asarray(image.dataobj), image.affine)


def _middle_of(mask: Volume, axis: int) -> int:
    where = np.flatnonzero(mask.data.any(axis=tuple(a for a in range(3) if a != axis)))
    return int(where.mean()) if where.size else mask.data.shape[axis] // 2


def _draw_own(axis, volume: Volume, number: int, place: int, cmap="gray") -> None:
    image = np.take(volume.data, place, number).T
    columns, rows = (s for a, s in enumerate(volume.sizes) if a != number)
    top = float(np.quantile(volume.data[::2, ::2, ::2], 0.998)) or 1.0
    axis.imshow(
        image, origin="lower", cmap=cmap, vmin=0, vmax=top, aspect=rows / columns
    )
    axis.set_axis_off()


def _overlay(axis, pet_DHW: np.ndarray, plane: str) -> None:
    image, extent = slice_of(pet_DHW, plane, middle_mm(plane))
    kind = KINDS["pet"]
    axis.imshow(
        image,
        origin="lower",
        extent=extent,
        cmap=kind.cmap,
        vmin=kind.low,
        vmax=kind.high,
        alpha=0.45,
        interpolation="bilinear",
    )


def _outline(axis, inside: Volume, plane: str) -> None:
    """Outline of the template's brain in the box."""
    shape = (84, 104, 88)
    grid = registration.resample(
        inside, shape[::-1], grid_affine(shape), interpolation="linear"
    ).T
    image, extent = slice_of(grid, plane, middle_mm(plane))
    axis.contour(
        image, [0.5], colors="tab:cyan", linewidths=0.7, origin="lower", extent=extent
    )


def _lower(axes, shown: Shown) -> None:
    if shown.pet_DHW is None:
        for axis in axes[:2]:
            axis.set_axis_off()
        axes[0].text(0.5, 0.5, "no PET", ha="center", transform=axes[0].transAxes)
    else:
        for axis, volume, name in (
            (axes[0], shown.before, "before"),
            (axes[1], shown.after, "after"),
        ):
            whole = _upright(volume)
            _draw_own(axis, whole, 2, whole.data.shape[2] // 2, "magma")
            axis.set_title(f"PET {name} motion correction", fontsize=8)
    last = axes[2]
    values = shown.mri_DHW[shown.mri_DHW > 0]
    last.hist(values, bins=60, histtype="step", color="black", density=True)
    last.set_xlabel("T1 in the brain (black)", fontsize=8)
    last.set_yticks([])
    if shown.pet_DHW is not None:
        twin = last.twiny()
        inside = shown.pet_DHW[shown.brain_DHW > 0]
        twin.hist(inside, bins=60, histtype="step", color="tab:purple", density=True)
        twin.set_xlabel("SUVR in the brain (purple)", fontsize=8)
