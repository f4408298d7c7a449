"""Stage `agreement`: whether a predictor says the same of real and synthetic PET.

The paper reports r = 0.273 between the MMSE that one regressor, of the last seed,
predicts from the real and from the generated PET of the same people (audit, 8.5). Here:
all seeds and models with an interval; the reliability of the predictor itself, that is
how well two trainings agree on the same real PET; and as a floor the same people with
an amyloid that has nothing to do with their MRI (rho = 0).

The reliability is no upper bound, since one model sees both images: it says how much of
what r measures is a property of people and not of one training.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mri2pet.evaluation.published import fact, fact_source
from mri2pet.evaluation.scoring import COLUMNS
from mri2pet.evaluation.utility import Scored, agree
from mri2pet.stages.clinical import predictions
from mri2pet.stages.downstream import read_predictions
from mri2pet.stages.settings import arms

if TYPE_CHECKING:
    from mri2pet.artifacts import Stage
    from mri2pet.run import Run

MODELS = ("real_pet", "real_paired")
REGIONS = {"mmse_20": "mmse_20", "mmse": "full_range"}
PUBLISHED = {
    ("real_pet", "mmse_20"): "r_real_generated",
    ("real_paired", "mmse_20"): "r_real_generated_paired",
}


def agreement(run: Run) -> pd.DataFrame:
    """Return the table of agreements."""
    path = agreement_stage(run).path("results/agreement.csv")
    return pd.read_csv(path, keep_default_na=False, na_values=["NA"])


def agreement_stage(run: Run) -> Stage:
    """Correlate predictions from real and synthetic PET of the same people."""
    stages, _ = predictions(run)
    rhos = {arm.key: arm.rho for arm in arms(run)}
    mine = {
        key: stage
        for key, stage in stages.items()
        if key[0] in MODELS and (key[2] == "" or rhos[key] is not None)
    }

    def build(work: Path) -> None:
        lines = []
        frames = {key: read_predictions(stage)[0] for key, stage in mine.items()}
        for key, frame in frames.items():
            lines += agreement_lines(frame, key, rhos[key], run.profile)
            own = frames.get((*key[:2], ""))
            if rhos[key] is not None and own is not None:
                lines += floor_lines(frame, own, key, rhos[key], run.profile)
        folder = work / "results"
        folder.mkdir(parents=True, exist_ok=True)
        tidy = pd.DataFrame(lines).reindex(columns=COLUMNS)
        text = [*COLUMNS[:6], "interval", "source"]
        tidy[text] = tidy[text].fillna("")
        path = folder / "agreement.csv"
        tidy.to_csv(path, index=False, na_rep="NA", float_format="%.8g")

    return run.stage(
        "agreement",
        module=__name__,
        settings={"bootstrap": run.profile.evaluation.bootstrap},
        inputs=list(mine.values()),
        outputs=["results/agreement.csv"],
        build=build,
    )


def agreement_lines(
    frame: pd.DataFrame, key: tuple[str, str, str], rho: float | None, profile
) -> list[dict]:
    """Agreement and reliability of one model.

    Parameters
    ----------
    frame : DataFrame
        Of `mri2pet.stages.downstream.read_predictions`.
    key : tuple
        Setting, design, variant.
    rho : float or None
        Of the cohort, where it is not the profile's.
    profile : Profile
    """
    lines = []
    generator = profile.downstream.designs[0] if rho is None else "corrected"
    keys = {"n_boot": profile.evaluation.bootstrap, "seed": profile.seed}
    for target, region in REGIONS.items():
        real, people = _predicted(frame, target, "real")
        synthetic, others = _predicted(frame, target, "generated")
        if people != others or len(people) < 4:
            continue
        about = {
            **dict(zip(COLUMNS[:3], key, strict=True)),
            "design": generator,
            "metric": "pearson_r",
            "region": region,
            "k": 1,
            "seed": profile.seed,
            "rho": profile.cohort.rho if rho is None else rho,
        }
        beside = {}
        name = PUBLISHED.get((key[0], region))
        if rho is None and name:
            beside = {"published": fact(name), "source": fact_source(name)}
        lines += _spreads({**about, **beside}, agree(real, synthetic, people, **keys))
        if rho is None:
            # As released: the last seed alone.
            last = agree(real[-1:], synthetic[-1:], people, **keys)
            lines += _spreads({**about, "variant": "last_seed", **beside}, last)
        pairs = list(combinations(range(len(real)), 2))
        first, second = (real[[pair[i] for pair in pairs]] for i in (0, 1))
        variant = ".".join(filter(None, ("reliability", key[2])))
        # Pairs of trainings share trainings: no interval over seeds is given.
        found = agree(first, second, people, **keys)
        lines += _spreads({**about, "variant": variant}, found)[:1]
    return lines


def floor_lines(
    frame: pd.DataFrame,
    own: pd.DataFrame,
    key: tuple[str, str, str],
    rho: float,
    profile,
) -> list[dict]:
    """Agreement at another rho minus that of the profile, person by person.

    Parameters
    ----------
    frame, own : DataFrame
        Predictions at the other rho and at the profile's. A person's MRI and MMSE are
        the same in both.
    key, rho, profile
        As in `agreement_lines`, of ``frame``.

    Returns
    -------
    list of dict
        ``comparison`` is the setting itself. Empty where the people or the designs of
        the generators differ.
    """
    lines = []
    if profile.downstream.designs[0] != "corrected":
        return lines
    keys = {"n_boot": profile.evaluation.bootstrap, "seed": profile.seed}
    for target, region in REGIONS.items():
        found, people = [], []
        for part in (frame, own):
            (real, who), (synthetic, _) = (
                _predicted(part, target, on) for on in ("real", "generated")
            )
            people.append(who)
            if len(who) >= 4 and real.shape == synthetic.shape:
                found.append(agree(real, synthetic, who, **keys))
        if len(found) < 2 or people[0] != people[1]:
            continue
        about = {
            **dict(zip(COLUMNS[:3], key, strict=True)),
            "design": "corrected",
            "metric": "pearson_r",
            "region": region,
            "comparison": key[0],
            "k": 1,
            "seed": profile.seed,
            "rho": rho,
        }
        lines += _spreads(about, found[0].minus(found[1]))
    return lines


def _predicted(frame, target, on) -> tuple[np.ndarray, list[str]]:
    part = frame[(frame["target"] == target) & (frame["on"] == on)]
    trained = [own for _, own in part.groupby("seed", sort=True)]
    if not trained:
        return np.empty((0, 0)), []
    predicted = np.stack([own["predicted"].to_numpy(float) for own in trained])
    return predicted, list(trained[0]["participant_id"])


def _spreads(about: dict, found: Scored) -> list[dict]:
    lines = []
    for interval, (low, high), n in (
        ("people", found.over_people(), found.people),
        ("seeds", found.over_seeds(), len(found.seeds_S)),
    ):
        spread = {"value": found.value, "low": low, "high": high, "n": n}
        if interval == "people" or n > 1:
            lines.append({**about, **spread, "interval": interval})
    return lines
