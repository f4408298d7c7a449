"""Samplers: from noise to data in few or many calls of a denoiser.

All of them walk down the same noise levels, and at each one ask the denoiser for the
clean volume x0. They differ in how they get to the next level: DDPM (Ho et al., 2020)
adds fresh noise, DDIM (Song et al., 2021) moves along a line, DPM-Solver++ 2M (Lu et
al., 2022) along a curve through its last two guesses.

Shape suffixes: B batch. A name without suffix has any trailing shape; its first axis is
the batch. ``abar`` is `NoiseSchedule.alphas_cumprod` at a level, as a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import finite, floating, number, one_of, wholes
from .schedule import PREDICTIONS, NoiseSchedule

SAMPLERS = ("ddpm", "ddim", "dpmpp_2m")
VARIANCES = ("beta", "posterior")
LEVELS = ("index0", "x0")


def draw_noise(
    shape: Sequence[int],
    generator: torch.Generator | Sequence[torch.Generator],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw unit Gaussian noise from one generator, or from one per batch item.

    With a list, item i depends on generator i only, so a person's sample is the same
    whatever else is in the batch. Numbers are drawn on the generator's own device.

    Parameters
    ----------
    shape : sequence of int
        Shape of the noise, batch first.
    generator : torch.Generator or list of B generators
        Source of the numbers; its state moves on.
    dtype : torch.dtype
        Of the result. Half precision is drawn in float32 and then rounded.
    device : torch.device or str
        Of the result.

    Returns
    -------
    Tensor
        Mean 0, SD 1, of that shape.

    Raises
    ------
    ValueError
        A list whose length is not the batch size, or a shape or type of no noise.

    Examples
    --------
    The second of two people, alone and in company:

    >>> def stream(seed):
    ...     return torch.Generator().manual_seed(seed)
    >>> both = draw_noise((2, 3), [stream(1), stream(2)])
    >>> torch.equal(both[1:], draw_noise((1, 3), [stream(2)]))
    True
    """
    shape = wholes("shape", shape, 1)
    if not dtype.is_floating_point:
        raise ValueError(f"dtype of noise must be floating point; got {dtype}")
    draw = dtype if dtype in (torch.float32, torch.float64) else torch.float32
    if isinstance(generator, torch.Generator):
        noise = torch.randn(
            shape, generator=generator, dtype=draw, device=generator.device
        )
    else:
        _check_generators(generator, shape[0])
        noise = torch.stack(
            [
                torch.randn(shape[1:], generator=g, dtype=draw, device=g.device)
                for g in generator
            ]
        )
    return noise.to(device=device, dtype=dtype)


@torch.no_grad()
def sample(
    denoise: Callable[[Tensor, Tensor], Tensor],
    schedule: NoiseSchedule,
    x_T: Tensor,
    *,
    prediction: str,
    sampler: str = "ddim",
    num_calls: int = 25,
    variance: str = "beta",
    eta: float = 0.0,
    clip_x0: tuple[float, float] | None = None,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    callback: Callable[[int, int, Tensor, Tensor], None] | None = None,
    end: str | None = None,
) -> Tensor:
    """Run the reverse process from noise to data.

    With ``sampler="ddpm"``, ``variance="beta"``, ``num_calls=999`` and no clipping this
    is the released rule exactly: for t = 999..1,
    ``x <- (x - (1 - alpha_t) / sqrt(1 - abar_t) eps) / sqrt(alpha_t) + sqrt(beta_t) z``
    with no noise at the last call (DDPM, algorithm 2). Fewer calls use the same rule on
    the subsequence, with ``alpha = abar_t / abar_next`` (Nichol and Dhariwal, 2021).

    Parameters
    ----------
    denoise : callable
        ``denoise(x_t, t_B)`` returns the network output, the shape of ``x_t``.
    schedule : NoiseSchedule
        The schedule that the network was trained with.
    x_T : Tensor
        Unit Gaussian start, shape (B, ...).
    prediction : {"eps", "x0", "v"}
        What ``denoise`` returns.
    sampler : {"ddpm", "ddim", "dpmpp_2m"}
        Ancestral sampling, DDIM with ``eta`` (0 = deterministic), or the deterministic
        second-order multistep DPM-Solver++.
    num_calls : int
        Network calls, at most one per trained step (999).
    variance : {"beta", "posterior"}
        DDPM only: the step's noise variance, beta_t (released) or the posterior's.
    eta : float
        DDIM only: 0 deterministic, 1 as noisy as DDPM with the posterior variance.
    clip_x0 : (float, float) or None
        Bounds for the predicted x0 at each call, in network units.
    generator : torch.Generator, list of B generators, or None
        Source of the step noise; needed by every stochastic sampler.
    callback : callable, optional
        ``callback(i, t, x, x0)`` after call i, with the new x and the predicted x0.
    end : {"index0", "x0"}, optional
        Where the last call lands: on noise level 0, as in the released code (its SD is
        0.039 in network units; DDPM, which adds no noise at the last call, leaves
        0.031), or on the predicted x0. Default: "index0" for DDPM, "x0" for the others.

    Returns
    -------
    Tensor
        The sample, shape of ``x_T``, in network units.

    Raises
    ------
    ValueError
        An unknown choice, ``eta`` outside of [0, 1] or for another sampler than DDIM,
        bounds out of order, a stochastic sampler without a generator, more calls than
        trained steps, a start that is not finite, or an output of another shape.

    Examples
    --------
    A denoiser that knows the one volume there is, found again in a single call:

    >>> truth = torch.full((1, 2), 3.0)
    >>> start = torch.randn(1, 2, generator=torch.Generator().manual_seed(0))
    >>> sample(
    ...     lambda x, t: truth, NoiseSchedule(), start, prediction="x0", num_calls=1
    ... )
    tensor([[3., 3.]])
    """
    one_of("prediction", prediction, PREDICTIONS)
    one_of("sampler", sampler, SAMPLERS)
    one_of("variance", variance, VARIANCES)
    end = ("index0" if sampler == "ddpm" else "x0") if end is None else end
    one_of("end", end, LEVELS)
    eta = number("eta", eta, 0, 1)
    if eta > 0 and sampler != "ddim":
        raise ValueError(f"eta is for ddim only; got {eta} for {sampler}")
    clip_x0 = _bounds(clip_x0)
    if generator is None and (sampler == "ddpm" or eta > 0):
        raise ValueError(f"sampler {sampler!r} with eta={eta} needs a generator")
    floating("x_T", x_T)
    if x_T.ndim == 0 or x_T.numel() == 0:
        raise ValueError(f"x_T must have shape (B, ...); got {tuple(x_T.shape)}")
    finite("x_T", x_T)
    if not isinstance(generator, torch.Generator | None):
        _check_generators(generator, x_T.shape[0])

    steps = schedule.timesteps(num_calls, first=schedule.num_train_timesteps - 1)
    levels = schedule.alphas_cumprod[steps].tolist()
    levels.append(1.0 if end == "x0" else schedule.alphas_cumprod[0].item())
    x, before = x_T, None
    for i, t in enumerate(steps.tolist()):
        t_B = torch.full((x.shape[0],), t)
        output = denoise(x, torch.full_like(t_B, t, device=x.device))
        floating("output", output)
        output = output.to(x.dtype)
        x0, eps = schedule.to_x0_noise(prediction, x, t_B, output)
        if clip_x0 is not None:
            x0 = x0.clamp(*clip_x0)
            eps = schedule.predict_noise(x, t_B, x0)
        guess = _Guess(levels[i], x0, eps)
        last = i + 1 == num_calls
        if sampler == "ddpm":
            x, sigma = _ddpm_step(x, guess, levels[i + 1], variance)
            sigma = 0.0 if last else sigma
        elif sampler == "ddim":
            x, sigma = _ddim_step(guess, levels[i + 1], eta)
        else:
            x, sigma = _dpmpp_step(x, guess, levels[i + 1], None if last else before)
        if sigma > 0:
            x = x + sigma * draw_noise(
                x.shape, generator, dtype=x.dtype, device=x.device
            )
        before = guess
        if callback is not None:
            callback(i, t, x, x0)
    return x


def _check_generators(generators: Sequence[torch.Generator], count: int) -> None:
    known = isinstance(generators, Sequence) and all(
        isinstance(g, torch.Generator) for g in generators
    )
    if not known:
        raise ValueError(
            "generator must be a torch.Generator, or a list of one per batch item; "
            f"got {generators!r}"
        )
    if len(generators) != count:
        raise ValueError(
            f"need one generator per batch item, {count}; got {len(generators)}"
        )


def _bounds(clip_x0: tuple[float, float] | None) -> tuple[float, float] | None:
    if clip_x0 is None:
        return None
    try:
        low, high = (float(v) for v in clip_x0)
    except (TypeError, ValueError):
        low = high = math.nan
    if not low < high:
        raise ValueError(f"clip_x0 must be (low, high) with low < high; got {clip_x0}")
    return low, high


@dataclass(frozen=True)
class _Guess:
    """What the denoiser said at one level."""

    abar: float
    x0: Tensor
    eps: Tensor

    @property
    def half_log_snr(self) -> float:
        return _half_log_snr(self.abar)


def _half_log_snr(abar: float) -> float:
    return 0.5 * math.log(abar / (1 - abar))


def _posterior_variance(abar: float, abar_next: float) -> float:
    return (1 - abar / abar_next) * (1 - abar_next) / (1 - abar)


def _ddpm_step(
    x: Tensor, guess: _Guess, abar_next: float, variance: str
) -> tuple[Tensor, float]:
    # In terms of eps, not x0: no division by sqrt(abar), so no cancellation.
    alpha = guess.abar / abar_next
    mean = (x - (1 - alpha) / (1 - guess.abar) ** 0.5 * guess.eps) / alpha**0.5
    posterior = _posterior_variance(guess.abar, abar_next)
    return mean, ((1 - alpha) if variance == "beta" else posterior) ** 0.5


def _ddim_step(guess: _Guess, abar_next: float, eta: float) -> tuple[Tensor, float]:
    sigma = eta * _posterior_variance(guess.abar, abar_next) ** 0.5
    direction = max(1 - abar_next - sigma**2, 0.0) ** 0.5
    return abar_next**0.5 * guess.x0 + direction * guess.eps, sigma


def _dpmpp_step(
    x: Tensor, guess: _Guess, abar_next: float, before: _Guess | None
) -> tuple[Tensor, float]:
    """Integrate x0 over the half log-SNR with the last two guesses.

    Algorithm 2 (2M) of Lu et al. (2022), for a network that predicts x0.
    The first and the last step are of first order, which is DDIM.
    """
    if abar_next == 1.0:
        return guess.x0, 0.0
    x0, gap = guess.x0, _half_log_snr(abar_next) - guess.half_log_snr
    if before is not None:
        share = gap / (guess.half_log_snr - before.half_log_snr) / 2
        x0 = x0 + share * (x0 - before.x0)
    shrink = ((1 - abar_next) / (1 - guess.abar)) ** 0.5
    return shrink * x - abar_next**0.5 * math.expm1(-gap) * x0, 0.0
