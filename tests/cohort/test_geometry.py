"""The box, its affine, and resampling as one matrix per axis."""

import numpy as np
import pytest
import torch

from mri2pet.cohort import geometry as g


def test_affine_puts_the_first_and_last_cells_where_they_lie():
    shape = (16, 48, 32)
    affine = g.grid_affine(shape)
    x, y, z, _ = affine @ [0, 0, 0, 1]
    cells = g.axis_coordinates(shape)
    assert (z, y, x) == pytest.approx([c[0] for c in cells])
    x, y, z, _ = affine @ [31, 47, 15, 1]
    assert (z, y, x) == pytest.approx([c[-1] for c in cells])
    # RAS+: every axis grows, so nibabel calls it canonical.
    assert (np.diag(affine)[:3] > 0).all()
    # The cells fill the box: half a voxel beyond the first centre lies its face.
    assert z - g.voxel_mm(shape)[0] * 15.5 == pytest.approx(5.0 - 84.0)


@pytest.mark.parametrize("shape", [(3, 4), (0, 4, 4), (4, 4, 4, 4), (2.5, 4, 4)])
def test_a_grid_is_three_integers(shape):
    with pytest.raises(ValueError, match="grid"):
        g.grid_affine(shape)


def test_rows_of_every_matrix_sum_to_one():
    for fwhm in (0.0, 4.0, 14.0):
        for n_out, n_in in ((16, 56), (56, 16), (32, 32), (7, 9)):
            m = g.gaussian_matrix(n_out, n_in, 168.0, fwhm / 2.355)
            assert m.sum(1) == pytest.approx(1.0)
            assert (m >= 0).all()


def test_blur_has_the_width_it_is_asked_for():
    shape = (84, 104, 88)
    point = torch.zeros(shape)
    point[42, 52, 44] = 1.0
    out = g.apply_axes(point, g.resampling(shape, shape, 12.0))
    assert float(out.sum()) == pytest.approx(1.0, abs=1e-3)
    for axis, cells in enumerate(g.axis_coordinates(shape)):
        other = tuple(a for a in range(3) if a != axis)
        profile = out.sum(other).numpy().astype(float)
        mean = (profile * cells).sum() / profile.sum()
        sd = np.sqrt((profile * (cells - mean) ** 2).sum() / profile.sum())
        # The cell mean (2 mm) widens it a little.
        assert sd == pytest.approx(12.0 / 2.3548, rel=0.03)


def test_averaging_to_a_coarser_grid_keeps_the_integral():
    fine = torch.rand((24, 26, 22), generator=torch.Generator().manual_seed(0))
    coarse = g.apply_axes(fine, g.resampling((12, 13, 11), (24, 26, 22)))
    assert float(coarse.mean()) == pytest.approx(float(fine.mean()), rel=1e-3)


def test_apply_axes_equals_three_einsums_either_way():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand((2, 3, 6, 7, 8), generator=generator)
    for sizes in ((4, 5, 9), (9, 5, 4)):
        m = tuple(
            torch.rand((o, i), generator=generator)
            for o, i in zip(sizes, (6, 7, 8), strict=True)
        )
        expected = torch.einsum("abzyx,iz,jy,kx->abijk", x, *m)
        torch.testing.assert_close(g.apply_axes(x, m), expected)


def test_white_spline_coefficients_give_a_field_of_unit_sd():
    rng = np.random.default_rng(0)
    knots = torch.from_numpy(rng.standard_normal((200, *g.spline_knots(28.0))))
    field = g.apply_axes(knots.float(), g.splines((20, 24, 22), 28.0))
    assert float(field.std()) == pytest.approx(1.0, abs=0.05)


def test_normalised_coordinates_find_the_cell():
    shape = (6, 8, 10)
    volume = torch.arange(6 * 8 * 10, dtype=torch.float32).reshape(shape)
    world = g.world_grid(shape)
    first = tuple(c[0] for c in g.axis_coordinates(shape))
    where = g.normalised(world[None], first, g.voxel_mm(shape), shape)
    out = torch.nn.functional.grid_sample(
        volume[None, None], where, align_corners=False
    )
    torch.testing.assert_close(out[0, 0], volume, atol=1e-3, rtol=1e-5)


def test_work_shape_refuses_silly_voxels():
    assert g.work_shape(2.0) == (84, 104, 88)
    with pytest.raises(ValueError, match="work_mm"):
        g.work_shape(0.0)
