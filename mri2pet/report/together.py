"""Run chapters two at a time, each in a kernel of its own.

When its stages are done a chapter imports, computes a little and draws, mostly on one
core. Two workers use two cores; each asks the kernels it starts not to spin while they
wait, because four spinning threads on two cores slow each other down.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

from mri2pet.report.chapters import Outcome, execute_chapters, reason_to_run
from mri2pet.report.execution import ChapterError

if TYPE_CHECKING:
    from mri2pet.run import Run

WORKERS = 2


def execute_together(
    run: Run,
    chapters: Iterable[str],
    *,
    workers: int = WORKERS,
    report: Callable[[str], None] = print,
) -> list[Outcome]:
    """Execute the chapters that need it, `workers` at a time.

    Parameters
    ----------
    run : mri2pet.run.Run
        Its stages are done.
    chapters : iterable of str
        Names in the order of the book.
    workers : int, default=2
        Chapters at once; 1 runs them one after the other in this process.
    report : callable, default=print
        Receives the lines of a chapter when it has ended, in the order of the book.

    Returns
    -------
    list of Outcome
        In the order of the book.

    Raises
    ------
    ChapterError
        A chapter failed; all others were still executed.
    """
    names = list(chapters)
    stale = [name for name in names if reason_to_run(run, name)]
    if min(workers, len(stale), os.cpu_count() or 1) < 2:
        return execute_chapters(run, names, report=report) if names else []
    found: dict[str, Outcome] = {}
    failure: Exception | None = None
    # A fresh interpreter each: a copy of this one would inherit its OpenMP threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(os.getpid(),)
    )
    with pool:
        futures = {n: pool.submit(_one, str(run.path), n) for n in stale}
        for name in names:
            if name not in futures:
                report(f"  {name}: up to date")
                found[name] = Outcome(name, 0.0, "")
                continue
            try:
                found[name], lines, error = futures[name].result()
            except BrokenProcessPool:
                lines, error = [], f"{name}: its process was killed, perhaps for memory"
            for line in lines:
                report(line)
            if error and failure is None:
                failure = ChapterError(error)
    if failure is not None:
        raise failure
    return [found[name] for name in names]


def _begin(parent: int) -> None:
    """Prepare a worker: no spinning kernels, and no life without the parent."""
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # it cannot be told to wait quietly

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _one(path: str, name: str) -> tuple[Outcome, list[str], str]:
    """Execute one chapter in a worker: outcome, its lines, and what went wrong."""
    from mri2pet.run import Run

    lines: list[str] = []
    try:
        run = Run.reopen(Path(path))
        [outcome] = execute_chapters(run, [name], report=lines.append)
    except (ChapterError, ValueError) as error:
        return Outcome(name, 0.0, ""), lines, str(error)
    return outcome, lines, ""
