"""A smooth map from the template to a person's T1: affine, then B-splines.

A rigid or affine alignment of an unusual brain follows its edges, not its mean pose.
With the deformation known, mask and regions follow the person's own shape, and the
rigid map into the common box is the nearest one to the whole deformation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813 - as its own documentation has it
from scipy import ndimage

from mri2pet.cohort import registration
from mri2pet.cohort.registration import Volume
from mri2pet.cohort.rigid import apply

MESH = 6  # B-spline cells along each axis, about 30 mm wide
FIRST_ITERATIONS, ITERATIONS = 8, 30
SAMPLING = 0.25  # share of the template's voxels; less for a T1 coarser than these
_FIELD_MM = 4.0
_KNOTS_MM = 6.0  # the splines bend over 30 mm: between these knots they are straight
_INVERSIONS, _NEAR_MM = 15, 0.01


@dataclass(frozen=True)
class Deformation:
    """Where each point of the template lies in a T1.

    Attributes
    ----------
    matrix : ndarray, shape (4, 4)
        Affine part, t1_from_template.
    field : ndarray, shape (x, y, z, 3)
        Displacement in mm (RAS) in the template's space, before the affine part.
    field_affine : ndarray, shape (4, 4)
        Of the field's grid, template mm.
    information : float
        Mutual information in the end.
    """

    matrix: np.ndarray
    field: np.ndarray
    field_affine: np.ndarray
    information: float

    def shifts(self, points_mm: np.ndarray) -> np.ndarray:
        """Displacement at points of the template's space, (N, 3) mm."""
        voxel = apply(np.linalg.inv(self.field_affine), points_mm).T
        return np.stack(
            [
                ndimage.map_coordinates(self.field[..., i], voxel, order=1)
                for i in range(3)
            ],
            axis=-1,
        )

    def to_t1(self, points_mm: np.ndarray) -> np.ndarray:
        """Points of the template in the T1's space."""
        return apply(self.matrix, points_mm + self.shifts(points_mm))

    def to_template(self, points_mm: np.ndarray) -> np.ndarray:
        """Points of the T1's space in the template's, by fixed-point iteration."""
        wanted = apply(np.linalg.inv(self.matrix), points_mm)
        found = wanted
        for _ in range(_INVERSIONS):
            before, found = found, wanted - self.shifts(found)
            if np.abs(found - before).max() < _NEAR_MM:
                break
        return found

    def template_points(self, shape, affine: np.ndarray) -> np.ndarray:
        """Where in the template the voxels of a grid in the T1's space lie.

        Parameters
        ----------
        shape : tuple of int
        affine : ndarray, shape (4, 4)
            Of the grid, to the T1's RAS mm.

        Returns
        -------
        ndarray, float32, shape (*shape, 3)
            In mm. The map is smooth: it is inverted on every few voxels only.
        """
        sizes = np.linalg.norm(affine[:3, :3], axis=0)
        steps = np.maximum(1, np.round(_KNOTS_MM / sizes)).astype(int)
        knots = [np.arange(0, n + s, s) for n, s in zip(shape, steps, strict=True)]
        voxels = np.stack(np.meshgrid(*knots, indexing="ij"), axis=-1)
        found = self.to_template(apply(affine, voxels.reshape(-1, 3)))
        found = found.reshape(voxels.shape).astype(np.float32)
        for axis, (n, step) in enumerate(zip(shape, steps, strict=True)):
            found = _between(found, axis, np.arange(n) / step)
        return found


def _between(values: np.ndarray, axis: int, where: np.ndarray) -> np.ndarray:
    """Linear interpolation along one axis, at fractions of its steps."""
    low = np.minimum(where.astype(int), values.shape[axis] - 2)
    share = (where - low).astype(np.float32)
    share = share.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    below, above = np.take(values, low, axis), np.take(values, low + 1, axis)
    return below + share * (above - below)


def deform(
    template: Volume, t1: Volume, starts: list[np.ndarray], around: np.ndarray
) -> Deformation:
    """Refine an alignment by B-splines (Rueckert et al. 1999).

    Parameters
    ----------
    template, t1 : Volume
    starts : list of ndarray, shape (4, 4)
        First guesses of t1_from_template. Each is bent a little, and the one that then
        tells most is bent to the end: the affine map that is best alone can stretch an
        unusual brain in a way that bending does not undo.
    around : ndarray of bool
        Voxels of the template that count.
    """
    fixed = registration.to_itk(template)
    splines = [sitk.BSplineTransformInitializer(fixed, [MESH] * 3, 3) for _ in starts]

    share = SAMPLING * min(1.0, float(np.prod(template.sizes) / np.prod(t1.sizes)))

    def bend(number: int, iterations: int) -> float:
        method = registration.comparison(template, around, "information", share)
        method.SetMovingInitialTransform(registration.itk_transform(starts[number]))
        method.SetInitialTransform(splines[number], inPlace=True)
        method.SetOptimizerAsLBFGSB(
            gradientConvergenceTolerance=1e-5, numberOfIterations=iterations
        )
        registration.set_levels(method, ((2, 2.0),))
        registration.execute(method, template, t1)
        return -float(method.GetMetricValue())

    first = [bend(number, FIRST_ITERATIONS) for number in range(len(starts))]
    best = int(np.argmax(first))
    information = bend(best, ITERATIONS)
    grid = registration.coarser(template, _FIELD_MM)
    image = registration.to_itk(grid)
    field = sitk.TransformToDisplacementField(
        splines[best],
        sitk.sitkVectorFloat32,
        image.GetSize(),
        image.GetOrigin(),
        image.GetSpacing(),
        image.GetDirection(),
    )
    shifts = sitk.GetArrayFromImage(field).transpose(2, 1, 0, 3)
    shifts = shifts * np.float32([-1, -1, 1])  # LPS to RAS
    return Deformation(starts[best], shifts, grid.affine, information)
