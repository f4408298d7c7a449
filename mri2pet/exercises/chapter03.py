"""Checks of chapter 3, diffusion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mri2pet.exercises import Wrong, as_function, as_number
from mri2pet.schedule import NoiseSchedule


def _noise_wins(answer: Any) -> None:
    t = as_number(answer, "a step t")
    abar = NoiseSchedule().alphas_cumprod
    truth = int((abar < 0.5).nonzero()[0])
    if t == truth:
        return
    if t != int(t):
        raise Wrong(f"Steps are integers; {t} is none.")
    if not 0 <= t <= 999:
        raise Wrong(f"Steps run from 0 to 999; {t:.0f} is outside.")
    share = 100 * float(abar[int(t)])
    if t < truth:
        raise Wrong(
            f"At t = {t:.0f} the signal still has {share:.1f} % of the variance."
        )
    raise Wrong(
        f"At t = {t:.0f} noise has won indeed (signal: {share:.1f} %), but not for the "
        "first time."
    )


def _one_peak_guess(answer: Any) -> None:
    guess = as_function(answer)

    def at(x_t: float, abar: float, m: float, s: float) -> float:
        return as_number(guess(x_t, abar, m, s), "a number from your function")

    if abs(at(0.7, 1.0, -0.5, 0.4) - 0.7) > 1e-6:
        raise Wrong("Without noise (abar = 1) the best guess is what you see, x_t.")
    if abs(at(2.0, 1e-12, -0.5, 0.4) + 0.5) > 1e-3:
        raise Wrong("With noise only (abar -> 0) the best guess is the mean m.")
    for case in ((0.3, 0.5, -0.8, 0.2), (-1.4, 0.8, 1.0, 0.6), (2.2, 0.05, 0.4, 1.5)):
        if abs(at(*case) - _posterior_mean(*case)) > 1e-5:
            raise Wrong(
                "The two limits are right, what is between is not. Check the "
                "covariance of x0 and x_t, sqrt(abar) s^2, and the variance of x_t."
            )


def _posterior_mean(x_t: float, abar: float, m: float, s: float) -> float:
    return (abar**0.5 * s**2 * x_t + (1 - abar) * m) / (abar * s**2 + 1 - abar)


def _ddim_step(answer: Any) -> None:
    step = as_function(answer)

    def at(x_t: float, eps: float, abar: float, abar_next: float) -> float:
        return as_number(step(x_t, eps, abar, abar_next), "a number from your function")

    if abs(at(0.8, -0.3, 0.4, 0.4) - 0.8) > 1e-6:
        raise Wrong(
            "A step to the level you are at (abar_next = abar) changes nothing."
        )
    x0 = (0.8 + 0.6**0.5 * 0.3) / 0.4**0.5
    if abs(at(0.8, -0.3, 0.4, 1.0) - x0) > 1e-6:
        raise Wrong("A step to abar_next = 1 must arrive at the predicted x0.")
    for x_t, eps, abar, after in ((1.1, 0.7, 0.1, 0.5), (-0.4, 1.3, 0.02, 0.3)):
        x0 = (x_t - (1 - abar) ** 0.5 * eps) / abar**0.5
        if abs(
            at(x_t, eps, abar, after) - after**0.5 * x0 - (1 - after) ** 0.5 * eps
        ) > (1e-6):
            raise Wrong("The new noise level needs both: its share of x0 and of eps.")


def _beta_start(answer: Any) -> None:
    value = as_number(answer, "a variance")
    if abs(value - 1e-4) < 1e-8:
        return
    if abs(value - 0.01) < 1e-6:
        raise Wrong("0.01 is the standard deviation; beta is a variance.")
    raise Wrong("The variance left at noise level 0 is 1 - abar_0 = beta_0.")


CHECKS: dict[str, Callable[[Any], None]] = {
    "3.1": _noise_wins,
    "3.2": _one_peak_guess,
    "3.3": _ddim_step,
    "3.4": _beta_start,
}


def _first_noisy_step() -> int:
    return int((NoiseSchedule().snr(range(1000)) < 1).nonzero()[0])


SOLUTIONS: dict[str, Callable[[], Any]] = {
    "3.1": _first_noisy_step,
    "3.2": lambda: _posterior_mean,
    "3.3": lambda: (
        lambda x, e, a, b: (
            b**0.5 * (x - (1 - a) ** 0.5 * e) / a**0.5 + (1 - b) ** 0.5 * e
        )
    ),
    "3.4": lambda: 0.01**2,
}
