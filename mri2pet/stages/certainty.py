"""Stage `certainty`: what a synthetic PET is worth for a decision about amyloid.

Each row gives every test person a probability of amyloid. For rows that read it from a
PET, it is calibrated on validation people, since the networks have seen the real PETs
of the training people. `covariates` never saw a scan, and may learn from both.

References that no method needs: `prevalence` tells everybody the same share, and
`real_pet` reads the real scan.

Shape suffixes: N people, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mri2pet.artifacts import RunBusyError
from mri2pet.evaluation.cases import first_visits
from mri2pet.evaluation.certainty import certainty_lines, certainty_tests
from mri2pet.evaluation.decision import fit_probability
from mri2pet.evaluation.regional import Measured, measure, with_composite
from mri2pet.evaluation.status import amyloid_status
from mri2pet.stages.cohort import cohort, cohort_stage
from mri2pet.stages.regional import samples_stage
from mri2pet.stages.sample import read_synthetic

if TYPE_CHECKING:
    from mri2pet.artifacts import Stage
    from mri2pet.cohort.store import Store
    from mri2pet.run import Run

MAIN = ("mri2pet", "corrected")
ROWS = (MAIN, ("regression_unet", ""), ("mean_template", ""))
REAL, COVARIATES, PREVALENCE = (
    ("real_pet", ""),
    ("covariates", ""),
    ("prevalence", ""),
)
NOTES = ["row", "design", "variant", "kind", "note"]
FEW = 30  # people; below, a result only illustrates
OUTPUTS = ("certainty.csv", "certainty_tests.csv", "certainty_notes.csv")


def certainty(run: Run) -> pd.DataFrame:
    """Return what each row's probabilities are worth, as a tidy frame.

    Returns
    -------
    DataFrame with `mri2pet.evaluation.scoring.COLUMNS`
        Metrics ``brier``, ``ece``, ``positivity_auc``, ``net_benefit`` (variant
        ``t=0.25`` and so on), ``aurc_call`` and ``aurc_suvr`` (areas under the
        risk-coverage curve), ``refusal_gain_*``, ``risk_*`` (variant ``keep=0.5``),
        ``predicted`` and ``observed`` (variant ``bin=1``).

    Notes
    -----
    Beside it lie `results/certainty_tests.csv`, `results/certainty_notes.csv` and
    `results/certainty_scans.parquet`, the probability of each person.
    """
    path = certainty_stage(run).path("results/certainty.csv")
    return pd.read_csv(path, keep_default_na=False, na_values=["NA"])


def certainty_stage(run: Run) -> Stage:
    """As `certainty`, but return the finished stage."""
    cohort(run)
    stages, missing = {}, {}
    for key in ROWS:
        try:
            stages[key] = [samples_stage(run, *key, part) for part in ("test", "val")]
        except RunBusyError:
            raise
        except ValueError as error:
            missing[key] = " ".join(str(error).split())

    def build(work: Path) -> None:
        store = cohort(run)
        read = {
            key: tuple(measure(store, read_synthetic(s.path())) for s in both)
            for key, both in stages.items()
        }
        people, notes = probabilities(store, read)
        notes = [(*key, "", "missing", text) for key, text in missing.items()] + notes
        plan = {
            "seed": run.profile.seed,
            "rho": run.profile.cohort.rho,
            "n_boot": run.profile.evaluation.bootstrap,
        }
        tidy = certainty_lines(people, **plan)
        tests = certainty_tests(people, seed=run.profile.seed)
        folder = work / "results"
        folder.mkdir(parents=True, exist_ok=True)
        form = {"index": False, "na_rep": "NA", "float_format": "%.8g"}
        notes = pd.DataFrame(notes, columns=NOTES)
        for name, frame in zip(OUTPUTS, (tidy, tests, notes), strict=True):
            frame.to_csv(folder / name, **form)
        people.to_parquet(folder / "certainty_scans.parquet", index=False)

    return run.stage(
        "certainty",
        module=__name__,
        settings={
            "bootstrap": run.profile.evaluation.bootstrap,
            "rho": run.profile.cohort.rho,
            "missing": {" ".join(k): v for k, v in missing.items()},
        },
        inputs=[cohort_stage(run), *(s for both in stages.values() for s in both)],
        outputs=[f"results/{name}" for name in (*OUTPUTS, "certainty_scans.parquet")],
        build=build,
    )


@dataclass(frozen=True)
class _Known:
    """First visits of a part, their real uptake and their label."""

    ids: list[str]
    real: pd.Series
    positive: np.ndarray

    @classmethod
    def read(cls, store: Store, part: str) -> _Known:
        scans = store.scans.loc[store.ids(part=part, has_pet=True)]
        ids = list(first_visits(scans).index)
        values = with_composite(store.read("pet", ids), store.read("regions", ids))
        real = pd.Series(values[:, -1], index=ids)
        status = amyloid_status(store, real).to_numpy(bool)
        return cls(ids, real, status)


def probabilities(
    store: Store, read: dict[tuple[str, str], tuple[Measured, Measured]]
) -> tuple[pd.DataFrame, list[tuple[str, str, str, str, str]]]:
    """Probability of amyloid of every test person, from each row.

    Parameters
    ----------
    store : Store
    read : mapping (row, design) -> what the test and the validation PETs show

    Returns
    -------
    people : DataFrame
        A line for each row, design and person, of whose first visit it tells:
        ``probability``, ``positive``, ``composite`` and ``sample_sd`` of the synthetic
        PET, ``real_composite``, ``k``, ``fitted_on`` (people), and ``brier_low`` and
        ``brier_high``: over fits without one of the calibration people in turn.
    notes : list of (row, design, variant, kind, note)
    """
    test, val, train = (_Known.read(store, part) for part in ("test", "val", "train"))
    frames, notes = [], []
    both = [*train.ids, *val.ids]
    labels = np.concatenate([train.positive, val.positive])
    jobs = [(*job, val.positive) for job in _pet_features(read, test, val)]
    if store.truth is None:
        text = "the status is read from these very scans, so this row knows it"
        notes.append((*REAL, "", "label", text))
    covariates, filled = _covariates(store, both, test.ids)
    jobs.append((COVARIATES, 1, None, None, covariates, labels))
    if filled:
        notes.append((*COVARIATES, "", "filled", filled))
    nothing = np.zeros((len(both), 1)), np.zeros((len(test.ids), 1))
    jobs.append((PREVALENCE, 1, None, None, nothing, labels))
    for key, k, mean, sd, (known, new), positive in jobs:
        try:
            fit = fit_probability(known, positive)
        except ValueError as error:
            notes.append((*key, "", "missing", f"no probability: {error}"))
            continue
        low, high, alone = _without_one(known, positive, new, test.positive)
        if alone:
            text = f"{alone} of the fits without one person would lack a class"
            notes.append((*key, "", "one class", text))
        frame = pd.DataFrame({"scan_id": test.ids})
        frame["participant_id"] = list(store.scans.loc[test.ids, "participant_id"])
        frame = frame.assign(
            row=key[0],
            design=key[1],
            probability=fit(new),
            positive=test.positive,
            composite=np.nan if mean is None else mean,
            sample_sd=np.nan if sd is None else sd,
            real_composite=test.real.to_numpy(),
            k=k,
            fitted_on=fit.people,
            fitted_positive=fit.positive,
            brier_low=low,
            brier_high=high,
        )
        if np.ptp(frame["probability"]) == 0 and key != PREVALENCE:
            notes.append((*key, "", "constant", "the same probability for everybody"))
        frames.append(frame)
    for name, part in (("test", test), ("validation", val)):
        if len(part.ids) < FEW:
            text = f"{name} people: {len(part.ids)}, so this illustrates only"
            notes.append(("", "", name, "few", text))
    if test.positive.min() == test.positive.max():
        text = "all test people have the same status: no area under the curve"
        notes.append(("", "", "test", "one class", text))
    if not frames:
        raise ValueError("no row gives a probability: all known people have one status")
    return pd.concat(frames, ignore_index=True), notes


def _pet_features(read, test: _Known, val: _Known):
    """Of each row: K, composite and SD of test people, features of both parts."""
    yield (
        REAL,
        1,
        test.real.to_numpy(),
        None,
        (val.real.to_numpy()[:, None], test.real.to_numpy()[:, None]),
    )
    for key, (on_test, on_val) in read.items():
        new, known = on_test.of(test.ids), on_val.of(val.ids)
        sds = known.sd[:, -1], new.sd[:, -1]
        pair = [known.mean[:, [-1]], new.mean[:, [-1]]]
        spread = None
        if np.isfinite(sds[0]).all() and np.isfinite(sds[1]).all():
            spread = sds[1]
            pair = [np.column_stack([a, b]) for a, b in zip(pair, sds, strict=True)]
        k = new.drawn_NKR.shape[1]
        yield key, k, new.mean[:, -1], spread, tuple(pair)


def _covariates(store: Store, known: list[str], new: list[str]):
    """Age, sex and APOE e4; a value that is not known is the mean of the known ones."""
    scans = store.scans
    table = pd.DataFrame(index=scans.index)
    table["age"] = scans["age"].astype(float)
    table["sex"] = scans["sex"].map({"F": 0.0, "M": 1.0})
    table["apoe_e4"] = scans["apoe_e4"].astype(float)
    table = table.loc[[*known, *new]]
    missing = int(table.isna().any(axis=1).sum())
    mean = table.loc[known].mean().fillna(0.0)
    table = table.fillna(mean)
    text = (
        f"{missing} people lack age, sex or APOE; the mean stands in" if missing else ""
    )
    return (table.loc[known].to_numpy(), table.loc[new].to_numpy()), text


def _without_one(known, positive, new, truth) -> tuple[float, float, int]:
    """Range of the Brier score over fits that leave out one calibration person."""
    scores, skipped = [], 0
    for i in range(len(known)):
        kept = np.arange(len(known)) != i
        try:
            fit = fit_probability(known[kept], positive[kept])
        except ValueError:
            skipped += 1
            continue
        scores.append(float(((fit(new) - truth) ** 2).mean()))
    if not scores:
        return float("nan"), float("nan"), skipped
    return min(scores), max(scores), skipped
