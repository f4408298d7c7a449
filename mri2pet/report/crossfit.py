"""Who trains whom: cross-fitting, held-out people, and what a network remembers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mri2pet.evaluation.downstream import Sample, split
from mri2pet.evaluation.inference import (
    Estimate,
    paired_difference,
    patient_bootstrap,
    pearson_statistic,
)
from mri2pet.evaluation.uptake import composite_suvr, regional_suvr
from mri2pet.report.figures import Drawn
from mri2pet.stages.crossfit import folds, generated_stages, read_generated

if TYPE_CHECKING:
    from mri2pet.run import Run

_SAW, _DRAWS, _BOTH = "#d9d9d9", "#2166ac", "#b2182b"


def folds_figure(people: Sequence[str], count: int, seed: int) -> Drawn:
    """People against networks: who was learned from, and who is drawn by which.

    Parameters
    ----------
    people : sequence of str
        Training people of the generator.
    count, seed : int
        Of the folds, as in `mri2pet.stages.crossfit.folds`.
    """
    groups = folds(people, count, seed)
    names = [name for group in groups for name in sorted(group)]
    # 0: learned from, 1: drawn and never seen, 2: drawn and seen
    released = np.full((1, len(names)), 2)
    crossed = np.array([[name in group for name in names] for group in groups])
    fig = Figure(figsize=(8.6, 0.5 * (count + 1) + 1.5), layout="constrained")
    axes = fig.subplots(2, 1, sharex=True, height_ratios=[1, count])
    colours = ListedColormap([_SAW, _DRAWS, _BOTH])
    for ax, table in zip(axes, (released, crossed.astype(int)), strict=True):
        ax.pcolormesh(
            table, cmap=colours, vmin=-0.5, vmax=2.5, edgecolor="white", linewidth=0.6
        )
        ax.invert_yaxis()
        ax.set_xticks([])
        ax.tick_params(length=0)
    axes[0].set_yticks([0.5], ["as released:\none network"], fontsize=8)
    labels = [f"network {k + 1}" for k in range(count)]
    axes[1].set_yticks(np.arange(count) + 0.5, labels, fontsize=8)
    axes[1].set_xlabel(f"{len(names)} training people with a PET")
    handles = [
        Patch(color=_SAW, label="learns from this person"),
        Patch(color=_DRAWS, label="draws this person, never saw the PET"),
        Patch(color=_BOTH, label="learns from and draws this person"),
    ]
    fig.legend(
        handles=handles, loc="outside upper center", ncols=3, fontsize=8, frameon=False
    )
    caption = (
        "Who trains whom. Each column is a training person. As released, one network "
        "learns from everybody and draws everybody. With cross-fitting each person is "
        f"drawn by the one of {count} networks that never saw this person's PET."
    )
    sizes = ", ".join(str(len(group)) for group in groups)
    alt = (
        f"Grid of {len(names)} people by networks. Released: 1 network, all seen and "
        f"drawn. Cross-fitting: {count} networks that draw {sizes} people, none of "
        "whom they learned from."
    )
    return fig, caption, alt


def held_figure(
    samples: dict[str, Sample],
    classes: dict[str, list],
    share: float,
    seeds: Sequence[int],
) -> Drawn:
    """People held back by each seed, in settings with different people.

    Parameters
    ----------
    samples, classes : mapping name -> what `mri2pet.evaluation.downstream.split` takes
    share : float
    seeds : sequence of int
    """
    every = list(dict.fromkeys(p for s in samples.values() for p in s.people))
    smallest = min(samples, key=lambda name: len(set(samples[name].people)))
    inside = set(samples[smallest].people)
    every.sort(key=lambda person: (person not in inside, person))
    fig = Figure(figsize=(8.6, 0.3 * len(samples) * len(seeds) + 1.4))
    fig.set_layout_engine("constrained")
    axes = fig.subplots(len(samples), 1, sharex=True, squeeze=False)[:, 0]
    held, same = {}, 0
    for ax, (name, sample) in zip(axes, samples.items(), strict=True):
        table = np.zeros((len(seeds), len(every)))
        for k, seed in enumerate(seeds):
            chosen = split(sample, classes[name], share, seed)
            mine = {p for p, h in zip(sample.people, chosen, strict=True) if h}
            held[name, seed] = mine
            table[k] = [(p in set(sample.people)) + (p in mine) for p in every]
        ax.pcolormesh(
            table,
            cmap=ListedColormap(["white", _SAW, _DRAWS]),
            vmin=-0.5,
            vmax=2.5,
            edgecolor="white",
            linewidth=0.4,
        )
        places = np.arange(len(seeds)) + 0.5
        ax.set_yticks(places, [f"seed {s}" for s in seeds], fontsize=7)
        ax.set_title(name, fontsize=9, loc="left")
        ax.set_xticks([])
        ax.invert_yaxis()
    axes[-1].set_xlabel("people with a label")
    handles = [
        Patch(color=_SAW, label="trained on"),
        Patch(color=_DRAWS, label="held back for early stopping"),
    ]
    fig.legend(
        handles=handles, loc="outside upper right", ncols=2, fontsize=8, frameon=False
    )
    first, *_, second = samples
    total = 0
    for seed in seeds:
        both = set(samples[first].people) & set(samples[second].people)
        mine, theirs = (held[name, seed] & both for name in (first, second))
        same += len(mine & theirs)
        total += len(mine | theirs)
    caption = (
        "People held back for early stopping (blue), by seed. Whether a person is held "
        "back hangs on the person's number, drawn with the seed, and not on the "
        "setting. The share is met among the people that a setting has, so two "
        "settings can differ at the margin."
    )
    alt = (
        f"Grids of people by seeds for {', '.join(samples)}. Of the people in both who "
        f"are held back in one of them, {same} of {total} are held back in both."
    )
    return fig, caption, alt


def remembered(run: Run, design: str = "corrected") -> dict[str, Estimate] | None:
    """Whether a synthetic PET follows its person more closely if the network saw it.

    Parameters
    ----------
    run : Run
    design : str
        Of the generator.

    Returns
    -------
    dict or None
        Correlation of composite SUVR, real against synthetic, across the training
        people of the generator: ``seen`` (one network, as released), ``unseen``
        (cross-fitted), and their paired ``difference``. None for fewer than four
        people.
    """
    store = run.cohort()
    ids = store.ids(part="train", has_pet=True)
    people = list(store.scans["participant_id"][ids])
    if len(set(people)) < 4:
        return None
    regions = store.read("regions", ids)

    def composite(pets: np.ndarray) -> np.ndarray:
        return composite_suvr(regional_suvr(pets, regions))

    real = composite(store.read("pet", ids))
    pairs = {}
    for name, way in (("seen", "no_crossfit"), ("unseen", "")):
        made = read_generated(generated_stages(run, design, way))
        pairs[name] = np.stack([real, composite(np.stack([made[s] for s in ids]))])
    keys = {"n_boot": run.profile.evaluation.bootstrap, "seed": run.profile.seed}
    found = {
        name: patient_bootstrap(pair, people, pearson_statistic, **keys)
        for name, pair in pairs.items()
    }
    found["difference"] = paired_difference(
        pairs["seen"], pairs["unseen"], people, pearson_statistic, **keys
    )
    return found


def label_changes(scans: pd.DataFrame, ids: list[str], lowest: int) -> dict[str, int]:
    """How many labels of a cohort hang on the rule.

    Parameters
    ----------
    scans : DataFrame
        All visits (`mri2pet.cohort.labels`).
    ids : list of str
        Scans that want a label.
    lowest : int
        Scores of MMSE from here on count.

    Returns
    -------
    dict
        ``scans``; ``diagnosis`` and ``mmse``: labels that differ between the nearest
        visit and the last row; ``filtered``: scans below ``lowest`` that the released
        filter keeps, with the score of another visit.
    """
    from mri2pet.cohort.labels import diagnoses, mmse

    def differ(first: pd.Series, second: pd.Series) -> int:
        both = first.index.intersection(second.index)
        return int((first[both] != second[both]).sum())

    near, last = (
        diagnoses(scans, ids, r).values for r in ("nearest_visit", "last_row")
    )
    high, low = (mmse(scans, ids, r).values for r in ("nearest_visit", "last_row"))
    kept = mmse(scans, ids, lowest=lowest, filter_rule="released").values
    right = mmse(scans, ids, lowest=lowest).values
    return {
        "scans": len(ids),
        "diagnosis": differ(near, last),
        "mmse": differ(high, low),
        "filtered": len(kept.index.difference(right.index)),
    }
