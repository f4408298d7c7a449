"""Noise schedule and samplers: the mathematics of diffusion, without a network.

The schedule is kept in float64 and its coefficients are cast only when they meet a
tensor, because ``sqrt(1 / abar)`` spans two orders of magnitude. Formulas follow Ho et
al. (2020, DDPM), Song et al. (2021, DDIM) and Salimans and Ho (2022, velocity).

Shape suffixes: B batch, C channel, D H W depth, height, width (z, y, x). A name without
suffix has any trailing shape; its first axis is the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

PREDICTIONS = ("eps", "x0", "v")
SAMPLERS = ("ddpm", "ddim")
VARIANCES = ("beta", "posterior")
LEVELS = ("index0", "x0")


def _one_of(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")


class NoiseSchedule:
    """A linear variance schedule and the closed forms that follow from it.

    Index ``t`` runs over ``0 .. num_train_timesteps - 1``. The released training draws
    ``t`` from ``1 .. 999`` only; index 0 is never seen by the network.

    Parameters
    ----------
    num_train_timesteps : int
        Number of noise levels T.
    beta_start, beta_end : float
        First and last variance; ``0 < beta_start <= beta_end < 1``.

    Attributes
    ----------
    betas, alphas, alphas_cumprod : Tensor
        float64, shape (T,). ``alphas_cumprod`` is written abar in the formulas.

    Examples
    --------
    >>> schedule = NoiseSchedule()
    >>> print(f"{schedule.alphas_cumprod[100]:.3f} {schedule.alphas_cumprod[999]:.3e}")
    0.782 1.994e-05
    """

    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.0015,
        beta_end: float = 0.02,
    ) -> None:
        if num_train_timesteps < 2:
            raise ValueError(
                f"num_train_timesteps must be at least 2; got {num_train_timesteps}"
            )
        if not 0 < beta_start <= beta_end < 1:
            raise ValueError(
                "betas must satisfy 0 < beta_start <= beta_end < 1; "
                f"got {beta_start} and {beta_end}"
            )
        self.num_train_timesteps = int(num_train_timesteps)
        self.betas = torch.linspace(
            beta_start, beta_end, self.num_train_timesteps, dtype=torch.float64
        )
        self.alphas = 1 - self.betas
        self.alphas_cumprod = torch.cumprod(self.alphas, dim=0)

    def __repr__(self) -> str:
        return (
            f"NoiseSchedule({self.num_train_timesteps}, "
            f"{self.betas[0].item():g}, {self.betas[-1].item():g})"
        )

    # -- coefficients ---------------------------------------------------------

    def check_t(self, t: Tensor | int) -> Tensor:
        """Return ``t`` as an int64 tensor, or raise a ValueError if out of range."""
        t = torch.as_tensor(t)
        if t.is_floating_point() or t.is_complex() or t.dtype == torch.bool:
            raise ValueError(f"t must hold integers; got dtype {t.dtype}")
        if t.numel() and (int(t.min()) < 0 or int(t.max()) >= self.num_train_timesteps):
            raise ValueError(
                f"t must lie in 0..{self.num_train_timesteps - 1}; "
                f"got {int(t.min())}..{int(t.max())}"
            )
        return t.long()

    def abar(self, t: Tensor | int) -> Tensor:
        """Return abar at ``t``: float64, the shape and device of ``t``."""
        t = self.check_t(t)
        return self.alphas_cumprod.to(t.device)[t]

    def _signal_noise(self, like: Tensor, t_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return sqrt(abar) and sqrt(1 - abar), shaped to broadcast over ``like``."""
        t_B = torch.as_tensor(t_B)
        if t_B.ndim != 1 or t_B.shape[0] != like.shape[0]:
            raise ValueError(
                f"t_B must have shape ({like.shape[0]},), one step per batch item; "
                f"got {tuple(t_B.shape)}"
            )
        abar = self.abar(t_B).to(like.device)
        shape = (-1,) + (1,) * (like.ndim - 1)
        signal = abar.sqrt().to(like.dtype).view(shape)
        noise = (1 - abar).sqrt().to(like.dtype).view(shape)
        return signal, noise

    def posterior_variance(self, t: Tensor | int) -> Tensor:
        """Variance of q(x_{t-1} | x_t, x0): beta_t (1 - abar_{t-1}) / (1 - abar_t).

        Zero at ``t = 0``. DDPM, eq. (7).
        """
        t = self.check_t(t)
        abar = self.alphas_cumprod
        before = torch.cat([abar.new_ones(1), abar[:-1]])
        return (self.betas * (1 - before) / (1 - abar)).to(t.device)[t]

    def snr(self, t: Tensor | int) -> Tensor:
        """Signal-to-noise ratio abar / (1 - abar) at ``t``, float64."""
        abar = self.abar(t)
        return abar / (1 - abar)

    # -- the three parametrisations -------------------------------------------

    def q_sample(self, x0: Tensor, t_B: Tensor, noise: Tensor) -> Tensor:
        """Noise a clean volume: ``sqrt(abar) x0 + sqrt(1 - abar) noise`` (DDPM (4)).

        Parameters
        ----------
        x0, noise : Tensor
            Clean data and unit Gaussian noise, same shape, batch first.
        t_B : Tensor
            Integer steps, shape (B,).

        Returns
        -------
        Tensor
            ``x_t``, the shape of ``x0``.
        """
        _same_shape("noise", noise, x0)
        a, s = self._signal_noise(x0, t_B)
        return a * x0 + s * noise

    def predict_x0(self, x_t: Tensor, t_B: Tensor, noise: Tensor) -> Tensor:
        """Solve ``q_sample`` for x0: ``(x_t - sqrt(1 - abar) noise) / sqrt(abar)``."""
        _same_shape("noise", noise, x_t)
        a, s = self._signal_noise(x_t, t_B)
        return (x_t - s * noise) / a

    def predict_noise(self, x_t: Tensor, t_B: Tensor, x0: Tensor) -> Tensor:
        """Solve ``q_sample`` for noise: ``(x_t - sqrt(abar) x0) / sqrt(1 - abar)``."""
        _same_shape("x0", x0, x_t)
        a, s = self._signal_noise(x_t, t_B)
        return (x_t - a * x0) / s

    def velocity(self, x0: Tensor, t_B: Tensor, noise: Tensor) -> Tensor:
        """Return v = ``sqrt(abar) noise - sqrt(1 - abar) x0`` (Salimans and Ho)."""
        _same_shape("noise", noise, x0)
        a, s = self._signal_noise(x0, t_B)
        return a * noise - s * x0

    def target(self, prediction: str, x0: Tensor, t_B: Tensor, noise: Tensor) -> Tensor:
        """Return what a network of this ``prediction`` should output."""
        _one_of("prediction", prediction, PREDICTIONS)
        if prediction == "eps":
            return noise
        if prediction == "x0":
            return x0
        return self.velocity(x0, t_B, noise)

    def to_x0_noise(
        self, prediction: str, x_t: Tensor, t_B: Tensor, output: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Turn a network output into the pair (x0, noise) that it implies.

        Parameters
        ----------
        prediction : {"eps", "x0", "v"}
            What the network outputs.
        x_t, output : Tensor
            Noisy input and network output, same shape.
        t_B : Tensor
            Integer steps, shape (B,).

        Returns
        -------
        x0, noise : Tensor
            They satisfy ``q_sample(x0, t_B, noise) == x_t``.
        """
        _one_of("prediction", prediction, PREDICTIONS)
        if prediction == "eps":
            return self.predict_x0(x_t, t_B, output), output
        if prediction == "x0":
            return output, self.predict_noise(x_t, t_B, output)
        _same_shape("output", output, x_t)
        a, s = self._signal_noise(x_t, t_B)
        return a * x_t - s * output, s * x_t + a * output

    # -- respacing --------------------------------------------------------------

    def timesteps(self, num_calls: int, first: int = 999, last: int = 1) -> Tensor:
        """Spread ``num_calls`` steps evenly from ``first`` down to ``last``.

        The defaults span the levels that training visits, 1..999. One call is made at
        ``first``.

        Returns
        -------
        Tensor
            int64, strictly decreasing, shape (num_calls,).

        Examples
        --------
        >>> NoiseSchedule().timesteps(5).tolist()
        [999, 750, 500, 251, 1]
        """
        self.check_t(torch.tensor([first, last]))
        if first < last:
            raise ValueError(f"first must not lie below last; got {first} and {last}")
        available = first - last + 1
        if not 1 <= num_calls <= available:
            raise ValueError(
                f"num_calls must lie in 1..{available}, the trained steps "
                f"{last}..{first}; got {num_calls}"
            )
        even = torch.linspace(first, last, num_calls, dtype=torch.float64)
        # Half-up rounding; torch.round's half-to-even could repeat a step.
        return torch.floor(even + 0.5).long()


def _same_shape(name: str, value: Tensor, like: Tensor) -> None:
    if value.shape != like.shape:
        raise ValueError(
            f"{name} must have shape {tuple(like.shape)}; got {tuple(value.shape)}"
        )


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
    """
    draw = dtype if dtype in (torch.float32, torch.float64) else torch.float32
    if isinstance(generator, torch.Generator):
        noise = torch.randn(
            tuple(shape), generator=generator, dtype=draw, device=generator.device
        )
    else:
        if len(generator) != shape[0]:
            raise ValueError(
                f"need one generator per batch item, {shape[0]}; got {len(generator)}"
            )
        noise = torch.stack(
            [
                torch.randn(tuple(shape[1:]), generator=g, dtype=draw, device=g.device)
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
    with no noise at the last call. Fewer calls use the same rule on the subsequence,
    with ``alpha = abar_t / abar_next`` (Nichol and Dhariwal, 2021).

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
    sampler : {"ddpm", "ddim"}
        Ancestral sampling, or DDIM with ``eta`` (0 = deterministic).
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
        Where the last call lands: on noise level 0, as in the released code (SD 0.039
        in network units), or on the predicted x0. Default: "index0" for DDPM, "x0" for
        DDIM.

    Returns
    -------
    Tensor
        The sample, shape of ``x_T``.
    """
    _one_of("prediction", prediction, PREDICTIONS)
    _one_of("sampler", sampler, SAMPLERS)
    _one_of("variance", variance, VARIANCES)
    end = {"ddpm": "index0", "ddim": "x0"}[sampler] if end is None else end
    _one_of("end", end, LEVELS)
    if not eta >= 0:
        raise ValueError(f"eta must not be negative; got {eta}")
    if clip_x0 is not None and not clip_x0[0] < clip_x0[1]:
        raise ValueError(f"clip_x0 must be (low, high) with low < high; got {clip_x0}")
    if generator is None and (sampler == "ddpm" or eta > 0):
        raise ValueError(f"sampler {sampler!r} with eta={eta} needs a generator")

    steps = schedule.timesteps(num_calls, first=schedule.num_train_timesteps - 1)
    levels = schedule.alphas_cumprod[steps].tolist()
    final = 1.0 if end == "x0" else schedule.alphas_cumprod[0].item()
    x = x_T
    for i, t in enumerate(steps.tolist()):
        last = i + 1 == num_calls
        abar, abar_next = levels[i], final if last else levels[i + 1]
        t_B = torch.full((x.shape[0],), t, dtype=torch.long, device=x.device)
        output = denoise(x, t_B).to(x.dtype)
        x0, eps = schedule.to_x0_noise(prediction, x, t_B, output)
        if clip_x0 is not None:
            x0 = x0.clamp(*clip_x0)
            eps = schedule.predict_noise(x, t_B, x0)
        alpha = abar / abar_next
        posterior = (1 - alpha) * (1 - abar_next) / (1 - abar)
        if sampler == "ddpm":
            # In terms of eps, not x0: no division by sqrt(abar), so no cancellation.
            x = (x - (1 - alpha) / (1 - abar) ** 0.5 * eps) / alpha**0.5
            sigma = ((1 - alpha) if variance == "beta" else posterior) ** 0.5
            sigma = 0.0 if last else sigma
        else:
            sigma = eta * posterior**0.5
            direction = max(1 - abar_next - sigma**2, 0.0) ** 0.5
            x = abar_next**0.5 * x0 + direction * eps
        if sigma > 0:
            x = x + sigma * draw_noise(
                x.shape, generator, dtype=x.dtype, device=x.device
            )
        if callback is not None:
            callback(i, t, x, x0)
    return x
