"""Noise schedule: the mathematics of diffusion, without a network or a sampler.

The schedule is kept in float64 and its coefficients are cast only when they meet a
tensor, because ``sqrt(1 / abar)`` spans two orders of magnitude. Formulas follow Ho et
al. (2020, DDPM) and Salimans and Ho (2022, velocity).

Shape suffixes: B batch, C channel, D H W depth, height, width (z, y, x). A name without
suffix has any trailing shape; its first axis is the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

PREDICTIONS = ("eps", "x0", "v")


def one_of(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuse a value that is not one of the choices.

    Parameters
    ----------
    name : str
        What the message calls the value.
    value : object
        What was given.
    choices : sequence of str
        What is allowed.

    Raises
    ------
    ValueError
        Naming the choices and the value.

    Examples
    --------
    >>> one_of("sampler", "euler", ("ddpm", "ddim"))
    Traceback (most recent call last):
    ValueError: sampler must be one of ddpm, ddim; got 'euler'
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")


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
        Fewer than two levels, or variances out of order or of (0, 1).

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
        _same_shape("noise", noise, x0)
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
        _same_shape("noise", noise, x_t)
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
        _same_shape("x0", x0, x_t)
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
        _same_shape("noise", noise, x0)
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
