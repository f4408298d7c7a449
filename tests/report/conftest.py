"""A small tidy table whose truth is known, for the tests of the report."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mri2pet.evaluation.scoring import summarise

PEOPLE = 40
# row, design -> masked SSIM, high-frequency ratio, share of true amyloid shown
LEVELS = {
    ("mean_template", ""): (0.80, 0.5, 0.0),
    ("random_subject", ""): (0.70, 1.0, 0.0),
    ("regression_unet", ""): (0.90, 0.7, 0.5),
    ("mri2pet", "published"): (0.85, 1.5, 0.5),
    ("no_loss", "published"): (0.83, 1.5, 0.0),
    ("no_style", "published"): (0.85, 1.5, 0.5),
    ("vanilla", "published"): (0.60, 4.0, 0.0),
    ("mri2pet", "corrected"): (0.92, 0.9, 0.9),
    ("no_loss", "corrected"): (0.92, 0.9, 0.9),
}


def scan_scores(levels=LEVELS, seed=0):
    """Scores per scan as `score_scans` gives them, drawn around known levels."""
    rng = np.random.default_rng(seed)
    person = 0.02 * rng.standard_normal(PEOPLE)
    real = 1.1 + 0.3 * rng.random(PEOPLE)
    ids = [f"sub-{i:02d}_ses-M000" for i in range(PEOPLE)]
    frames = {}
    for key, (ssim, detail, share) in levels.items():
        own = ssim + person + 0.003 * rng.standard_normal(PEOPLE)
        frame = pd.DataFrame(index=pd.Index(ids, name="scan_id"))
        frame["participant_id"] = [i[:6] for i in ids]
        for area in ("whole", "brain"):
            frame[f"ssim_{area}"] = own
            frame[f"psnr_{area}"] = 30 * own
            frame[f"mae_{area}"] = 1 - own
            frame[f"hf_ratio_{area}"] = detail * (1 + person)
        noise = rng.random(PEOPLE)
        frame["suvr_real_composite"] = real
        frame["suvr_synthetic_composite"] = 1.2 + share * (real - 1.2) + 0.05 * noise
        frames[key] = frame
    return frames


def make_tidy(levels=LEVELS, published=None, n_boot=200):
    """The tidy table of those scores."""
    frames = scan_scores(levels)
    ids = next(iter(frames.values())).index
    return summarise(
        frames,
        positive=dict(zip(ids, np.arange(PEOPLE) % 2 == 0, strict=True)),
        published=published,
        n_boot=n_boot,
        rho=0.67,
    )


def swapped(a, b):
    """The levels with those of two rows exchanged."""
    return {**LEVELS, a: LEVELS[b], b: LEVELS[a]}


@pytest.fixture(scope="session")
def cases():
    """What makes such tables, for tests that need other levels."""
    return SimpleNamespace(
        levels=LEVELS, make_tidy=make_tidy, scan_scores=scan_scores, swapped=swapped
    )


@pytest.fixture(scope="session")
def tidy():
    from mri2pet.evaluation.published import beside_table1

    return make_tidy(published=beside_table1())
