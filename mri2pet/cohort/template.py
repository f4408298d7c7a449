"""The MNI152 2009 template with its grey- and white-matter maps.

nilearn ships them, so nothing is downloaded. Reference: Fonov et al., Unbiased
average age-appropriate atlases for pediatric studies, NeuroImage 54 (2011).
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from mri2pet.cohort import geometry


@dataclass(frozen=True)
class Segmented:
    """A brain-extracted T1 with tissue fractions, arrays (z, y, x), RAS+.

    Attributes
    ----------
    name : str
    t1, gm, wm, mask : numpy.ndarray, float32
        T1 with white matter near 0.87; fractions in [0, 1].
    first_mm, size_mm : tuple of float
        First voxel centre and voxel size, (z, y, x), MNI mm.
    """

    name: str
    t1: np.ndarray
    gm: np.ndarray
    wm: np.ndarray
    mask: np.ndarray
    first_mm: tuple
    size_mm: tuple


def _to_zyx(image):
    """An image as an RAS+ array (z, y, x), its first voxel and its voxel size."""
    import nibabel as nib

    image = nib.as_closest_canonical(image)
    off_axis = image.affine[:3, :3] - np.diag(np.diag(image.affine)[:3])
    if np.abs(off_axis).max() > 1e-3:
        raise ValueError(
            f"{image.get_filename()}: axes are oblique to MNI152; resample it first"
        )
    data = np.asarray(image.dataobj, dtype=np.float32).transpose(2, 1, 0)
    if not np.isfinite(data).all():
        raise ValueError(f"{image.get_filename()}: holds NaN or infinite values")
    size = tuple(float(v) for v in np.diag(image.affine)[:3][::-1])
    first = tuple(float(v) for v in image.affine[:3, 3][::-1])
    return np.ascontiguousarray(data), first, size


def mni152():
    """The bundled template at 1 mm: a :class:`Segmented`."""
    import nibabel as nib

    # Finding the package, not importing it: the import alone takes a second.
    spec = find_spec("nilearn")
    if spec is None:
        raise ImportError("nilearn holds the MNI152 template: pip install nilearn")
    folder = Path(spec.origin).parent / "datasets" / "data"
    maps = {}
    for key in ("t1", "gm", "wm"):
        file = folder / f"mni_icbm152_{key}_tal_nlin_sym_09a_converted.nii.gz"
        maps[key], first, size = _to_zyx(nib.load(file))
    # The threshold of nilearn's load_mni152_brain_mask.
    mask = maps["t1"] > 0.2 * maps["t1"].max()
    return _segmented("MNI152", maps["t1"], maps["gm"], maps["wm"], mask, first, size)


def _segmented(name, t1, gm, wm, mask, first, size):
    """Scale to [0, 1], drop everything outside the mask, make fractions sum to one."""
    mask = (mask > 0).astype(np.float32)
    scale = 255.0 if max(gm.max(), wm.max()) > 1.5 else 1.0
    gm, wm = gm / scale * mask, wm / scale * mask
    total = np.maximum(gm + wm, 1.0)
    gm, wm = gm / total, wm / total
    white = t1[wm > 0.9]
    if white.size < 100:
        raise ValueError(f"{name}: the white-matter map holds no white matter")
    t1 = t1 * (0.87 / np.median(white)) * mask
    return Segmented(name, t1, gm, wm, mask, first, size)


def load_anatomies(folder):
    """Segmented brains of a folder, in the order of their names.

    Files ``NAME_T1w.nii.gz``, ``NAME_GM.nii.gz`` and ``NAME_WM.nii.gz`` (``.nii``
    too): brain-extracted, rigidly aligned to MNI152 at the person's own size, one
    grid per person, tissue probabilities in [0, 1].

    Raises
    ------
    ValueError
        If the folder holds none, or a map is missing or lies on another grid.
    """
    import nibabel as nib

    folder = Path(folder)
    found = sorted([*folder.glob("*_T1w.nii.gz"), *folder.glob("*_T1w.nii")])
    if not found:
        raise ValueError(
            f"{folder}: no NAME_T1w.nii.gz; an anatomy is NAME_T1w, NAME_GM and "
            "NAME_WM side by side"
        )
    brains = []
    for file in found:
        name, suffix = file.name.split("_T1w", 1)
        maps = {}
        for key in ("T1w", "GM", "WM"):
            part = folder / f"{name}_{key}{suffix}"
            if not part.exists():
                raise ValueError(f"{part}: missing beside {file.name}")
            maps[key], first, size = _to_zyx(nib.load(part))
            if maps[key].shape != maps["T1w"].shape:
                raise ValueError(f"{part}: grid differs from {file.name}")
        mask = maps["T1w"] > 0
        brains.append(
            _segmented(name, maps["T1w"], maps["GM"], maps["WM"], mask, first, size)
        )
    return tuple(brains)


def on_box(brain, maps_CDHW, shape):
    """Maps on a brain's own grid at the cells of a grid of the box.

    Parameters
    ----------
    brain : Segmented
    maps_CDHW : numpy.ndarray
        On the brain's grid.
    shape : tuple of int
        Grid of the box, (z, y, x); about as fine as the maps, or they alias.

    Returns
    -------
    torch.Tensor, shape (C, *shape)
        0 where the brain's grid does not reach.
    """
    world = geometry.world_grid(shape)[None]
    where = geometry.normalised(
        world, brain.first_mm, brain.size_mm, maps_CDHW.shape[1:]
    )
    return torch.nn.functional.grid_sample(
        torch.from_numpy(np.ascontiguousarray(maps_CDHW))[None],
        where,
        align_corners=False,
    )[0]
