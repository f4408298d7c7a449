"""Tables 2 and 3 of made-up predictions whose truth is known."""

import numpy as np
import pandas as pd

from mri2pet.config import load_profile
from mri2pet.stages import clinical
from mri2pet.stages.settings import SETTINGS, TEMPLATE

PEOPLE = 48
RESAMPLES = 600  # the smallest p-value stands the adjustment of nine
# Setting or setting/variant -> how much its predictions know.
LEVELS = {
    "covariates": 0.6,
    "mri_covariates": 2.4,
    "real_limited_mri": 1.0,
    "real_mri": 2.4,
    "real_pet": 1.6,
    "generated_pet": 1.6,
    "augmented_pet": 2.4,
    "real_paired": 2.4,
    "synthetic_paired": 1.6,
    "augmented_paired": 4.2,
    f"augmented_paired/{TEMPLATE}": 3.0,
    f"augmented_pet/{TEMPLATE}": 0.9,
    "generated_pet/no_crossfit": 2.8,
    "synthetic_paired/no_crossfit": 1.65,
    "real_pet/rho=0": 0.05,
    "augmented_pet/rho=0": 2.4,
    "augmented_paired/rho=0": 4.1,
    "real_mri/labelled=0.5": 1.4,
    "real_pet/labelled=0.5": 1.6,
    "covariates/labelled=0.5": 0.6,
    "augmented_paired/labelled=0.5": 4.2,
}


def with_levels(*only, **changes):
    """The levels with some changed; keys may say `__` for a slash.

    With settings named, only those and their variants.
    """
    known = {name.replace("__", "/"): level for name, level in changes.items()}
    levels = {**LEVELS, **known}
    return {k: v for k, v in levels.items() if not only or k.split("/")[0] in only}


def swapped(a, b):
    """The levels with those of two rows exchanged."""
    return {**LEVELS, a: LEVELS[b], b: LEVELS[a]}


def key_of(name):
    """(setting, design, variant) of a name."""
    setting, _, variant = name.partition("/")
    return setting, "corrected" if SETTINGS[setting].synthetic else "", variant


def frames_of(levels=LEVELS, people=PEOPLE, seeds=2):
    """Predictions as `read_predictions` gives them."""
    rng = np.random.default_rng(0)
    truth = np.arange(people) % 3
    names = [f"sub-{i:03d}" for i in range(people)]
    # What is hard for one setting is hard for all, so differences are resolved.
    hard = 2 * rng.normal(size=(people, 3))
    shade = rng.normal(size=people)
    score = np.array([29.0, 26.0, 22.0])[truth]
    frames = {}
    for name, level in levels.items():
        lines = []
        for seed in range(seeds):
            noise = 0.1 * rng.normal(size=(people, 3))
            logits = level * np.eye(3)[truth] + hard + noise
            p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            about = {"scan_id": names, "participant_id": names, "seed": 4 * seed}
            about |= {"on": "real"}
            lines.append(
                pd.DataFrame(
                    {**about, "target": "diagnosis", "truth": truth.astype(float)}
                    | {f"p_{c}": p[:, k] for k, c in enumerate(("CN", "MCI", "AD"))}
                )
            )
            known = level / (1 + level)
            guess = 26 + known * (score - 26) + 3 * (1 - known) * shade
            guess = guess + 0.1 * rng.normal(size=people)
            for target in ("mmse_20", "mmse"):
                own = {**about, "target": target, "truth": score, "predicted": guess}
                lines.append(pd.DataFrame(own))
        frames[key_of(name)] = pd.concat(lines, ignore_index=True)
    return frames


def tables_of(levels=LEVELS, people=PEOPLE, table="table2"):
    """Tidy table and tests of those predictions."""
    before = clinical.RESAMPLES
    clinical.RESAMPLES = RESAMPLES
    try:
        rhos = {key_of(name): 0.0 for name in levels if name.endswith("rho=0")}
        tidy, tests, _ = clinical.score_table(
            table, frames_of(levels, people), rhos, 20, load_profile("smoke")
        )
    finally:
        clinical.RESAMPLES = before
    return tidy, tests


def agreement_table(lines):
    """A table of agreement from (variant, comparison, value, low, high, n)."""
    about = {"row": "real_pet", "design": "corrected", "metric": "pearson_r"}
    about |= {"region": "mmse_20", "interval": "people"}
    names = ("variant", "comparison", "value", "low", "high", "n")
    known = [{**about, **dict(zip(names, line, strict=True))} for line in lines]
    return pd.DataFrame(known)
