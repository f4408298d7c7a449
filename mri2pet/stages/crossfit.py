"""Stage `generated`: synthetic PETs of the people who train a classifier.

A network that has seen a person's PET may hand it back. So the PET of a training
person comes from a network of another fold, trained without that person (variant
`""`); the released way, where one network makes the PETs of its own training people,
is the variant `no_crossfit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mri2pet.stages.cohort import TrainingPeople, cohort, cohort_stage
from mri2pet.stages.learn import finetune
from mri2pet.stages.rho import rho_learned, rho_store
from mri2pet.stages.sample import (
    draw,
    drawing_code,
    read_synthetic,
    sampling_settings,
    write_synthetic,
)
from mri2pet.stages.style import unpaired_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mri2pet.artifacts import Stage
    from mri2pet.cohort.store import Store
    from mri2pet.run import Run
    from mri2pet.stages.learned import Learned

GENERATOR = "mri2pet"
WAYS = ("", "no_crossfit", "pretrain_crossfit")


def folds(people: Sequence[str], count: int, seed: int) -> list[frozenset[str]]:
    """Divide people into groups of nearly equal size, by a seed.

    Raises
    ------
    ValueError
        Fewer people than folds.
    """
    names = sorted(set(people))
    if len(names) < count:
        raise ValueError(f"{len(names)} people cannot make {count} folds")
    shuffled = np.random.default_rng(seed).permutation(names)
    return [frozenset(shuffled[number::count].tolist()) for number in range(count)]


def labelled_scans(store: Store) -> list[str]:
    """Scans of people outside the test part who have a label, in store order."""
    scans = store.scans
    keep = (scans["part"] != "test") & scans["labelled"].astype(bool)
    return list(scans.index[keep])


def generated_stages(run: Run, design: str, way: str = "") -> list[Stage]:
    """Make one synthetic PET of every labelled scan outside the test part.

    Parameters
    ----------
    run : Run
    design : {"published", "corrected"}
        Of the generator, MRI2PET.
    way : {"", "no_crossfit", "pretrain_crossfit"}
        A network never sees the PETs of the people it makes; it may; or it does not
        see their MRIs in pre-training either.

    Returns
    -------
    list of Stage
        Later ones replace what earlier ones made of the same scans.
    """
    if way not in WAYS:
        raise ValueError(f"way {way!r}: expected one of {WAYS}")
    store, plan = cohort(run), run.profile.downstream
    ids, person = labelled_scans(store), store.scans["participant_id"]
    main = _drawn(run, "main", design, ids, lambda: finetune(run, GENERATOR, design))
    stages = [main]
    if way == "no_crossfit":
        return stages
    source = cohort_stage(run)
    train = store.ids(part="train")
    for number, fold in enumerate(folds(person[train], plan.folds, run.profile.seed)):
        people = TrainingPeople(f"fold={number}of{plan.folds}", source, fold)
        mine = [s for s in ids if person[s] in fold]
        make = _finetuned(run, design, people=people)
        stages.append(_drawn(run, people.name, design, mine, make))
    if way == "pretrain_crossfit":
        pool = [s for s in unpaired_ids(run, store) if s in set(ids)]
        for number, fold in enumerate(
            folds(person[pool], plan.folds, run.profile.seed)
        ):
            people = TrainingPeople(f"prefold={number}of{plan.folds}", source, fold)
            mine = [s for s in pool if person[s] in fold]
            make = _finetuned(run, design, pretrained_on=people)
            stages.append(_drawn(run, people.name, design, mine, make))
    return stages


def rho_generated_stage(run: Run, rho: float) -> Stage:
    """Make the PETs of the MRI-only people with the network of another rho."""
    ids = [
        s
        for s in labelled_scans(cohort(run))
        if cohort(run).scans["part"][s] == "unpaired"
    ]
    return _drawn(run, f"rho={rho:g}", "corrected", ids, lambda: rho_learned(run, rho))


def read_generated(stages: Sequence[Stage]) -> dict[str, np.ndarray]:
    """Return the PET of each scan, (d, h, w) in SUVR."""
    found: dict[str, np.ndarray] = {}
    for stage in stages:
        made = read_synthetic(stage.path())
        found |= dict(zip(made.scan_ids, made.samples[:, 0], strict=True))
    return found


def _finetuned(run: Run, design: str, **keys) -> Callable[[], Learned]:
    return lambda: finetune(run, GENERATOR, design, **keys)


def _drawn(
    run: Run,
    name: str,
    design: str,
    scan_ids: list[str],
    make: Callable[[], Learned],
) -> Stage:
    learned = make()
    settings = sampling_settings(run, GENERATOR, design, {"samples": 1})
    settings |= {"scans": scan_ids, "code of drawing": drawing_code()}
    output = f"generated/{design}/{name}.zarr"

    def build(work: Path) -> None:
        mri = cohort(run).read("mri", scan_ids)
        pets = draw(run, learned, mri, scan_ids, settings)
        write_synthetic(work / output, scan_ids, pets)

    return run.stage(
        f"generated-{design}-{name}",
        module=__name__,
        settings=settings,
        inputs=[cohort_stage(run), learned.stage],
        outputs=[output],
        build=build,
    )


def rho_pets(run: Run, rho: float, scan_ids: list[str]) -> np.ndarray:
    """Return real PETs of paired scans as they are with another rho."""
    return rho_store(run, rho).read("pet", scan_ids)
