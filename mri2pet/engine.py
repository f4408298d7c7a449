"""The engine of a run: a stage is computed once, by content, and never half.

A stage's key is its settings, the content of its inputs, the code it uses, the
lock of the libraries and torch's version; any change is named when the stage is
computed again.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from mri2pet import provenance
from mri2pet.artifacts import Stage, hold, replace, write_text
from mri2pet.config import Profile

_WAIT_S = 0.5  # between looks whether another process has finished a stage
STAGES_VARIABLE = "MRI2PET_STAGES_READ"  # a file that lists the stages asked for


class Engine:
    """Computes and finds the stages of one run directory.

    Parameters
    ----------
    profile : Profile
    path : Path
        The run directory.
    parent : Path, optional
        Another run directory, whose equal stages are used instead of computing.
    """

    def __init__(
        self, profile: Profile, path: Path, parent: Path | None = None
    ) -> None:
        self.profile = profile
        self.path = path
        self.parent = parent
        self.used: dict[str, str] = {}  # stage -> key, of everything asked for
        self.log: Callable[[str], None] = print
        self.progress: Callable[[str, int, int, float], None] | None = None
        # Beginnings of the stages that may be computed; None: all of them.
        self.may_compute: tuple[str, ...] | None = None

    def stage(
        self,
        name: str,
        *,
        module: str,
        settings: dict[str, Any],
        inputs: list[Stage],
        outputs: list[str],
        build: Callable[[Path], None],
        together: bool = False,
    ) -> Stage:
        """Return a stage, computed now if it is not there with the same key.

        Parameters
        ----------
        name : str
            File-name-like name of the stage.
        module : str
            The module whose import closure is the code the stage uses.
        settings : dict
            Everything of the profile that decides the content.
        inputs : list of Stage
        outputs : list of str
            Paths relative to the run directory.
        build : callable
            Writes the outputs, under the same relative paths, below the folder it
            is given. The folder survives a kill, so work can go on from there.
        together : bool
            Among processes that `torchrun` started, all of them build (a training);
            otherwise the first one does, and the others wait for it.

        Raises
        ------
        ValueError
            The stage is not there, and `may_compute` does not allow to compute it.
        """
        parts = self._parts(module, settings, inputs)
        key = provenance.digest(parts)
        self._note(name, key)
        for root in (self.path, self.parent):
            found = _load_record(root, name) if root else None
            if found and found["key"] == key and _complete(root, found):
                return _as_stage(root, found)
        if self.may_compute is not None and not name.startswith(self.may_compute):
            raise ValueError(f"{name} is not finished in this run")
        if int(os.environ.get("RANK", "0")) > 0:
            return self._follow(name, key, build if together else None)
        old = _load_record(self.path, name)
        self.log(f"  {name}: {_reason(old, parts, self.path)}")
        with self._lock(name):
            started, worked = time.perf_counter(), time.process_time()
            work = self.path / "work" / f"{name}-{key[:16]}"
            work.mkdir(parents=True, exist_ok=True)
            with _threads(self.profile.threads):
                build(work)
            record = {
                "name": name,
                "key": key,
                "parts": parts,
                "outputs": {o: provenance.file_digest(work / o) for o in outputs},
                "seconds": time.perf_counter() - started,
                "cpu_seconds": time.process_time() - worked,  # all threads
            }
            _record_path(self.path, name).unlink(missing_ok=True)
            for output in outputs:
                replace(work / output, self.path / output)
            write_text(_record_path(self.path, name), json.dumps(record, indent=1))
            shutil.rmtree(work)
        return _as_stage(self.path, record)

    def _follow(
        self, name: str, key: str, build: Callable[[Path], None] | None
    ) -> Stage:
        """What a process other than the first one does: build along, or wait."""
        work = self.path / "work" / f"{name}-{key[:16]}"
        if build is not None:
            mine = work.with_name(f".{work.name}.{os.environ['RANK']}")
            shutil.rmtree(mine, ignore_errors=True)
            if work.exists():  # begun before: all go on from the same state
                shutil.copytree(work, mine)
            mine.mkdir(parents=True, exist_ok=True)
            with _threads(self.profile.threads):
                build(mine)
            shutil.rmtree(mine)
        # If the first process fails, torchrun ends this one, too.
        while not ((record := _load_record(self.path, name)) and record["key"] == key):
            time.sleep(_WAIT_S)
        return _as_stage(self.path, record)

    def _note(self, name: str, key: str) -> None:
        """Remember what was asked for; the runner of the chapters wants to know."""
        self.used[name] = key
        log = os.environ.get(STAGES_VARIABLE)
        if log:
            with Path(log).open("a", encoding="utf-8") as handle:
                handle.write(f"{name}\n")

    def stage_keys(self) -> dict[str, str]:
        """Return the keys of all finished stages of this run."""
        names = sorted(p.stem for p in (self.path / "stages").glob("*.json"))
        records = {n: _load_record(self.path, n) for n in names}
        return {n: r["key"] for n, r in records.items() if r}

    def stage_seconds(self) -> dict[str, float]:
        """Return how long each finished stage took."""
        names = sorted(p.stem for p in (self.path / "stages").glob("*.json"))
        records = {n: _load_record(self.path, n) for n in names}
        return {n: r["seconds"] for n, r in records.items() if r}

    def _parts(self, module, settings, inputs) -> dict[str, str]:
        import torch

        parts = {
            f"setting {k}": json.dumps(v, default=str)
            for k, v in _flat({**settings, "seed": self.profile.seed}).items()
        }
        parts |= {"setting threads": str(self.profile.threads)}
        parts |= {f"input {s.name}": s.digest for s in inputs}
        parts |= {f"code {m}": h for m, h in provenance.source_hashes(module).items()}
        return parts | {"lock": provenance.lock_hash(), "torch": torch.__version__}

    def _lock(self, name: str) -> AbstractContextManager[None]:
        return hold(
            self.path / ".computing",
            f"process {os.getpid()}, stage {name}",
            f"run directory {self.path}: another process is computing there ({{who}}); "
            "wait for it or use another run_dir",
        )


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Compute with so many threads, whatever a chapter or another run has set.

    Sums depend on it in their last digits, so it is part of a stage's key.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _record_path(root: Path, name: str) -> Path:
    return root / "stages" / f"{name}.json"


def _load_record(root: Path, name: str) -> dict[str, Any] | None:
    try:
        return json.loads(_record_path(root, name).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _complete(root: Path, record: dict[str, Any]) -> bool:
    return all((root / output).exists() for output in record["outputs"])


def _as_stage(root: Path, record: dict[str, Any]) -> Stage:
    return Stage(
        record["name"], record["key"], root, record["outputs"], record["seconds"]
    )


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _reason(old: dict[str, Any] | None, parts: dict[str, str], root: Path) -> str:
    """Say in a few words why a stage is computed."""
    if old is None:
        return "computing, not there yet"
    before = old["parts"]
    changed = [f"{k} changed" for k in sorted(parts) if before.get(k) != parts[k]] + [
        f"{k} is gone" for k in sorted(before.keys() - parts.keys())
    ]
    if not changed:
        gone = [o for o in old["outputs"] if not (root / o).exists()]
        return f"computing again, missing {', '.join(gone)}"
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return f"computing again, {'; '.join(changed[:3])}{more}"
