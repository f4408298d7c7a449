"""Stage `chance`: where nothing but a PET tells amyloid, every row must guess.

The run's networks see people whose amyloid hangs neither on what an MRI shows (rho 0)
nor on age or APOE. Whatever a row scores above one half there, beyond its interval,
would come from a leak between images, labels and truth. The intervals hold for all
rows at once (Bonferroni).

Legend: N people, R regions, d h w voxels of the PET grid (z, y, x).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mri2pet.artifacts import made_or_why
from mri2pet.cohort.regions import COMPOSITE, REGIONS
from mri2pet.cohort.store import Store
from mri2pet.evaluation.delong import auc_interval
from mri2pet.evaluation.scoring import COLUMNS
from mri2pet.evaluation.uptake import composite_suvr, regional_suvr
from mri2pet.stages.cohort import cohort, cohort_stage, unlinked_stage
from mri2pet.stages.learn import regression
from mri2pet.stages.learned import Learned
from mri2pet.stages.rows import learned_rows, trained
from mri2pet.stages.sample import control, draw, drawing_code

if TYPE_CHECKING:
    from mri2pet.run import Run, Stage

CONTROLS = ("mean_template", "nearest_subject", "regression_unet")
LEVEL = 0.95  # of all intervals together
CHUNK = 64  # people in memory at once


def chance(run: Run, people: int = 1000, calls: int = 3) -> pd.DataFrame:
    """Return how well each row tells amyloid in people in whom it cannot.

    Parameters
    ----------
    run : Run
        Of phantoms. Its networks are used as they are.
    people : int
        Simulated people, one scan each. With 28 rows and 43 % positive, 1,000 give
        intervals of about 0.5 +- 0.058.
    calls : int
        Network calls of the deterministic sampler (DDIM), in both designs.

    Returns
    -------
    DataFrame with `mri2pet.evaluation.scoring.COLUMNS`
        One line a row: ``positivity_auc`` of the composite. ``low`` and ``high`` hold
        for all lines together with 95 %. Also in `results/chance.csv`.

    Raises
    ------
    ValueError
        Fewer than 4 people, no network call, or a store without the truth.
    """
    path = chance_stage(run, people, calls).path()
    return pd.read_csv(path, keep_default_na=False, na_values=["NA"])


def chance_rows() -> list[tuple[str, str]]:
    """(row, design) of every row that is asked, controls first."""
    return [(row, "") for row in CONTROLS] + learned_rows()


def chance_stage(run: Run, people: int = 1000, calls: int = 3) -> Stage:
    """As `chance`, but return the finished stage."""
    if people < 4 or calls < 1:
        raise ValueError(
            f"people = {people}, calls = {calls}: expected 4 people and a call at least"
        )
    if cohort(run).truth is None:
        raise ValueError(f"store {cohort(run).path}: no truth; chance needs phantoms")
    made = unlinked_stage(run, people)
    stages = {}
    for row, design in chance_rows():
        one = partial(_row_stage, run, made, row, design, calls)
        stage = made_or_why(one, (row, design), run.log)
        if not isinstance(stage, str):
            stages[row, design] = stage

    def build(work: Path) -> None:
        scores = {
            key: pd.read_csv(stage.path(), index_col="scan_id")["suvr"]
            for key, stage in stages.items()
        }
        tidy = at_once(scores, Store(made.path()).truth["status"], run.profile.seed)
        (work / "results").mkdir(parents=True, exist_ok=True)
        tidy.to_csv(
            work / "results/chance.csv", index=False, na_rep="NA", float_format="%.8g"
        )

    return run.stage(
        "chance",
        module=__name__,
        settings={"level": LEVEL, "calls": calls},
        inputs=[made, *stages.values()],
        outputs=["results/chance.csv"],
        build=build,
    )


def at_once(
    scores: dict[tuple[str, str], pd.Series], status: pd.Series, seed: int
) -> pd.DataFrame:
    """Tidy areas under the curve whose intervals hold for all rows at once.

    Parameters
    ----------
    scores : dict
        (row, design) to composite SUVR, indexed by scan; one scan a person.
    status : Series
        Whether the person has amyloid, indexed by scan.
    seed : int
        Of the run, for the record.

    Returns
    -------
    DataFrame with `mri2pet.evaluation.scoring.COLUMNS`
    """
    level = 1 - (1 - LEVEL) / len(scores)
    lines = []
    for (row, design), suvr in scores.items():
        e = auc_interval(suvr, status.loc[suvr.index], level=level)
        key = (row, design, "rho=0", "positivity_auc", "composite", "")
        known = (e.value, e.low, e.high, "people", e.people, 1, seed, 0.0)
        values = (*key, *known, float("nan"), "")
        lines.append(dict(zip(COLUMNS, values, strict=True)))
    return pd.DataFrame(lines, columns=COLUMNS)


def composites(store: Store, ids: list[str], pets_NDHW: np.ndarray) -> np.ndarray:
    """Composite SUVR of PETs in each person's own regions, shape (N,)."""
    columns = [REGIONS.index(name) for name in COMPOSITE]
    weights_NRDHW = store.read("regions", ids)[:, columns]
    return composite_suvr(regional_suvr(pets_NDHW, weights_NRDHW, COMPOSITE), COMPOSITE)


def _row_stage(run: Run, made: Stage, row: str, design: str, calls: int) -> Stage:
    """Composite SUVR of a row for everybody: a stage, so that a kill costs one row."""
    learned = None
    if design:
        learned = trained(run, row, design)
    elif row == "regression_unet":
        learned = regression(run)
    name = f"chance-{row}.{design}" if design else f"chance-{row}"
    output = f"chance/{name.removeprefix('chance-')}.csv"

    def build(work: Path) -> None:
        store = Store(made.path())
        ids = store.ids(part="test")
        parts = [ids[i : i + CHUNK] for i in range(0, len(ids), CHUNK)]
        suvr = [
            composites(store, p, _pets(run, learned, row, store, p, calls))
            for p in parts
        ]
        (work / output).parent.mkdir(parents=True, exist_ok=True)
        frame = pd.DataFrame({"scan_id": ids, "suvr": np.concatenate(suvr)})
        frame.to_csv(work / output, index=False)

    return run.stage(
        name,
        module=__name__,
        settings={
            "calls": calls if design else 0,
            "dtype": run.profile.dtype,
            # Networks are called by the code of another stage.
            "code of sample": drawing_code(),
        },
        inputs=[made, learned.stage if learned else cohort_stage(run)],
        outputs=[output],
        build=build,
    )


def _pets(
    run: Run,
    learned: Learned | None,
    row: str,
    store: Store,
    ids: list[str],
    calls: int,
) -> np.ndarray:
    """Synthetic PETs of some people, shape (N, d, h, w)."""
    if learned is not None:
        settings = {} if row == "regression_unet" else _settings(calls)
        return draw(run, learned, store.read("mri", ids), ids, settings)[:, 0]
    return control(run, row, store, ids)


def _settings(calls: int) -> dict[str, Any]:
    """A deterministic sampler; few calls leave the range of x0 unless it is kept."""
    return {
        "sampler": "ddim",
        "calls": calls,
        "variance": "posterior",
        "eta": 0.0,
        "clip_x0": True,
        "samples": 1,
    }
