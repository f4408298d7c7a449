"""Stage `interventions`: the same person with more atrophy, or with more amyloid.

Only phantoms allow it. A person of the test part is made again with everything kept
(shape, regional gains, contrast, the noise of both scanners) but the atrophy V or the
amyloid A. A network then makes a synthetic PET of each MRI from the same noise. What
changes is an effect of V or of A and of nothing else. Where the run's own people cannot
be made again, its networks are asked about the phantoms of its profile.

More amyloid alone leaves the MRI as it was, bit by bit. So it must leave the synthetic
PET as it was, too. That is measured and not assumed: at the highest level the network
is asked again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from mri2pet.cohort.phantom.simulation import simulate
from mri2pet.evaluation.atrophy import scan_measures
from mri2pet.stages.cohort import (
    NEEDED,
    other_rho_stage,
    phantoms,
    phantoms_stage,
    why_not,
)
from mri2pet.stages.learn import finetune, regression
from mri2pet.stages.rho import rho_learned, rho_store
from mri2pet.stages.sample import draw, drawing_code, sampling_settings

if TYPE_CHECKING:
    from mri2pet.artifacts import Stage
    from mri2pet.cohort.store import Store
    from mri2pet.run import Run
    from mri2pet.stages.learned import Learned

ROW, DESIGN = "mri2pet", "corrected"
# About 5 to 95 % of the simulated people; ventricles and cortex saturate beyond.
RANGES = {"V": (-0.4, 1.2), "A": (0.0, 1.0)}
OUTPUT = "results/appendix_c_interventions.parquet"
EXAMPLE = "appendix_c/example.npz"


def chosen_people(store: Store, count: int) -> list[str]:
    """Scans that are made again: the first visits of the first test people.

    The rule looks at nothing but the order of the store, which is that of the numbers
    under which people were drawn.

    Parameters
    ----------
    store : Store
    count : int

    Returns
    -------
    list of str
        At most ``count`` scan ids, one a person.
    """
    scans = store.scans.loc[store.ids(part="test", has_pet=True)]
    people = list(dict.fromkeys(scans["participant_id"]))[:count]
    return [scans.index[_first(scans, person)] for person in people]


def _first(scans: pd.DataFrame, person: str) -> int:
    mine = np.flatnonzero(scans["participant_id"] == person)
    return int(mine[np.argmin(scans["days"].to_numpy()[mine])])


def levels(cause: str, count: int) -> np.ndarray:
    """Values that a cause is set to, evenly over `RANGES`."""
    return np.linspace(*RANGES[cause], count)


def made_again(
    run: Run, store: Store, scan_id: str, **changed: float
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Volumes and measures of a test person with V or A replaced.

    Parameters
    ----------
    run : Run
    store : Store
        Of phantoms.
    scan_id : str
    **changed
        ``V=...`` or ``A=...``; without them the person of the store comes out, bit by
        bit.

    Returns
    -------
    volumes : dict of str to ndarray
        ``mri``, ``pet``, ``brain``, ``regions``.
    known : dict of str to float
        Noise-free truth, as in ``store.truth``.

    Raises
    ------
    ValueError
        The people of the store cannot be made again.
    """
    reason = why_not(store)
    if reason:
        raise ValueError(f"store {store.path}: {reason}")
    plan = store.truth.loc[[scan_id], list(NEEDED)].assign(has_pet=True, **changed)
    folder = run.profile.cohort.anatomies
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the cohort was made
    try:
        [made] = simulate(
            plan,
            grid_mri=store.shape("mri"),
            grid_pet=store.shape("pet"),
            seed=store.attrs["seed"],
            work_mm=store.attrs["work_mm"],
            anatomies=str(Path(folder).resolve()) if folder else "",
            variability=store.attrs["variability"],
        )
    finally:
        torch.set_num_threads(threads)
    return made


def interventions(run: Run, rho: float | None = None) -> pd.DataFrame:
    """Return what changing V or A does, a line for each person, level and method.

    Parameters
    ----------
    run : Run
        ``profile.atrophy`` says how many people and levels.
    rho : float, optional
        Ask the network that learned from people with this rho, and change V only.

    Returns
    -------
    DataFrame
        ``participant_id, scan_id, cause`` (V or A)``, level, V, A, row, design``, the
        measures of `scan_measures`, ``change`` (largest change of a voxel since the
        lowest level of the same person; for row ``mri`` of the MRI) and, at the highest
        level, ``change_r`` (correlation of a synthetic change, sample by sample
        averaged, with the real one inside the brain).

    Raises
    ------
    ValueError
        People cannot be made again (see `why_not`), or do not come out as they were.
    """
    return pd.read_parquet(interventions_stage(run, rho).path())


def interventions_stage(run: Run, rho: float | None = None) -> Stage:
    """As `interventions`, but return the finished stage."""
    store, source = phantoms(run), phantoms_stage(run)
    networks: dict[tuple[str, str], Learned] = {}
    if rho is None:
        networks[ROW, DESIGN] = finetune(run, ROW, DESIGN)
        networks["regression_unet", ""] = regression(run)
        name, outputs, causes = "interventions", [OUTPUT, EXAMPLE], ("V", "A")
    else:
        store, source = rho_store(run, rho), other_rho_stage(run, rho)
        networks[ROW, DESIGN] = rho_learned(run, rho)
        name, causes = f"interventions-rho={rho:g}", ("V",)
        outputs = [f"rho/{rho:g}/interventions.parquet"]
    plan = run.profile.atrophy
    how = sampling_settings(run, ROW, DESIGN, {})

    def build(work: Path) -> None:
        parts, example = [], {}
        chosen = chosen_people(store, plan.people)
        _check_made_again(run, store, chosen[0])
        for number, scan_id in enumerate(chosen, start=1):
            lines, volumes = _one_person(run, store, scan_id, networks, how, causes)
            parts.append(lines)
            example = example or volumes
            if run.progress is not None:
                run.progress(name, number, len(chosen), float("nan"))
        for output in outputs:
            (work / output).parent.mkdir(parents=True, exist_ok=True)
        pd.concat(parts, ignore_index=True).to_parquet(work / outputs[0], index=False)
        if rho is None:
            np.savez(work / EXAMPLE, **example)

    return run.stage(
        name,
        module=__name__,
        settings={
            **how,
            **plan.model_dump(),
            "ranges": RANGES,
            "dtype": run.profile.dtype,
            "code of drawing": drawing_code(),
        },
        inputs=[source, *(learned.stage for learned in networks.values())],
        outputs=outputs,
        build=build,
    )


def _check_made_again(run: Run, store: Store, scan_id: str) -> None:
    """Whoever is made again without a change must be the person of the store."""
    volumes, _ = made_again(run, store, scan_id)
    for kind in ("mri", "pet"):
        if not np.array_equal(volumes[kind], store.read(kind, [scan_id])[0]):
            raise ValueError(
                f"store {store.path}: {scan_id}, made again unchanged, has another "
                f"{kind}; the store comes from other code, another machine or other "
                "anatomies, so no intervention can be made on its people"
            )


def _one_person(run, store, scan_id, networks, how, causes):
    """Lines of one person, and the volumes of the lowest and highest levels."""
    about = {
        "participant_id": store.scans.at[scan_id, "participant_id"],
        "scan_id": scan_id,
    }
    lines, example = [], {}
    for cause in causes:
        own = {key: float(store.truth.at[scan_id, key]) for key in RANGES}
        first: dict[tuple[str, str], np.ndarray] = {}
        chosen = levels(cause, run.profile.atrophy.levels)
        for level in chosen:
            state = {**own, cause: float(level)}
            volumes, _ = made_again(run, store, scan_id, **{cause: float(level)})
            pets = {("real_pet", ""): volumes["pet"][None]}
            ends = level in (chosen[0], chosen[-1])
            for key, learned in networks.items():
                if not ends and np.array_equal(volumes["mri"], first["mri", ""]):
                    pets[key] = first[key]  # drawn afresh at both ends only
                    continue
                # One MRI at a time, so that no neighbour can move a last digit.
                settings = how if key[1] else {}
                mri = volumes["mri"][None]
                pets[key] = draw(run, learned, mri, [scan_id], settings)[0]
            first = first or {("mri", ""): volumes["mri"], **pets}
            last = level == chosen[-1]
            base = {**about, "cause": cause, "level": float(level), **state}
            moved = float(np.abs(volumes["mri"] - first["mri", ""]).max())
            lines.append({**base, "row": "mri", "design": "", "change": moved})
            for key, samples in pets.items():
                line = _measured(volumes, samples, first, key, last)
                lines.append({**base, "row": key[0], "design": key[1], **line})
            if ends:
                end = f"{cause}_{'high' if last else 'low'}"
                kept = {"mri": volumes["mri"], "brain": volumes["brain"]}
                kept |= {
                    row: samples.mean(axis=0) for (row, _), samples in pets.items()
                }
                example |= {f"{end}_{kind}": v for kind, v in kept.items()}
    return pd.DataFrame(lines), example


def _measured(
    volumes: dict[str, np.ndarray],
    samples_KDHW: np.ndarray,
    first: dict[tuple[str, str], np.ndarray],
    key: tuple[str, str],
    last: bool,
) -> dict[str, Any]:
    """Measures of one method at one level, and how far it has changed."""
    measures = scan_measures(
        volumes["pet"][None],
        samples_KDHW[None],
        volumes["brain"][None],
        volumes["regions"][None],
    )
    line = measures.iloc[0].to_dict()
    change = samples_KDHW - first[key]
    line["change"] = float(np.abs(change).max())
    if last and key[0] != "real_pet":
        real = volumes["pet"] - first["real_pet", ""][0]
        inside = volumes["brain"] > 0.5
        line["change_r"] = _correlation(change.mean(axis=0)[inside], real[inside])
    return line


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
