"""Scores of probabilities, with intervals over people, and planned tests.

Shape suffixes: N people.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from mri2pet.evaluation.decision import (
    brier,
    ece_if_calibrated,
    ece_statistic,
    net_benefit_statistic,
    probability_bins,
)
from mri2pet.evaluation.family import paired_family
from mri2pet.evaluation.inference import (
    auc_statistic,
    mean_statistic,
    paired_difference,
    patient_bootstrap,
)
from mri2pet.evaluation.lines import Lines
from mri2pet.evaluation.selective import aurc_statistic, gain_statistic, risk_at

MAIN = ("mri2pet", "corrected")
# The method is compared with these, row by row.
OTHERS = ("regression_unet", "mean_template", "covariates", "prevalence")
THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 20))
# Judged at these alone: fixed before the results were seen.
JUDGED = (0.25, 0.5, 0.75)
KEPT = tuple(round(0.1 * i, 1) for i in range(1, 11))
CALL = 0.5  # from here on a person is called positive
TEST_COLUMNS = [
    *("row", "design", "variant", "metric", "comparison"),
    *("value", "low", "high", "p", "p_holm", "n", "family"),
]


def certainty_lines(
    people: pd.DataFrame, *, seed: int, rho: float, n_boot: int
) -> pd.DataFrame:
    """Score the probabilities of all rows.

    Parameters
    ----------
    people : DataFrame
        Of `mri2pet.stages.certainty.probabilities`: every row on the same people in
        the same order.
    seed, rho, n_boot
        As in `mri2pet.evaluation.lines.Lines`.

    Returns
    -------
    DataFrame with `mri2pet.evaluation.scoring.COLUMNS`
    """
    lines = Lines(seed=seed, rho=rho, n_boot=n_boot)
    rows = _rows(people)
    names = next(iter(rows.values()))["participant_id"].to_numpy()
    lines.resample(names)
    for key, mine in rows.items():
        _one_row(lines, key, mine, names)
    for threshold in THRESHOLDS:
        p = np.ones(len(names))
        values = _acting(next(iter(rows.values())), threshold, p)
        e = patient_bootstrap(values, names, net_benefit_statistic, **lines.plan)
        variant = f"t={threshold:g}"
        lines.estimate(("treat_all", ""), variant, "net_benefit", e)
    main = rows.get(MAIN)
    for name in OTHERS:
        other = rows.get((name, ""))
        if main is None or other is None:
            continue
        k = {"k": int(main["k"].iloc[0])}
        mine, theirs = _measures(main), _measures(other)
        for metric, (statistic, values) in mine.items():
            pair = (values, theirs[metric][1])
            e = paired_difference(*pair, names, statistic, **lines.plan)
            lines.estimate(MAIN, "", metric, e, name, **k)
    return lines.frame()


def _rows(people: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    groups = people.groupby(["row", "design"], sort=False)
    rows = {key: group.reset_index(drop=True) for key, group in groups}
    first = next(iter(rows.values()))["scan_id"].tolist()
    for key, group in rows.items():
        if group["scan_id"].tolist() != first:
            raise ValueError(f"{key} has probabilities of other people")
    return rows


def _measures(row: pd.DataFrame) -> dict[str, tuple]:
    """Metric to statistic and values, for values and for paired differences."""
    p, y = row["probability"].to_numpy(float), row["positive"].to_numpy(float)
    return {
        "brier": (mean_statistic, brier(p, y)),
        "ece": (ece_statistic, np.stack([p, y, probability_bins(p)])),
        "positivity_auc": (auc_statistic, np.stack([p, y])),
        "aurc_call": (aurc_statistic, np.stack([np.abs(p - CALL), _wrong(p, y)])),
    }


def _wrong(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    return ((p >= CALL) != (y == 1)).astype(float)


def _acting(row: pd.DataFrame, threshold: float, p=None) -> np.ndarray:
    p = row["probability"].to_numpy(float) if p is None else p
    y = row["positive"].to_numpy(float)
    return np.stack([p, y, np.full(len(y), threshold)])


def _one_row(lines: Lines, key, row: pd.DataFrame, names) -> None:
    k = {"k": int(row["k"].iloc[0])}
    for metric, (statistic, values) in _measures(row).items():
        e = patient_bootstrap(values, names, statistic, **lines.plan)
        lines.estimate(key, "", metric, e, **k)
    p, y = row["probability"].to_numpy(float), row["positive"].to_numpy(float)
    floor = ece_if_calibrated(p, seed=lines.seed)
    low, high = np.quantile(floor, [0.025, 0.975])
    ends = {"low": low, "high": high, "interval": "chance", "n": len(p), **k}
    where = (key, "if_calibrated", "ece", "composite", floor.mean())
    lines.add(*where, **ends)
    n = int(row["fitted_on"].iloc[0])
    positive = int(row["fitted_positive"].iloc[0])
    lines.add(key, "", "fitted_positive", "", positive, n=n, **k)
    low, high = row[["brier_low", "brier_high"]].iloc[0]
    if np.isfinite(low):
        ends = {"low": low, "high": high, "interval": "calibration people"}
        value = float(brier(p, y).mean())
        where = (key, "leave_one_out", "brier", "composite", value)
        lines.add(*where, n=n, **ends, **k)
    _reliability(lines, key, p, y, k)
    for threshold in THRESHOLDS:
        values, all_ = _acting(row, threshold), _acting(row, threshold, np.ones(len(y)))
        args = (names, net_benefit_statistic)
        variant = f"t={threshold:g}"
        e = patient_bootstrap(values, *args, **lines.plan)
        lines.estimate(key, variant, "net_benefit", e, **k)
        e = paired_difference(values, all_, *args, **lines.plan)
        lines.estimate(key, variant, "net_benefit", e, "treat_all", **k)
    for kind, certainty, loss in _refusals(row):
        _selective(lines, key, kind, certainty, loss, names, k)


def _reliability(lines: Lines, key, p, y, k) -> None:
    """Mean probability and share of positive people of each bin."""
    bins = probability_bins(p)
    for place, name in enumerate(np.unique(bins), start=1):
        here = bins == name
        n, hits = int(here.sum()), int(y[here].sum())
        ends = stats.binomtest(hits, n).proportion_ci(0.95)
        variant = f"bin={place}"
        lines.add(key, variant, "predicted", "composite", p[here].mean(), n=n, **k)
        reach = {"low": ends.low, "high": ends.high, "interval": "people", "n": n}
        lines.add(key, variant, "observed", "composite", hits / n, **reach, **k)


def _refusals(row: pd.DataFrame) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """What a refusal could go by, and what it should prevent.

    The call: refuse probabilities near one half, to avoid wrong calls. The uptake:
    refuse people whose samples spread most, to avoid large errors in SUVR.
    """
    p, y = row["probability"].to_numpy(float), row["positive"].to_numpy(float)
    yield "call", np.abs(p - CALL), _wrong(p, y)
    spread = row["sample_sd"].to_numpy(float)
    if np.isfinite(spread).all():
        error = np.abs(row["composite"] - row["real_composite"]).to_numpy(float)
        yield "suvr", -spread, error


def _selective(lines: Lines, key, kind, certainty, loss, names, k) -> None:
    mine = np.stack([certainty, loss])
    metric = f"aurc_{kind}"
    if kind != "call":  # the area of the call stands among the measures
        e = patient_bootstrap(mine, names, aurc_statistic, **lines.plan)
        lines.estimate(key, "", metric, e, **k)
    references = {"random": np.zeros_like(loss), "oracle": -loss}
    for name, other in references.items():
        pair = (mine, np.stack([other, loss]))
        e = paired_difference(*pair, names, aurc_statistic, **lines.plan)
        lines.estimate(key, "", metric, e, name, **k)
    e = patient_bootstrap(mine, names, gain_statistic, **lines.plan)
    lines.estimate(key, "", f"refusal_gain_{kind}", e, **k)
    for share in KEPT:
        e = patient_bootstrap(mine, names, risk_at(share), **lines.plan)
        lines.estimate(key, f"keep={share:g}", f"risk_{kind}", e, **k)
        best = np.stack([-loss, loss])
        value = risk_at(share)(best, np.ones((1, len(loss))))[0]
        where = (key, f"keep={share:g}", f"risk_{kind}_oracle", "composite", value)
        lines.add(*where, n=len(loss))


def certainty_tests(
    people: pd.DataFrame, *, n_boot: int = 10_000, seed: int = 0
) -> pd.DataFrame:
    """Planned tests, adjusted by Holm within their families.

    The families were fixed before the results were seen: (1) the Brier score of the
    method against every other row; (2) of each row that reads a PET or covariates, its
    net benefit at three thresholds against acting on everybody and on nobody; (3) of
    all rows, refusing the least certain against refusing at random.

    Parameters
    ----------
    people : DataFrame
        As in `certainty_lines`.
    n_boot, seed : int
        Resamples of people, and the seed of their draw.

    Returns
    -------
    DataFrame with `TEST_COLUMNS`
        ``value`` is row minus comparison; ``family`` the number of comparisons that a
        p-value was adjusted for.
    """
    rows = _rows(people)
    names = next(iter(rows.values()))["participant_id"].to_numpy()
    found = []

    def family(metric, statistic, pairs) -> None:
        if pairs:
            frame = paired_family(pairs, names, statistic, n_boot, seed)
            for (key, variant, comparison), line in frame.iterrows():
                about = dict(zip(("row", "design"), key, strict=True))
                about |= {"variant": variant, "comparison": comparison}
                about |= {"metric": metric, "family": len(pairs), "n": line["people"]}
                found.append({**line, **about})

    main = rows.get(MAIN)
    if main is not None:
        mine = _measures(main)["brier"][1]
        others = {n: rows[n, ""] for n in OTHERS if (n, "") in rows}
        pairs = {
            (MAIN, "", name): (mine, _measures(other)["brier"][1])
            for name, other in others.items()
        }
        family("brier", mean_statistic, pairs)
    for key, row in rows.items():
        if key[0] == "prevalence":
            continue
        references = {"treat_all": 1.0, "treat_none": 0.0}
        pairs = {
            (key, f"t={t:g}", name): (
                _acting(row, t),
                _acting(row, t, np.full(len(row), p)),
            )
            for t in JUDGED
            for name, p in references.items()
        }
        family("net_benefit", net_benefit_statistic, pairs)
    pairs = {
        (key, kind, "random"): (
            np.stack([certainty, loss]),
            np.stack([np.zeros_like(loss), loss]),
        )
        for key, row in rows.items()
        if key[0] != "prevalence"
        for kind, certainty, loss in _refusals(row)
    }
    family("aurc", aurc_statistic, pairs)
    return pd.DataFrame(found).reindex(columns=TEST_COLUMNS)
