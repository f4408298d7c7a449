"""Properties of the losses for any grid, batch, type and schedule."""

import pytest
import torch
import torch.nn.functional as F
from drawing import (
    FLOATS,
    WIDE,
    batches,
    few,
    predictions,
    randn,
    schedules,
    seeds,
    some_steps,
)
from hypothesis import given
from hypothesis import strategies as st

from mri2pet.loss import (
    IMAGE_LOSSES,
    WEIGHTINGS,
    diffusion_loss,
    laplacian_loss,
    laplacian_pyramid,
    x0_error_factor,
)


@st.composite
def volumes(draw):
    """A pair of volumes that some number of levels divides, and that number."""
    levels = draw(st.integers(1, 3))
    plane = [2**levels * draw(st.integers(1, 3)) for _ in range(2)]
    channel = draw(st.sampled_from([(), (1,)]))
    shape = (draw(batches), *channel, draw(st.integers(1, 3)), *plane)
    seed = draw(seeds)
    return randn(*shape, seed=seed), randn(*shape, seed=seed + 1), levels


@few
@given(pair=volumes())
def test_bands_and_the_last_low_pass_give_back_the_volume(pair):
    x, _, levels = pair
    bands = laplacian_pyramid(x, levels)
    low = F.avg_pool2d(x.flatten(1, -3), 2**levels)
    for band in reversed(bands):
        low = band + F.interpolate(
            low, size=band.shape[-2:], mode="bilinear", align_corners=False
        )
    torch.testing.assert_close(low.view_as(x), x)


@few
@given(pair=volumes(), scale=st.floats(-3, 3), seed=seeds)
def test_laplacian_loss_knows_no_order_no_sign_and_no_side(pair, scale, seed):
    x, y, levels = pair
    generator = torch.Generator().manual_seed(seed)
    loss = laplacian_loss(x, y, levels, reduction="none")
    assert loss.shape == x.shape[:1] and (loss >= 0).all()
    assert not laplacian_loss(x, x, levels, reduction="none").any()

    def same(a, b, factor=1.0):
        other = laplacian_loss(a, b, levels, reduction="none")
        torch.testing.assert_close(other, factor * loss, rtol=1e-9, atol=1e-12)

    same(y, x)
    same(scale * x, scale * y, scale**2)
    level_of_slices = randn(*x.shape[:-2], 1, 1, seed=seed)
    same(x + level_of_slices, y)
    same(x.flip(-1), y.flip(-1))
    same(x.flip(-2), y.flip(-2))
    same(x.transpose(-1, -2), y.transpose(-1, -2))
    order = torch.randperm(x.shape[-3], generator=generator)
    same(x[..., order, :, :], y[..., order, :, :])
    people = torch.randperm(len(x), generator=generator)
    other = laplacian_loss(x[people], y[people], levels, reduction="none")
    torch.testing.assert_close(other, loss[people])


@pytest.mark.parametrize("answer", FLOATS)
@few
@given(
    pair=volumes(),
    schedule=schedules(),
    prediction=predictions,
    weighting=st.sampled_from(WEIGHTINGS),
    image_loss=st.sampled_from(IMAGE_LOSSES),
    dtype=st.sampled_from(WIDE),
    seed=seeds,
)
def test_diffusion_loss_is_finite_typed_and_zero_for_the_truth(
    answer, pair, schedule, prediction, weighting, image_loss, dtype, seed
):
    x0, noise, levels = pair[0].to(dtype), pair[1].to(dtype), pair[2]
    t_B = some_steps(schedule, len(x0), seed)
    how = {
        "laplacian": 0.25,
        "laplacian_weight": weighting,
        "levels": levels,
        "image_loss": image_loss,
    }
    output = randn(*x0.shape, seed=seed + 2, dtype=answer).requires_grad_()
    terms = diffusion_loss(schedule, prediction, output, x0, noise, t_B, **how)
    for term in (terms.total, terms.denoise, terms.laplacian):
        assert term.shape == () and term.dtype == dtype
        assert torch.isfinite(term) and term >= 0
    torch.testing.assert_close(
        terms.total.detach(), terms.denoise + 0.25 * terms.laplacian
    )
    (gradient,) = torch.autograd.grad(terms.total, output)
    assert gradient.dtype == answer and torch.isfinite(gradient).all()
    each = [
        diffusion_loss(
            schedule,
            prediction,
            *(v[b : b + 1] for v in (output, x0, noise, t_B)),
            **how,
        ).total
        for b in range(len(x0))
    ]
    torch.testing.assert_close(
        terms.total, torch.stack(each).mean(), rtol=1e-4, atol=1e-6
    )
    truth = schedule.target(prediction, x0, t_B, noise)
    assert diffusion_loss(schedule, prediction, truth, x0, noise, t_B, **how).total == 0


@few
@given(schedule=schedules(), prediction=predictions, batch=batches, seed=seeds)
def test_the_factor_of_an_x0_error_is_that_of_the_conversion(
    schedule, prediction, batch, seed
):
    x_t, output, error = (randn(batch, 4, seed=seed + i) for i in range(3))
    t_B = some_steps(schedule, batch, seed)
    one, _ = schedule.to_x0_noise(prediction, x_t, t_B, output)
    two, _ = schedule.to_x0_noise(prediction, x_t, t_B, output + error)
    factor = x0_error_factor(schedule, prediction, t_B)
    torch.testing.assert_close(
        (two - one).square(), factor[:, None] * error.square(), rtol=1e-5, atol=1e-9
    )
