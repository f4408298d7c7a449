"""Noise schedule: the mathematics of diffusion, without a network or a sampler.

The schedule is kept in float64 and its coefficients are cast only when they meet a
tensor, because ``sqrt(1 / abar)`` spans two orders of magnitude. Formulas follow Ho et
al. (2020, DDPM) and Salimans and Ho (2022, velocity).

Shape suffixes: B batch, C channel, D H W depth, height, width (z, y, x). A name without
suffix has any trailing shape; its first axis is the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .checks import holds_integers, number, one_of, same_shape, whole

PREDICTIONS = ("eps", "x0", "v")
# 1 / abar is a factor of the losses: it shall be finite in float32.
LEAST_ABAR = torch.finfo(torch.float32).tiny


class NoiseSchedule:
    """A linear variance schedule and the closed forms that follow from it.

    Index ``t`` runs over ``0 .. num_train_timesteps - 1``. The released training draws
    ``t`` from ``1 .. 999`` only; index 0 is never seen by the network. The defaults are
    those of MRI2PET, section 3.1. Its eq. (1) prints the process as an SDE; the
    released code and this class have the ordinary process of DDPM.

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

    Raises
    ------
    ValueError
        Fewer than two levels, variances out of order or of (0, 1), or ones so small or
        large that abar no longer falls or leaves what float32 holds.

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
        self.num_train_timesteps = whole("num_train_timesteps", num_train_timesteps, 2)
        beta_start = number("beta_start", beta_start, 0, 1, inside=True)
        beta_end = number("beta_end", beta_end, 0, 1, inside=True)
        if beta_start > beta_end:
            raise ValueError(
                "betas must satisfy beta_start <= beta_end; "
                f"got {beta_start} and {beta_end}"
            )
        self.betas = torch.linspace(
            beta_start, beta_end, self.num_train_timesteps, dtype=torch.float64
        )
        self.alphas = 1 - self.betas
        self.alphas_cumprod = torch.cumprod(self.alphas, dim=0)
        first, last = self.alphas_cumprod[0].item(), self.alphas_cumprod[-1].item()
        falls = bool((self.alphas_cumprod.diff() < 0).all())
        if not (first < 1 and falls and last >= LEAST_ABAR):
            raise ValueError(
                f"abar must fall strictly, from below 1 to at least {LEAST_ABAR:.2g}; "
                f"got {first:.6g} to {last:.2g} from {self}"
            )

    def __repr__(self) -> str:
        return (
            f"NoiseSchedule({self.num_train_timesteps}, "
            f"{self.betas[0].item():g}, {self.betas[-1].item():g})"
        )

    # -- coefficients ---------------------------------------------------------

    def check_t(self, t: Tensor | int) -> Tensor:
        """Return ``t`` as an int64 tensor, or refuse it.

        Parameters
        ----------
        t : Tensor or int
            Steps, any shape.

        Returns
        -------
        Tensor
            int64, the shape and device of ``t``.

        Raises
        ------
        ValueError
            No integers, or outside of ``0 .. num_train_timesteps - 1``.

        Examples
        --------
        >>> NoiseSchedule(1000).check_t(1000)
        Traceback (most recent call last):
        ValueError: t must lie in 0..999; got 1000..1000
        """
        try:
            t = torch.as_tensor(t)
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(f"t must hold integers; got {t!r}") from None
        if not holds_integers(t):
            raise ValueError(f"t must hold integers; got dtype {t.dtype}")
        t = t.long()
        if t.numel():
            # Both at once: for steps on a GPU this waits for it, so the sampler and
            # the training hand in theirs on the CPU.
            low, high = torch.stack(torch.aminmax(t)).tolist()
            if low < 0 or high >= self.num_train_timesteps:
                raise ValueError(
                    f"t must lie in 0..{self.num_train_timesteps - 1}; "
                    f"got {low}..{high}"
                )
        return t

    def check_steps(self, like: Tensor, t_B: Tensor) -> Tensor:
        """Return ``t_B`` as an int64 tensor with one step per batch item, or refuse it.

        Parameters
        ----------
        like : Tensor
            Data of any shape, batch first.
        t_B : Tensor
            Integer steps.

        Returns
        -------
        Tensor
            int64, shape (B,), on the device of ``t_B``.

        Raises
        ------
        ValueError
            Another number of steps than of items, or what `check_t` refuses.
        """
        t_B = self.check_t(t_B)
        if like.ndim == 0 or t_B.shape != like.shape[:1]:
            raise ValueError(
                f"t_B must have shape {tuple(like.shape[:1])}, one step per batch "
                f"item; got {tuple(t_B.shape)} for data of shape {tuple(like.shape)}"
            )
        return t_B

    def abar(self, t: Tensor | int) -> Tensor:
        """Return abar at ``t``: float64, the shape and device of ``t``."""
        t = self.check_t(t)
        return self.alphas_cumprod.to(t.device)[t]

    def _signal_noise(self, like: Tensor, t_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return sqrt(abar) and sqrt(1 - abar), shaped to broadcast over ``like``."""
        t_B = self.check_steps(like, t_B)
        abar = self.alphas_cumprod.to(t_B.device)[t_B]
        shape = (-1,) + (1,) * (like.ndim - 1)
        signal = beside(abar.sqrt(), like).view(shape)
        noise = beside((1 - abar).sqrt(), like).view(shape)
        return signal, noise

    def posterior_variance(self, t: Tensor | int) -> Tensor:
        """Variance of q(x_{t-1} | x_t, x0): beta_t (1 - abar_{t-1}) / (1 - abar_t).

        DDPM, eq. (7). Zero at ``t = 0``. The released sampler takes the larger beta_t.

        Parameters
        ----------
        t : Tensor or int
            Steps, any shape.

        Returns
        -------
        Tensor
            float64, the shape and device of ``t``.

        Raises
        ------
        ValueError
            See `check_t`.

        Examples
        --------
        At the last step half of beta_t, far from the data nearly all of it:

        >>> schedule, t = NoiseSchedule(), torch.tensor([1, 999])
        >>> [f"{r:.2f}" for r in schedule.posterior_variance(t) / schedule.betas[t]]
        ['0.50', '1.00']
        """
        t = self.check_t(t)
        abar = self.alphas_cumprod
        before = torch.cat([abar.new_ones(1), abar[:-1]])
        return (self.betas * (1 - before) / (1 - abar)).to(t.device)[t]

    def snr(self, t: Tensor | int) -> Tensor:
        """Signal-to-noise ratio abar / (1 - abar) at ``t``: float64, shape of ``t``."""
        abar = self.abar(t)
        return abar / (1 - abar)

    # -- the three parametrisations -------------------------------------------

    def q_sample(self, x0: Tensor, t_B: Tensor, noise: Tensor) -> Tensor:
        """Noise a clean volume: ``sqrt(abar) x0 + sqrt(1 - abar) noise``.

        DDPM, eq. (4).

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

        Raises
        ------
        ValueError
            Shapes that differ, or steps out of range.

        Examples
        --------
        What is left of a 1 at t = 100 and at t = 999:

        >>> t_B = torch.tensor([100, 999])
        >>> NoiseSchedule().q_sample(torch.ones(2), t_B, torch.zeros(2))
        tensor([0.8846, 0.0045])
        """
        same_shape("noise", noise, "x0", x0)
        a, s = self._signal_noise(x0, t_B)
        return a * x0 + s * noise

    def predict_x0(self, x_t: Tensor, t_B: Tensor, noise: Tensor) -> Tensor:
        """Solve `q_sample` for x0: ``(x_t - sqrt(1 - abar) noise) / sqrt(abar)``.

        DDPM, eq. (15); what MRI2PET prints below its eq. (4) differs and is wrong
        (`mri2pet.loss.paper_x0_formula`).

        Parameters
        ----------
        x_t, noise : Tensor
            Noisy data and its noise, same shape, batch first.
        t_B : Tensor
            Integer steps, shape (B,).

        Returns
        -------
        Tensor
            x0, the shape of ``x_t``.

        Raises
        ------
        ValueError
            Shapes that differ, or steps out of range.

        Examples
        --------
        A noise that is 0.01 off moves x0 by 2.2 at the highest level:

        >>> schedule, t_B = NoiseSchedule(), torch.tensor([999])
        >>> schedule.predict_x0(torch.zeros(1), t_B, torch.tensor([0.01]))
        tensor([-2.2394])
        """
        same_shape("noise", noise, "x_t", x_t)
        a, s = self._signal_noise(x_t, t_B)
        return (x_t - s * noise) / a

    def predict_noise(self, x_t: Tensor, t_B: Tensor, x0: Tensor) -> Tensor:
        """Solve `q_sample` for noise: ``(x_t - sqrt(abar) x0) / sqrt(1 - abar)``.

        Parameters
        ----------
        x_t, x0 : Tensor
            Noisy and clean data, same shape, batch first.
        t_B : Tensor
            Integer steps, shape (B,).

        Returns
        -------
        Tensor
            The noise, the shape of ``x_t``.

        Raises
        ------
        ValueError
            Shapes that differ, or steps out of range.

        Examples
        --------
        >>> x_t, x0 = torch.tensor([1.0]), torch.tensor([0.0])
        >>> NoiseSchedule().predict_noise(x_t, torch.tensor([999]), x0)
        tensor([1.0000])
        """
        same_shape("x0", x0, "x_t", x_t)
        a, s = self._signal_noise(x_t, t_B)
        return (x_t - a * x0) / s

    def velocity(self, x0: Tensor, t_B: Tensor, noise: Tensor) -> Tensor:
        """Return v = ``sqrt(abar) noise - sqrt(1 - abar) x0``.

        Salimans and Ho (2022).

        Parameters
        ----------
        x0, noise : Tensor
            Clean data and its noise, same shape, batch first.
        t_B : Tensor
            Integer steps, shape (B,).

        Returns
        -------
        Tensor
            v, the shape of ``x0``.

        Raises
        ------
        ValueError
            Shapes that differ, or steps out of range.

        Examples
        --------
        Near the data v is the noise, near the noise it is minus the data:

        >>> t_B = torch.tensor([0, 999])
        >>> NoiseSchedule().velocity(torch.ones(2), t_B, torch.full((2,), 3.0))
        tensor([ 2.9590, -0.9866])
        """
        same_shape("noise", noise, "x0", x0)
        a, s = self._signal_noise(x0, t_B)
        return a * noise - s * x0

    def target(self, prediction: str, x0: Tensor, t_B: Tensor, noise: Tensor) -> Tensor:
        """Return what a network of this ``prediction`` should output.

        Parameters
        ----------
        prediction : {"eps", "x0", "v"}
            What the network outputs: noise (released), clean data or velocity.
        x0, noise : Tensor
            Clean data and its noise, same shape, batch first.
        t_B : Tensor
            Integer steps, shape (B,).

        Returns
        -------
        Tensor
            The shape of ``x0``.

        Raises
        ------
        ValueError
            An unknown ``prediction``; for "v" see `velocity`.

        Examples
        --------
        >>> x0, noise = torch.zeros(1), torch.ones(1)
        >>> NoiseSchedule().target("eps", x0, torch.tensor([500]), noise) is noise
        True
        """
        one_of("prediction", prediction, PREDICTIONS)
        if prediction == "v":
            return self.velocity(x0, t_B, noise)
        same_shape("noise", noise, "x0", x0)
        self.check_steps(x0, t_B)
        return noise if prediction == "eps" else x0

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

        Raises
        ------
        ValueError
            An unknown ``prediction``, shapes that differ, or steps out of range.

        Examples
        --------
        An output of 0 means no noise, no data, or the noisy input shrunk:

        >>> schedule, t_B = NoiseSchedule(), torch.tensor([100])
        >>> for prediction in PREDICTIONS:
        ...     pair = schedule.to_x0_noise(
        ...         prediction, torch.ones(1), t_B, torch.zeros(1)
        ...     )
        ...     print(prediction, *(f"{value.item():.2f}" for value in pair))
        eps 1.13 0.00
        x0 0.00 2.14
        v 0.88 0.47
        """
        one_of("prediction", prediction, PREDICTIONS)
        same_shape("output", output, "x_t", x_t)
        if prediction == "eps":
            return self.predict_x0(x_t, t_B, output), output
        if prediction == "x0":
            return output, self.predict_noise(x_t, t_B, output)
        a, s = self._signal_noise(x_t, t_B)
        return a * x_t - s * output, s * x_t + a * output

    # -- respacing --------------------------------------------------------------

    def timesteps(self, num_calls: int, first: int = 999, last: int = 1) -> Tensor:
        """Spread ``num_calls`` steps evenly from ``first`` down to ``last``.

        The defaults span the levels that training visits, 1..999. One call is made at
        ``first``. Respacing after Nichol and Dhariwal (2021).

        Parameters
        ----------
        num_calls : int
            Number of steps, at most ``first - last + 1``.
        first, last : int
            Highest and lowest step.

        Returns
        -------
        Tensor
            int64, strictly decreasing, shape (num_calls,).

        Raises
        ------
        ValueError
            Steps out of range or order, or more calls than steps.

        Examples
        --------
        >>> NoiseSchedule().timesteps(5).tolist()
        [999, 750, 500, 251, 1]
        """
        num_calls, first = whole("num_calls", num_calls), whole("first", first)
        if not whole("last", last) <= first < self.num_train_timesteps:
            raise ValueError(
                "first and last must satisfy 0 <= last <= first <= "
                f"{self.num_train_timesteps - 1}; got {first} and {last}"
            )
        available = first - last + 1
        if not 1 <= num_calls <= available:
            raise ValueError(
                f"num_calls must lie in 1..{available}, the trained steps "
                f"{last}..{first}; got {num_calls}"
            )
        even = torch.linspace(first, last, num_calls, dtype=torch.float64)
        # Half-up rounding; torch.round's half-to-even could repeat a step.
        return torch.floor(even + 0.5).long()


def beside(values_B: Tensor, like: Tensor) -> Tensor:
    """Bring coefficients to the type and device of the data, without waiting for a GPU.

    Parameters
    ----------
    values_B : Tensor
        One per batch item, float64.
    like : Tensor
        The data.

    Returns
    -------
    Tensor
        Shape (B,).

    Examples
    --------
    >>> beside(torch.tensor([0.5], dtype=torch.float64), torch.ones(1, 2)).dtype
    torch.float32
    """
    # A copy from ordinary memory has read it when it returns.
    waits = values_B.device.type != "cpu"
    return values_B.to(like.device, like.dtype, non_blocking=not waits)
