"""What a control scores on average, when it could have shown any of many people.

Shape suffixes: N scans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pandas as pd


def mean_over_subjects(
    score: Callable[[int, int], Mapping[str, float]],
    scans: int,
    subjects: Iterable[int],
) -> pd.DataFrame:
    """Scores of each scan, averaged over the people it could have been shown.

    The control `random_subject` draws one training person for each test scan, and its
    score depends on that luck. Here is its expectation. Only scores are kept: ``score``
    may look up or make its volumes one pair at a time.

    Parameters
    ----------
    score : callable (i, j) -> {metric: value}
        Scores of test scan i if it is shown the PET of training scan j. For the
        expectation the mean must be taken of the metric itself: this is for metrics
        that have a value per scan, and not for correlations across scans.
    scans : int
        Number of test scans N.
    subjects : iterable of int
        One training scan of each person; all weigh the same.

    Returns
    -------
    DataFrame, N lines
        A column for each metric.

    Raises
    ------
    ValueError
        If there are no scans or no subjects, or one is named twice.

    Examples
    --------
    >>> uptake, train = [1.0, 1.5], [1.1, 1.3]
    >>> error = lambda i, j: {"suvr_error": abs(uptake[i] - train[j])}
    >>> mean_over_subjects(error, 2, range(2))["suvr_error"].round(3).tolist()
    [0.2, 0.3]
    """
    subjects = list(subjects)
    if scans < 1 or not subjects:
        raise ValueError(
            f"{scans} scans and {len(subjects)} subjects: expected one of each at least"
        )
    if len(set(subjects)) < len(subjects):
        raise ValueError(
            f"subjects holds one twice, which would weigh more: {subjects}"
        )
    return pd.DataFrame(
        [
            pd.DataFrame([dict(score(i, j)) for j in subjects]).mean()
            for i in range(scans)
        ]
    )
