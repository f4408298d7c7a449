"""Stage `appendix_c`: whether ambiguous atrophy makes synthetic PETs sharp or blurred.

First what the paper does by eye, as numbers: what goes together across test people.
Then what only phantoms allow: the same person with another atrophy or another amyloid
(`mri2pet.stages.interventions`), and people with another link between the two.

Rules for what may be missing, each counted in `results/appendix_c_notes.csv`:

- A store without truth: the atrophy is a stand-in from the MRI, amyloid the composite
  of the real scan, and rho is not known.
- People who cannot be made again: the run's networks are asked about the phantoms of
  the profile, and so is the perfect reader; no network learns from another rho.
- A method, a rho or an intervention that cannot be made is named with its reason; the
  rest stands.
- A real scan without any fine detail is left out where it is compared with.
- With one sample a person, or samples that are all the same, nobody is ambiguous: means
  are given where they exist, and a correlation with a constant is not.

Shape suffixes: N scans, K samples, D H W = z y x of the PET grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mri2pet.artifacts import RunBusyError
from mri2pet.evaluation.ambiguity import ideal_ambiguity
from mri2pet.evaluation.appendix_c import (
    Key,
    Table,
    intervention,
    observation,
    stages_of,
)
from mri2pet.evaluation.atrophy import AMBIGUITY, scan_measures, ventricle_proxy
from mri2pet.stages.cohort import cohort, cohort_stage, other_rho_stage, why_not
from mri2pet.stages.interventions import interventions_stage
from mri2pet.stages.rho import rho_store, rho_synthetic_stage
from mri2pet.stages.sample import read_synthetic, sample_stage

if TYPE_CHECKING:
    from mri2pet.artifacts import Stage
    from mri2pet.cohort.store import Store
    from mri2pet.run import Run

MAIN = ("mri2pet", "corrected")
OBSERVED = (MAIN, ("mri2pet", "published"), ("regression_unet", ""))
GATE = "random_subject"  # another person's PET: below it no row shows a brain
TRUTH = ("V", "A", "ventricle_ml", "cortex_mm", "gm_ml")
_KINDS = (".csv", "_scans.parquet", "_notes.csv", "_ideal.csv", "_slopes.csv")
OUTPUTS = [f"results/appendix_c{kind}" for kind in _KINDS]
OTHER_PEOPLE = "only phantoms have another rho; run the profile without a store"
ON_PHANTOMS = (
    "asked about the phantoms of the profile: these people cannot be made again"
)
GRID_V = np.round(np.linspace(-0.6, 1.4, 41), 3)  # where the perfect reader is asked


def appendix_c(run: Run) -> pd.DataFrame:
    """Return what sharpness, ambiguity and atrophy have to do with each other.

    Parameters
    ----------
    run : Run

    Returns
    -------
    DataFrame with `mri2pet.evaluation.scoring.COLUMNS`
        See `mri2pet.evaluation.appendix_c` for the metric ids. Also in
        `results/appendix_c.csv`, with `_scans.parquet` (a line for each scan and
        method), `_notes.csv`, `_ideal.csv` (what a perfect reader of the atrophy can
        say about amyloid), `_slopes.csv` (of each person in each intervention) and
        `_interventions.parquet` beside it.
    """
    path = appendix_c_stage(run).path(OUTPUTS[0])
    return pd.read_csv(path, keep_default_na=False, na_values=["NA"])


def appendix_c_stage(run: Run) -> Stage:
    """As `appendix_c`, but return the finished stage."""
    missing: dict[Key, str] = {}
    wanted: dict[Key, Callable[[], Stage]] = {
        (*key, ""): partial(sample_stage, run, *key) for key in (*OBSERVED, (GATE, ""))
    }
    changes: dict[Key, Callable[[], Stage]] = {
        (*MAIN, ""): partial(interventions_stage, run)
    }
    for rho in other_rhos(run):
        key = (*MAIN, f"rho={rho:g}")
        if run.profile.store is not None:
            missing[key] = OTHER_PEOPLE
            continue
        wanted[key] = partial(rho_synthetic_stage, run, rho)
        changes[key] = partial(interventions_stage, run, rho)
    made = _attempt(run, wanted, missing)
    changed = _attempt(run, changes, missing, what="do(V), do(A)")
    others = [other_rho_stage(run, float(k[2][4:])) for k in made if k[2]]

    def build(work: Path) -> None:
        (work / "results").mkdir(parents=True, exist_ok=True)
        table, scans, ideal = _score(run, made, changed, missing)
        form = {"index": False, "na_rep": "NA", "float_format": "%.8g"}
        table.tidy().to_csv(work / OUTPUTS[0], **form)
        scans.to_parquet(work / OUTPUTS[1], index=False)
        table.noted().to_csv(work / OUTPUTS[2], **form)
        ideal.to_csv(work / OUTPUTS[3], **form)
        table.personal().to_csv(work / OUTPUTS[4], **form)

    return run.stage(
        "appendix_c",
        module=__name__,
        settings={
            "bootstrap": run.profile.evaluation.bootstrap,
            "rho": run.profile.cohort.rho,
            "missing": {" ".join(k): v for k, v in missing.items()},
        },
        inputs=[cohort_stage(run), *others, *made.values(), *changed.values()],
        outputs=OUTPUTS,
        build=build,
    )


def other_rhos(run: Run) -> list[float]:
    """Links that the run's own is compared with, ascending."""
    return sorted(set(run.profile.rhos) - {run.profile.cohort.rho})


def _attempt(
    run: Run,
    wanted: Mapping[Key, Callable[[], Stage]],
    missing: dict[Key, str],
    what: str = "",
) -> dict[Key, Stage]:
    """Make what can be made; put the reasons for the rest into ``missing``."""
    made = {}
    for key, make in wanted.items():
        try:
            made[key] = make()
        except RunBusyError:
            raise  # nothing is wrong with it
        except ValueError as error:
            name = (*key[:2], ", ".join(filter(None, (what, key[2]))))
            missing[name] = " ".join(str(error).split())
            run.log(f"  {' '.join(filter(None, name))} is missing: {missing[name]}")
    return made


def _score(run, made, changed, missing):
    store = cohort(run)
    own = run.profile.cohort.rho if store.truth is not None else float("nan")
    table = Table(run.profile.evaluation.bootstrap, run.profile.seed, own)
    for key, reason in missing.items():
        table.note(key, "missing", reason)
    frames: dict[Key, pd.DataFrame] = {}
    curves: dict[float, pd.DataFrame] = {}
    if why_not(store):
        table.note((*MAIN, "do(V), do(A)"), "phantoms", ON_PHANTOMS)
        links = (run.profile.cohort.rho, *other_rhos(run))
        curves = {r: ideal_ambiguity(GRID_V, r, seed=run.profile.seed) for r in links}
    for key, stage in made.items():
        variant = key[2]
        people = rho_store(run, float(variant[4:])) if variant else store
        found = read_synthetic(stage.path())
        frames[key] = _measured(people, found.scan_ids, found.samples)
        real = ("real_pet", "", variant)
        if real not in frames:
            pets = people.read("pet", found.scan_ids)[:, None]
            frames[real] = _of_real(_measured(people, found.scan_ids, pets))
            if people.truth is not None:
                rho = own if not variant else float(variant[4:])
                curve = ideal_ambiguity(GRID_V, rho, seed=run.profile.seed)
                frames["ideal", "", variant] = _ideal(frames[real], curve)
                curves[rho] = curve
    shown = {k: _gate(f) if k[0] == GATE else f for k, f in frames.items()}
    observation(table, shown)
    for (*_, rho), stage in changed.items():
        lines = pd.read_parquet(stage.path())
        people = lines["participant_id"].nunique()
        if people < run.profile.atrophy.people:
            text = f"{people} test people are there, {run.profile.atrophy.people} asked"
            table.note((*MAIN, f"do(V) {rho}".strip()), "people", f"{text} for.")
        k = {MAIN[0]: run.profile.sampling.samples}
        intervention(table, lines, k=k, rho=rho)
    named = [f.assign(row=k[0], design=k[1], variant=k[2]) for k, f in shown.items()]
    ideal = [c.reset_index().assign(rho=rho) for rho, c in sorted(curves.items())]
    ideal = pd.concat(ideal) if ideal else pd.DataFrame(columns=["V", "rho"])
    return table, pd.concat(named, ignore_index=True), ideal


def _measured(
    store: Store, scan_ids: list[str], samples_NKDHW: np.ndarray
) -> pd.DataFrame:
    """Measures of one method, with what is known about each scan."""
    frame = scan_measures(
        store.read("pet", scan_ids),
        samples_NKDHW,
        store.read("brain", scan_ids),
        store.read("regions", scan_ids),
    )
    frame["k"] = samples_NKDHW.shape[1]
    about = store.scans.loc[scan_ids]
    frame.insert(0, "scan_id", list(scan_ids))
    frame.insert(1, "participant_id", list(about["participant_id"]))
    frame["stage"] = stages_of(about["diagnosis"])
    frame["ventricle_mri_ml"] = ventricle_proxy(store.read("mri", scan_ids))
    known: dict[str, Any] = {}
    if store.truth is not None:
        truth = store.truth.loc[scan_ids]
        known = {c: truth[c].to_numpy(float) for c in TRUTH if c in truth}
    frame = frame.assign(**known)
    frame["atrophy"] = frame["V" if "V" in frame else "ventricle_mri_ml"]
    real = frame["composite"] + frame["error_composite"]
    frame["amyloid"] = frame.get("A", real)
    return frame


def _of_real(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop what compares a scan with the real one, which here is itself."""
    relative = ("sharpness", "sharpness_mean", "aligned", "ssim", "error_composite")
    return frame.drop(columns=[*relative, *AMBIGUITY])


def _gate(frame: pd.DataFrame) -> pd.DataFrame:
    """Of another person's PET only the likeness is of interest."""
    return frame[["scan_id", "participant_id", "ssim", "k"]]


def _ideal(frame: pd.DataFrame, curve: pd.DataFrame) -> pd.DataFrame:
    """Whom a perfect reader of V finds ambiguous."""
    kept = frame[["scan_id", "participant_id", "atrophy", "amyloid"]]
    return kept.assign(entropy=np.interp(frame["V"], curve.index, curve["entropy"]))
