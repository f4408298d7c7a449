"""Properties of the core for any grid, batch, type and schedule.

What holds for the one published schedule, or at one size, is in the tests of each
module; here everything that a user may choose is drawn at random.
"""

import math

import numpy as np
import pytest
import torch
from drawing import (
    FLOATS,
    batches,
    column,
    few,
    grids,
    predictions,
    randn,
    schedules,
    seeds,
    some_steps,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from mri2pet.blocks import depth_to_space, space_to_depth
from mri2pet.model import CONDITIONINGS, SpatialUNet
from mri2pet.pairs import batch_indices
from mri2pet.samplers import LEVELS, SAMPLERS, VARIANCES, draw_noise, sample
from mri2pet.schedule import PREDICTIONS, NoiseSchedule

# -- schedules -------------------------------------------------------------------------


@few
@given(schedule=schedules())
def test_a_schedule_falls_from_data_to_noise(schedule):
    abar = schedule.alphas_cumprod
    assert abar.shape == (schedule.num_train_timesteps,)
    assert (abar.diff() < 0).all() and abar[0] < 1 and abar[-1] > 0
    assert (schedule.betas.diff() >= 0).all()
    t = torch.arange(schedule.num_train_timesteps)
    assert (schedule.snr(t).diff() < 0).all()
    variance = schedule.posterior_variance(t)
    assert variance[0] == 0 and (variance[1:] > 0).all()
    assert (variance < schedule.betas).all()


@few
@given(schedule=schedules(), share=st.floats(0, 1))
def test_calls_are_spread_over_the_trained_steps(schedule, share):
    last = schedule.num_train_timesteps - 1
    calls = 1 + round(share * (last - 1))
    steps = schedule.timesteps(calls, first=last)
    assert steps.shape == (calls,) and steps.dtype == torch.int64
    assert steps[0] == last and steps.min() >= 1
    assert (steps.diff() < 0).all()
    if calls > 1:
        gaps = -steps.diff()
        assert steps[-1] == 1 and gaps.max() - gaps.min() <= 1
    with pytest.raises(ValueError, match=f"got {last + 1}"):
        schedule.timesteps(last + 1, first=last)


@few
@given(
    schedule=schedules(),
    batch=batches,
    grid=grids,
    dtype=st.sampled_from(FLOATS),
    seed=seeds,
)
def test_noising_is_undone_in_every_parametrisation(schedule, batch, grid, dtype, seed):
    """To the rounding of the type, which 1 / sqrt(abar) magnifies."""
    x0, noise = (randn(batch, 1, *grid, seed=seed + i, dtype=dtype) for i in (0, 1))
    t_B = some_steps(schedule, batch, seed)
    x_t = schedule.q_sample(x0, t_B, noise)
    unit = (
        8 * torch.finfo(dtype).eps * (1 + x0.abs().max() + noise.abs().max()).double()
    )
    abar = column(schedule.abar(t_B), x0)
    slack = {
        "eps": (unit / abar.sqrt(), 0 * abar),
        "x0": (0 * abar, unit / (1 - abar).sqrt()),
        "v": (unit + 0 * abar, unit + 0 * abar),
    }
    for prediction in PREDICTIONS:
        output = schedule.target(prediction, x0, t_B, noise)
        found = schedule.to_x0_noise(prediction, x_t, t_B, output)
        for value, truth, bound in zip(
            found, (x0, noise), slack[prediction], strict=True
        ):
            assert value.dtype == dtype and value.shape == x0.shape
            assert ((value.double() - truth.double()).abs() <= bound).all()


@few
@given(
    schedule=schedules(),
    batch=batches,
    grid=grids,
    one=predictions,
    other=predictions,
    seed=seeds,
)
def test_parametrisations_turn_into_each_other(schedule, batch, grid, one, other, seed):
    """From any output, true or not: another one's of it means the same."""
    x_t, output = (randn(batch, *grid, seed=seed + i) for i in (0, 1))
    t_B = some_steps(schedule, batch, seed)
    x0, noise = schedule.to_x0_noise(one, x_t, t_B, output)
    again = schedule.q_sample(x0, t_B, noise)
    torch.testing.assert_close(again, x_t, rtol=1e-9, atol=1e-9)
    translated = schedule.target(other, x0, t_B, noise)
    found = schedule.to_x0_noise(other, x_t, t_B, translated)
    back = schedule.target(one, *(found[0], t_B, found[1]))
    scale = 1 + max(float(v.abs().max()) for v in (x0, noise))
    weakest = float(torch.minimum(schedule.abar(t_B), 1 - schedule.abar(t_B)).min())
    torch.testing.assert_close(back, output, rtol=0, atol=1e-14 * scale / weakest)


# -- samplers --------------------------------------------------------------------------


@few
@given(
    schedule=schedules(),
    share=st.floats(0, 0.05),
    batch=batches,
    grid=grids,
    prediction=predictions,
    sampler=st.sampled_from(SAMPLERS),
    variance=st.sampled_from(VARIANCES),
    eta=st.floats(0, 1),
    seed=seeds,
)
def test_a_sampler_finds_the_truth_that_its_denoiser_knows(
    schedule, share, batch, grid, prediction, sampler, variance, eta, seed
):
    truth, x_T = (randn(batch, *grid, seed=seed + i) for i in (0, 1))
    guesses = []

    def denoise(x, t_B):
        noise = schedule.predict_noise(x, t_B, truth)
        return schedule.target(prediction, truth, t_B, noise)

    x = sample(
        denoise,
        schedule,
        x_T,
        prediction=prediction,
        sampler=sampler,
        num_calls=1 + round(share * (schedule.num_train_timesteps - 2)),
        variance=variance,
        eta=eta if sampler == "ddim" else 0.0,
        generator=torch.Generator().manual_seed(seed),
        callback=lambda i, t, x, x0: guesses.append(x0),
        end="x0",
    )
    for guess in (*guesses, x):
        torch.testing.assert_close(guess, truth, rtol=0, atol=1e-7)


@few
@given(
    schedule=schedules(),
    share=st.floats(0, 0.05),
    batch=batches,
    grid=grids,
    prediction=predictions,
    sampler=st.sampled_from(["ddim", "dpmpp_2m"]),
    seed=seeds,
)
def test_a_deterministic_sampler_stays_on_the_line_to_the_truth(
    schedule, share, batch, grid, prediction, sampler, seed
):
    """At every level the same noise, as if the truth had been noised that far."""
    truth, noise = (randn(batch, *grid, seed=seed + i) for i in (0, 1))
    last = schedule.num_train_timesteps - 1
    calls = 1 + round(share * (last - 1))
    levels = [*schedule.timesteps(calls, first=last).tolist(), 0]

    def on_the_line(t):
        return schedule.q_sample(truth, torch.full((batch,), t), noise)

    def denoise(x, t_B):
        return schedule.target(prediction, truth, t_B, noise)

    def compare(i, t, x, x0):
        assert t == levels[i]
        torch.testing.assert_close(x, on_the_line(levels[i + 1]), rtol=0, atol=1e-7)

    sample(
        denoise,
        schedule,
        on_the_line(last),
        prediction=prediction,
        sampler=sampler,
        num_calls=calls,
        callback=compare,
        end="index0",
    )


@few
@given(
    batch=batches,
    grid=grids,
    dtype=st.sampled_from(FLOATS),
    answer=st.sampled_from(FLOATS),
    prediction=predictions,
    sampler=st.sampled_from(SAMPLERS),
    end=st.sampled_from(LEVELS),
    calls=st.integers(1, 9),
)
def test_a_sample_has_the_shape_type_and_device_of_its_start(
    batch, grid, dtype, answer, prediction, sampler, end, calls
):
    seen = []

    def denoise(x, t_B):
        seen.append((x.shape, x.dtype, t_B.dtype, t_B.device))
        return (0.1 * x).to(answer)

    generators = [torch.Generator().manual_seed(b) for b in range(batch)]
    x_T = draw_noise((batch, *grid), generators, dtype=dtype)
    x = sample(
        denoise,
        NoiseSchedule(),
        x_T,
        prediction=prediction,
        sampler=sampler,
        num_calls=calls,
        clip_x0=(-2, 2),
        generator=generators,
        end=end,
    )
    assert (x.shape, x.dtype, x.device) == (x_T.shape, dtype, x_T.device)
    assert torch.isfinite(x).all()
    assert seen == [(x_T.shape, dtype, torch.int64, x_T.device)] * calls


# -- networks --------------------------------------------------------------------------


@few
@given(
    factors=st.lists(st.integers(1, 3), min_size=2, max_size=3),
    batch=batches,
    channels=st.integers(1, 2),
    dtype=st.sampled_from(FLOATS),
    seed=seeds,
)
def test_unfolding_is_undone_by_folding(factors, batch, channels, dtype, seed):
    grid = (2, 1, 3)[: len(factors)]
    x = randn(batch, channels * math.prod(factors), *grid, seed=seed, dtype=dtype)
    unfolded = depth_to_space(x, factors)
    assert unfolded.shape[1] == channels
    assert torch.equal(space_to_depth(unfolded, factors), x)


@settings(deadline=None, max_examples=8)
@given(
    grid=st.lists(st.integers(1, 3), min_size=2, max_size=3),
    batch=batches,
    patch=st.integers(1, 2),
    conditioning=st.sampled_from(CONDITIONINGS),
    dtype=st.sampled_from(FLOATS),
)
def test_a_network_keeps_shape_and_type_on_any_grid(
    grid, batch, patch, conditioning, dtype
):
    pet = tuple(2 * patch * n for n in grid)
    mri = tuple(max(16, 2 * n) for n in pet)
    model = SpatialUNet(
        pet,
        mri,
        width=8,
        channel_mults=(1, 2),
        patch=patch,
        conditioning=conditioning,
    ).to(dtype)
    torch.nn.init.normal_(
        model.head.weight, std=0.1, generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        cond = model.encode(randn(batch, 1, *mri, dtype=dtype))
        assert cond.shape == (batch, *model.cond_shape) and cond.dtype == dtype
        x = randn(batch, 1, *pet, seed=1, dtype=dtype)
        y = model(x, torch.arange(batch), cond)
    assert (y.shape, y.dtype, y.device) == (x.shape, dtype, x.device)
    assert torch.isfinite(y).all() and y.any()


# -- training ----------------------------------------------------------


@few
@given(n=st.integers(1, 12), size=st.integers(1, 15), seed=seeds)
def test_batches_of_any_size_use_every_sample_equally_often(n, size, seed):
    """After as many steps as samples, `size` whole epochs have passed."""
    seen = np.concatenate([batch_indices(n, size, seed, step) for step in range(n)])
    epochs = np.sort(seen.reshape(size, n), axis=1)
    assert np.array_equal(epochs, np.tile(np.arange(n), (size, 1)))
