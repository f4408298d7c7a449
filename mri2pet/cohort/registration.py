"""Rigid and affine registration, bias field and resampling, on SimpleITK.

This module is the only one that speaks ITK's language (LPS, z y x, transforms from the
fixed to the moving image); everything that it takes and gives is nibabel's: arrays
(x, y, z) and affines in RAS mm.

The optimiser's settings matter: with plain gradient descent and random samples most
alignments of a head end 1 to 12 mm off. Regular steps, scales from physical shift and
regular sampling converge.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813 - as its own documentation has it

from mri2pet.cohort.rigid import rigid

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
BINS = 32
SEED = 4  # ITK moves regular samples a little, by the clock if it is not told
GUESS_MM = 8.0  # voxel on which first guesses are compared
STEPS = {"rigid": 2.0, "affine": 0.5}  # mm; with 2 an affine map can run away
STEP_MIN, ITERATIONS, RELAXATION = 1e-3, 300, 0.6


@dataclass(frozen=True)
class Volume:
    """A volume with its place in the world.

    Attributes
    ----------
    data : ndarray, shape (x, y, z)
    affine : ndarray, shape (4, 4)
        Voxel to RAS mm; its columns are orthogonal.
    """

    data: np.ndarray
    affine: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """Voxel sizes in mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    def with_data(self, data: np.ndarray) -> Volume:
        """Other values on the same grid."""
        return Volume(data, self.affine)


def to_itk(volume: Volume) -> sitk.Image:
    """Volume as an ITK image of the same geometry."""
    image = sitk.GetImageFromArray(
        np.ascontiguousarray(volume.data.T, dtype=np.float32)
    )
    lps = _LPS @ volume.affine
    sizes = volume.sizes
    image.SetSpacing([float(s) for s in sizes])
    image.SetOrigin([float(v) for v in lps[:3, 3]])
    image.SetDirection([float(v) for v in (lps[:3, :3] / sizes).ravel()])
    return image


def from_itk(image: sitk.Image) -> Volume:
    """ITK image as a volume."""
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return Volume(sitk.GetArrayFromImage(image).T, _LPS @ affine)


def itk_transform(matrix: np.ndarray) -> sitk.AffineTransform:
    """RAS 4 x 4 map of points as an ITK transform."""
    lps = _LPS @ matrix @ _LPS
    transform = sitk.AffineTransform(3)
    transform.SetMatrix([float(v) for v in lps[:3, :3].ravel()])
    transform.SetTranslation([float(v) for v in lps[:3, 3]])
    return transform


def _matrix(transform) -> np.ndarray:
    """RAS 4 x 4 map of points of a rigid or affine ITK transform."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    for axis, unit in enumerate(np.eye(3)):
        matrix[:3, axis] = np.array(transform.TransformPoint(unit.tolist())) - origin
    matrix[:3, 3] = origin
    return _LPS @ matrix @ _LPS


def resample(
    volume: Volume,
    shape,
    affine: np.ndarray,
    volume_from_grid: np.ndarray | None = None,
    *,
    interpolation: str = "sinc",
) -> np.ndarray:
    """Values of a volume at the voxels of another grid.

    Parameters
    ----------
    volume : Volume
    shape : tuple of int
        (x, y, z) of the grid.
    affine : ndarray, shape (4, 4)
        Of the grid, to RAS mm of its own space.
    volume_from_grid : ndarray, shape (4, 4), optional
        Where a point of the grid's space lies in the volume's; default: there.
    interpolation : {"sinc", "spline", "linear", "nearest"}
        Lanczos-windowed sinc, cubic B-spline, trilinear, or the nearest voxel.

    Returns
    -------
    ndarray, float32, shape (x, y, z)
        0 where the volume does not reach.
    """
    kinds = {
        "sinc": sitk.sitkLanczosWindowedSinc,
        "spline": sitk.sitkBSpline,
        "linear": sitk.sitkLinear,
        "nearest": sitk.sitkNearestNeighbor,
    }
    if interpolation not in kinds:
        raise ValueError(
            f"interpolation {interpolation!r}: expected one of {', '.join(kinds)}"
        )
    shape = tuple(int(n) for n in shape)
    grid = to_itk(Volume(np.zeros((1, 1, 1), np.float32), affine))
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(shape)
    resampler.SetOutputSpacing(grid.GetSpacing())
    resampler.SetOutputOrigin(grid.GetOrigin())
    resampler.SetOutputDirection(grid.GetDirection())
    resampler.SetInterpolator(kinds[interpolation])
    resampler.SetDefaultPixelValue(0.0)
    resampler.SetTransform(
        itk_transform(np.eye(4) if volume_from_grid is None else volume_from_grid)
    )
    return sitk.GetArrayFromImage(resampler.Execute(to_itk(volume))).T


def coarser(volume: Volume, mm: float) -> Volume:
    """A volume of voxels of at least ``mm``, smoothed before it is sampled."""
    sizes = volume.sizes
    wanted = np.maximum(sizes, mm)
    if np.allclose(wanted, sizes, rtol=0.05):
        return volume
    sigma = np.sqrt(np.clip(wanted**2 - sizes**2, 0.0, None)) / 2.3548
    image = to_itk(volume)
    for axis in range(3):
        if sigma[axis] > 0.25 * sizes[axis]:
            image = sitk.RecursiveGaussian(image, float(sigma[axis]), direction=axis)
    extent = np.array(volume.data.shape) * sizes
    shape = np.maximum(np.round(extent / wanted), 1).astype(int)
    step = extent / shape
    affine = volume.affine.copy()
    affine[:3, :3] = affine[:3, :3] / sizes * step
    affine[:3, 3] += volume.affine[:3, :3] @ ((step / sizes - 1) / 2)
    smooth = from_itk(image)
    return Volume(resample(smooth, shape, affine, interpolation="linear"), affine)


def register(
    fixed: Volume,
    moving: Volume,
    *,
    start: np.ndarray,
    kind: str = "rigid",
    fixed_mask: np.ndarray | None = None,
    metric: str = "information",
    levels: tuple[tuple[int, float], ...] = ((4, 4.0), (2, 2.0), (1, 0.0)),
    sampling: float = 0.2,
) -> tuple[np.ndarray, float]:
    """Find where each point of one image lies in another.

    Parameters
    ----------
    fixed, moving : Volume
    start : ndarray, shape (4, 4)
        First guess of ``moving_from_fixed``.
    kind : {"rigid", "affine"}
    fixed_mask : ndarray of bool, optional
        Voxels of the fixed image that count.
    metric : {"information", "correlation"}
        Mattes' mutual information, or normalised correlation for images of one kind.
    levels : tuple of (int, float)
        Shrink factor and smoothing (mm) of each resolution, coarse to fine.
    sampling : float
        Share of the voxels that are looked at, in a regular pattern.

    Returns
    -------
    moving_from_fixed : ndarray, shape (4, 4)
    value : float
        Of the metric, larger is better.

    Raises
    ------
    ValueError
        The images do not overlap, or an unknown kind or metric.
    """
    if kind not in ("rigid", "affine"):
        raise ValueError(f"kind {kind!r}: expected rigid or affine")
    method = comparison(fixed, fixed_mask, metric, sampling)
    method.SetOptimizerAsRegularStepGradientDescent(
        STEPS[kind], STEP_MIN, ITERATIONS, RELAXATION, 1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    set_levels(method, levels)
    method.SetInitialTransform(_initial(start, kind, middle(fixed)), inPlace=True)
    found = execute(method, fixed, moving)
    return _matrix(found), -float(method.GetMetricValue())


def comparison(fixed, fixed_mask, metric: str, sampling: float):
    """A registration that knows how to compare, but not yet how to move."""
    method = sitk.ImageRegistrationMethod()
    if metric == "information":
        method.SetMetricAsMattesMutualInformation(BINS)
    elif metric == "correlation":
        method.SetMetricAsCorrelation()
    else:
        raise ValueError(f"metric {metric!r}: expected information or correlation")
    if fixed_mask is not None:
        mask = to_itk(fixed.with_data(fixed_mask.astype(np.float32)))
        method.SetMetricFixedMask(sitk.Cast(mask > 0.5, sitk.sitkUInt8))
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(sampling, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    return method


@contextmanager
def _one_thread():
    """Sum in one order, so that the same images give the same bytes."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def set_levels(method, levels) -> None:
    """Shrink factor and smoothing (mm) of each resolution, coarse to fine."""
    method.SetShrinkFactorsPerLevel([shrink for shrink, _ in levels])
    method.SetSmoothingSigmasPerLevel([sigma for _, sigma in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()


def execute(method, fixed: Volume, moving: Volume):
    """Run a registration; its transform, or a ValueError."""
    try:
        with _one_thread():
            return method.Execute(to_itk(fixed), to_itk(moving))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].split(": ")[-1]
        raise ValueError(f"registration failed ({reason})") from None


def best_starts(
    fixed: Volume,
    moving: Volume,
    start: np.ndarray,
    *,
    fixed_mask: np.ndarray | None = None,
    degrees=(-18.0, 0.0, 18.0),
    shifts_mm=(-15.0, 0.0, 15.0),
    keep: int = 3,
) -> list[np.ndarray]:
    """First guesses of an alignment, the best of a grid of turns and shifts.

    Parameters
    ----------
    fixed, moving : Volume
        As in :func:`register`.
    start : ndarray, shape (4, 4)
        In the middle of the grid, ``moving_from_fixed``.
    fixed_mask : ndarray of bool, optional
    degrees : sequence of float
        Turns about each of the three axes.
    shifts_mm : sequence of float
        Shifts up and down, where heads are cut differently.
    keep : int

    Returns
    -------
    list of ndarray, shape (4, 4)
        By mutual information, best first.
    """
    small, mask = coarser(fixed, GUESS_MM), None
    if fixed_mask is not None:
        soft = coarser(fixed.with_data(fixed_mask.astype(np.float32)), GUESS_MM)
        mask = soft.data > 0.5
    other = coarser(moving, GUESS_MM)
    method = comparison(small, mask, "information", 1.0)
    centre = middle(fixed)
    images = to_itk(small), to_itk(other)
    found = []
    for turn in itertools.product(degrees, repeat=3):
        for shift in shifts_mm:
            guess = start @ rigid(turn, (0, 0, shift), centre)
            method.SetInitialTransform(itk_transform(guess))
            try:
                value = method.MetricEvaluate(*images)
            except RuntimeError:  # no overlap
                continue
            found.append((value, len(found), guess))
    return [guess for *_, guess in sorted(found)[:keep]] or [start]


def middle(volume: Volume) -> np.ndarray:
    """Where the signal lies on average, RAS mm: a good centre of rotation."""
    weight = np.clip(volume.data, 0, None).astype(float)
    total = weight.sum() or 1.0
    where = [
        (weight.sum(axis=tuple(a for a in range(3) if a != axis)) * np.arange(n)).sum()
        for axis, n in enumerate(weight.shape)
    ]
    return volume.affine[:3, :3] @ (np.array(where) / total) + volume.affine[:3, 3]


def _initial(start: np.ndarray, kind: str, centre: np.ndarray):
    if kind == "affine":
        transform = itk_transform(start)
        transform.SetCenter([float(v) for v in _LPS[:3, :3] @ centre])
        shifted = itk_transform(start)
        # The same map about another centre: translation takes up the difference.
        goal = np.array(shifted.TransformPoint(transform.GetCenter()))
        transform.SetTranslation((goal - np.array(transform.GetCenter())).tolist())
        return transform
    lps = _LPS @ start @ _LPS
    middle = _LPS[:3, :3] @ centre
    transform = sitk.Euler3DTransform()
    transform.SetCenter([float(v) for v in middle])
    u, _, vt = np.linalg.svd(lps[:3, :3])  # a rotation to the last digit
    transform.SetMatrix([float(v) for v in (u @ vt).ravel()], 1e-6)
    goal = lps[:3, :3] @ middle + lps[:3, 3]
    transform.SetTranslation([float(v) for v in goal - middle])
    return transform


def unbiased(
    volume: Volume, mask: np.ndarray, *, mm: float = 4.0, iterations=(50, 50, 30)
) -> Volume:
    """Divide by the bias field that N4 finds (Tustison et al. 2010).

    Parameters
    ----------
    volume : Volume
        Values >= 0.
    mask : ndarray of bool
        Where the field is estimated.
    mm : float
        Voxel on which it is estimated; the field itself is smooth.
    iterations : sequence of int
        At each resolution of the field, coarse to fine.
    """
    image = to_itk(volume)
    inside = sitk.Cast(to_itk(volume.with_data(mask.astype(np.float32))) > 0.5, 1)
    shrink = [max(1, round(mm / s)) for s in volume.sizes]
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations(list(iterations))
    with _one_thread():
        corrector.Execute(sitk.Shrink(image, shrink), sitk.Shrink(inside, shrink))
    field = sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image)).T
    inside_mean = float(field[mask].mean())
    return volume.with_data(volume.data / np.exp(field - inside_mean))
