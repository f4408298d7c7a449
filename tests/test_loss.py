"""Losses: the pyramid by independent loops, its hidden weight, gradients, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mri2pet.loss import (
    WEIGHTINGS,
    diffusion_loss,
    laplacian_loss,
    laplacian_pyramid,
    laplacian_time_weight,
    paper_x0_formula,
)
from mri2pet.schedule import PREDICTIONS, NoiseSchedule

SCHEDULE = NoiseSchedule()


def randn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# -- the pyramid, independently --------------------------------------------------------


def pool_matrix(n):
    """2 -> 1 averaging as a matrix; an odd last element is dropped."""
    p = np.zeros((n // 2, n))
    for i in range(n // 2):
        p[i, 2 * i] = p[i, 2 * i + 1] = 0.5
    return p


def upsample_matrix(small, n):
    """Linear interpolation between cell centres, held constant beyond the outermost."""
    u = np.zeros((n, small))
    for i in range(n):
        place = min(max((i + 0.5) * small / n - 0.5, 0), small - 1)
        low = int(place)
        high = min(low + 1, small - 1)
        u[i, low] += 1 - (place - low)
        u[i, high] += place - low
    return u


def loop_pyramid(image, levels):
    bands = []
    for _ in range(levels):
        rows, columns = image.shape
        small = pool_matrix(rows) @ image @ pool_matrix(columns).T
        u_rows = upsample_matrix(small.shape[0], rows)
        u_columns = upsample_matrix(small.shape[1], columns)
        bands.append(image - u_rows @ small @ u_columns.T)
        image = small
    return bands


@pytest.mark.parametrize("plane", [(48, 48), (32, 64), (20, 28)])
def test_pyramid_agrees_with_numpy_loops(plane):
    x = randn(2, 3, *plane)
    levels = 4 if min(plane) < 32 else 5
    ours = laplacian_pyramid(x, levels)
    for b in range(2):
        for d in range(3):
            theirs = loop_pyramid(x[b, d].numpy(), levels)
            for mine, band in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(mine[b, d].numpy(), band, atol=1e-12)


def white_noise_cost(n, levels=5):
    """E[cost] of unit white noise: squared Frobenius norms of the band operators.

    Band i of an n x n image is (A kron A - C kron C) x with A the pooling to its size
    and C = upsample pool A, so the norm follows from three traces.
    """
    total, a = 0.0, np.eye(n)
    for _ in range(levels):
        size = a.shape[0]
        pool = pool_matrix(size)
        c = upsample_matrix(pool.shape[0], size) @ pool @ a
        norm = (a * a).sum() ** 2 - 2 * (a * c).sum() ** 2 + (c * c).sum() ** 2
        total += norm / size**2
        a = pool @ a
    return total


@pytest.mark.parametrize(("n", "cost"), [(128, 1.0854), (48, 1.0828), (32, 1.0790)])
def test_white_noise_cost(n, cost):
    assert white_noise_cost(n) == pytest.approx(cost, abs=5e-5)
    # The torch pyramid's own operator, column by column of the identity.
    if n <= 48:
        basis = torch.eye(n * n, dtype=torch.float64).view(n * n, 1, n, n)
        exact = sum(
            (b**2).sum().item() / b[0].numel() for b in laplacian_pyramid(basis)
        )
        assert exact == pytest.approx(cost, abs=5e-5)
    x = randn(6, 8, n, n, seed=n)
    measured = laplacian_loss(x, torch.zeros_like(x)).item()
    assert measured == pytest.approx(cost, rel=0.03 if n < 128 else 0.01)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), a=st.floats(-2, 2), shift=st.floats(-50, 50))
def test_pyramid_is_linear_and_blind_to_a_constant(seed, a, shift):
    x, y = randn(1, 2, 32, 32, seed=seed), randn(1, 2, 32, 32, seed=seed + 1)
    for both, bx, by in zip(
        laplacian_pyramid(a * x + y + shift),
        laplacian_pyramid(x),
        laplacian_pyramid(y),
        strict=True,
    ):
        torch.testing.assert_close(both, a * bx + by, rtol=1e-9, atol=1e-9)
    assert laplacian_loss(x, x) == 0
    assert laplacian_loss(x, x + shift).item() < 1e-20


def test_reductions_and_channel_axis():
    x, y = randn(3, 2, 32, 32), randn(3, 2, 32, 32, seed=1)
    each = laplacian_loss(x, y, reduction="none")
    assert each.shape == (3,)
    assert laplacian_loss(x, y).item() == pytest.approx(each.mean().item())
    alone = laplacian_loss(x[1:2], y[1:2])
    assert alone.item() == pytest.approx(each[1].item())
    torch.testing.assert_close(
        laplacian_loss(x[:, None], y[:, None], reduction="none"), each
    )


# -- the hidden weight -----------------------------------------------------------------


def test_x0_error_is_a_reweighted_noise_error():
    t_B = torch.tensor([100, 500, 800, 999])
    x0, noise, noise_hat = (randn(4, 2, 32, 32, seed=s) for s in range(3))
    x_t = SCHEDULE.q_sample(x0, t_B, noise)
    x0_hat = SCHEDULE.predict_x0(x_t, t_B, noise_hat)
    ratio = laplacian_loss(x0, x0_hat, reduction="none") / laplacian_loss(
        noise, noise_hat, reduction="none"
    )
    abar = SCHEDULE.abar(t_B)
    torch.testing.assert_close(ratio, (1 - abar) / abar, rtol=1e-6, atol=0)
    golden = torch.tensor([0.28, 20.8, 1304, 50150], dtype=torch.float64)
    torch.testing.assert_close(ratio, golden, rtol=1e-2, atol=0)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_diffusion_loss_equals_its_definition(prediction, weighting):
    """Against x0_hat written out, per item, with the weights by their formulas."""
    t_B = torch.tensor([1, 300, 999])
    x0, noise, output = (randn(3, 1, 4, 32, 32, seed=s) for s in range(3))
    terms = diffusion_loss(
        SCHEDULE,
        prediction,
        output,
        x0,
        noise,
        t_B,
        laplacian=0.25,
        laplacian_weight=weighting,
    )
    x_t = SCHEDULE.q_sample(x0, t_B, noise)
    x0_hat, noise_hat = SCHEDULE.to_x0_noise(prediction, x_t, t_B, output)
    abar = SCHEDULE.alphas_cumprod[t_B]
    weight = {"x0": torch.ones(3), "alpha_bar": abar, "eps": abar / (1 - abar)}
    lap = sum(
        weight[weighting][b].item()
        * laplacian_loss(x0[b : b + 1], x0_hat[b : b + 1]).item()
        for b in range(3)
    )
    mse = ((output - SCHEDULE.target(prediction, x0, t_B, noise)) ** 2).mean().item()
    assert terms.denoise.item() == pytest.approx(mse, rel=1e-9)
    assert terms.laplacian.item() == pytest.approx(lap / 3, rel=1e-6)
    assert terms.total.item() == pytest.approx(mse + 0.25 * lap / 3, rel=1e-6)
    if weighting == "eps":
        noise_cost = laplacian_loss(noise, noise_hat).item()
        assert terms.laplacian.item() == pytest.approx(noise_cost, rel=1e-6)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_control_is_a_plain_mean_square_of_x0(prediction, weighting):
    t_B = torch.tensor([1, 300, 999])
    x0, noise, output = (randn(3, 1, 4, 32, 32, seed=s) for s in range(3))
    settings = {"laplacian": 0.25, "laplacian_weight": weighting}
    terms = diffusion_loss(
        SCHEDULE, prediction, output, x0, noise, t_B, image_loss="mse", **settings
    )
    x_t = SCHEDULE.q_sample(x0, t_B, noise)
    x0_hat, _ = SCHEDULE.to_x0_noise(prediction, x_t, t_B, output)
    abar = SCHEDULE.alphas_cumprod[t_B]
    weight = {"x0": torch.ones(3), "alpha_bar": abar, "eps": abar / (1 - abar)}
    square = (x0 - x0_hat).square().flatten(1).mean(1)
    expected = (weight[weighting] * square).mean().item()
    assert terms.laplacian.item() == pytest.approx(expected, rel=1e-6)
    pyramid = diffusion_loss(
        SCHEDULE, prediction, output, x0, noise, t_B, **settings
    ).laplacian
    assert abs(terms.laplacian - pyramid) > 0.01 * pyramid


def test_laplacian_off_costs_and_adds_nothing():
    args = (SCHEDULE, "eps", *(randn(2, 1, 2, 4, 4, seed=s) for s in range(3)))
    terms = diffusion_loss(*args, torch.tensor([5, 900]))
    assert terms.laplacian == 0
    assert torch.equal(terms.total, terms.denoise)


def test_only_the_total_carries_a_gradient():
    output = randn(2, 2, 32, 32).requires_grad_()
    x0, noise = randn(2, 2, 32, 32, seed=1), randn(2, 2, 32, 32, seed=2)
    terms = diffusion_loss(
        SCHEDULE, "x0", output, x0, noise, torch.tensor([5, 900]), laplacian=1.0
    )
    assert terms.total.requires_grad
    assert not terms.denoise.requires_grad and not terms.laplacian.requires_grad


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_gradients(prediction):
    output, x0, noise = (randn(2, 1, 8, 8, seed=s) for s in range(3))

    def total(out):
        return diffusion_loss(
            SCHEDULE,
            prediction,
            out,
            x0,
            noise,
            torch.tensor([40, 400]),
            laplacian=0.25,
            laplacian_weight="alpha_bar",
            levels=2,
        ).total

    assert torch.autograd.gradcheck(total, (output.requires_grad_(),))


def test_time_weights():
    t_B = torch.tensor([1, 999])
    abar = SCHEDULE.alphas_cumprod[t_B]
    assert (laplacian_time_weight(SCHEDULE, t_B, "x0") == 1).all()
    torch.testing.assert_close(laplacian_time_weight(SCHEDULE, t_B, "alpha_bar"), abar)
    torch.testing.assert_close(
        laplacian_time_weight(SCHEDULE, t_B, "eps"), SCHEDULE.snr(t_B)
    )


# -- the printed formula ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("t", "alpha", "alpha_bar"),
    [(100, 0.42, 0.069), (500, 1.18, 16.7), (999, 1.32, 49915)],
)
def test_printed_formula_misses_x0(t, alpha, alpha_bar):
    """RMSE from the true noise; x0 and noise of unit variance, as the audit's."""
    x0, noise = randn(1, 16, 64, 64), randn(1, 16, 64, 64, seed=1)
    t_B = torch.tensor([t])
    x_t = SCHEDULE.q_sample(x0, t_B, noise)
    for reading, rmse in (("alpha", alpha), ("alpha_bar", alpha_bar)):
        wrong = paper_x0_formula(SCHEDULE, x_t, t_B, noise, reading)
        assert (wrong - x0).square().mean().sqrt().item() == pytest.approx(
            rmse, rel=0.02
        )
    right = SCHEDULE.predict_x0(x_t, t_B, noise)
    torch.testing.assert_close(right, x0, rtol=1e-9, atol=1e-9)


# -- bad input -------------------------------------------------------------------------

ZERO = torch.zeros(1, 2, 32, 32)
T = torch.tensor([3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: laplacian_pyramid(torch.zeros(2, 32, 32)), r"\(2, 32, 32\)"),
        (lambda: laplacian_pyramid(ZERO, 6), "levels=6"),
        (lambda: laplacian_pyramid(ZERO, 0), "levels=0"),
        (lambda: laplacian_loss(ZERO, torch.zeros(1, 2, 32, 16)), r"32, 16\)"),
        (lambda: laplacian_loss(ZERO, ZERO, reduction="sum"), "sum"),
        (lambda: laplacian_time_weight(SCHEDULE, T, "snr"), "snr"),
        (lambda: diffusion_loss(SCHEDULE, "score", ZERO, ZERO, ZERO, T), "score"),
        (
            lambda: diffusion_loss(SCHEDULE, "x0", ZERO, ZERO, ZERO, T, laplacian=-1.0),
            "-1",
        ),
        (
            lambda: diffusion_loss(
                SCHEDULE, "x0", ZERO, ZERO, ZERO, T, laplacian_weight="snr"
            ),
            "snr",
        ),
        (
            lambda: diffusion_loss(
                SCHEDULE, "x0", torch.zeros(1, 2, 32, 16), ZERO, ZERO, T
            ),
            r"32, 16\)",
        ),
        (
            lambda: diffusion_loss(
                SCHEDULE, "v", ZERO, ZERO, ZERO, torch.tensor([1000]), laplacian=1.0
            ),
            "1000",
        ),
        (lambda: paper_x0_formula(SCHEDULE, ZERO, T, ZERO, "beta"), "beta"),
    ],
)
def test_bad_arguments_name_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
