"""Stage `figure3`: case studies by rule, with the numbers of the people shown.

Beside the method stand two controls: the regression U-Net, and the mean template, which
shows everybody the same picture. Its picture cannot change between two visits; what is
read from it can a little, since each visit's own regions are laid over it.

Shape suffixes: N scans, K samples of a scan, R regions (the composite last).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mri2pet.artifacts import RunBusyError
from mri2pet.cohort.splits import copies
from mri2pet.evaluation.calibration import conformal_quantile
from mri2pet.evaluation.cases import choose_cases, first_visits
from mri2pet.evaluation.lines import Lines
from mri2pet.evaluation.quality import ssim_3d
from mri2pet.evaluation.regional import NAMES, Measured, measure
from mri2pet.evaluation.visits import change_lines
from mri2pet.stages.cohort import cohort, cohort_stage
from mri2pet.stages.regional import samples_stage
from mri2pet.stages.sample import read_synthetic

if TYPE_CHECKING:
    from mri2pet.artifacts import Stage
    from mri2pet.cohort.store import Store
    from mri2pet.run import Run

MAIN = ("mri2pet", "corrected")
ROWS = (MAIN, ("regression_unet", ""), ("mean_template", ""))
TRUTH = ("A", "V", "ventricle_ml", "cortex_mm", "medial_temporal_ml")
NOTES = ["row", "design", "variant", "kind", "note"]
OUTPUTS = ("figure3.csv", "figure3_people.csv", "figure3_notes.csv")


def cases(run: Run) -> pd.DataFrame:
    """Return the numbers of the case studies as a tidy frame.

    Returns
    -------
    DataFrame with `mri2pet.evaluation.scoring.COLUMNS`
        ``variant`` is a scan id (numbers of a scan that is shown, or a change up to
        this last visit), a rule, or ``two_visits`` and ``clear_change`` for results
        over all people with two visits.

    Notes
    -----
    Beside it lie `results/figure3_people.csv` (who is shown, and by which rule),
    `results/figure3_notes.csv` and `results/figure3_scans.parquet` (every test scan).
    """
    path = cases_stage(run).path("results/figure3.csv")
    return pd.read_csv(path, keep_default_na=False, na_values=["NA"])


def cases_stage(run: Run) -> Stage:
    """As `cases`, but return the finished stage.

    Raises
    ------
    ValueError
        The method itself has no samples. A control without any is named in the notes.
    """
    cohort(run)  # people who leak are refused at once
    stages, missing = {}, {}
    for key in ROWS:
        try:
            stages[key] = [samples_stage(run, *key, part) for part in ("test", "val")]
        except RunBusyError:
            raise
        except ValueError as error:
            if key == MAIN:
                raise
            missing[key] = " ".join(str(error).split())

    def build(work: Path) -> None:
        store = cohort(run)
        read = {
            key: tuple(measure(store, read_synthetic(s.path())) for s in both)
            for key, both in stages.items()
        }
        images = {key: both[0] for key, both in stages.items()}
        tidy, people, notes, scans = study(store, read, run.profile)
        extra = _image_scores(store, images, people["scan_id"], run.profile)
        tidy = pd.concat([tidy, extra], ignore_index=True)
        lines = [(*key, "", "missing", text) for key, text in missing.items()]
        notes = pd.concat([notes, pd.DataFrame(lines, columns=NOTES)])
        folder = work / "results"
        folder.mkdir(parents=True, exist_ok=True)
        form = {"index": False, "na_rep": "NA", "float_format": "%.8g"}
        for name, frame in zip(OUTPUTS, (tidy, people, notes), strict=True):
            frame.to_csv(folder / name, **form)
        scans.to_parquet(folder / "figure3_scans.parquet", index=False)

    return run.stage(
        "figure3",
        module=__name__,
        settings={
            "evaluation": run.profile.evaluation.model_dump(),
            "rho": run.profile.cohort.rho,
            "missing": {" ".join(k): v for k, v in missing.items()},
        },
        inputs=[cohort_stage(run), *(s for both in stages.values() for s in both)],
        outputs=[f"results/{name}" for name in (*OUTPUTS, "figure3_scans.parquet")],
        build=build,
    )


def study(
    store: Store, read: dict[tuple[str, str], tuple[Measured, Measured]], profile
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Choose the people and collect their numbers.

    Parameters
    ----------
    store : Store
    read : mapping (row, design) -> what the test and the validation PETs show
    profile : Profile

    Returns
    -------
    tidy, people, notes, scans : DataFrame
        As `cases` says.
    """
    half, notes = {}, []
    for key, (test, val) in read.items():
        half[key], reason = _half_widths(store, test, val, profile.evaluation.coverage)
        if reason:
            notes.append((*key, "", "conformal", reason))
    scans = _scan_table(store, read, half)
    main = scans[scans["row"] == MAIN[0]].set_index("scan_id")
    chosen, found = choose_cases(main)
    notes += [("", "", rule, "people", text) for rule, text in found]
    people = _people_table(store, chosen)
    lines = _lines(profile)
    for scan in dict.fromkeys(people["scan_id"]):
        _scan_lines(lines, scans[scans["scan_id"] == scan])
        if store.truth is not None:
            for name in TRUTH:
                lines.add(("truth", ""), scan, name, "", store.truth.at[scan, name])
    for rule, group in people.groupby("rule", sort=False):
        seen = group[["scans_train", "scans_val", "scans_unpaired", "copies"]]
        leaked = group.loc[(seen > 0).any(axis=1), "participant_id"].nunique()
        n = group["participant_id"].nunique()
        lines.add(("people", ""), rule, "people_in_training", "", leaked, n=n)
    _warning_lines(lines, main, people)
    notes += change_lines(lines, store.truth, scans)
    if store.truth is None:
        text = "atrophy and amyloid of these people are not known"
        notes.append(("truth", "", "", "missing", text))
    return lines.frame(), people, pd.DataFrame(notes, columns=NOTES), scans


def _lines(profile) -> Lines:
    return Lines(
        seed=profile.seed,
        rho=profile.cohort.rho,
        n_boot=profile.evaluation.bootstrap,
    )


def _half_widths(store, test, val, level) -> tuple[np.ndarray, str]:
    """Half widths of conformal intervals of the mean, shape (N, R).

    One width for everybody, so that rows with and without samples can be compared; the
    spread of the samples stands beside it. Validation people count at their first
    visit.
    """
    first = first_visits(store.scans.loc[val.scan_ids])
    known = val.of(list(first.index))
    try:
        reach = [
            conformal_quantile(column, level)
            for column in np.abs(known.mean - known.real_NR).T
        ]
    except ValueError as error:
        return np.full(test.mean.shape, np.nan), str(error)
    return np.tile(reach, (len(test.scan_ids), 1)), ""


def _scan_table(store, read, half) -> pd.DataFrame:
    """A line for each test scan and row: SUVR of every region, real and synthetic."""
    frames = []
    for key, (test, _) in read.items():
        frame = store.scans.loc[
            test.scan_ids, ["participant_id", "session_id", "days", "age", "diagnosis"]
        ].reset_index(names="scan_id")
        values = {
            "real": test.real_NR,
            "mean": test.mean,
            "sample": test.drawn_NKR[:, 0],
            "sd": test.sd,
            "half": half[key],
        }
        columns = {
            f"{kind}_{name}": numbers[:, place]
            for kind, numbers in values.items()
            for place, name in enumerate(NAMES)
        }
        frame = frame.assign(row=key[0], design=key[1], k=test.drawn_NKR.shape[1])
        frame = pd.concat([frame, pd.DataFrame(columns)], axis=1)
        frame["error"] = (frame["mean_composite"] - frame["real_composite"]).abs()
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _people_table(store: Store, chosen: pd.DataFrame) -> pd.DataFrame:
    """Who is shown, and whether a scan of theirs lies in another part."""
    scans = store.scans
    about = scans.loc[chosen["scan_id"], ["days", "age", "sex", "diagnosis", "mmse"]]
    people = pd.concat([chosen, about.reset_index(drop=True)], axis=1)
    for part in ("train", "val", "unpaired"):
        there = scans.loc[scans["part"] == part, "participant_id"].value_counts()
        found = people["participant_id"].map(there).fillna(0).astype(int)
        people[f"scans_{part}"] = found
    shared = {scan for _, names in copies(scans) for scan in names}
    people["copies"] = people["scan_id"].isin(shared).astype(int)
    return people


def _scan_lines(lines: Lines, rows: pd.DataFrame) -> None:
    """SUVR, error and uncertainty of one scan, in each region and row."""
    scan = rows["scan_id"].iloc[0]
    for name in NAMES:
        real = rows[f"real_{name}"].iloc[0]
        lines.add(("real_pet", ""), scan, "suvr", name, real)
    for row in rows.to_dict("records"):
        key, k = (row["row"], row["design"]), row["k"]
        for name in NAMES:
            value, half = row[f"mean_{name}"], row[f"half_{name}"]
            reach = {"low": value - half, "high": value + half, "k": k}
            reach |= {"interval": "conformal"} if np.isfinite(half) else {}
            real = row[f"real_{name}"]
            lines.add(key, scan, "suvr", name, value, **reach)
            lines.add(key, scan, "suvr", name, value - real, "real_pet", k=k)
            if k > 1:
                lines.add(key, scan, "suvr_sample", name, row[f"sample_{name}"])
                lines.add(key, scan, "sample_sd", name, row[f"sd_{name}"], k=k)


def _warning_lines(lines: Lines, main: pd.DataFrame, people: pd.DataFrame) -> None:
    """How the spread of a shown person ranks among all test people."""
    spread = main["sd_composite"]
    if not np.isfinite(spread).all():
        return
    for scan in dict.fromkeys(people["scan_id"]):
        below = float((spread.drop(scan) < spread[scan]).mean())
        lines.add(MAIN, scan, "sd_rank", "composite", below, n=len(spread) - 1)


def _image_scores(store: Store, stages, scan_ids, profile) -> pd.DataFrame:
    """Masked SSIM and absolute error of the PETs shown, mean of the samples."""
    lines = _lines(profile)
    ids = list(dict.fromkeys(scan_ids))
    real, brain = store.read("pet", ids), store.read("brain", ids) > 0.5
    for key, stage in stages.items():
        made = read_synthetic(stage.path())
        k = made.samples.shape[1]
        for i, scan in enumerate(ids):
            pet = made.samples[made.scan_ids.index(scan)].mean(0)
            score = ssim_3d(real[i], pet, brain[i])
            lines.add(key, scan, "ssim", "brain", score, k=k)
            error = float(np.abs(pet - real[i])[brain[i]].mean())
            lines.add(key, scan, "mae", "brain", error, k=k)
    return lines.frame()
