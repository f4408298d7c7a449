"""How many answers does one MRI have? Spread of samples, and what an ideal model says.

A generator that knows all there is to know still cannot decide what the MRI does not
show. `ideal_ambiguity` computes, from the latent model of the phantoms, how undecided a
perfect reader of the MRI would be about amyloid.

Shape suffixes: N scans, K samples of a scan, D H W = z y x of the PET grid, V values of
atrophy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mri2pet.evaluation.uptake import POSITIVITY_SUVR

SMOOTHING = 0.08  # of V: SD of the window in which people count as alike
PEOPLE = 10_000


def call_entropy(
    composite_NK: np.ndarray, threshold: float = POSITIVITY_SUVR
) -> np.ndarray:
    """Entropy, in bits, of the amyloid call over the samples of each scan.

    Every sample votes "positive" if its composite lies above the threshold. With K
    samples the share of votes is a multiple of 1/K, so few different values occur.

    Examples
    --------
    >>> call_entropy(np.array([[1.0, 1.2, 1.3, 1.0], [1.3, 1.2, 1.2, 1.4]])).tolist()
    [1.0, 0.0]
    """
    share = (np.asarray(composite_NK) > threshold).mean(axis=1)
    return binary_entropy(share)


def binary_entropy(share: np.ndarray) -> np.ndarray:
    """Entropy of a yes-or-no question, in bits: 0 if certain, 1 at one half."""
    p = np.clip(np.asarray(share, dtype=np.float64), 0, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(q > 0, -q * np.log2(q), 0.0) for q in (p, 1 - p)]
    return terms[0] + terms[1]


def sample_spread(samples_NKDHW: np.ndarray, brain_NDHW: np.ndarray) -> np.ndarray:
    """Root of the mean variance over samples inside the brain, SUVR, shape (N,).

    Exactly 0 where all samples of a scan are the same.
    """
    samples = np.asarray(samples_NKDHW, dtype=np.float64)
    variance = (samples - samples[:, :1]).var(axis=1, ddof=1)
    inside = np.asarray(brain_NDHW) > 0.5
    return np.array(
        [np.sqrt(v[m].mean()) for v, m in zip(variance, inside, strict=True)]
    )


def ideal_ambiguity(
    atrophy_V: Sequence[float], rho: float, *, people: int = PEOPLE, seed: int = 0
) -> pd.DataFrame:
    """What knowing the atrophy V, and nothing else, leaves open about amyloid.

    Parameters
    ----------
    atrophy_V : sequence of float
        Values of V (see `mri2pet.cohort.phantom.disease`).
    rho : float
        Link between amyloid and what an MRI shows.
    people : int
        Simulated people behind the answer.
    seed : int

    Returns
    -------
    DataFrame, indexed by ``V``
        ``positive``: chance of amyloid status, ``entropy``: of that, in bits,
        ``amyloid``: mean load A, ``amyloid_sd``: its standard deviation. Means over
        people with about the same V (a Gaussian window of SD `SMOOTHING`).

    Raises
    ------
    ValueError
        If rho lies outside [0, 1).
    """
    from mri2pet.cohort.phantom.disease import draw_people

    drawn = draw_people(range(people), seed=seed, rho=rho)
    wanted = np.asarray(atrophy_V, dtype=np.float64)
    distance = (wanted[:, None] - drawn["V"].to_numpy()[None]) / SMOOTHING
    # Beyond the last person the nearest ones answer.
    distance -= np.abs(distance).min(axis=1, keepdims=True) * np.sign(distance)
    weight = np.exp(-0.5 * distance**2)
    weight /= weight.sum(axis=1, keepdims=True)
    load = drawn["A"].to_numpy()
    positive = weight @ drawn["status"].to_numpy(float)
    mean = weight @ load
    variance = weight @ load**2 - mean**2
    return pd.DataFrame(
        {
            "positive": positive,
            "entropy": binary_entropy(positive),
            "amyloid": mean,
            "amyloid_sd": np.sqrt(variance.clip(min=0)),
        },
        index=pd.Index(wanted, name="V"),
    )
