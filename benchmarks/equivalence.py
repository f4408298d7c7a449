"""Is a sampler of few calls as good as DDPM with 999? Two-sided, on four measures.

Image scores alone reward fewer calls, which stay nearer to the average scan. So detail
and the spread between samples of one person count as much. The network is `mri2pet` of
the corrected design, trained by the profile `tutorial_small`: PET 16x32x32, 64 test
people, first visits, four samples each.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

PEOPLE, SAMPLES = 64, 4
CANDIDATES = (
    ("ddim", 10),
    ("ddim", 25),
    ("dpmpp_2m", 10),
    ("dpmpp_2m", 25),
    ("ddpm", 25),
)
# Largest difference that still counts as equal; ratios for the last two.
MARGINS = {"ssim": 0.01, "psnr": 0.3}
RATIOS = {"hf_ratio": (0.9, 1.1), "sample_sd": (0.8, 1.25)}


def scores(made: np.ndarray, real: np.ndarray, brain: np.ndarray) -> pd.DataFrame:
    """Mean over the samples of a person: one row per person."""
    from mri2pet.evaluation.quality import hf_ratio, psnr, ssim_3d

    rows = []
    for samples, pet, mask in zip(made, real, brain, strict=True):
        each = [
            (ssim_3d(pet, s, mask), psnr(pet, s, mask), hf_ratio(pet, s, mask))
            for s in samples
        ]
        spread = samples.std(axis=0, ddof=1)[mask].mean()
        rows.append((*np.mean(each, axis=0), spread))
    return pd.DataFrame(rows, columns=["ssim", "psnr", "hf_ratio", "sample_sd"])


def interval(values: np.ndarray, statistic, n_boot: int = 2000, seed: int = 0):
    """Value and 95 % interval over people of a statistic of rows of ``values``."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(values), size=(n_boot, len(values)))
    drawn = [statistic(values[p]) for p in picks]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(statistic(values)), float(low), float(high)


def compare(few: pd.DataFrame, many: pd.DataFrame) -> list[dict]:
    """Each measure with its interval, and whether all of that lies in the margin."""
    rows = []
    for metric in few:
        both = np.stack([few[metric], many[metric]], axis=1)
        if metric in MARGINS:
            low_bar, high_bar = -MARGINS[metric], MARGINS[metric]
            value, low, high = interval(both, lambda v: (v[:, 0] - v[:, 1]).mean())
            unit = "difference"
        else:
            low_bar, high_bar = RATIOS[metric]
            value, low, high = interval(both, lambda v: v[:, 0].mean() / v[:, 1].mean())
            unit = "ratio"
        rows.append(
            {
                "metric": metric,
                "few": few[metric].mean(),
                "many": many[metric].mean(),
                "unit": unit,
                "value": value,
                "low": low,
                "high": high,
                "bar": f"{low_bar:g} .. {high_bar:g}",
                "holds": bool(low_bar <= low and high <= high_bar),
            }
        )
    return rows


def run(profile: str = "tutorial_small", people: int = PEOPLE) -> pd.DataFrame:
    """Sample, compare, and return one line per sampler and measure."""
    from mri2pet.run import Run

    it = Run.open(profile, quiet=True)
    store = it.cohort()
    ids = store.ids(part="test", has_pet=True)
    first = store.scans.loc[ids].groupby("participant_id")["days"].idxmin()
    keep = [i for i, scan in enumerate(ids) if scan in set(first)][:people]
    real = store.read("pet", ids)[keep]
    brain = store.read("brain", ids)[keep] > 0.5

    def made(sampler, calls):
        found = it.sample(
            "mri2pet", "corrected", sampler=sampler, calls=calls, samples=SAMPLES
        )
        print(f"{sampler}, {calls} calls: sampled", flush=True)
        return scores(found.samples[keep], real, brain)

    many = made("ddpm", 999)
    lines = []
    for sampler, calls in CANDIDATES:
        for row in compare(made(sampler, calls), many):
            lines.append(
                {"sampler": sampler, "calls": calls, "people": len(keep),
                 "samples": SAMPLES, **row}
            )  # fmt: skip
            print(lines[-1], flush=True)
    return pd.DataFrame(lines)
