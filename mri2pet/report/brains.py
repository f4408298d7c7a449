"""Pictures of brains: right way round, right shape, with a scale.

Every volume lies in the common box (`mri2pet.cohort.geometry`), so a slice is chosen
in MNI millimetres and drawn with its physical proportions, whatever the grid. In an
axial slice anterior is up; the patient's left is on the left of the picture and is
marked "L" (neurological convention). In a sagittal slice anterior is on the right.
Between voxel centres colours are interpolated linearly; nothing is smoothed.

Shape suffixes: D H W = z y x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mri2pet.report.slices import (
    LEVELS_MM,
    PLANES,
    middle_mm,
    nearest_levels,
    normal_axis,
    slice_of,
    window,
)

__all__ = [
    "KINDS",
    "LEVELS_MM",
    "PLANES",
    "Kind",
    "draw_rows",
    "draw_slice",
    "draw_slices",
    "figure2",
    "mark_sides",
    "nearest_levels",
    "slice_of",
]


@dataclass(frozen=True)
class Kind:
    """How one kind of image is shown: colours, range, unit."""

    cmap: str
    low: float
    high: float
    label: str


KINDS = {
    "mri": Kind("gray", 0.0, 1.0, "MRI intensity"),
    "pet": Kind("nipy_spectral", 0.0, 2.5, "PET [SUVR]"),
    "difference": Kind("RdBu_r", -0.6, 0.6, "Difference [SUVR]"),
    "sd": Kind("viridis", 0.0, 0.4, "SD between samples [SUVR]"),
}


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise ValueError(f"kind {name!r}: expected one of {', '.join(KINDS)}")
    return KINDS[name]


def region_label(region: str) -> str:
    """Name of a region as a reader expects it.

    Examples
    --------
    >>> region_label("precuneus_pcc")
    'precuneus and posterior cingulate'
    """
    return region.replace("_pcc", " and posterior cingulate").replace("_", " ")


def draw_slice(
    ax: Axes,
    volume_DHW: np.ndarray,
    kind: str = "pet",
    plane: str = "axial",
    mm: float = 4.0,
    *,
    marks: bool = True,
    outline_DHW: np.ndarray | None = None,
    limits: tuple[float, float] | None = None,
) -> None:
    """Draw one slice into an axes.

    Parameters
    ----------
    ax : matplotlib Axes
    volume_DHW : ndarray, shape (D, H, W)
    kind : {"mri", "pet", "difference", "sd"}
        Colours and range (`KINDS`).
    plane, mm
        As in `slice_of`.
    marks : bool
        Write L and R (axial, coronal) or P and A (sagittal) at the sides.
    outline_DHW : ndarray, optional
        Draw the 0.5 contour of this map over the slice.
    limits : (low, high), optional
        Another range of values than the kind's.
    """
    style = _kind(kind)
    low, high = limits or (style.low, style.high)
    image, extent = slice_of(volume_DHW, plane, mm)
    ax.imshow(
        image,
        cmap=style.cmap,
        vmin=low,
        vmax=high,
        origin="lower",
        extent=extent,
        interpolation="bilinear",
        aspect="equal",
    )
    if outline_DHW is not None:
        edge, _ = slice_of(np.asarray(outline_DHW, float), plane, mm)
        ys = np.linspace(*extent[2:], edge.shape[0] * 2 + 1)[1::2]
        xs = np.linspace(*extent[:2], edge.shape[1] * 2 + 1)[1::2]
        if edge.min() < 0.5 < edge.max():
            ax.contour(xs, ys, edge, levels=[0.5], colors="white", linewidths=0.6)
    ax.set_xlim(*window(plane)[0])
    ax.set_ylim(*window(plane)[1])
    ax.set_xticks([])
    ax.set_yticks([])
    # what lies outside the box looks like its empty border
    ax.set_facecolor("white" if kind == "difference" else "black")
    if marks:
        mark_sides(ax, plane, "black" if kind == "difference" else "white")


def mark_sides(ax: Axes, plane: str = "axial", ink: str = "white") -> None:
    """Write L and R (axial, coronal) or P and A (sagittal) into the lower corners.

    For a slice that is drawn as `draw_slice` draws it: axes to the patient's right, to
    the front and up.
    """
    sides = "PA" if plane == "sagittal" else "LR"
    for side, x, align in zip(sides, (0.03, 0.97), ("left", "right"), strict=True):
        ax.text(
            x, 0.03, side, color=ink, ha=align, va="bottom", fontsize=7,
            transform=ax.transAxes,
        )  # fmt: skip


def _grid_figure(
    rows: int, columns: int, plane: str, cell_inches: float, bars: int
) -> tuple[Figure, np.ndarray, list[Axes]]:
    """Axes of equal physical size, close together, with room for colour bars."""
    (x0, x1), (y0, y1) = window(plane)
    gap, left, top = 0.05, 0.62, 0.36
    height = cell_inches * (y1 - y0) / (x1 - x0)
    bottom = 0.55 if bars else 0.05
    width_all = left + columns * (cell_inches + gap)
    height_all = top + rows * (height + gap) + bottom
    fig = Figure(figsize=(width_all, height_all))
    axes = np.empty((rows, columns), dtype=object)
    for r in range(rows):
        for c in range(columns):
            x = left + c * (cell_inches + gap)
            y = height_all - top - (r + 1) * height - r * gap
            axes[r, c] = fig.add_axes(
                (
                    x / width_all,
                    y / height_all,
                    cell_inches / width_all,
                    height / height_all,
                )
            )
    room = (width_all - left) / max(bars, 1)
    bar_axes = [
        fig.add_axes(
            (
                (left + (b + 0.14) * room) / width_all,
                0.36 / height_all,
                min(0.72 * room, 3.0) / width_all,
                0.09 / height_all,
            )
        )
        for b in range(bars)
    ]
    return fig, axes, bar_axes


def _bars(fig: Figure, axes: Sequence[Axes], kinds: Sequence[str], limits) -> None:
    for ax, name in zip(axes, kinds, strict=True):
        style = _kind(name)
        low, high = limits.get(name, (style.low, style.high))
        mappable = ScalarMappable(Normalize(low, high), style.cmap)
        bar = fig.colorbar(mappable, cax=ax, orientation="horizontal")
        bar.set_label(style.label, fontsize=8, labelpad=2)
        ax.tick_params(labelsize=7, length=2)


def draw_rows(
    volumes: Sequence[Sequence[np.ndarray | None]],
    *,
    kinds: Sequence[str] | str,
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    plane: str = "axial",
    mm: float | Sequence[float] = 4.0,
    cell_inches: float = 1.05,
    limits: Mapping[str, tuple[float, float]] | None = None,
    colour_bars: bool = True,
) -> Figure:
    """Panel of slices: rows by columns, one plane, one colour bar per kind.

    Parameters
    ----------
    volumes : rows of columns of ndarray (D, H, W)
        Grids may differ; None leaves a cell empty.
    kinds : str, or one per column
        "mri", "pet", "difference", "sd".
    column_titles, row_titles : sequences of str
    plane : str
    mm : float, or one per column
        MNI coordinate of the slices.
    cell_inches : float
        Width of a cell.
    limits : mapping kind -> (low, high), optional
        Other ranges, for all cells of that kind.
    colour_bars : bool

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ValueError
        If rows are ragged or titles do not fit.
    """
    columns = len(volumes[0]) if volumes else 0
    if columns == 0 or any(len(row) != columns for row in volumes):
        raise ValueError(
            f"rows of {sorted({len(r) for r in volumes})} columns: expected equal rows"
        )
    kinds = [kinds] * columns if isinstance(kinds, str) else list(kinds)
    levels = [mm] * columns if np.isscalar(mm) else list(mm)
    for name, given, wanted in (
        ("kinds", kinds, columns),
        ("mm", levels, columns),
        ("column_titles", column_titles, columns),
        ("row_titles", row_titles, len(volumes)),
    ):
        if len(given) not in (0, wanted):
            raise ValueError(f"{len(given)} {name} for {wanted}")
    limits = dict(limits or {})
    shown = list(dict.fromkeys(kinds)) if colour_bars else []
    fig, axes, bars = _grid_figure(
        len(volumes), columns, plane, cell_inches, len(shown)
    )
    for r, row in enumerate(volumes):
        for c, volume in enumerate(row):
            ax = axes[r, c]
            if volume is None:
                ax.set_axis_off()
                continue
            draw_slice(
                ax, volume, kinds[c], plane, levels[c],
                marks=r == 0, limits=limits.get(kinds[c]),
            )  # fmt: skip
    for ax, title in zip(axes[0], column_titles, strict=False):
        ax.set_title(title, fontsize=8, pad=3)
    for ax, title in zip(axes[:, 0], row_titles, strict=False):
        ax.set_ylabel(title, fontsize=7.5, labelpad=3)
    _bars(fig, bars, shown, limits)
    return fig


def draw_slices(
    volume_DHW: np.ndarray,
    kind: str = "pet",
    *,
    plane: str = "axial",
    mm: Sequence[float] | None = None,
    title: str = "",
    cell_inches: float = 1.5,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """One volume at several levels, side by side.

    Parameters as in `draw_rows`; without ``mm`` the slices nearest to `LEVELS_MM`
    (axial) or through the middle of the box.
    """
    shape = np.shape(volume_DHW)
    if mm is None:
        wanted = LEVELS_MM if plane == "axial" else (middle_mm(plane),)
        mm = nearest_levels(shape, wanted, plane)
    axis = "zyx"[normal_axis(plane)]
    return draw_rows(
        [[volume_DHW] * len(mm)],
        kinds=kind,
        plane=plane,
        mm=list(mm),
        column_titles=[f"{axis} = {round(level)} mm" for level in mm],
        row_titles=[title] if title else (),
        cell_inches=cell_inches,
        limits={kind: limits} if limits else None,
    )


def figure2(
    mri_NDHW: np.ndarray | None,
    real_NDHW: np.ndarray,
    synthetic: Mapping[str, np.ndarray],
    people: Sequence[str],
    *,
    mm: float = 4.0,
    cell_inches: float = 1.05,
) -> Figure:
    """People by methods, as in Figure 2 of the paper.

    Parameters
    ----------
    mri_NDHW : ndarray, shape (N, D, H, W), or None
        In [0, 1]; its grid may be finer than that of the PET. None: no such column.
    real_NDHW : ndarray, shape (N, d, h, w)
        SUVR.
    synthetic : mapping title -> ndarray (N, d, h, w)
        One column each.
    people : sequence of N str
        Titles of the rows.
    mm : float
        The axial level wanted; the nearest PET slice is drawn.
    """
    level = nearest_levels(real_NDHW.shape[1:], [mm])[0]
    columns = {"Real PET": real_NDHW, **synthetic}
    kinds = ["pet"] * len(columns)
    if mri_NDHW is not None:
        columns, kinds = {"MRI": mri_NDHW, **columns}, ["mri", *kinds]
    return draw_rows(
        [[volumes[i] for volumes in columns.values()] for i in range(len(people))],
        kinds=kinds,
        column_titles=list(columns),
        row_titles=people,
        mm=level,
        cell_inches=cell_inches,
    )
