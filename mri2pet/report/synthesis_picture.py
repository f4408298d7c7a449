"""What `mri2pet synthesize` made, in the T1's own space, to be looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mri2pet.report.brains import KINDS

if TYPE_CHECKING:
    from mri2pet.stages.real import RealSynthesis

_PLANES = ("sagittal", "coronal", "axial")


def draw_synthesis(made: RealSynthesis, path: Path) -> None:
    """Draw T1, brain mask and synthetic PET through the middle of the brain.

    Parameters
    ----------
    made : RealSynthesis
    path : Path
        PNG to write.
    """
    affine = made.t1.affine
    t1, pet, brain = (
        nib.as_closest_canonical(nib.Nifti1Image(np.asarray(v), affine))
        for v in (
            made.t1.dataobj,
            made.pet.dataobj,
            made.placed.brain.astype(np.float32),
        )
    )
    sizes = nib.affines.voxel_sizes(t1.affine)
    data, inside = np.asarray(t1.dataobj), np.asarray(brain.dataobj) > 0
    uptake = np.asarray(pet.dataobj)
    middle = np.argwhere(inside).mean(axis=0).astype(int)
    top, kind = np.quantile(data, 0.998), KINDS["pet"]
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3)
    for number, plane in enumerate(_PLANES):
        columns, rows = np.delete(sizes, number)
        place = {"origin": "lower", "aspect": rows / columns}
        t1_slice, mask, pet_slice = (
            np.take(v, middle[number], number).T for v in (data, inside, uptake)
        )
        axes[0, number].imshow(t1_slice, cmap="gray", vmin=0, vmax=top, **place)
        axes[0, number].contour(mask, [0.5], colors="tab:red", linewidths=0.8)
        axes[0, number].set_title(f"T1 and brain mask, {plane}", fontsize=9)
        shown = axes[1, number].imshow(
            pet_slice, cmap=kind.cmap, vmin=kind.low, vmax=kind.high, **place
        )
        axes[1, number].set_title("synthetic PET", fontsize=9)
    for axis in axes.ravel():
        axis.set_axis_off()
    figure.colorbar(shown, ax=axes[1], label="SUVR", shrink=0.8)
    figure.suptitle(f"{made.card['Sources'][0]}: {made.card['Notice']}", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    figure.savefig(temporary, dpi=90, format="png")
    os.replace(temporary, path)
