"""Noise schedule: closed forms, goldens, properties, diffusers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mri2pet.schedule import PREDICTIONS, NoiseSchedule

SCHEDULE = NoiseSchedule()
DOUBLE = {"dtype": torch.float64}


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **DOUBLE)


# -- closed forms and goldens ----------------------------------------------------------


def test_schedule_by_an_independent_product():
    abar = 1.0
    for t in range(1000):
        beta = 0.0015 + (0.02 - 0.0015) * t / 999
        abar *= 1 - beta
        assert SCHEDULE.betas[t].item() == pytest.approx(beta, rel=1e-12)
        assert SCHEDULE.alphas_cumprod[t].item() == pytest.approx(abar, rel=1e-11)
    assert SCHEDULE.betas.dtype == SCHEDULE.alphas_cumprod.dtype == torch.float64


@pytest.mark.parametrize(
    ("t", "abar"),
    [(0, 0.9985), (100, 0.782), (500, 0.0459), (900, 1.34e-4), (999, 1.994e-5)],
)
def test_goldens_of_the_audit(t, abar):
    assert SCHEDULE.abar(t).item() == pytest.approx(abar, rel=4e-3)


def test_mean_of_the_hidden_laplacian_weight():
    abar = SCHEDULE.alphas_cumprod[1:]
    assert ((1 - abar) / abar).mean().item() == pytest.approx(2644, abs=0.6)


def test_posterior_variance_closed_form():
    # The precision of x_{t-1} given x0 and x_t is the sum of the two Gaussians'.
    t = torch.arange(1, 1000)
    before, beta = SCHEDULE.alphas_cumprod[t - 1], SCHEDULE.betas[t]
    precision = (1 - beta) / beta + 1 / (1 - before)
    torch.testing.assert_close(SCHEDULE.posterior_variance(t), 1 / precision)
    assert SCHEDULE.posterior_variance(0) == 0


def test_snr_is_exact_and_falls():
    snr = SCHEDULE.snr(torch.arange(1000))
    abar = SCHEDULE.alphas_cumprod
    torch.testing.assert_close(snr, abar / (1 - abar))
    assert (snr.diff() < 0).all()


def test_q_sample_golden():
    x = SCHEDULE.q_sample(
        torch.tensor([[2.0]], **DOUBLE), torch.tensor([500]), torch.tensor([[-1.0]])
    )
    abar = math.prod(1 - (0.0015 + 0.0185 * i / 999) for i in range(501))
    assert x.item() == pytest.approx(2 * abar**0.5 - (1 - abar) ** 0.5, rel=1e-12)


def test_steps_may_differ_within_a_batch():
    x0, noise, t_B = randn(3, 2, 4), randn(3, 2, 4, seed=1), torch.tensor([1, 500, 999])
    together = SCHEDULE.q_sample(x0, t_B, noise)
    for b in range(3):
        alone = SCHEDULE.q_sample(x0[b : b + 1], t_B[b : b + 1], noise[b : b + 1])
        assert torch.equal(together[b : b + 1], alone)


# -- properties ------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    t=st.integers(0, 999),
    seed=st.integers(0, 2**32 - 1),
    prediction=st.sampled_from(PREDICTIONS),
)
def test_every_parametrisation_gives_back_x0_and_noise(t, seed, prediction):
    x0, noise = randn(2, 3, seed=seed), randn(2, 3, seed=seed + 1)
    t_B = torch.full((2,), t)
    x_t = SCHEDULE.q_sample(x0, t_B, noise)
    output = SCHEDULE.target(prediction, x0, t_B, noise)
    found_x0, found_noise = SCHEDULE.to_x0_noise(prediction, x_t, t_B, output)
    torch.testing.assert_close(found_x0, x0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found_noise, noise, rtol=1e-9, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(t=st.integers(0, 999), scale=st.floats(-3, 3), seed=st.integers(0, 1000))
def test_q_sample_is_linear_and_keeps_unit_variance(t, scale, seed):
    a, b, t_B = randn(1, 5, seed=seed), randn(1, 5, seed=seed + 1), torch.tensor([t])
    both = SCHEDULE.q_sample(scale * a, t_B, scale * b)
    torch.testing.assert_close(both, scale * SCHEDULE.q_sample(a, t_B, b))
    signal, noise = SCHEDULE.q_sample(
        torch.eye(2, **DOUBLE)[:, :1], t_B.expand(2), torch.eye(2, **DOUBLE)[:, 1:]
    )
    assert (signal**2 + noise**2).item() == pytest.approx(1, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(calls=st.integers(1, 999))
def test_timesteps_decrease_over_the_trained_steps(calls):
    steps = SCHEDULE.timesteps(calls)
    assert steps.dtype == torch.int64 and steps.shape == (calls,)
    assert steps[0] == 999 and (calls == 1 or steps[-1] == 1)
    assert (steps.diff() < 0).all()


# -- gradients -------------------------------------------------------------------------


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_gradients(prediction):
    x0, x_t, output = (randn(2, 3, seed=s).requires_grad_() for s in range(3))
    t_B = torch.tensor([3, 700])
    assert torch.autograd.gradcheck(SCHEDULE.q_sample, (x0, t_B, x_t))
    assert torch.autograd.gradcheck(
        lambda x, o: SCHEDULE.to_x0_noise(prediction, x, t_B, o), (x_t, output)
    )


# -- diffusers -------------------------------------------------------------------------


def _diffusers(kind, **kwargs):
    diffusers = pytest.importorskip("diffusers")
    return getattr(diffusers, kind)(
        num_train_timesteps=1000, beta_start=0.0015, beta_end=0.02, **kwargs
    )


def test_schedule_agrees_with_diffusers():
    theirs = _diffusers("DDPMScheduler")
    torch.testing.assert_close(
        theirs.alphas_cumprod.double(), SCHEDULE.alphas_cumprod, rtol=2e-4, atol=1e-9
    )
    x0, noise, t_B = randn(3, 5), randn(3, 5, seed=1), torch.tensor([1, 400, 999])
    torch.testing.assert_close(
        theirs.add_noise(x0, noise, t_B),
        SCHEDULE.q_sample(x0, t_B, noise),
        rtol=1e-4,
        atol=1e-4,
    )
    torch.testing.assert_close(
        theirs.get_velocity(x0, noise, t_B),
        SCHEDULE.velocity(x0, t_B, noise),
        rtol=1e-4,
        atol=1e-4,
    )


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize("t", [-1, 1000])
def test_t_out_of_range(t):
    with pytest.raises(ValueError, match=str(t)):
        SCHEDULE.q_sample(torch.zeros(1, 2), torch.tensor([t]), torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: NoiseSchedule(1), "1"),
        (lambda s: NoiseSchedule(beta_start=0.5, beta_end=0.1), "0.5"),
        (lambda s: s.timesteps(1000), "1000"),
        (lambda s: s.timesteps(0), "0"),
        (lambda s: s.timesteps(3, first=1, last=5), "1 and 5"),
        (lambda s: s.abar(torch.tensor([0.5])), "float"),
        (
            lambda s: s.q_sample(torch.ones(2, 3), torch.tensor([1]), torch.ones(2, 3)),
            r"\(1,\)",
        ),
        (
            lambda s: s.q_sample(torch.ones(2, 3), torch.tensor([1, 2]), torch.ones(2)),
            "noise",
        ),
        (lambda s: s.target("score", None, None, None), "score"),
    ],
)
def test_bad_arguments_name_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call(SCHEDULE)
