"""Controls that every synthetic PET must beat before it means anything.

`mean_template` shows everybody the same picture: the mean of the training PETs. It
ignores the person, and still scores well wherever brains lie in one box, because
SSIM and PSNR reward the average. `random_subject` shows a real PET of somebody
else: perfectly sharp, and about the wrong person.

Shape suffixes: N scans, D H W = z y x of the PET grid.
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
    shared = sorted(set(test_patients) & set(train_patients))
    if shared:
        raise ValueError(f"test people among the training people: {shared[:3]}")
    people, first = np.unique(np.asarray(train_patients), return_index=True)
    if len(people) == 0:
        raise ValueError("train_patients is empty: no other person's PET to show")
    chosen = [int(first[_draw(str(p), seed) % len(people)]) for p in test_patients]
    return np.array(chosen, dtype=np.int64)


def _draw(name: str, seed: int) -> int:
    # a hash and not a generator: the same person gets the same number in any cohort
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little")
