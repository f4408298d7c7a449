"""Samplers: the released rule, diffusers, an analytic denoiser, convergence."""

import numpy as np
import pytest
import torch

from mri2pet.samplers import draw_noise, sample
from mri2pet.schedule import PREDICTIONS, NoiseSchedule

SCHEDULE = NoiseSchedule()
DOUBLE = {"dtype": torch.float64}


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **DOUBLE)


def test_released_rule_at_999_calls():
    """The audited loop, written out, against `sample` with the same random numbers."""

    def network(x, t):
        return torch.sin(x) + t.view(-1, 1) / 1000

    x_T = randn(2, 4)
    generator = torch.Generator().manual_seed(5)
    x = x_T.clone()
    for t in range(999, 0, -1):
        alpha, abar = SCHEDULE.alphas[t], SCHEDULE.alphas_cumprod[t]
        eps = network(x, torch.full((2,), t))
        x = (x - (1 - alpha) / (1 - abar).sqrt() * eps) / alpha.sqrt()
        if t > 1:
            z = torch.randn(2, 4, generator=generator, **DOUBLE)
            x = x + SCHEDULE.betas[t].sqrt() * z
    ours = sample(
        network,
        SCHEDULE,
        x_T,
        prediction="eps",
        sampler="ddpm",
        num_calls=999,
        generator=torch.Generator().manual_seed(5),
    )
    torch.testing.assert_close(ours, x, rtol=1e-9, atol=1e-9)


def _diffusers(kind, **kwargs):
    diffusers = pytest.importorskip("diffusers")
    return getattr(diffusers, kind)(
        num_train_timesteps=1000, beta_start=0.0015, beta_end=0.02, **kwargs
    )


def _dummy(x, t):
    return 0.3 * x + 0.1 * torch.cos(3 * x) * (1 + t.view(-1, 1) / 1000)


DIFFUSERS_NAME = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("calls", [999, 50, 7])
@pytest.mark.parametrize(
    ("variance", "theirs"), [("beta", "fixed_large"), ("posterior", "fixed_small")]
)
def test_ddpm_agrees_with_diffusers(prediction, calls, variance, theirs):
    """Every ancestral step, with diffusers' noise, over the same subsequence."""
    scheduler = _diffusers(
        "DDPMScheduler",
        variance_type=theirs,
        prediction_type=DIFFUSERS_NAME[prediction],
        clip_sample=True,
        clip_sample_range=1.5,
    )
    scheduler.alphas_cumprod = SCHEDULE.alphas_cumprod
    scheduler.alphas, scheduler.betas = SCHEDULE.alphas, SCHEDULE.betas
    # Ours ends on index 0 without calling the network there: their extra last step.
    scheduler.set_timesteps(timesteps=[*SCHEDULE.timesteps(calls).tolist(), 0])
    x = x_T = randn(2, 4)
    generator = torch.Generator().manual_seed(3)
    steps = scheduler.timesteps[:-1]
    for t in steps:
        out = scheduler.step(
            _dummy(x, torch.full((2,), int(t))), t, x, generator=generator
        )
        before, x = x, out.prev_sample
    # They add noise at the last of our steps, we do not: repeat it without.
    output, t_B = _dummy(before, torch.full((2,), int(t))), torch.full((2,), int(t))
    x0, _ = SCHEDULE.to_x0_noise(prediction, before, t_B, output)
    x0 = x0.clamp(-1.5, 1.5)
    abar, final = SCHEDULE.abar(int(t)), SCHEDULE.abar(0)
    alpha = abar / final
    mean = (final.sqrt() * (1 - alpha) * x0 + alpha.sqrt() * (1 - final) * before) / (
        1 - abar
    )
    ours = sample(
        _dummy,
        SCHEDULE,
        x_T,
        prediction=prediction,
        sampler="ddpm",
        num_calls=calls,
        variance=variance,
        clip_x0=(-1.5, 1.5),
        generator=torch.Generator().manual_seed(3),
    )
    torch.testing.assert_close(ours, mean, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize(("end", "to_one"), [("x0", True), ("index0", False)])
def test_ddim_agrees_with_diffusers(prediction, eta, end, to_one):
    scheduler = _diffusers(
        "DDIMScheduler",
        prediction_type=DIFFUSERS_NAME[prediction],
        clip_sample=True,
        clip_sample_range=1.5,
        set_alpha_to_one=to_one,
    )
    scheduler.alphas_cumprod = SCHEDULE.alphas_cumprod
    if not to_one:
        scheduler.final_alpha_cumprod = SCHEDULE.alphas_cumprod[0]
    # Spaced by 111: their "t - 1000 // n" meets our next step, then falls below 0.
    calls, first = 9, 998
    scheduler.num_inference_steps = calls
    steps = [first - 111 * i for i in range(calls)]
    x = x_T = randn(2, 4)
    generator = torch.Generator().manual_seed(3)
    for t in steps:
        t_B = torch.full((2,), t)
        x = scheduler.step(
            _dummy(x, t_B),
            t,
            x,
            eta=eta,
            use_clipped_model_output=True,
            generator=generator,
        ).prev_sample

    class Nine(NoiseSchedule):
        def timesteps(self, num_calls, first=999, last=1):
            return torch.tensor(steps)

    ours = sample(
        _dummy,
        Nine(),
        x_T,
        prediction=prediction,
        sampler="ddim",
        num_calls=calls,
        eta=eta,
        clip_x0=(-1.5, 1.5),
        generator=torch.Generator().manual_seed(3),
        end=end,
    )
    torch.testing.assert_close(ours, x, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("calls", [1, 2, 20])
@pytest.mark.parametrize(("end", "sigmas"), [("x0", "zero"), ("index0", "sigma_min")])
def test_dpm_solver_agrees_with_diffusers(prediction, calls, end, sigmas):
    scheduler = _diffusers(
        "DPMSolverMultistepScheduler",
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        lower_order_final=True,
        euler_at_final=True,
        final_sigmas_type=sigmas,
        prediction_type=DIFFUSERS_NAME[prediction],
    )
    scheduler.set_timesteps(calls)
    steps = SCHEDULE.timesteps(calls)
    levels = SCHEDULE.alphas_cumprod[steps]
    last = SCHEDULE.alphas_cumprod[:1] if end == "index0" else torch.ones(1, **DOUBLE)
    levels = torch.cat([levels, last])
    # They keep levels as sqrt((1 - abar) / abar), in float32 unless told otherwise.
    scheduler.sigmas = ((1 - levels) / levels).sqrt()
    scheduler.timesteps = steps
    x = x_T = randn(2, 4)
    for t in steps:
        x = scheduler.step(_dummy(x, torch.full((2,), int(t))), t, x).prev_sample
    ours = sample(
        _dummy,
        SCHEDULE,
        x_T,
        prediction=prediction,
        sampler="dpmpp_2m",
        num_calls=calls,
        end=end,
    )
    torch.testing.assert_close(ours, x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("sampler", "order"), [("ddim", 1), ("dpmpp_2m", 2)])
def test_order_of_convergence(sampler, order):
    """On a Gaussian the flow is known: every point keeps its distance in SDs."""
    m, s = 0.7, 0.5

    def sd(abar):
        return (abar * s**2 + 1 - abar).sqrt()

    def denoise(x_t, t_B):
        abar = SCHEDULE.abar(t_B).view(-1, 1)
        gain = abar.sqrt() * s**2 / sd(abar) ** 2
        return m + gain * (x_t - abar.sqrt() * m)

    x_T = torch.linspace(-2, 2, 9, **DOUBLE).view(-1, 1)
    first, last = SCHEDULE.abar(999), SCHEDULE.abar(0)
    exact = last.sqrt() * m + sd(last) * (x_T - first.sqrt() * m) / sd(first)
    calls, errors = [60, 120, 240, 480], []
    for n in calls:
        x = sample(
            denoise,
            SCHEDULE,
            x_T,
            prediction="x0",
            sampler=sampler,
            num_calls=n,
            end="index0",
        )
        errors.append((x - exact).abs().max().item())
    slope = -np.polyfit(np.log(calls), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.25)


MEANS, WEIGHTS, SD = torch.tensor([-1.0, 1.5], **DOUBLE), (0.3, 0.7), 0.2


def mixture_denoiser(prediction):
    """E[x0 | x_t] of a two-peak Gaussian mixture, in closed form."""

    def denoise(x_t, t_B):
        abar = SCHEDULE.abar(t_B).view(-1, 1, 1)
        x = x_t[..., None]
        variance = abar * SD**2 + 1 - abar
        log = -((x - abar.sqrt() * MEANS) ** 2) / (2 * variance)
        resp = (log + torch.tensor(WEIGHTS, **DOUBLE).log()).softmax(-1)
        gain = abar.sqrt() * SD**2 / variance
        x0 = (resp * (MEANS + gain * (x - abar.sqrt() * MEANS))).sum(-1)
        noise = SCHEDULE.predict_noise(x_t, t_B, x0)
        return SCHEDULE.target(prediction, x0, t_B, noise)

    return denoise


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize(
    ("sampler", "variance", "eta", "calls"),
    [
        ("ddpm", "beta", 0.0, 999),
        ("ddpm", "posterior", 0.0, 999),
        ("ddim", "beta", 0.0, 200),
        ("ddim", "beta", 1.0, 999),
        ("dpmpp_2m", "beta", 0.0, 100),
    ],
)
def test_samplers_draw_from_a_known_mixture(prediction, sampler, variance, eta, calls):
    n = 4000
    x = sample(
        mixture_denoiser(prediction),
        SCHEDULE,
        randn(n, 1),
        prediction=prediction,
        sampler=sampler,
        num_calls=calls,
        variance=variance,
        eta=eta,
        generator=torch.Generator().manual_seed(1),
    )
    right = x > 0
    # Binomial standard error is 0.007; the bounds are about four of them.
    assert right.double().mean().item() == pytest.approx(WEIGHTS[1], abs=0.03)
    for peak, chosen in ((0, ~right), (1, right)):
        values = x[chosen]
        assert values.mean().item() == pytest.approx(MEANS[peak].item(), abs=0.03)
        assert values.std().item() == pytest.approx(SD, rel=0.12)


def test_ddim_solves_a_gaussian_exactly_in_the_limit():
    """For N(m, s^2) the probability flow is the line m + s z; DDIM converges to it."""
    m, s = 0.7, 0.5

    def denoise(x_t, t_B):
        abar = SCHEDULE.abar(t_B).view(-1, 1)
        return m + abar.sqrt() * s**2 / (abar * s**2 + 1 - abar) * (
            x_t - abar.sqrt() * m
        )

    x_T = torch.linspace(-2, 2, 9, **DOUBLE).view(-1, 1)
    abar = SCHEDULE.abar(999)
    start_sd = (abar * s**2 + 1 - abar).sqrt()
    exact = m + s * (x_T - abar.sqrt() * m) / start_sd
    errors = []
    for calls in (10, 50, 250):
        x = sample(denoise, SCHEDULE, x_T, prediction="x0", num_calls=calls)
        errors.append((x - exact).abs().max().item())
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.025


def test_one_call_returns_the_predicted_x0():
    x_T = randn(2, 3)
    x = sample(lambda x, t: x * 0 + 4, SCHEDULE, x_T, prediction="x0", num_calls=1)
    torch.testing.assert_close(x, torch.full_like(x, 4.0))


def test_clipping_bounds_the_result():
    x = sample(
        lambda x, t: 9 * torch.ones_like(x),
        SCHEDULE,
        randn(2, 3),
        prediction="x0",
        num_calls=4,
        clip_x0=(-1, 2),
    )
    torch.testing.assert_close(x, torch.full_like(x, 2.0))


def test_callback_sees_every_call():
    seen = []
    sample(
        lambda x, t: x * 0,
        SCHEDULE,
        randn(1, 2),
        prediction="x0",
        num_calls=5,
        callback=lambda i, t, x, x0: seen.append((i, t)),
    )
    assert seen == list(enumerate(SCHEDULE.timesteps(5).tolist()))


def test_own_generators_make_a_sample_independent_of_its_batch():
    def generators(seeds):
        return [torch.Generator().manual_seed(s) for s in seeds]

    def run(seeds):
        gens = generators(seeds)
        x_T = draw_noise((len(seeds), 3), gens)
        return sample(
            lambda x, t: x,
            SCHEDULE,
            x_T,
            prediction="eps",
            sampler="ddpm",
            num_calls=6,
            generator=gens,
        )

    together = run([1, 2, 3])
    for i, seed in enumerate([1, 2, 3]):
        torch.testing.assert_close(together[i : i + 1], run([seed]), rtol=0, atol=0)
    assert not torch.equal(together[0], together[1])


def test_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    sample(
        lambda x, t: x,
        SCHEDULE,
        randn(1, 2),
        prediction="eps",
        sampler="ddpm",
        num_calls=3,
        generator=torch.Generator().manual_seed(0),
    )
    assert torch.equal(torch.get_rng_state(), state)


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: _sample(s, prediction="score"), "score"),
        (lambda s: _sample(s, sampler="euler"), "euler"),
        (lambda s: _sample(s, variance="learned"), "learned"),
        (lambda s: _sample(s, end="index1"), "index1"),
        (lambda s: _sample(s, eta=-1.0), "-1"),
        (lambda s: _sample(s, sampler="dpmpp_2m", eta=0.5), "0.5 for dpmpp_2m"),
        (lambda s: _sample(s, clip_x0=(2, 1)), r"\(2, 1\)"),
        (lambda s: _sample(s, num_calls=1000), "1000"),
        (lambda s: _sample(s, sampler="ddpm"), "generator"),
        (lambda s: _sample(s, eta=0.5), "generator"),
        (
            lambda s: _sample(s, sampler="ddpm", generator=[torch.Generator()]),
            "one generator per batch item, 2; got 1",
        ),
    ],
)
def test_bad_arguments_name_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call(SCHEDULE)


def _sample(schedule, **kwargs):
    defaults = {"prediction": "x0", "num_calls": 2}
    return sample(lambda x, t: x, schedule, torch.ones(2, 3), **(defaults | kwargs))
