"""Checks of chapter 10, case studies and decisions."""

from __future__ import annotations

import numpy as np

from mri2pet.evaluation.decision import net_benefit_statistic
from mri2pet.evaluation.selective import risks
from mri2pet.exercises import Wrong, as_function, as_number


def _lucky(answer) -> None:
    function = as_function(answer)
    for share, pairs in ((0.05, 250), (0.01, 22), (0.2, 3)):
        got = as_number(function(share, pairs), "one probability")
        truth = 1 - (1 - share) ** pairs
        if abs(got - (1 - share) ** pairs) < 1e-9:
            raise Wrong("That is the chance that none looks good.")
        if abs(got - share * pairs) < 1e-9:
            raise Wrong(
                "That is how many look good on average, and it may be above 1. You "
                "want the chance that at least one does."
            )
        if abs(got - truth) > 1e-9:
            raise Wrong(
                f"For share = {share} and pairs = {pairs} you get {got:.4f}. What is "
                "the chance that all of them look bad?"
            )


def _solve_lucky():
    return lambda share, pairs: 1 - (1 - share) ** pairs


def _true_share(answer) -> None:
    function = as_function(answer)
    for change, scan in ((0.1, 0.05), (0.04, 0.04), (0.2, 0.01)):
        got = as_number(function(change, scan), "one share")
        truth = change**2 / (change**2 + 2 * scan**2)
        if abs(got - change**2 / (change**2 + scan**2)) < 1e-9:
            raise Wrong("Noise enters a change twice: at the first and the last visit.")
        if abs(got - truth**0.5) < 1e-9:
            raise Wrong("That is the correlation. The slope goes with the variances.")
        if abs(got - truth) > 1e-9:
            raise Wrong(
                f"For sd_change = {change} and sd_scan = {scan} you get {got:.4f}. "
                "Divide the variance of the true change by that of the measured one."
            )


def _solve_true_share():
    return lambda sd_change, sd_scan: sd_change**2 / (sd_change**2 + 2 * sd_scan**2)


def _net_benefit(answer) -> None:
    function = as_function(answer)
    rng = np.random.default_rng(10)
    p, y = rng.random(40), rng.random(40) < 0.4
    for t in (0.2, 0.5, 0.8):
        got = as_number(function(p.copy(), y.copy(), t), "one number")
        values = np.stack([p, y, np.full(40, t)])
        truth = net_benefit_statistic(values, np.ones((1, 40)))[0]
        acted = p >= t
        cost = t / (1 - t)
        if abs(got - (y[acted].mean() - cost * (~y[acted]).mean())) < 1e-9:
            raise Wrong("Divide by all people, not only by those who are acted on.")
        if t != 0.5 and abs(got - (acted & y).mean() + (acted & ~y).mean()) < 1e-9:
            raise Wrong("A needless action does not weigh as much as a needed one.")
        swapped = (acted & y).mean() - (acted & ~y).mean() / cost
        if t != 0.5 and abs(got - swapped) < 1e-9:
            raise Wrong("The odds are upside down: who acts at a low t fears misses.")
        if abs(got - truth) > 1e-9:
            raise Wrong(f"At t = {t} you get {got:.4f}, and it should be {truth:.4f}.")


def _solve_net_benefit():
    def net_benefit(p, y, t):
        acted = p >= t
        found, needless = (acted & y).mean(), (acted & ~y).mean()
        return found - t / (1 - t) * needless

    return net_benefit


def _kept_risk(answer) -> None:
    function = as_function(answer)
    rng = np.random.default_rng(3)
    certainty, loss = rng.random((2, 20))
    got = function(certainty.copy(), loss.copy())
    try:
        got = np.asarray(got, dtype=float)
    except (TypeError, ValueError):
        raise Wrong("Return one risk for each number of people kept.") from None
    if got.shape != (20,):
        raise Wrong(f"Return 20 risks for 20 people; yours has shape {got.shape}.")
    truth = risks(certainty, loss)[0]
    if np.allclose(got, risks(-certainty, loss)[0]):
        raise Wrong("You keep the least certain people first.")
    if np.allclose(got, truth[::-1]):
        raise Wrong("Right, but the other way round: first keep one person, then two.")
    if np.allclose(got, np.cumsum(loss[np.argsort(-certainty)])):
        raise Wrong("These are sums. The risk is the mean loss of those kept.")
    if not np.allclose(got, truth):
        raise Wrong("Sort by certainty, the highest first; then average the losses.")


def _solve_kept_risk():
    def kept_risk(certainty, loss):
        ordered = loss[np.argsort(-certainty)]
        return np.cumsum(ordered) / np.arange(1, len(loss) + 1)

    return kept_risk


CHECKS = {
    "10.1": _lucky,
    "10.2": _true_share,
    "10.3": _net_benefit,
    "10.4": _kept_risk,
}
SOLUTIONS = {
    "10.1": _solve_lucky,
    "10.2": _solve_true_share,
    "10.3": _solve_net_benefit,
    "10.4": _solve_kept_risk,
}
