"""A run directory: stages computed once, by content, and never half written.

`Run` is what the chapters and the commands talk to. Asking for a stage returns
at once when it is done and computes it when it is not. A stage's key is its
settings, the content of its inputs, the code it uses, the lock of the libraries
and torch's version; any change is named when the stage is computed again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri2pet import provenance
from mri2pet.artifacts import Stage, replace, write_text
from mri2pet.config import Profile, load_profile

if TYPE_CHECKING:
    import pandas as pd

    from mri2pet.cohort.store import Store
    from mri2pet.schedule import NoiseSchedule
    from mri2pet.stages.learn import Learned
    from mri2pet.stages.sample import Synthetic
    from mri2pet.stages.style import StyledSet

RUNS_VARIABLE = "MRI2PET_RUNS"
STAGES_VARIABLE = "MRI2PET_STAGES_READ"  # a file that lists the stages asked for


class RunBusyError(ValueError):
    """Another process is computing in this run directory."""


class Run:
    """One run directory and its profile.

    Use `Run.open`; see the module's text for what a stage is.
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

    @classmethod
    def open(
        cls,
        profile: str | Path = "smoke",
        run_dir: str | Path = "",
        *,
        quiet: bool = False,
        **overrides: Any,
    ) -> Run:
        """Open or create the run directory of a profile.

        Parameters
        ----------
        profile : str or Path
            Name or YAML file.
        run_dir : str or Path
            Where; "" means `runs/<profile>` (or below `$MRI2PET_RUNS`).
        quiet : bool
            Do not print the directory.
        **overrides
            Profile keys to change. 0, "" and None mean "as in the profile". A
            real change leads to a directory of its own, `<run_dir>-<hash>`;
            stages that are equal are taken from the original.

        Raises
        ------
        ValueError
            Unknown key, unwritable directory, or a directory of another profile.
        """
        base = load_profile(profile)
        wanted = {k: v for k, v in overrides.items() if v not in (None, "", 0)}
        changed = load_profile(profile, **wanted)
        path = Path(run_dir).resolve() if run_dir else runs_home() / base.name
        parent = None
        if changed != base:
            parent = path
            tag = provenance.digest(changed.model_dump(mode="json"))[:8]
            path = path.with_name(f"{path.name}-{tag}")
        run = cls(changed, path, parent)
        run._prepare()
        if not quiet:
            own = f" (its own: {', '.join(f'{k}={v}' for k, v in wanted.items())})"
            print(f"Run directory: {_short(path)}{own if parent else ''}")
        return run

    @classmethod
    def reopen(cls, run_dir: str | Path) -> Run:
        """Open an existing run directory with the profile it was made with.

        Raises
        ------
        ValueError
            No such directory, or no readable profile in it.
        """
        path = Path(run_dir).resolve()
        try:
            raw = json.loads((path / "profile.json").read_text(encoding="utf-8"))
            run = cls(Profile(**raw), path)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:120]
            raise ValueError(
                f"run directory {path}: no readable profile.json ({reason}); "
                "make one with `mri2pet reproduce`"
            ) from None
        run._prepare()
        return run

    def _prepare(self) -> None:
        import torch

        try:
            (self.path / "stages").mkdir(parents=True, exist_ok=True)
            probe = self.path / f".writable-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ValueError(
                f"run directory {self.path}: cannot be written "
                f"({error.strerror}); choose another with --run-dir or ${RUNS_VARIABLE}"
            ) from None
        known = self.path / "profile.json"
        mine = self.profile.model_dump(mode="json")
        if known.exists():
            try:
                theirs = json.loads(known.read_text(encoding="utf-8"))
            except json.JSONDecodeError:
                theirs = mine  # half written: its only content is rewritten below
            if theirs.get("name") != mine["name"]:
                raise ValueError(
                    f"run directory {self.path} belongs to profile "
                    f"{theirs.get('name')!r}, not {mine['name']!r}; choose another"
                )
        write_text(known, json.dumps(mine, indent=1))
        torch.set_num_threads(self.profile.threads)

    # -- the stages, by name ------------------------------------------------

    def schedule(self) -> NoiseSchedule:
        """Return the published noise schedule."""
        from mri2pet.schedule import NoiseSchedule

        return NoiseSchedule()

    def cohort(self) -> Store:
        """Return the store of prepared volumes (phantoms unless `store:` is set)."""
        from mri2pet.stages import cohort

        return cohort.cohort(self)

    def styled(self, design: str) -> StyledSet:
        """Return the style-transferred MRIs of a design."""
        from mri2pet.stages import style

        return style.styled(self, design)

    def pretrain(self, kind: str, design: str, **variant: Any) -> Learned:
        """Return a pre-trained network; kind is style, self or noisy."""
        from mri2pet.stages import learn

        return learn.pretrain(self, kind, design, **variant)

    def finetune(self, row: str, design: str, **variant: Any) -> Learned:
        """Return a fine-tuned network of one row of Table 1."""
        from mri2pet.stages import learn

        return learn.finetune(self, row, design, **variant)

    def regression(self) -> Learned:
        """Return the regression control."""
        from mri2pet.stages import learn

        return learn.regression(self)

    def sample(self, row: str, design: str = "", **variant: Any) -> Synthetic:
        """Return the synthetic PETs of a row for the test scans."""
        from mri2pet.stages import sample

        return sample.sample(self, row, design, **variant)

    def evaluate(self) -> pd.DataFrame:
        """Return Table 1, computing whatever it needs."""
        from mri2pet.stages import evaluate

        return evaluate.table1(self)

    def check_999(self) -> pd.DataFrame:
        """Return few ancestral calls against all 999, on a few validation scans."""
        from mri2pet.stages import evaluate

        return evaluate.check_999(self)

    # -- results and figures ------------------------------------------------

    def results(self, name: str) -> pd.DataFrame:
        """Read `results/<name>.csv`."""
        import pandas as pd

        path = self.path / "results" / f"{name}.csv"
        if not path.is_file():
            raise ValueError(
                f"{path}: not made yet; run `mri2pet reproduce --profile "
                f"{self.profile.name}`"
            )
        return pd.read_csv(path, keep_default_na=False, na_values=["NA"])

    def save_result(self, name: str, frame: pd.DataFrame) -> Path:
        """Write `results/<name>.csv`, whole or not at all."""
        path = self.path / "results" / f"{name}.csv"
        write_text(path, frame.to_csv(index=False, na_rep="NA", float_format="%.8g"))
        return path

    def figure_path(self, name: str) -> Path:
        """Path of a figure, its folder made."""
        folder = self.path / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.png"

    # -- the engine ---------------------------------------------------------

    def stage(
        self,
        name: str,
        *,
        module: str,
        settings: dict[str, Any],
        inputs: list[Stage],
        outputs: list[str],
        build: Callable[[Path], None],
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
        """
        parts = self._parts(module, settings, inputs)
        key = provenance.digest(parts)
        self._note(name, key)
        for root in (self.path, self.parent):
            found = _load_record(root, name) if root else None
            if found and found["key"] == key and _complete(root, found):
                return _as_stage(root, found)
        old = _load_record(self.path, name)
        self.log(f"  {name}: {_reason(old, parts, self.path)}")
        with self._lock(name):
            started = time.perf_counter()
            work = self.path / "work" / f"{name}-{key[:16]}"
            work.mkdir(parents=True, exist_ok=True)
            build(work)
            record = {
                "name": name,
                "key": key,
                "parts": parts,
                "outputs": {o: provenance.file_digest(work / o) for o in outputs},
                "seconds": time.perf_counter() - started,
            }
            _record_path(self.path, name).unlink(missing_ok=True)
            for output in outputs:
                replace(work / output, self.path / output)
            write_text(_record_path(self.path, name), json.dumps(record, indent=1))
            shutil.rmtree(work)
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

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        path = self.path / ".computing"
        with path.open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                handle.seek(0)
                raise RunBusyError(
                    f"run directory {self.path}: another process is computing there "
                    f"({handle.read().strip()}); wait for it or use another run_dir"
                ) from None
            handle.truncate(0)
            handle.write(f"process {os.getpid()}, stage {name}\n")
            handle.flush()
            yield


def runs_home() -> Path:
    """Folder of all runs: `$MRI2PET_RUNS`, or `runs` beside the clone."""
    root = Path(os.environ.get(RUNS_VARIABLE, "runs"))
    return root if root.is_absolute() else _runs_home() / root


def newest_checkpoint() -> Path:
    """Return the newest finished `mri2pet` network of any run, design corrected.

    Raises
    ------
    ValueError
        There is none; the message has the command that makes one.
    """
    found = sorted(
        runs_home().glob("*/checkpoints/finetune-mri2pet-corrected/card.json"),
        key=lambda p: p.stat().st_mtime,
    )
    if not found:
        raise ValueError(
            f"no trained network below {runs_home()}; "
            "make one with `mri2pet reproduce --profile smoke`, or give --checkpoint"
        )
    return found[-1].parent


def _runs_home() -> Path:
    """The clone when there is one, else the current folder."""
    from mri2pet import paths

    return paths.repository_root() or Path.cwd()


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(_runs_home()))
    except ValueError:
        return str(path)


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
