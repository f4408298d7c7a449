"""Frechet distances between sets of scans, on seeded random features.

Shape suffixes: N scans, D H W = z y x of the PET grid, S slices of a scan (S = D),
F features, P people.

References
----------
Frechet distance of Gaussians fitted to features: Heusel et al. 2017 (NeurIPS); its
bias at small n: Chong and Forsyth 2020 (CVPR). Embeddings by networks with random
weights as the feature space of such metrics: Naeem et al. 2020 (ICML); texture as
channel statistics of random filters: Ustyuzhaninov et al. 2016. Jackknife:
Efron and Tibshirani 1993, chapters 10 and 11.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from mri2pet.evaluation.checks import check_volumes
from mri2pet.evaluation.inference import Estimate, jackknife

MAX_DIMS = 32
INPUT_SCALE = 2.5  # SUVR; brings uptake to about 0..1 before the first layer
_LAYERS = ((16, 1), (32, 2), (64, 2))  # channels, stride


class RandomFeatures:
    """Seeded random convolutional embedding of axial slices (metric `fid_random`).

    Three 3x3 convolutions with He-normal weights and ReLU on a slice at its native
    size; of each of the last 64 channels the mean and the SD over the slice; of
    these 128 numbers the leading ``dims`` principal components of real training
    slices, each scaled to unit variance there. So a distance is in units of the
    natural variance of real PET slices. No weight is trained. It is NOT the Inception
    network of the published FID, and its values are on another scale.

    Parameters
    ----------
    dims : int
        Features kept, 1 to 32: their covariance must be estimable from few people.
    seed : int
        Seed of the weights.

    Raises
    ------
    ValueError
        If ``dims`` lies outside 1..32.

    Examples
    --------
    >>> pets = np.random.default_rng(0).random((4, 8, 16, 16))
    >>> RandomFeatures(dims=16).fit(pets)(pets[:2]).shape
    (2, 8, 16)
    """

    def __init__(self, dims: int = MAX_DIMS, seed: int = 0):
        if not 1 <= dims <= MAX_DIMS:
            raise ValueError(f"dims = {dims}: Frechet features have 1 to {MAX_DIMS}")
        self.dims, self.seed = dims, seed
        self._centre = self._whiten = None
        generator = torch.Generator().manual_seed(seed)
        layers: list[nn.Module] = []
        channels = 1
        for width, stride in _LAYERS:
            conv = nn.Conv2d(channels, width, 3, stride, 1, padding_mode="replicate")
            noise = torch.randn(conv.weight.shape, generator=generator)
            with torch.no_grad():
                # He's scale keeps the size of the activations through the ReLUs
                conv.weight.copy_(noise * (2 / (9 * channels)) ** 0.5)
                conv.bias.zero_()
            layers += [conv, nn.ReLU()]
            channels = width
        self._network = nn.Sequential(*layers).eval()

    @torch.no_grad()
    def _embed(self, volumes_NDHW: np.ndarray) -> np.ndarray:
        volumes = check_volumes("volumes", volumes_NDHW, 4)
        features = np.empty((*volumes.shape[:2], 2 * _LAYERS[-1][0]))
        for i, volume in enumerate(volumes):  # one scan at a time, for its memory
            x = torch.from_numpy(np.array(volume, dtype=np.float32))
            maps = self._network(x[:, None] / INPUT_SCALE).double()
            spread, mean = torch.std_mean(maps, dim=(2, 3), correction=0)
            features[i] = torch.cat([mean, spread], dim=1).numpy()
        return features

    def fit(self, train_pets_NDHW: np.ndarray) -> RandomFeatures:
        """Choose and scale the components on real training PETs; returns itself.

        Raises
        ------
        ValueError
            If there are not more slices than ``dims``, or they hardly differ.
        """
        flat = self._embed(train_pets_NDHW)
        flat = flat.reshape(-1, flat.shape[-1])
        if len(flat) <= self.dims:
            raise ValueError(f"{len(flat)} slices cannot span {self.dims} features")
        self._centre = flat.mean(0)
        values, vectors = np.linalg.eigh(np.cov(flat, rowvar=False))
        values, vectors = values[::-1][: self.dims], vectors[:, ::-1][:, : self.dims]
        if values[-1] <= 1e-9 * values[0]:
            raise ValueError(f"the training PETs span fewer than {self.dims} features")
        self._whiten = vectors / np.sqrt(values)
        return self

    def __call__(self, volumes_NDHW: np.ndarray) -> np.ndarray:
        """Embed every axial slice of every scan.

        Parameters
        ----------
        volumes_NDHW : ndarray, shape (N, D, H, W)
            SUVR.

        Returns
        -------
        ndarray, shape (N, D, dims), float64
            A scan's features depend on that scan only: keep them with the scan.

        Raises
        ------
        ValueError
            Before `fit`.
        """
        if self._whiten is None:
            raise ValueError("RandomFeatures: call fit(training PETs) first")
        return (self._embed(volumes_NDHW) - self._centre) @ self._whiten


def _distance(moments_a, moments_b) -> float:
    (mean_a, cov_a), (mean_b, cov_b) = moments_a, moments_b
    # the trace of (A B)^(1/2) by two symmetric eigenproblems: real and stable, where
    # a general matrix square root returns complex noise for singular covariances
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
    gap = mean_a - mean_b
    return float(gap @ gap + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


class _Sums:
    """Count, sum and outer sum per person, so that leaving one out is a subtraction."""

    def __init__(self, features_NSF: np.ndarray, patients: Sequence):
        features = np.asarray(features_NSF, dtype=np.float64)
        if features.ndim != 3 or len(features) != len(patients):
            raise ValueError(
                f"features have shape {features.shape}, expected "
                f"({len(patients)} scans, slices, features)"
            )
        # one common origin keeps the outer sums small: they are subtracted later
        self.origin = features.mean((0, 1))
        features = features - self.origin
        self.names, index = np.unique(np.asarray(patients), return_inverse=True)
        people, width = len(self.names), features.shape[-1]
        self.count = np.zeros(people)
        self.total = np.zeros((people, width))
        self.outer = np.zeros((people, width, width))
        for i, scan in zip(index, features, strict=True):
            self.count[i] += len(scan)
            self.total[i] += scan.sum(0)
            self.outer[i] += scan.T @ scan

    def moments(self, left_out: int | None = None):
        count, total, outer = (x.sum(0) for x in (self.count, self.total, self.outer))
        if left_out is not None:
            count = count - self.count[left_out]
            total = total - self.total[left_out]
            outer = outer - self.outer[left_out]
        if count < 2:
            raise ValueError(f"{int(count)} slices are too few for a covariance")
        mean = total / count
        cov = (outer - count * np.outer(mean, mean)) / (count - 1)
        return mean + self.origin, cov


def frechet_distance(features_a: np.ndarray, features_b: np.ndarray) -> float:
    """Squared Frechet distance between Gaussians fitted to two sets of features.

    ``|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))``, from the samples as they
    are: biased upwards when they are few.

    Parameters
    ----------
    features_a, features_b : ndarray, shape (..., F)
        All leading axes are pooled.

    Raises
    ------
    ValueError
        If F differs, or a set holds fewer than two vectors.
    """
    flat = [np.asarray(f, np.float64) for f in (features_a, features_b)]
    if flat[0].shape[-1] != flat[1].shape[-1]:
        raise ValueError(
            f"features of {flat[0].shape[-1]} and of {flat[1].shape[-1]} dimensions"
        )
    moments = [_Sums(f.reshape(1, -1, f.shape[-1]), ["all"]).moments() for f in flat]
    return _distance(*moments)


def frechet_replicates(
    real_NSF: np.ndarray, synthetic_NSF: np.ndarray, patients: Sequence
) -> tuple[float, np.ndarray]:
    """Distance on everybody, and without each person in turn.

    A person is deleted from the real and from the synthetic scans at once. What
    `jackknife` takes: of one row for its value, or of two rows subtracted for their
    paired difference.

    Parameters
    ----------
    real_NSF, synthetic_NSF : ndarray, shape (N, S, F)
        Features per scan and slice (`RandomFeatures`), in the same order of scans.
    patients : sequence of length N
        The person of each scan.

    Returns
    -------
    full : float
    left_P : ndarray, shape (P,)
        In the order of the sorted names.
    """
    real, fake = _Sums(real_NSF, patients), _Sums(synthetic_NSF, patients)
    left = [_distance(real.moments(i), fake.moments(i)) for i in range(len(real.names))]
    return _distance(real.moments(), fake.moments()), np.array(left)


def frechet_jackknife(
    real_NSF: np.ndarray,
    synthetic_NSF: np.ndarray,
    patients: Sequence,
    *,
    level: float = 0.95,
) -> Estimate:
    """Frechet distance, bias-corrected, with an interval over people.

    A percentile bootstrap is no alternative: resampling people with repetition
    raises the distance, so that its interval need not cover its own point value.

    Parameters as in `frechet_replicates`.

    Returns
    -------
    Estimate
        May fall slightly below 0 where there is no difference.
    """
    full, left = frechet_replicates(real_NSF, synthetic_NSF, patients)
    return jackknife(full, left, scans=len(patients), level=level)


def frechet_difference(
    real_NSF: np.ndarray,
    synthetic_NSF: np.ndarray,
    comparison_NSF: np.ndarray,
    patients: Sequence,
    *,
    level: float = 0.95,
) -> Estimate:
    """Distance of one row minus the distance of another, paired over people."""
    full_a, left_a = frechet_replicates(real_NSF, synthetic_NSF, patients)
    full_b, left_b = frechet_replicates(real_NSF, comparison_NSF, patients)
    return jackknife(full_a - full_b, left_a - left_b, scans=len(patients), level=level)


def frechet_floor(
    real_NSF: np.ndarray,
    patients: Sequence,
    other_NSF: np.ndarray,
    other_patients: Sequence,
    *,
    draws: int = 8,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """Distance of real scans from other people's real scans, at the same n.

    What a perfect generator would get. Both sides are cut to the same number of
    people, drawn ``draws`` times; the values and the jackknife variances (people of
    either side deleted in turn) are averaged over the draws.

    Parameters
    ----------
    real_NSF, other_NSF : ndarray, shape (N, S, F), (N', S, F)
        For example test and training PETs.
    patients, other_patients : sequence
        The person of each scan; the two sides must not share a person.

    Raises
    ------
    ValueError
        If a person stands on both sides.
    """
    shared = sorted(set(patients) & set(other_patients))
    if shared:
        raise ValueError(f"people on both sides of the floor: {shared[:3]}")
    sides = [
        (np.asarray(real_NSF), np.asarray(patients)),
        (np.asarray(other_NSF), np.asarray(other_patients)),
    ]
    people = min(len(np.unique(names)) for _, names in sides)
    rng = np.random.default_rng(seed)
    values, variances, scans = [], [], 0
    for _ in range(draws):
        a, b = (_subset(features, names, people, rng) for features, names in sides)
        scans = int(a.count.sum() // real_NSF.shape[1])
        full = _distance(a.moments(), b.moments())
        left_a = [_distance(a.moments(i), b.moments()) for i in range(people)]
        left_b = [_distance(a.moments(), b.moments(i)) for i in range(people)]
        one = jackknife(
            full, np.array(left_a), np.array(left_b), scans=scans, level=level
        )
        values.append(one.value)
        variances.append((one.high - one.low) ** 2)
    value, half = float(np.mean(values)), float(np.mean(variances)) ** 0.5 / 2
    return Estimate(value, value - half, value + half, people, scans)


def _subset(features_NSF, patients, people: int, rng) -> _Sums:
    keep = rng.choice(np.unique(patients), size=people, replace=False)
    chosen = np.isin(patients, keep)
    return _Sums(features_NSF[chosen], patients[chosen])
