"""Phantoms per second, and how fast the store is read."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.measure import Case, at_most, in_turns

SMOKE = {"grid_mri": (32, 64, 64), "grid_pet": (16, 32, 32), "work_mm": 3.0}
TUTORIAL = {"grid_mri": (32, 96, 96), "grid_pet": (16, 48, 48), "work_mm": 2.0}


def simulating(grids: dict, people: int = 8) -> dict[str, float]:
    """CPU seconds of a paired person in one thread, after the atlas is loaded."""
    import torch

    from mri2pet.cohort.phantom import simulate
    from mri2pet.cohort.phantom.plan import plan

    torch.set_num_threads(1)
    rows = plan(unpaired=0, labelled=0, train=people + 1, val=0, test=0, seed=4)
    how = {k: tuple(v) if isinstance(v, list) else v for k, v in grids.items()}
    simulate(rows.iloc[:1], seed=4, **how)
    start = time.process_time()
    simulate(rows.iloc[1:], seed=4, **how)
    return {"value": (time.process_time() - start) / people}


def reading(workers: int, volumes: int = 64, passes: int = 5) -> dict[str, float]:
    """MB/s of volumes read from a store by threads."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    import zarr

    from mri2pet.cohort import store

    grid = (32, 96, 96)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.zarr"
        rows = range(volumes)
        store.create(path, scans=rows, grid_mri=grid, grid_pet=grid, attrs={})
        for i in rows:
            store.write_row(path, i, {"mri": rng.random(grid, dtype=np.float32)})
        array = zarr.open_group(str(path), mode="r")["mri"]
        size = array[0].nbytes / 2**20
        start = time.perf_counter()
        for _ in range(passes):
            if workers == 1:
                for i in rows:
                    array[i]
            else:
                with ThreadPoolExecutor(workers) as pool:
                    list(pool.map(lambda i: array[i], rows))
        seconds = time.perf_counter() - start
    return {"value": passes * volumes * size / seconds}


def _people(name: str, grids: dict, grid: str) -> Case:
    what = f"a paired phantom, {name} grids"
    labels = {"grid": grid}
    return Case("cohort", "simulating", what, {"grids": grids}, labels, "CPU s/person")


def run(quick: bool = False) -> list[dict]:
    """Cost of a person (bar 0.15 CPU s on the smoke grids), and reading."""
    smoke = _people("smoke", SMOKE, "16x32x32")
    tutorial = _people("tutorial", TUTORIAL, "16x48x48")
    reads = [
        Case(
            "cohort",
            "reading",
            f"store, {n} worker{'s' * (n > 1)}",
            {"workers": n},
            {"grid": "32x96x96"},
            "MB/s",
        )
        for n in (1, 2)
    ]
    in_turns([smoke, tutorial, *reads], 1 if quick else 3)
    rows = [case.row() for case in (smoke, tutorial, *reads)]
    rows.append(at_most(smoke, "value", 0.15, "CPU seconds of a smoke phantom"))
    return rows
