"""Quality at that speed: equal samples seen, one switch at a time.

All arms see 6,400 samples in fine-tuning, on PET 16x32x32 with the people of the
profile `tutorial_small`, and are scored inside the brain on its test people. The first
arm is the released network with the released switches; each further arm changes one
thing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.equivalence import interval

SAMPLES_SEEN = 6400
ARMS = {
    "released network": ("mri2pet_published", "published", {}),
    "our body": ("mri2pet", "published", {}),
    "our body, MRI in place": ("mri2pet", "published", {"conditioning": "spatial"}),
    "our body, predicts x0": ("mri2pet", "published", {"prediction": "x0"}),
    "our body, MRI in place, predicts x0": (
        "mri2pet",
        "published",
        {"conditioning": "spatial", "prediction": "x0"},
    ),
    "all corrections": ("mri2pet", "corrected", {}),
}


def scores(made: np.ndarray, real: np.ndarray, brain: np.ndarray) -> pd.DataFrame:
    """SSIM and PSNR of the first sample of each scan."""
    from mri2pet.evaluation.quality import psnr, ssim_3d

    rows = [
        (ssim_3d(pet, s[0], mask), psnr(pet, s[0], mask))
        for s, pet, mask in zip(made, real, brain, strict=True)
    ]
    return pd.DataFrame(rows, columns=["ssim", "psnr"])


def run(profile: str = "tutorial_small", seen: int = SAMPLES_SEEN) -> pd.DataFrame:
    """Train, sample and compare every arm with the released network."""
    from mri2pet.run import Run

    it = Run.open(profile, quiet=True)
    store, plan = it.cohort(), it.profile.training
    ids = store.ids(part="test", has_pet=True)
    people = store.scans.loc[ids, "participant_id"].to_numpy()
    real, brain = store.read("pet", ids), store.read("brain", ids) > 0.5

    def by_person(frame: pd.DataFrame) -> np.ndarray:
        return frame.groupby(people).mean().to_numpy()

    lines, first = [], None
    for name, (row, design, switches) in ARMS.items():
        own = row == "mri2pet_published"
        size = plan.published_net_batch_size if own else plan.batch_size
        made = it.sample(
            row, design, steps=seen // size, batch_size=size, samples=1, **switches
        )
        found = by_person(scores(made.samples, real, brain))
        first = found if first is None else first
        for place, metric in enumerate(("ssim", "psnr")):
            value, low, high = interval(found[:, place : place + 1], np.mean)
            gain, gain_low, gain_high = interval(
                (found - first)[:, place : place + 1], np.mean
            )
            lines.append(
                {
                    "arm": name,
                    "metric": metric,
                    "samples_seen": seen,
                    "people": len(found),
                    "value": value,
                    "low": low,
                    "high": high,
                    "gain": gain,
                    "gain_low": gain_low,
                    "gain_high": gain_high,
                    "holds": gain_low > 0,
                }
            )
            print(lines[-1], flush=True)
    return pd.DataFrame(lines)
