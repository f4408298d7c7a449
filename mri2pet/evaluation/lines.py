"""Lines of a tidy frame, collected one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from mri2pet.evaluation.inference import Estimate, patient_weights
from mri2pet.evaluation.scoring import COLUMNS


class Lines:
    """Collects lines with `mri2pet.evaluation.scoring.COLUMNS`.

    Parameters
    ----------
    seed : int
        Of the run; also of the draw of people.
    rho : float
        Of the run's cohort.
    n_boot : int
        Resamples of people.

    Attributes
    ----------
    seed : int
    plan : dict
        ``n_boot`` and ``seed``, for the functions that resample people; or their
        ``weights_BN``, once `resample` has drawn them.

    Examples
    --------
    >>> lines = Lines(seed=4, rho=0.67, n_boot=100)
    >>> lines.add(("mri2pet", "corrected"), "", "brier", "composite", 0.2)
    >>> lines.frame()[["row", "metric", "value", "k"]].values.tolist()
    [['mri2pet', 'brier', 0.2, 1]]
    """

    def __init__(self, *, seed: int, rho: float, n_boot: int) -> None:
        self._lines: list[dict[str, Any]] = []
        self._usual = {"seed": seed, "rho": rho, "k": 1, "n": 1}
        self.seed, self._n_boot = seed, n_boot
        self.plan: dict[str, Any] = {"n_boot": n_boot, "seed": seed}

    def resample(self, patients: Sequence) -> None:
        """Draw people once, where all lines are about the same ones."""
        weights_BN = patient_weights(patients, self._n_boot, self.seed)
        self.plan = {"weights_BN": weights_BN}

    def add(
        self,
        key: tuple[str, str],
        variant: str,
        metric: str,
        region: str,
        value: float,
        comparison: str = "",
        **more: Any,
    ) -> None:
        """Add a line; ``more`` names further columns."""
        where = (*key, variant, metric, region, comparison, value)
        named = dict(zip(COLUMNS[: len(where)], where, strict=True))
        self._lines.append({**self._usual, **named, **more})

    def estimate(
        self,
        key: tuple[str, str],
        variant: str,
        metric: str,
        e: Estimate,
        comparison: str = "",
        region: str = "composite",
        **more: Any,
    ) -> None:
        """Add a line with an interval over people."""
        ends = {"low": e.low, "high": e.high, "interval": "people", "n": e.people}
        self.add(key, variant, metric, region, e.value, comparison, **(ends | more))

    def frame(self) -> pd.DataFrame:
        """Return the lines."""
        frame = pd.DataFrame(self._lines).reindex(columns=COLUMNS)
        return frame.fillna({"interval": "", "source": ""})
