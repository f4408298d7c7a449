"""Checks of chapter 2: affines, products of maps, and the reference region."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mri2pet.cohort import rigid
from mri2pet.exercises import Wrong, as_function


def _affine(seed: int) -> np.ndarray:
    """Affine of a scanner: turned, voxels of three sizes, stored in any order."""
    rng = np.random.default_rng(seed)
    matrix = rigid.rigid(rng.uniform(-15, 15, 3), rng.uniform(-80, 80, 3))
    matrix[:3, :3] = matrix[:3, :3] * rng.uniform(1, 4, 3)
    return matrix[:, [*rng.permutation(3), 3]]


def _array(answer: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    try:
        value = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        raise Wrong(f"I expected {what}, an array of shape {shape}.") from None
    if value.shape != shape:
        raise Wrong(f"I expected {what} of shape {shape}; yours has {value.shape}.")
    return value


def places(affine: Any, voxels: Any) -> np.ndarray:
    """Voxel numbers to mm (solution of 2.1).

    Parameters
    ----------
    affine : ndarray, shape (4, 4)
    voxels : ndarray, shape (N, 3)
    """
    return rigid.apply(np.asarray(affine), np.asarray(voxels))


def check_places(answer: Any) -> None:
    """2.1: a function of an affine and voxel numbers."""
    function = as_function(answer)
    voxels = np.random.default_rng(7).integers(0, 100, (5, 3))
    for seed in range(3):
        affine = _affine(seed)
        value = _array(function(affine.copy(), voxels.copy()), (5, 3), "places in mm")
        right = places(affine, voxels)
        if np.allclose(value, right, atol=1e-6):
            continue
        if np.allclose(value, voxels @ affine[:3, :3].T, atol=1e-6):
            raise Wrong("Voxel (0, 0, 0) does not lie at 0 mm: add the last column.")
        if np.allclose(value, voxels @ affine[:3, :3] + affine[:3, 3], atol=1e-6):
            raise Wrong(
                "Your points are rows, so the matrix must be transposed: `voxels @ "
                "affine[:3, :3].T`."
            )
        raise Wrong(
            "For each voxel append a 1, multiply by the affine from the left, and take "
            "the first three numbers."
        )


def box_from_voxel(pet_affine: Any, t1_from_pet: Any, box_from_t1: Any) -> np.ndarray:
    """One matrix from the voxels of a PET to the box (solution of 2.2).

    Parameters
    ----------
    pet_affine, t1_from_pet, box_from_t1 : ndarray, shape (4, 4)
    """
    return box_from_t1 @ t1_from_pet @ pet_affine


def check_box_from_voxel(answer: Any) -> None:
    """2.2: a function of three matrices."""
    function = as_function(answer)
    pet_affine = _affine(3)
    t1_from_pet = rigid.rigid((4, -7, 11), (3, -12, 8))
    box_from_t1 = rigid.rigid((-9, 2, 5), (-6, 1, 14))
    value = _array(
        function(pet_affine.copy(), t1_from_pet.copy(), box_from_t1.copy()),
        (4, 4),
        "one matrix",
    )
    if np.allclose(value, box_from_voxel(pet_affine, t1_from_pet, box_from_t1)):
        return
    if np.allclose(value, pet_affine @ t1_from_pet @ box_from_t1):
        raise Wrong("The other way round: what acts first stands on the right.")
    if np.allclose(value, box_from_t1 @ t1_from_pet):
        raise Wrong("This takes mm to mm. The affine, from voxels to mm, is missing.")
    raise Wrong(
        "Read the names from right to left: voxel to mm of the PET, PET to T1, T1 to "
        "box."
    )


def rescued(scaled: Any, reference: Any) -> np.ndarray:
    """SUVR of a PET that was scaled by an unknown factor (solution of 2.3).

    Parameters
    ----------
    scaled, reference : ndarray, shape (D, H, W)
        The PET, and the weights of the reference region.
    """
    return scaled * reference.sum() / (scaled * reference).sum()


def check_rescued(answer: Any) -> None:
    """2.3: a function of a scaled PET and the weights of the cerebellum."""
    function = as_function(answer)
    rng = np.random.default_rng(11)
    shape = (4, 5, 6)
    reference = rng.random(shape) * (rng.random(shape) > 0.7)
    suvr = rescued(rng.gamma(4.0, 0.3, shape) * (rng.random(shape) > 0.3), reference)
    scaled = suvr / suvr.max()
    value = _array(function(scaled.copy(), reference.copy()), shape, "a volume")
    if np.allclose(value, suvr, atol=1e-6):
        return
    plain = scaled / scaled[reference > 0].mean()
    if np.allclose(value, plain, atol=1e-6):
        raise Wrong(
            "Nearly: the mean over the reference region is a weighted one, "
            "`(reference * scaled).sum() / reference.sum()`."
        )
    if np.allclose(value, scaled / (scaled * reference).sum(), atol=1e-6):
        raise Wrong("A weighted mean is divided by the sum of the weights.")
    raise Wrong(
        "Divide the whole volume by its own mean over the reference region. The "
        "unknown factor cancels."
    )


CHECKS: dict[str, Callable[[Any], None]] = {
    "2.1": check_places,
    "2.2": check_box_from_voxel,
    "2.3": check_rescued,
}
SOLUTIONS: dict[str, Callable[[], Any]] = {
    "2.1": lambda: places,
    "2.2": lambda: box_from_voxel,
    "2.3": lambda: rescued,
}
