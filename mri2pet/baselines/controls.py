"""Controls that every synthetic PET must beat before it means anything.

`mean_template` shows everybody the same picture: the mean of the training PETs. It
ignores the person, and still scores well wherever brains lie in one box, because
SSIM and PSNR reward the average. `random_subject` shows a real PET of somebody
else: perfectly sharp, and about the wrong person. `nearest_subject` shows the PET of
the training person whose MRI is most alike: what an atlas of known people gives
without learning anything. A network that only looks up its training set does no better.

Shape suffixes: N test scans, M training scans, D H W = z y x of a grid, V voxels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np


def mean_template(train_pets_NDHW: np.ndarray) -> np.ndarray:
    """Mean of the training PETs in the common box.

    Parameters
    ----------
    train_pets_NDHW : ndarray, shape (N, D, H, W)
        SUVR; training scans only.

    Returns
    -------
    ndarray, shape (D, H, W), float32
        The prediction for everybody.

    Raises
    ------
    ValueError
        If there is no scan, or a value is not finite.

    Examples
    --------
    >>> mean_template(np.stack([np.zeros((1, 1, 2)), np.ones((1, 1, 2))])).tolist()
    [[[0.5, 0.5]]]
    """
    pets = np.asarray(train_pets_NDHW)
    if pets.ndim != 4 or len(pets) == 0:
        raise ValueError(
            f"training PETs have shape {pets.shape}, expected (N, D, H, W)"
        )
    mean = pets.mean(axis=0, dtype=np.float64)
    if not np.isfinite(mean).all():
        raise ValueError("a training PET holds values that are NaN or infinite")
    return mean.astype(np.float32)


def random_subject(
    test_patients: Sequence[str],
    train_patients: Sequence[str],
    *,
    seed: int = 0,
) -> np.ndarray:
    """Assign to each test scan the scan of a training person, drawn at random.

    The draw depends on the test person's name and the seed only, not on who else is
    tested; all visits of a test person get the same training person, whose first
    scan is used.

    Parameters
    ----------
    test_patients : sequence of length N
        The person of each test scan.
    train_patients : sequence of length M
        The person of each training scan, in the order of the training PETs.
    seed : int
        Of the draw.

    Returns
    -------
    ndarray of int, shape (N,)
        Positions among the training scans: ``train_pets[random_subject(...)]``.

    Raises
    ------
    ValueError
        If a test person is also a training person, or nobody is left to draw.

    Examples
    --------
    >>> picks = random_subject(["t1", "t1"], ["a", "a", "b"], seed=3)
    >>> bool(picks[0] == picks[1]), bool(picks[0] in (0, 2))
    (True, True)
    """
    _check_apart(test_patients, train_patients)
    first = first_scans(train_patients)
    chosen = [int(first[_draw(str(p), seed) % len(first)]) for p in test_patients]
    return np.array(chosen, dtype=np.int64)


def first_scans(patients: Sequence[str]) -> np.ndarray:
    """Position of each person's first scan, people in the order of their names.

    Parameters
    ----------
    patients : sequence of length M
        The person of each scan.

    Returns
    -------
    ndarray of int, shape (people,)

    Examples
    --------
    >>> first_scans(["b", "a", "b", "a"]).tolist()
    [1, 0]
    """
    return np.unique(np.asarray(patients), return_index=True)[1]


def nearest_subject(
    test_mris_NDHW: np.ndarray,
    train_mris_MDHW: np.ndarray,
    test_patients: Sequence[str],
    train_patients: Sequence[str],
) -> np.ndarray:
    """Assign to each test scan the training scan with the most similar MRI.

    Similar means: a high Pearson correlation of the intensities at the voxels that lie
    in the brain of at least one of the two. A squared error would rather find the
    scanner than the anatomy, since the unit of a T1 is arbitrary; a correlation knows
    neither gain nor offset. In the union of the brains, and not where both are, a
    different outline costs something too.

    Parameters
    ----------
    test_mris_NDHW : ndarray, shape (N, D, H, W)
        T1 intensities, positive in the brain and 0 outside, in a common space.
    train_mris_MDHW : ndarray, shape (M, D, H, W)
        Likewise; every visit of a training person is a candidate.
    test_patients, train_patients : sequences of length N and M
        The person of each scan.

    Returns
    -------
    ndarray of int, shape (N,)
        Positions among the training scans: ``train_pets[nearest_subject(...)]``. Of
        equally similar scans the first.

    Raises
    ------
    ValueError
        If a test person is also a training person, nobody is left to choose from,
        numbers and grids disagree, or an MRI is negative, flat or not finite.

    Examples
    --------
    >>> old, young = np.array([[[[0, 3, 1, 2.0]]]]), np.array([[[[1, 2, 3, 0.0]]]])
    >>> nearest_subject(young, np.concatenate([old, 0.1 * young]), ["t"], ["a", "b"])
    array([1])
    """
    _check_apart(test_patients, train_patients)
    test_NV = _flat("test", test_mris_NDHW, test_patients)
    train_MV = _flat("training", train_mris_MDHW, train_patients)
    if np.shape(test_mris_NDHW)[1:] != np.shape(train_mris_MDHW)[1:]:
        raise ValueError(
            f"test MRIs have shape {np.shape(test_mris_NDHW)}, training MRIs "
            f"{np.shape(train_mris_MDHW)}: the grids must agree"
        )
    ever_V = (test_NV > 0).any(0) | (train_MV > 0).any(0)
    test_NV = test_NV[:, ever_V].astype(np.float64)
    inside_NV = test_NV > 0
    sum_N, square_N = test_NV.sum(1), np.square(test_NV).sum(1)
    best_N, chosen_N = np.full(len(test_NV), -np.inf), np.zeros(len(test_NV), int)
    for m, other in enumerate(train_MV):
        other_V = other[ever_V].astype(np.float64)
        # Both are 0 outside the union, so sums over all voxels are sums over it.
        n_N = np.count_nonzero(inside_NV | (other_V > 0), axis=1)
        total, square = other_V.sum(), np.square(other_V).sum()
        shared_N = n_N * (test_NV @ other_V) - sum_N * total
        spread_N = (n_N * square_N - sum_N**2) * (n_N * square - total**2)
        likeness_N = shared_N / np.sqrt(spread_N)
        better = likeness_N > best_N
        best_N[better], chosen_N[better] = likeness_N[better], m
    return chosen_N


def _flat(name: str, mris: np.ndarray, patients: Sequence[str]) -> np.ndarray:
    """MRIs as rows, refused if a correlation would mean nothing."""
    mris = np.asarray(mris)
    if mris.ndim != 4 or len(mris) != len(patients):
        raise ValueError(
            f"{name} MRIs have shape {mris.shape} for {len(patients)} patients, "
            "expected (scans, D, H, W)"
        )
    rows = mris.reshape(len(mris), -1)
    for i, row in enumerate(rows):
        if not np.isfinite(row).all() or row.min() < 0:
            raise ValueError(
                f"{name} MRI {i} spans {row.min()}..{row.max()}; expected finite "
                "intensities, 0 outside the brain and positive inside"
            )
        if not (row > 0).any() or np.ptp(row[row > 0]) == 0:
            raise ValueError(f"{name} MRI {i} is flat: its brightest is {row.max()}")
    return rows


def _check_apart(test_patients: Sequence[str], train_patients: Sequence[str]) -> None:
    shared = sorted(set(test_patients) & set(train_patients))
    if shared:
        raise ValueError(f"test people among the training people: {shared[:3]}")
    if len(train_patients) == 0:
        raise ValueError("train_patients is empty: no other person's PET to show")


def _draw(name: str, seed: int) -> int:
    # a hash and not a generator: the same person gets the same number in any cohort
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little")
