"""Pictures of brains: right way round, right proportions."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from mri2pet.report.brains import (
    KINDS,
    draw_rows,
    draw_slice,
    draw_slices,
    figure2,
    nearest_levels,
    slice_of,
)

SHAPE = (16, 32, 32)


@pytest.fixture
def volume():
    """Bright only in the right, anterior, superior corner of the box."""
    v = np.zeros(SHAPE, np.float32)
    v[12:, 24:, 24:] = 2.0
    return v


def _pixels(fig):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(float)


def _centre_of_light(volume, plane, mm):
    fig = Figure(figsize=(2, 2), facecolor="black")
    ax = fig.add_axes((0, 0, 1, 1))
    draw_slice(ax, volume, "mri", plane, mm, marks=False)
    light = _pixels(fig).mean(-1)
    light[light < 128] = 0
    rows, columns = np.nonzero(light)
    return rows.mean() / len(light), columns.mean() / light.shape[1]


def test_axial_slices_have_anterior_up_and_the_patients_left_on_the_left(volume):
    row, column = _centre_of_light(volume, "axial", 65.0)
    assert row < 0.35  # rows of pixels count from the top
    assert column > 0.65


def test_coronal_slices_have_superior_up_and_left_on_the_left(volume):
    row, column = _centre_of_light(volume, "coronal", 65.0)
    assert row < 0.35
    assert column > 0.65


def test_sagittal_slices_have_superior_up_and_anterior_on_the_right(volume):
    row, column = _centre_of_light(volume, "sagittal", 65.0)
    assert row < 0.35
    assert column > 0.65


def test_letters_mark_the_sides():
    fig = draw_slices(np.ones(SHAPE), "pet", mm=[4.0])
    texts = {t.get_text(): t.get_position()[0] for t in fig.axes[0].texts}
    assert texts["L"] < 0.5 < texts["R"]
    fig = draw_slices(np.ones(SHAPE), "pet", plane="sagittal")
    texts = {t.get_text(): t.get_position()[0] for t in fig.axes[0].texts}
    assert texts["P"] < 0.5 < texts["A"]


def test_the_brain_has_its_physical_proportions_on_any_grid():
    for shape in (SHAPE, (32, 128, 128), (64, 144, 144)):
        fig = draw_slices(np.ones(shape), "mri", mm=[4.0])
        ax = fig.axes[0]
        left, right, bottom, top = ax.images[0].get_extent()
        assert (right - left, top - bottom) == (176, 208)
        assert ax.get_aspect() == 1
        box = ax.get_position()
        width, height = fig.get_size_inches()
        x, y = ax.get_xlim(), ax.get_ylim()
        ratio = box.height * height / (box.width * width)
        assert ratio == pytest.approx((y[1] - y[0]) / (x[1] - x[0]), rel=1e-6)


def test_a_slice_is_chosen_in_millimetres():
    v = np.broadcast_to(np.arange(16.0)[:, None, None], SHAPE)
    image, extent = slice_of(v, "axial", 5.0)
    assert image.shape == (32, 32)
    np.testing.assert_allclose(image, 7.5)  # the middle of the box, between two slices
    assert extent == (-88, 88, -121, 87)
    # an MRI twice as fine shows the same millimetres
    fine = np.broadcast_to((np.arange(32.0)[:, None, None] - 0.5) / 2, (32, 64, 64))
    np.testing.assert_allclose(slice_of(fine, "axial", 5.0)[0], 7.5)


def test_levels_are_slices_of_the_grid_without_repeats():
    assert nearest_levels(SHAPE, (4.0, 6.0)) == (-0.25, 10.25)
    assert nearest_levels(SHAPE, (9.0, 10.0, 11.0)) == (10.25,)


def test_panels_have_a_colour_bar_per_kind_with_its_unit():
    mri, pet = np.zeros((32, 64, 64)), np.ones(SHAPE)
    fig = draw_rows(
        [[mri, pet, pet - 1], [mri, pet, None]],
        kinds=["mri", "pet", "difference"],
        column_titles=["MRI", "PET", "error"],
        row_titles=["a", "b"],
    )
    labels = {ax.get_xlabel() for ax in fig.axes} - {""}
    assert labels == {KINDS[k].label for k in ("mri", "pet", "difference")}
    images = [ax.images[0] for ax in fig.axes if ax.images]
    assert len(images) == 5
    assert images[0].get_clim() == (0, 1)
    assert images[1].get_clim() == (0, 2.5)
    low, high = images[2].get_clim()
    assert low == -high  # 0 is white


def test_figure_2_has_people_in_rows_and_methods_in_columns():
    pets = np.ones((3, *SHAPE))
    fig = figure2(
        np.ones((3, 32, 64, 64)), pets, {"One": pets, "Two": pets}, ["a", "b", "c"]
    )
    titles = [ax.get_title() for ax in fig.axes if ax.get_title()]
    assert titles == ["MRI", "Real PET", "One", "Two"]
    assert [ax.get_ylabel() for ax in fig.axes if ax.get_ylabel()] == ["a", "b", "c"]
    assert _pixels(fig).std() > 10
    alone = figure2(None, pets, {"One": pets}, ["a", "b", "c"])
    assert [a.get_title() for a in alone.axes if a.get_title()] == ["Real PET", "One"]


def test_outlines_and_limits():
    mask = np.zeros(SHAPE)
    mask[4:12, 8:24, 8:24] = 1
    fig = Figure()
    ax = fig.add_subplot()
    draw_slice(ax, mask, "pet", "axial", 4.0, outline_DHW=mask, limits=(0, 1))
    assert len(ax.collections) == 1
    assert ax.images[0].get_clim() == (0, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: slice_of(v, "oblique"), "plane 'oblique'"),
        (lambda v: slice_of(v[0]), "3 axes"),
        (lambda v: slice_of(v, "axial", 200.0), "outside the box"),
        (lambda v: draw_slices(v, "ct"), "kind 'ct'"),
        (lambda v: draw_rows([[v], [v, v]], kinds="pet"), "equal rows"),
        (lambda v: draw_rows([[v]], kinds="pet", row_titles=["a", "b"]), "row_titles"),
    ],
)
def test_bad_input_is_refused(volume, call, message):
    with pytest.raises(ValueError, match=message):
        call(volume)
