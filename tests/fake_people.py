"""A store of people without pictures: each region is one voxel of a tiny PET."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from mri2pet.cohort.regions import COMPOSITE, REGIONS
from mri2pet.config import load_profile
from mri2pet.evaluation.regional import Measured, with_composite

GRID = (1, 2, 5)
PARTS = {"train": 12, "val": 16, "test": 40}


class FakeStore:
    """As `mri2pet.cohort.store.Store`, with uptake by status and two visits for some.

    Parameters
    ----------
    parts : dict
        People of each part.
    twice : int
        Test people with a second visit.
    truth : bool
        Whether the latent truth is known.
    """

    def __init__(self, parts=None, twice=8, truth=True, seed=0):
        rng = np.random.default_rng(seed)
        lines, uptake = [], []
        for part, people in (parts or PARTS).items():
            for i in range(people):
                amyloid = float(rng.random() < 0.5)
                for visit in range(2 if part == "test" and i < twice else 1):
                    grown = 0.15 * visit * rng.random()
                    suvr = 1.05 + 0.35 * amyloid + grown + 0.03 * rng.standard_normal()
                    name = f"{part}-{i:02d}"
                    lines.append((f"{name}_{visit}", name, part, amyloid, visit, suvr))
                    uptake.append(suvr)
        columns = ["scan_id", "participant_id", "part", "amyloid", "visit", "suvr"]
        frame = pd.DataFrame(lines, columns=columns).set_index("scan_id")
        n = len(frame)
        frame["session_id"] = "ses-M000"
        frame["days"] = 730 * frame["visit"]
        frame["age"] = 60 + 30 * rng.random(n)
        frame["sex"] = rng.choice(["F", "M"], n)
        frame["apoe_e4"] = rng.integers(0, 3, n)
        frame["diagnosis"] = rng.choice(["CN", "MCI", "AD"], n)
        frame["mmse"] = 27.0
        for kind in ("mri", "pet"):
            frame[f"{kind}_sha256"] = [f"{kind}{i}" for i in range(n)]
        self.suvr = frame.pop("suvr")
        self.scans = frame.drop(columns=["amyloid", "visit"])
        self.truth = None
        if truth:
            self.truth = pd.DataFrame(
                {
                    "status": frame["amyloid"] == 1,
                    "A": frame["amyloid"],
                    "V": 0.3,
                    "ventricle_ml": 30.0,
                    "cortex_mm": 7.0,
                    "medial_temporal_ml": 20.0,
                    "suvr_composite": self.suvr,
                }
            )

    def ids(self, part=None, has_pet=None):
        keep = slice(None) if part is None else self.scans["part"] == part
        return list(self.scans.index[keep])

    def read(self, kind, ids):
        if kind == "regions":
            eye = np.eye(len(REGIONS), 10).reshape(len(REGIONS), *GRID)
            return np.repeat(eye[None], len(ids), axis=0).astype(np.float32)
        assert kind == "pet"
        level = np.ones((len(ids), 10))
        places = [REGIONS.index(name) for name in COMPOSITE]
        level[:, places] = self.suvr.loc[list(ids)].to_numpy()[:, None]
        return level.reshape(-1, *GRID).astype(np.float32)


def shows(store, part, share=1.0, noise=0.0, spread=0.02, samples=4, seed=0):
    """What a row shows: a share of each person's uptake, noise, and K samples."""
    ids = store.ids(part=part)
    rng = np.random.default_rng(seed)
    real = with_composite(store.read("pet", ids), store.read("regions", ids))
    centre = 1.2 + share * (real - 1.2)
    centre = centre + noise * rng.standard_normal((len(ids), 1))
    own = spread * rng.uniform(0.5, 2, (len(ids), 1, 1))
    drawn = centre[:, None] + own * rng.standard_normal((len(ids), samples, 1))
    return Measured(ids, real, drawn)


def rows(store, main=None, regression=None, template=None):
    """All three rows on test and validation people; the template knows nothing."""
    plan = {
        ("mri2pet", "corrected"): {"share": 0.8, "noise": 0.05} | (main or {}),
        ("regression_unet", ""): {"share": 0.4, "noise": 0.05, "samples": 1, "seed": 5}
        | (regression or {}),
        ("mean_template", ""): {"share": 0.0, "spread": 0.0, "samples": 1}
        | (template or {}),
    }
    return {
        key: tuple(shows(store, part, **how) for part in ("test", "val"))
        for key, how in plan.items()
    }


def profile(**changes):
    """The smoke profile with fewer resamples."""
    base = load_profile("smoke")
    plan = {"bootstrap": 200, "coverage": 0.8} | changes
    return base.model_copy(
        update={"evaluation": base.evaluation.model_copy(update=plan)}
    )


def saved(frame, folder):
    """A frame as a run reads it back from its CSV file."""
    path = folder / "frame.csv"
    frame.to_csv(path, index=False, na_rep="NA", float_format="%.8g")
    return pd.read_csv(path, keep_default_na=False, na_values=["NA"])


def fake_run(tables):
    """Anything that has results."""
    return SimpleNamespace(results=lambda name: tables[name])
