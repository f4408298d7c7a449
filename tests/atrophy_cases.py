"""Measures of Appendix C whose truth is known, for tests of tables, words, figures."""

import numpy as np
import pandas as pd

from mri2pet.evaluation.appendix_c import Table, intervention, observation
from mri2pet.evaluation.atrophy import MEASURES

MAIN = ("mri2pet", "corrected")
LEVEL = {
    "sharpness": 0.7, "aligned": 0.5, "detail": 0.1, "edge": 0.4, "ssim": 0.9,
    "sharpness_mean": 0.6, "composite": 1.2, "spread": 0.08, "spread_composite": 0.05,
    "entropy": 0.6,
}  # fmt: skip
REAL = ("detail", "edge", "composite")
# What atrophy does to a measure, in units of its level per unit of V.
AS_THE_PAPER_SAYS = {
    "sharpness": 0.5, "aligned": 0.5, "detail": 0.5, "ssim": 0.05,
    "sharpness_mean": 0.5, "spread": -0.5, "spread_composite": -0.5, "entropy": -0.5,
}  # fmt: skip
NOTHING = dict.fromkeys(AS_THE_PAPER_SAYS, 0.0)


def flipped(effects):
    """The same effects the other way round."""
    return {name: -size for name, size in effects.items()}


def scans(key, effects, people=40, k=4, rho=0.67, seed=0):
    """Measures per scan of one method; the last person comes twice."""
    rng = np.random.default_rng(seed)
    who = [*range(people), people - 1]
    v = rng.uniform(-0.4, 1.2, people)[who]
    frame = pd.DataFrame(
        {
            "scan_id": [
                f"sub-{w:05d}_ses-M{i // people:03d}" for i, w in enumerate(who)
            ],
            "participant_id": [f"sub-{w:05d}" for w in who],
            "V": v,
            "atrophy": v,
            "k": k,
        }
    )
    frame["A"] = np.clip(
        0.4 + rho * (v - 0.4) + 0.3 * rng.standard_normal(len(v)), 0, 1
    )
    frame["amyloid"] = frame["A"]
    frame["ventricle_ml"] = 30 + 20 * v
    frame["ventricle_mri_ml"] = frame["ventricle_ml"] + rng.standard_normal(len(v))
    frame["cortex_mm"] = 5 - v
    frame["gm_ml"] = 700 - 50 * v
    frame["stage"] = np.digitize(v, [0.2, 0.7]).astype(float)
    noise = np.random.default_rng(seed + sum(map(ord, "".join(key))))
    for name, level in LEVEL.items():
        own = 1 + effects.get(name, 0.0) * v + 0.03 * noise.standard_normal(len(v))
        frame[name] = level * own
    frame["error_composite"] = 0.2 * noise.standard_normal(len(v))
    if key[0] == "real_pet":
        drop = {*LEVEL, "error_composite"} - set(REAL)
        frame = frame.drop(columns=sorted(drop))
    return frame


def made(effects_v=AS_THE_PAPER_SAYS, effects_a=None, people=8, levels=5, leak=0.0):
    """Interventions on people; by default amyloid does nothing to a synthetic PET."""
    rng = np.random.default_rng(1)
    effects = {"V": effects_v, "A": effects_a or {}}
    ranges = {"V": np.linspace(-0.4, 1.2, levels), "A": np.linspace(0, 1, levels)}
    lines = []
    for person in range(people):
        own = rng.uniform(0.9, 1.1)
        for cause, values in ranges.items():
            for x in values:
                base = {
                    "participant_id": f"sub-{person:05d}",
                    "scan_id": f"sub-{person:05d}_ses-M000",
                    "cause": cause, "level": x, "V": x, "A": x,
                }  # fmt: skip
                step = x - values[0]
                moved = step if cause == "V" else 0.0
                lines.append({**base, "row": "mri", "design": "", "change": moved})
                real = {name: LEVEL[name] * (own + 0.3 * x) for name in REAL}
                real |= {"sharpness": 1.0, "aligned": 1.0, "change": step}
                lines.append({**base, "row": "real_pet", "design": "", **real})
                slopes = effects[cause]
                line = {
                    name: level * (own + slopes.get(name, 0.0) * x)
                    for name, level in LEVEL.items()
                }
                line["change"] = moved if cause == "V" else leak * step
                line["change_r"] = np.nan
                if cause == "V" and x == values[-1]:
                    line["change_r"] = 0.7 * own
                lines.append({**base, "row": MAIN[0], "design": MAIN[1], **line})
    return pd.DataFrame(lines)


def frames(
    effects=AS_THE_PAPER_SAYS, real=None, unlinked=NOTHING, ideal=-0.3, **kwargs
):
    """Measures of everything that the stage observes."""
    found = {}
    for variant, own in (("", effects), ("rho=0", unlinked)):
        found[(*MAIN, variant)] = scans((*MAIN, variant), own, **kwargs)
        key = ("real_pet", "", variant)
        found[key] = scans(key, real or {}, **kwargs)
        best = found[key][["scan_id", "participant_id", "atrophy", "amyloid"]].copy()
        rng = np.random.default_rng(5)
        doubt = 0.8 + (ideal if not variant else 0.0) * best["atrophy"]
        best["entropy"] = doubt + 0.01 * rng.standard_normal(len(best))
        found["ideal", "", variant] = best
    key = ("regression_unet", "", "")
    flat = scans(key, {}, k=1, **kwargs)
    found[key] = flat.assign(spread=np.nan, spread_composite=np.nan, entropy=np.nan)
    key = ("random_subject", "", "")
    other = scans(key, {}, **kwargs)
    found[key] = other[["scan_id", "participant_id", "ssim", "k"]].assign(
        ssim=other["ssim"] - 0.2
    )
    return found


def results(observed=None, changes=None, unlinked_changes=None):
    """Tidy table and notes, as the stage makes them."""
    table = Table(200, 4, 0.67)
    observation(table, frames() if observed is None else observed)
    changes = made() if changes is None else changes
    if len(changes):
        intervention(table, changes, k={"mri2pet": 4})
    if unlinked_changes is not None:
        intervention(table, unlinked_changes, k={"mri2pet": 4}, rho="rho=0")
    return table.tidy(), table.noted()


assert set(LEVEL) == set(MEASURES)
