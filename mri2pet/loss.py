"""Training losses: the denoising error and the Laplacian pyramid, with their weights.

The pyramid is linear, so the Laplacian loss of two volumes is the pyramid energy of
their difference, and a loss on the predicted x0 is a *re-weighted* loss on the noise:
``pyramid(x0 - x0_hat) = (1 - abar) / abar * pyramid(noise - noise_hat)``. That factor
averages 2,644 over t = 1..999. `laplacian_time_weight` names the ways out.

Shape suffixes: B batch, D H W depth, height, width (z, y, x). Volumes may carry a
channel axis of one, (B, 1, D, H, W): the depth axis is treated as channels anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .checks import finite, floating, number, one_of, same_shape, whole
from .schedule import PREDICTIONS, NoiseSchedule, beside

WEIGHTINGS = ("x0", "alpha_bar", "eps")
IMAGE_LOSSES = ("pyramid", "mse")


def _slices(x: Tensor) -> Tensor:
    """Flatten everything between batch and plane: (B, D, H, W)."""
    floating("a volume", x)
    if x.ndim < 4 or x.numel() == 0:
        raise ValueError(
            "a volume needs shape (B, D, H, W) or (B, 1, D, H, W); "
            f"got {tuple(x.shape)}"
        )
    return x.flatten(1, -3)


def laplacian_pyramid(x_BDHW: Tensor, levels: int = 5) -> list[Tensor]:
    """Split volumes into band-pass levels, slice by slice.

    Each level is the image minus its 2x2 average-pooled and bilinearly upsampled self;
    the pooled image goes on. The final low-pass is dropped, as in the released code,
    so a constant costs nothing. MRI2PET, eq. (3); after Burt and Adelson (1983).

    Parameters
    ----------
    x_BDHW : Tensor
        Volumes, shape (B, D, H, W), in-plane size at least ``2 ** levels``.
    levels : int
        Number of band-pass levels.

    Returns
    -------
    list of Tensor
        ``levels`` tensors (B, D, H / 2**i, W / 2**i), finest first.

    Raises
    ------
    ValueError
        Fewer than four axes, or a plane too small for the levels.

    Examples
    --------
    >>> [tuple(b.shape) for b in laplacian_pyramid(torch.zeros(1, 2, 48, 48), 3)]
    [(1, 2, 48, 48), (1, 2, 24, 24), (1, 2, 12, 12)]
    """
    x = _slices(x_BDHW)
    levels = whole("levels", levels)
    if levels < 1 or min(x.shape[-2:]) >> (levels - 1) < 2:
        raise ValueError(
            f"levels={levels} does not fit an in-plane size of {tuple(x.shape[-2:])}"
        )
    bands = []
    for _ in range(levels):
        pooled = F.avg_pool2d(x, 2)
        smooth = F.interpolate(
            pooled, size=x.shape[-2:], mode="bilinear", align_corners=False
        )
        bands.append(x - smooth)
        x = pooled
    return bands


def _finite_on_cpu(**targets: Tensor) -> None:
    """Refuse NaN in a target; on a GPU it would wait, and the loss is NaN anyway."""
    for name, x in targets.items():
        if x.is_cpu:
            finite(name, x)


def _pyramid_energy(error: Tensor, levels: int) -> Tensor:
    """Sum over levels of the mean square of each band, per item: shape (B,)."""
    bands = laplacian_pyramid(error, levels)
    return torch.stack([b.square().flatten(1).mean(1) for b in bands]).sum(0)


def laplacian_loss(
    x0_BDHW: Tensor, x0_hat_BDHW: Tensor, levels: int = 5, reduction: str = "batch"
) -> Tensor:
    """Sum over pyramid levels of the mean squared difference: MRI2PET, eq. (2).

    Parameters
    ----------
    x0_BDHW, x0_hat_BDHW : Tensor
        Volumes to compare, same shape.
    levels : int
        Pyramid levels.
    reduction : {"batch", "none"}
        Mean over the batch (a scalar) or one value per item (B,).

    Returns
    -------
    Tensor
        Zero for equal volumes and for volumes that differ by a constant.

    Raises
    ------
    ValueError
        Shapes that differ or do not fit the levels, or an unknown ``reduction``.

    Examples
    --------
    A wrong overall level costs nothing, a checkerboard of the same size does:

    >>> x0 = torch.zeros(1, 1, 32, 32)
    >>> print(f"{laplacian_loss(x0, x0 + 1):.4f}")
    0.0000
    >>> checkers = (-1.0) ** (torch.arange(32)[:, None] + torch.arange(32))
    >>> print(f"{laplacian_loss(x0, x0 + checkers):.4f}")
    1.0000
    """
    same_shape("x0_hat", x0_hat_BDHW, "x0", x0_BDHW)
    _finite_on_cpu(x0=x0_BDHW)
    one_of("reduction", reduction, ("batch", "none"))
    loss_B = _pyramid_energy(x0_BDHW - x0_hat_BDHW, levels)
    return loss_B.mean() if reduction == "batch" else loss_B


def laplacian_time_weight(
    schedule: NoiseSchedule, t_B: Tensor, weighting: str
) -> Tensor:
    """Weight of ``pyramid(x0 - x0_hat)`` at each step.

    Parameters
    ----------
    schedule : NoiseSchedule
        Noise levels.
    t_B : Tensor
        Integer steps, shape (B,).
    weighting : {"x0", "alpha_bar", "eps"}
        "x0": 1, as released. "alpha_bar": abar, so an x0 error counts as far as the
        input shows it. "eps": abar / (1 - abar), which makes it exactly
        ``pyramid(noise - noise_hat)``.

    Returns
    -------
    Tensor
        float64, shape (B,).

    Raises
    ------
    ValueError
        An unknown ``weighting``, or steps out of range.

    Examples
    --------
    >>> schedule, t_B = NoiseSchedule(), torch.tensor([100])
    >>> for name in WEIGHTINGS:
    ...     weight = laplacian_time_weight(schedule, t_B, name).item()
    ...     print(f"{name} {weight:.2f}")
    x0 1.00
    alpha_bar 0.78
    eps 3.60
    """
    one_of("laplacian weight", weighting, WEIGHTINGS)
    abar = schedule.abar(t_B)
    if weighting == "x0":
        return torch.ones_like(abar)
    return abar if weighting == "alpha_bar" else abar / (1 - abar)


def x0_error_factor(schedule: NoiseSchedule, prediction: str, t_B: Tensor) -> Tensor:
    """Squared size of an x0 error per unit of output error.

    An output that is off by d moves the predicted x0 by ``sqrt((1 - abar) / abar) d``
    (eps), ``d`` (x0) or ``sqrt(1 - abar) d`` (v), up to sign.

    Parameters
    ----------
    schedule : NoiseSchedule
        Noise levels.
    prediction : {"eps", "x0", "v"}
        What the network outputs.
    t_B : Tensor
        Integer steps, shape (B,).

    Returns
    -------
    Tensor
        float64, shape (B,).

    Raises
    ------
    ValueError
        An unknown ``prediction``, or steps out of range.

    Examples
    --------
    Why the released loss, which predicts the noise, follows the highest levels:

    >>> x0_error_factor(NoiseSchedule(), "eps", torch.tensor([100, 999])).round()
    tensor([    0., 50150.], dtype=torch.float64)
    """
    one_of("prediction", prediction, PREDICTIONS)
    abar = schedule.abar(t_B)
    if prediction == "eps":
        return (1 - abar) / abar
    return torch.ones_like(abar) if prediction == "x0" else 1 - abar


@dataclass(frozen=True)
class LossTerms:
    """The loss to minimise and its parts, scalars on the device of the output.

    Attributes
    ----------
    total : Tensor
        ``denoise + laplacian coefficient * laplacian``; carries the gradient.
    denoise : Tensor
        Mean squared error of the network's own output, detached.
    laplacian : Tensor
        Weighted Laplacian term before its coefficient, detached; 0 if switched off.

    Examples
    --------
    Minimise the total, log the parts:

    >>> output = torch.zeros(1, 1, 32, 32, requires_grad=True)
    >>> x = torch.ones(1, 1, 32, 32)
    >>> terms = diffusion_loss(NoiseSchedule(), "x0", output, x, x, torch.tensor([1]))
    >>> terms.total.requires_grad, terms.denoise.requires_grad, terms.denoise.item()
    (True, False, 1.0)
    """

    total: Tensor
    denoise: Tensor
    laplacian: Tensor


def diffusion_loss(
    schedule: NoiseSchedule,
    prediction: str,
    output: Tensor,
    x0: Tensor,
    noise: Tensor,
    t_B: Tensor,
    *,
    laplacian: float = 0.0,
    laplacian_weight: str = "x0",
    levels: int = 5,
    image_loss: str = "pyramid",
) -> LossTerms:
    """Mean squared error plus ``laplacian`` times the weighted pyramid of the x0 error.

    MRI2PET, eq. (4), is ``prediction="eps"`` with ``laplacian_weight="x0"``.

    The x0 error is the output error times a factor of t alone (`x0_error_factor`), so
    the pyramid runs once, on the output error: no division of a nearly pure noise by
    ``sqrt(abar)``, hence no cancellation at high t.

    Parameters
    ----------
    schedule : NoiseSchedule
        Noise levels.
    prediction : {"eps", "x0", "v"}
        What the network outputs.
    output, x0, noise : Tensor
        Network output, clean volumes and the noise that was added; same shape.
    t_B : Tensor
        Integer steps, shape (B,).
    laplacian : float
        Coefficient lambda; 0.25 in the released fine-tuning, 0 switches it off.
    laplacian_weight : {"x0", "alpha_bar", "eps"}
        See `laplacian_time_weight`.
    levels : int
        Pyramid levels.
    image_loss : {"pyramid", "mse"}
        The term itself, or its control: the plain mean squared error of x0 with the
        same coefficient and weight. What both do is not the pyramid's doing.

    Returns
    -------
    LossTerms
        The total and its parts.

    Raises
    ------
    ValueError
        Shapes that differ or do not fit the levels, a negative ``laplacian``, an
        unknown choice, or, on the CPU, targets that are not finite.

    Examples
    --------
    A noise that is guessed 0.1 too high at t = 500, with the control:

    >>> schedule, t = NoiseSchedule(), torch.tensor([500])
    >>> x0 = noise = torch.zeros(1, 2, 32, 32)
    >>> terms = diffusion_loss(
    ...     schedule, "eps", noise + 0.1, x0, noise, t, laplacian=0.25, image_loss="mse"
    ... )
    >>> print(f"{terms.denoise:.3f} {terms.laplacian:.3f} {terms.total:.3f}")
    0.010 0.208 0.062
    """
    same_shape("output", output, "x0", x0)
    _finite_on_cpu(x0=x0, noise=noise)
    laplacian = number("laplacian", laplacian, 0)
    one_of("image_loss", image_loss, IMAGE_LOSSES)
    error = output.to(x0.dtype) - schedule.target(prediction, x0, t_B, noise)
    denoise = error.square().mean()
    factor_B = laplacian_time_weight(schedule, t_B, laplacian_weight)
    if laplacian == 0:
        return LossTerms(denoise, denoise.detach(), denoise.new_zeros(()))
    factor_B = factor_B * x0_error_factor(schedule, prediction, t_B)
    if image_loss == "pyramid":
        energy_B = _pyramid_energy(error, levels)
    else:
        energy_B = error.square().flatten(1).mean(1)
    term = (beside(factor_B, energy_B) * energy_B).mean()
    return LossTerms(denoise + laplacian * term, denoise.detach(), term.detach())


def paper_x0_formula(
    schedule: NoiseSchedule,
    x_t: Tensor,
    t_B: Tensor,
    noise: Tensor,
    reading: str = "alpha",
) -> Tensor:
    """The formula for x0 as printed in the paper: **wrong**, kept to show how wrong.

    ``x_t / sqrt(a) - sqrt(1 - a) / a * noise``, MRI2PET, below eq. (4).
    `NoiseSchedule.predict_x0` is the correct one: abar_t, and a square root in the last
    denominator.

    Parameters
    ----------
    schedule : NoiseSchedule
        Noise levels.
    x_t, noise : Tensor
        Noisy volumes and their noise, same shape, batch first.
    t_B : Tensor
        Integer steps, shape (B,).
    reading : {"alpha", "alpha_bar"}
        Whether a is alpha_t, as printed, or abar_t.

    Returns
    -------
    Tensor
        The shape of ``x_t``; does not recover x0 even from the true noise.

    Raises
    ------
    ValueError
        An unknown ``reading``, or steps out of range.

    Examples
    --------
    >>> schedule, one, t_B = NoiseSchedule(), torch.ones(1), torch.tensor([500])
    >>> x_t = schedule.q_sample(one, t_B, one)
    >>> for reading in ("alpha", "alpha_bar"):
    ...     paper_x0_formula(schedule, x_t, t_B, one, reading)
    tensor([1.0926])
    tensor([-15.7393])
    >>> schedule.predict_x0(x_t, t_B, one)
    tensor([1.0000])
    """
    one_of("reading", reading, ("alpha", "alpha_bar"))
    same_shape("noise", noise, "x_t", x_t)
    t_B = schedule.check_steps(x_t, t_B)
    table = schedule.alphas if reading == "alpha" else schedule.alphas_cumprod
    a = table[t_B.cpu()].to(x_t).view(-1, *(1,) * (x_t.ndim - 1))
    return x_t / a.sqrt() - (1 - a).sqrt() / a * noise
