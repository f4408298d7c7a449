"""Make a phantom cohort: the volumes of every scan, in parallel and resumable."""

from functools import partial as bind
from pathlib import Path

import numpy as np

from mri2pet.cohort import geometry, store
from mri2pet.cohort.building import Build, check_same, folder_hash, table_hash
from mri2pet.cohort.phantom import constants as k
from mri2pet.cohort.phantom.plan import plan
from mri2pet.cohort.phantom.simulation import simulate
from mri2pet.cohort.phantom.tables import scan_table, truth_table
from mri2pet.cohort.splits import check_no_leak


def make_cohort(
    path,
    *,
    grid_mri,
    grid_pet,
    unpaired,
    labelled,
    train,
    val,
    test,
    train_two_visits=0,
    test_two_visits=0,
    rho=k.RHO,
    linked=True,
    seed=0,
    workers=1,
    work_mm=None,
    anatomies=None,
    select_test=False,
    select_rho=None,
    variability=1.0,
    progress=None,
):
    """Make, or resume making, a store of simulated people.

    The bytes depend on the arguments but neither on ``workers`` nor on how often the
    work was interrupted. A complete store of the same arguments is returned at once.

    Parameters
    ----------
    path : str or Path
        Of the store; it is built under ``<path>.partial``.
    grid_mri, grid_pet : tuple of int
        Grids (z, y, x) over the box of :mod:`mri2pet.cohort.geometry`.
    unpaired, labelled, train, val, test : int
        People per part; ``labelled`` of the MRI-only people have a diagnosis.
    train_two_visits, test_two_visits : int
        People of the part who come twice.
    rho : float
        Link between amyloid and what an MRI shows, 0 <= rho < 1.
    linked : bool
        Whether age and APOE bear on amyloid
        (see :func:`mri2pet.cohort.phantom.disease.draw_people`).
    seed : int
    workers : int
        Processes.
    work_mm : float, optional
        Voxel of the work grid; by default from the MRI's grid.
    anatomies : str or Path, optional
        Folder of segmented T1s (see :func:`mri2pet.cohort.template.load_anatomies`).
    select_test : bool
        Choose the test people by :func:`choose_test`.
    select_rho : float, optional
        Link under which they are chosen, by default ``rho``.
    variability : float
        Multiplies the anatomical differences between people.
    progress : callable, optional
        Called as ``progress(done, total)`` after every scan.

    Returns
    -------
    Store

    Raises
    ------
    ValueError
        For impossible numbers, or if ``path`` holds something else.
    """
    path = Path(path)
    grid_mri, grid_pet = geometry.check_shape(grid_mri), geometry.check_shape(grid_pet)
    if workers < 1:
        raise ValueError(f"workers must be at least 1; got {workers}")
    work_mm = geometry.default_work_mm(grid_mri) if work_mm is None else float(work_mm)
    people = plan(
        unpaired=unpaired,
        labelled=labelled,
        train=train,
        val=val,
        test=test,
        train_two_visits=train_two_visits,
        test_two_visits=test_two_visits,
        rho=rho,
        linked=linked,
        seed=seed,
        select_test=select_test,
        select_rho=select_rho,
    )
    spec = {
        "grid_mri": list(grid_mri),
        "grid_pet": list(grid_pet),
        "work_mm": work_mm,
        "rho": float(rho),
        "seed": int(seed),
        "variability": float(variability),
        "anatomies": folder_hash(anatomies),
        "constants": k.constants_hash(),
        "scans": table_hash(people[["person", "visit", "part", "labelled"]]),
    }
    if not linked:
        spec["linked"] = False
    if path.exists():
        return _existing(path, spec)
    build = Build(store.partial_path(path), spec)
    with build.alone():
        if not store.sealed(path, _whole(spec)):
            build.begin(bind(_create, build.folder, spec, people))
            anatomies = str(Path(anatomies).resolve()) if anatomies else ""
            known = build.run(
                bind(_make_scan, str(build.folder), spec, anatomies),
                people,
                intact=bind(_intact, str(build.folder)),
                workers=workers,
                progress=progress,
            )
            scans, truth = _tables(people, known)
            check_no_leak(scans)
            store.seal(path, scans=scans, truth=truth, readme=_readme(spec, scans))
        build.clean()
        return store.publish(path)


def _create(folder, spec, people):
    store.create(
        folder,
        scans=people,
        grid_mri=spec["grid_mri"],
        grid_pet=spec["grid_pet"],
        attrs=spec,
    )


def _make_scan(folder, spec, anatomies, row, line):
    """Simulate and write one scan; return what is known of it. Runs in a worker."""
    [(volumes, known)] = simulate(
        line,
        grid_mri=tuple(spec["grid_mri"]),
        grid_pet=tuple(spec["grid_pet"]),
        seed=spec["seed"],
        work_mm=spec["work_mm"],
        anatomies=anatomies,
        variability=spec["variability"],
    )
    for kind, volume in volumes.items():
        if not np.isfinite(volume).all():
            raise ValueError(f"{kind} of scan {row} holds NaN; change the constants")
    store.write_row(folder, row, volumes)
    known["hashes"] = {kind: store.volume_hash(v) for kind, v in volumes.items()}
    return known


def _intact(folder, row, marker):
    """Whether the volumes of a scan are what its marker says."""
    import zarr

    group = zarr.open_group(folder, mode="r")
    hashes = marker["hashes"]
    return all(store.volume_hash(group[kind][row]) == h for kind, h in hashes.items())


def _tables(people, known):
    """The scan table and the truth table of a finished build."""
    scans = scan_table(people)
    hashes = [one.pop("hashes") for one in known]
    for kind in ("mri", "pet"):
        scans[f"{kind}_sha256"] = [one.get(kind) for one in hashes]
    return scans, truth_table(people, known, scans.index)


def _existing(path, spec):
    """The store at ``path`` if it was made from the same arguments."""
    found = store.Store(path)
    check_same(path, found.attrs, _whole(spec))
    return found


def _whole(spec):
    """What a store of these arguments says, and what it must not say."""
    return {"linked": None, **spec}


def _readme(spec, scans):
    people = scans["participant_id"].nunique()
    return f"""# Phantom cohort (simulated people)

{people} people, {len(scans)} scans. Nobody here is real: the anatomy is warped from
the MNI152 template and the truth in `truth.parquet` is known.

- MRI {tuple(spec["grid_mri"])} in [0, 1], axes (z, y, x)
- PET {tuple(spec["grid_pet"])} in SUVR
- seed {spec["seed"]}, rho {spec["rho"]}
- work grid {spec["work_mm"]} mm, variability {spec["variability"]}
- constants {spec["constants"]}
"""
