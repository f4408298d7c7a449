"""From measures of each scan to the tidy table of Appendix C.

`observation` asks what goes together across people, `intervention` what a change of
atrophy or amyloid does within one. Metric ids are put together: ``pearson_r:x:y`` and
``spearman_r:x:y`` are correlations of x and y, ``partial_r:x:y`` one with the atrophy
held still, ``slope:y`` the change of y per unit of atrophy (observed, no variant) or of
what was set (variant ``do(V)`` or ``do(A)``), ``max_change`` the largest change of any
voxel in anybody. The atrophy is V where it is known, else a stand-in from the MRI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mri2pet.evaluation.association import (
    FEWEST,
    associate,
    finite_scans,
    mean_over_people,
    partial_statistic,
    person_slopes,
    rms_ratio_statistic,
    slope_statistic,
    spearman_statistic,
)
from mri2pet.evaluation.atrophy import AMBIGUITY, MEASURES
from mri2pet.evaluation.inference import (
    Estimate,
    mean_statistic,
    paired_difference,
    pearson_statistic,
)
from mri2pet.evaluation.scoring import COLUMNS

Key = tuple[str, str, str]  # row, design, variant

# Other signs of atrophy, and the clinical stage (0 CN, 1 MCI, 2 AD).
OTHER_ATROPHY = ("ventricle_ml", "cortex_mm", "gm_ml", "ventricle_mri_ml", "stage")
LOOKED_AT = ("sharpness", "aligned", "detail", "spread_composite", "entropy")
COMPARED = ("sharpness", "aligned", "spread_composite", "entropy")  # between rhos
REGION = {**MEASURES, "ventricle_mri_ml": "whole"}
NOTES = ["row", "design", "variant", "kind", "note"]
SLOPES = ["participant_id", "row", "design", "variant", "measure", "slope"]


class Table:
    """Collects the lines of the tidy table and the notes that go with it.

    Parameters
    ----------
    n_boot, seed : int
        Resamples of people, and the seed of their draw and of the run.
    rho : float
        Of the run's own people; NaN where nobody knows.
    """

    def __init__(self, n_boot: int, seed: int, rho: float = float("nan")) -> None:
        self.n_boot, self.seed, self.rho = n_boot, seed, rho
        self.lines: list[dict] = []
        self.notes: list[tuple[str, ...]] = []
        self.slopes: list[pd.DataFrame] = []

    def add(
        self,
        key: Key,
        metric: str,
        region: str,
        e: Estimate,
        *,
        k: int = 1,
        comparison: str = "",
    ) -> None:
        """Add one line."""
        _, _, variant = key
        own = float(variant.split("rho=")[1]) if "rho=" in variant else self.rho
        values = (e.value, e.low, e.high, "people", e.people, k, self.seed, own)
        line = (*key, metric, region, comparison, *values, float("nan"), "")
        self.lines.append(dict(zip(COLUMNS, line, strict=True)))

    def note(self, key: Key, kind: str, text: str) -> None:
        """Add one note."""
        self.notes.append((*key, kind, text))

    def tidy(self) -> pd.DataFrame:
        """Return all lines."""
        return pd.DataFrame(self.lines, columns=COLUMNS)

    def personal(self) -> pd.DataFrame:
        """Return the slopes of each person in each intervention."""
        if not self.slopes:
            return pd.DataFrame(columns=SLOPES)
        return pd.concat(self.slopes, ignore_index=True)[SLOPES]

    def noted(self) -> pd.DataFrame:
        """Return all notes."""
        return pd.DataFrame(self.notes, columns=NOTES)


def has(frame: pd.DataFrame, *columns: str) -> bool:
    """Whether columns are there and hold a value in enough scans to correlate."""
    if not set(columns) <= set(frame):
        return False
    return int(finite_scans(*(frame[c] for c in columns)).sum()) >= FEWEST


def observation(table: Table, frames: Mapping[Key, pd.DataFrame]) -> None:
    """Add what goes together across people.

    Parameters
    ----------
    table : Table
    frames : mapping (row, design, variant) -> DataFrame
        A line for each scan: ``participant_id``, ``atrophy``, measures of
        `mri2pet.evaluation.atrophy.scan_measures`, and perhaps ``amyloid``, ``k`` and
        the columns of `OTHER_ATROPHY`. What is missing or empty is left out. Variant
        ``rho=...`` marks people with another link; they are compared with the run's
        own, which must be the same scans.
    """
    for key, frame in frames.items():
        _means(table, key, frame)
        if "atrophy" in frame:
            _correlations(table, key, frame)
            _say_what_is_missing(table, key, frame)
    for (row, design, variant), frame in frames.items():
        own = frames.get((row, design, ""))
        if variant.startswith("rho=") and own is not None:
            _between_rhos(table, (row, design, ""), own, frame, f"{row}/{variant}")


def _samples(frame: pd.DataFrame) -> int:
    return int(frame["k"].iloc[0]) if "k" in frame else 1


def _means(table: Table, key: Key, frame: pd.DataFrame) -> None:
    people, k = frame["participant_id"], _samples(frame)
    for measure, region in MEASURES.items():
        if has(frame, measure):
            e = associate(
                [frame[measure]], people, _mean, table.n_boot, seed=table.seed
            )
            table.add(key, measure, region, e, k=k)
    if has(frame, "spread_composite", "error_composite"):
        announced = frame["spread_composite"] * np.sqrt(1 + 1 / k)
        columns = [announced, frame["error_composite"]]
        e = associate(columns, people, rms_ratio_statistic, table.n_boot, table.seed)
        table.add(key, "dispersion", "composite", e, k=k)


def _mean(values_1N: np.ndarray, weights_BN: np.ndarray) -> np.ndarray:
    return mean_statistic(values_1N[0], weights_BN)


def _correlations(table: Table, key: Key, frame: pd.DataFrame) -> None:
    kinds = {
        "pearson_r": pearson_statistic,
        "spearman_r": spearman_statistic,
        "partial_r": partial_statistic,
        "slope": slope_statistic,
    }
    wanted = [
        (kind, "atrophy", measure)
        for measure in MEASURES
        for kind in ("pearson_r", "spearman_r", "slope")
    ]
    wanted += [("pearson_r", a, s) for a in AMBIGUITY for s in ("sharpness", "aligned")]
    wanted += [("partial_r", "amyloid", m) for m in (*LOOKED_AT, "composite")]
    if not key[2]:
        wanted += [("pearson_r", x, y) for x in OTHER_ATROPHY for y in LOOKED_AT]
    if key[0] == "real_pet" and not key[2]:
        wanted.append(("spearman_r", "ventricle_ml", "ventricle_mri_ml"))
    people, k, undefined = frame["participant_id"], _samples(frame), 0
    for kind, x, y in wanted:
        names = [x, y, "atrophy"] if kind == "partial_r" else [x, y]
        if not has(frame, *names):
            continue
        columns = [frame[name] for name in names]
        e = associate(columns, people, kinds[kind], table.n_boot, table.seed)
        metric = f"slope:{y}" if kind == "slope" else f"{kind}:{x}:{y}"
        table.add(key, metric, REGION[y], e, k=k)
        undefined = max(undefined, e.degenerate)
    if undefined:
        table.note(
            key,
            "undefined",
            f"In up to {undefined} of {table.n_boot} resamples of people a measure is "
            "the same for everybody; they are left out of the interval.",
        )


def _say_what_is_missing(table: Table, key: Key, frame: pd.DataFrame) -> None:
    scans = len(frame)
    if "sharpness" in frame:
        flat = int((~np.isfinite(frame["sharpness"])).sum())
        if flat:
            text = f"{flat} of {scans} real scans have no fine detail; left out."
            table.note(key, "flat", text)
    if "spread" in frame and not np.isfinite(frame["spread"]).any():
        table.note(key, "one_sample", "One sample a person, so no ambiguity is known.")
    elif "spread" in frame:
        same = int((frame["spread"] == 0).sum())
        if same:
            text = f"All samples of {same} of {scans} scans are the same, bit by bit."
            table.note(key, "no_spread", text)
    if has(frame, "stage"):
        unknown = int((~np.isfinite(frame["stage"])).sum())
        if unknown:
            text = f"{unknown} of {scans} scans have no diagnosis; left out of stages."
            table.note(key, "no_stage", text)


def _between_rhos(table, key, own, other, comparison: str) -> None:
    if list(own["scan_id"]) != list(other["scan_id"]):
        raise ValueError(f"{comparison}: made for other scans than {key[0]}")
    for measure in COMPARED:
        if not (has(own, "atrophy", measure) and has(other, "atrophy", measure)):
            continue
        keep = finite_scans(own[measure], other[measure])
        pairs = [
            np.stack([frame[c].to_numpy(float)[keep] for c in ("atrophy", measure)])
            for frame in (own, other)
        ]
        people = own["participant_id"].to_numpy()[keep]
        if len(set(people)) < FEWEST:
            continue
        e = paired_difference(
            *pairs, people, pearson_statistic, table.n_boot, table.seed
        )
        metric, region = f"pearson_r:atrophy:{measure}", MEASURES[measure]
        table.add(key, metric, region, e, k=_samples(own), comparison=comparison)


def intervention(
    table: Table, made: pd.DataFrame, *, k: Mapping[str, int], rho: str = ""
) -> None:
    """Add what a change of V or A does within each person.

    Parameters
    ----------
    table : Table
    made : DataFrame
        Of `mri2pet.stages.interventions.interventions`.
    k : mapping row -> samples of a scan
        1 for rows that are not named.
    rho : str
        ``rho=...`` if the network has learned from other people than the run's.
    """
    for (cause, row, design), mine in made.groupby(["cause", "row", "design"]):
        key = (row, design, ", ".join(filter(None, (f"do({cause})", rho))))
        samples, people = k.get(row, 1), mine["participant_id"].nunique()
        largest = float(mine["change"].max())
        nan = float("nan")
        e = Estimate(largest, nan, nan, people, len(mine))
        table.add(key, "max_change", "whole", e, k=samples)
        real = made[(made["cause"] == cause) & (made["row"] == "real_pet")]
        _slopes(table, key, mine, real, cause, samples)
        if "change_r" in mine and mine["change_r"].notna().any():
            e = mean_over_people(mine["change_r"].dropna())
            table.add(key, "change_r", "brain", e, k=samples)


def _slopes(table, key, mine, real, cause, samples) -> None:
    measures = [m for m in MEASURES if m in mine and mine[m].notna().any()]
    # Samples that are all the same are never ambiguous: no slope to speak of.
    measures = [m for m in measures if m not in AMBIGUITY or mine[m].any()]
    if key[0] == "real_pet":
        measures = [m for m in measures if m in REAL_MEASURES]
    slopes = person_slopes(mine, cause, measures)
    one = slopes.rename_axis("participant_id").reset_index()
    one = one.melt("participant_id", var_name="measure", value_name="slope")
    table.slopes.append(one.assign(row=key[0], design=key[1], variant=key[2]))
    known = person_slopes(real, cause, [m for m in measures if m in REAL_MEASURES])
    for measure in measures:
        region = MEASURES[measure]
        e = mean_over_people(slopes[measure])
        table.add(key, f"slope:{measure}", region, e, k=samples)
        if key[0] != "real_pet" and measure in known:
            e = mean_over_people(slopes[measure] - known[measure])
            table.add(
                key, f"slope:{measure}", region, e, k=samples, comparison="real_pet"
            )


# What a real scan has by itself; the others compare a synthetic scan with it.
REAL_MEASURES = ("detail", "edge", "composite")


def stages_of(diagnoses: Sequence[str | None]) -> np.ndarray:
    """Clinical stage as a number: 0 CN, 1 MCI, 2 AD, NaN where it is not known.

    Examples
    --------
    >>> stages_of(["AD", None, "CN"]).tolist()
    [2.0, nan, 0.0]
    """
    order = {"CN": 0.0, "MCI": 1.0, "AD": 2.0}
    return np.array([order.get(d, np.nan) for d in diagnoses], dtype=np.float64)
