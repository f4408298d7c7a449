"""Fill a folder scan by scan: whole or not at all, resumable, parallel, by one process.

A folder under way has another name than the finished one. Every finished scan leaves a
marker, a small JSON file, so that work goes on after a kill where it stopped; what is
made depends neither on that nor on the number of processes.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mri2pet.cohort.files import PARTIAL

PROGRESS, SPECIFICATION = ".progress", "specification.json"
FAILED = "failed"  # key of the marker of a scan that could not be made

Task = Callable[[int, pd.DataFrame], dict[str, Any]]


@dataclass(frozen=True)
class Build:
    """A folder under way.

    Attributes
    ----------
    folder : Path
        Where it is built. Its maker renames it when it is complete.
    spec : dict
        Everything that decides the content, as JSON has it.
    kind : str
        What the folder will be, for messages.
    sign : str
        A file by which a folder of this kind is known when it is (nearly) complete;
        folders without it that nobody began here are left alone.
    """

    folder: Path
    spec: dict[str, Any]
    kind: str = "store"
    sign: str = "zarr.json"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold a lock on the folder, so that two processes never build one.

        Raises
        ------
        ValueError
            Another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                raise ValueError(
                    f"{self.folder}: another process is making this {self.kind}; "
                    "wait for it"
                ) from error
            yield
        finally:
            os.close(handle)

    def begin(self, create: Callable[[], None] = lambda: None) -> None:
        """Resume work of the same specification, or begin anew.

        Parameters
        ----------
        create : callable
            Makes in the empty folder what all scans need.

        Raises
        ------
        ValueError
            The folder holds files of somebody else.
        """
        file = self.folder / SPECIFICATION
        if file.exists() and json.loads(file.read_text()) == self.spec:
            return
        inside = list(self.folder.iterdir())
        if inside and not file.exists() and not (self.folder / self.sign).exists():
            raise ValueError(
                f"{self.folder}: holds files that are not a {self.kind}; move them away"
            )
        for item in inside:
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        create()
        (self.folder / PROGRESS).mkdir()
        write_whole(file, json.dumps(self.spec))

    def run(
        self,
        task: Task,
        table: pd.DataFrame,
        *,
        intact: Callable[[int, dict[str, Any]], bool] = lambda _row, _marker: True,
        recorded: tuple[type[Exception], ...] = (),
        workers: int = 1,
        cluster: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[dict[str, Any]]:
        """Make every scan that is not made yet, in this or in other processes.

        Parameters
        ----------
        task : callable
            ``task(row, line)`` writes a scan into the folder and returns what is known
            of it, as JSON has it; `line` is the one line of the table. It runs on one
            thread and must be picklable.
        table : DataFrame
            A line per scan.
        intact : callable
            ``intact(row, marker)`` says whether a scan of an earlier process is there
            as its marker says.
        recorded : tuple of exception types
            A scan whose task raises one of these gets the marker
            ``{"failed": message}`` and the others go on. It is tried again when the
            work is resumed. Anything else stops the work.
        workers : int
            Processes.
        cluster : bool
            Run on joblib's backend of the moment (see `mri2pet.scheduling`); all
            machines must see the folder under the same name.
        progress : callable, optional
            Called as ``progress(done, total)`` after every scan.

        Returns
        -------
        list of dict
            The markers, in the order of the table.
        """
        from joblib import Parallel, delayed
        from joblib.externals.loky import get_reusable_executor

        waiting = [row for row in range(len(table)) if not self._done(row, intact)]
        done = len(table) - len(waiting)
        calls = [
            delayed(_one)(self._marker(row), task, recorded, row, table.iloc[[row]])
            for row in waiting
        ]
        sequential = not cluster and (workers == 1 or len(calls) < 2)
        local = "sequential" if sequential else "loky"
        pool = Parallel(
            n_jobs=-1 if cluster else workers,
            backend=None if cluster else local,
            batch_size=1,
            return_as="generator" if sequential else "generator_unordered",
        )
        try:
            for _ in pool(calls):
                done += 1
                if progress is not None:
                    progress(done, len(table))
        finally:
            if local == "loky" and not cluster:
                # Idle workers would keep their atlases in memory.
                get_reusable_executor().shutdown(wait=True)
        return [json.loads(self._marker(r).read_text()) for r in range(len(table))]

    def clean(self) -> None:
        """Remove what only a resumed build needs, and what killed processes left."""
        shutil.rmtree(self.folder / PROGRESS, ignore_errors=True)
        (self.folder / SPECIFICATION).unlink(missing_ok=True)
        for left in self.folder.rglob(f".*{PARTIAL}*"):
            left.unlink(missing_ok=True)

    def _marker(self, row: int) -> Path:
        return self.folder / PROGRESS / f"{row}.json"

    def _done(self, row, intact) -> bool:
        if not self._marker(row).exists():
            return False
        marker = json.loads(self._marker(row).read_text())
        return FAILED not in marker and intact(row, marker)


def _one(marker: Path, task: Task, recorded, row: int, line: pd.DataFrame) -> None:
    """Make one scan, then its marker. Runs in a worker."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        known = task(row, line)
    except recorded as error:
        known = {FAILED: " ".join(str(error).split()) or type(error).__name__}
    finally:
        torch.set_num_threads(threads)
    write_whole(marker, json.dumps(known))


def check_same(path: Path, found: dict[str, Any], spec: dict[str, Any]) -> None:
    """Refuse a finished folder that was made from other arguments.

    Raises
    ------
    ValueError
        With the first argument that differs.
    """
    for key, new in spec.items():
        if (old := found.get(key)) != new:
            raise ValueError(
                f"{path}: holds another cohort ({key} is {old!r}, asked for {new!r}); "
                "choose another path or delete it"
            )


def write_whole(path: Path, text: str) -> None:
    """Write a text file under a temporary name, then rename it."""
    temporary = path.with_name(f".{path.name}{PARTIAL}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def table_hash(table: pd.DataFrame) -> str:
    """SHA-256 of a table."""
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_hash(folder: str | Path | None, pattern: str = "*.nii*") -> str:
    """SHA-256 of the files of a folder with their names, "" without a folder."""
    if not folder:
        return ""
    digest = hashlib.sha256()
    for file in sorted(Path(folder).glob(pattern)):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
