"""Make a phantom cohort: the volumes of every scan, in parallel and resumable."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from functools import partial as bind
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mri2pet.cohort import geometry, store
from mri2pet.cohort.phantom import constants as k
from mri2pet.cohort.phantom.disease import as_scans
from mri2pet.cohort.phantom.plan import plan
from mri2pet.cohort.phantom.simulation import simulate
from mri2pet.cohort.splits import check_no_leak

_PROGRESS, _SPEC = ".progress", "specification.json"


def default_work_mm(grid_mri):
    """Work voxel for an MRI grid: 3 mm at 64 in plane, 2 at 96, 1.5 at 144."""
    finest = min(geometry.voxel_mm(grid_mri))
    return float(np.clip(np.round(2.24 * finest) / 2, 1.0, 3.0))


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
    work_mm = default_work_mm(grid_mri) if work_mm is None else float(work_mm)
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
        "anatomies": _folder_hash(anatomies),
        "constants": k.constants_hash(),
        "scans": _table_hash(people[["person", "visit", "part", "labelled"]]),
    }
    if not linked:
        spec["linked"] = False
    build = store.partial_path(path)
    build.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return _existing(path, spec)
    with _only_one(build):
        if not store.sealed(path, _whole(spec)):
            _start(build, spec, people)
            folder = str(Path(anatomies).resolve()) if anatomies else ""
            task = bind(_make_scan, str(build), spec, folder)
            _run_all(task, people, build, workers, progress)
            scans, truth = _tables(build, people)
            check_no_leak(scans)
            store.seal(path, scans=scans, truth=truth, readme=_readme(spec, scans))
        _clean(build)
        return store.publish(path)


def _make_scan(build, spec, folder, row, scan):
    """Simulate and write one scan, then its marker. Runs in a worker."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        [(volumes, known)] = simulate(
            scan,
            grid_mri=tuple(spec["grid_mri"]),
            grid_pet=tuple(spec["grid_pet"]),
            seed=spec["seed"],
            work_mm=spec["work_mm"],
            anatomies=folder,
            variability=spec["variability"],
        )
    finally:
        torch.set_num_threads(threads)
    for kind, volume in volumes.items():
        if not np.isfinite(volume).all():
            raise ValueError(f"{kind} of scan {row} holds NaN; change the constants")
    store.write_row(build, row, volumes)
    known["hashes"] = {kind: store.volume_hash(v) for kind, v in volumes.items()}
    marker = Path(build) / _PROGRESS / f"{row}.json"
    temporary = marker.with_suffix(".tmp")
    temporary.write_text(json.dumps(known))
    os.replace(temporary, marker)


def _run_all(task, people, build, workers, progress):
    """Simulate every scan that has no marker yet, in this or in other processes."""
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    waiting = [row for row in range(len(people)) if not _done(build, row)]
    done = len(people) - len(waiting)
    calls = [delayed(task)(row, people.iloc[[row]]) for row in waiting]
    backend = "sequential" if workers == 1 or len(calls) < 2 else "loky"
    pool = Parallel(
        n_jobs=workers,
        backend=backend,
        batch_size=1,
        return_as="generator" if backend == "sequential" else "generator_unordered",
    )
    try:
        for _ in pool(calls):
            done += 1
            if progress is not None:
                progress(done, len(people))
    finally:
        if backend == "loky":
            # Idle workers would keep their atlases in memory.
            get_reusable_executor().shutdown(wait=True)


def _done(build, row):
    """Whether a scan's marker exists and its volumes are what the marker says."""
    import zarr

    marker = build / _PROGRESS / f"{row}.json"
    if not marker.exists():
        return False
    group = zarr.open_group(str(build), mode="r")
    hashes = json.loads(marker.read_text())["hashes"]
    return all(store.volume_hash(group[kind][row]) == h for kind, h in hashes.items())


def _tables(build, people):
    """The scan table and the truth table of a finished build."""
    known = [
        json.loads((build / _PROGRESS / f"{row}.json").read_text())
        for row in range(len(people))
    ]
    scans = as_scans(people.set_index("person"))
    scans["diagnosis"] = scans["diagnosis"].astype(object)
    scans["mmse"] = scans["mmse"].astype("Int64")
    unknown = ~people["labelled"].to_numpy(bool)
    scans.loc[unknown, ["diagnosis", "mmse"]] = None
    for column in ("part", "labelled", "has_pet"):
        scans[column] = people[column].to_numpy()
    for kind in ("mri", "pet"):
        scans[f"{kind}_sha256"] = [one["hashes"].get(kind) for one in known]
    measured = pd.DataFrame(known, index=scans.index).drop(columns="hashes")
    if "suvr_positive" in measured:
        measured["suvr_positive"] = measured["suvr_positive"].astype("boolean")
    latent = people.drop(columns=["part", "has_pet", "labelled"])
    latent.index = scans.index
    return scans, pd.concat([latent, measured], axis=1)


def _existing(path, spec):
    """The store at ``path`` if it was made from the same arguments."""
    found = store.Store(path)
    different = {
        key: (found.attrs.get(key), value)
        for key, value in _whole(spec).items()
        if found.attrs.get(key) != value
    }
    if different:
        key, (old, new) = next(iter(different.items()))
        raise ValueError(
            f"{path}: holds another cohort ({key} is {old!r}, asked for {new!r}); "
            "choose another path or delete it"
        )
    return found


def _whole(spec):
    """What a store of these arguments says, and what it must not say."""
    return {"linked": None, **spec}


@contextmanager
def _only_one(build):
    """Hold a lock on the folder, so that two processes never build one store."""
    build.mkdir(parents=True, exist_ok=True)
    handle = os.open(build, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise ValueError(
                f"{build}: another process is making this store; wait for it"
            ) from error
        yield
    finally:
        os.close(handle)


def _start(build, spec, people):
    """Resume a build of the same arguments, or begin one."""
    file = build / _SPEC
    if file.exists() and json.loads(file.read_text()) == spec:
        return
    inside = list(build.iterdir())
    if inside and not file.exists() and not (build / "zarr.json").exists():
        raise ValueError(f"{build}: holds files that are not a store; move them away")
    for item in inside:
        shutil.rmtree(item) if item.is_dir() else item.unlink()
    store.create(
        build,
        scans=people,
        grid_mri=spec["grid_mri"],
        grid_pet=spec["grid_pet"],
        attrs=spec,
    )
    (build / _PROGRESS).mkdir()
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(spec))
    os.replace(temporary, file)


def _clean(build):
    """Remove what only a resumed build needs."""
    shutil.rmtree(build / _PROGRESS, ignore_errors=True)
    (build / _SPEC).unlink(missing_ok=True)


def _table_hash(table):
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()


def _folder_hash(folder):
    """Hash of the segmented brains' files, "" for the bundled template."""
    if not folder:
        return ""
    digest = hashlib.sha256()
    for file in sorted(Path(folder).glob("*.nii*")):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


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
