"""A run directory: stages computed once, by content, and never half written.

`Run` is what the chapters and the commands talk to. Asking for a stage returns
at once when it is done and computes it when it is not (see `mri2pet.engine`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri2pet import provenance
from mri2pet.artifacts import RunBusyError, write_text
from mri2pet.config import Profile, changed_profile, load_profile
from mri2pet.engine import Engine

if TYPE_CHECKING:
    import pandas as pd

    from mri2pet.cohort.store import Store
    from mri2pet.schedule import NoiseSchedule
    from mri2pet.stages.learned import Learned
    from mri2pet.stages.sample import Synthetic
    from mri2pet.stages.style import StyledSet

RUNS_VARIABLE = "MRI2PET_RUNS"
CHANGES = "changes.json"  # in a directory of its own: what differs from the profile

__all__ = ["Run", "RunBusyError", "newest_checkpoint", "runs_home"]


class Run(Engine):
    """One run directory and its profile.

    Use `Run.open`; see the module's text for what a stage is.
    """

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
            stages that are equal are taken from the original. Opened by its own name,
            such a directory still has its changes.

        Raises
        ------
        ValueError
            Unknown key, unwritable directory, or a directory of another profile.
        """
        wanted = {k: v for k, v in overrides.items() if v not in (None, "", 0)}
        path = Path(run_dir).resolve() if run_dir else None
        base = _read_profile(profile, path)
        path = path or runs_home() / base.name
        parent, before = _own_changes(path)
        base = changed_profile(base, **before)
        changed = changed_profile(base, **wanted)
        if changed != base:
            parent = path
            tag = provenance.digest(changed.model_dump(mode="json"))[:8]
            path = path.with_name(f"{path.name}-{tag}")
        run = cls(changed, path, parent)
        run._prepare()
        if changed != base:
            record = {"of": str(parent), "changes": {**before, **wanted}}
            write_text(path / CHANGES, json.dumps(record, indent=1))
        if not quiet:
            own = f" (its own: {', '.join(f'{k}={v}' for k, v in wanted.items())})"
            print(f"Run directory: {_short(path)}{own if changed != base else ''}")
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

    def stage_keys(self) -> dict[str, str]:
        """Return the keys of all finished stages, and of a store that was adopted."""
        keys = super().stage_keys()
        if self.profile.store is not None:
            from mri2pet.stages.cohort import cohort_stage

            keys["cohort"] = cohort_stage(self).key
        return keys

    # -- the stages, by name ------------------------------------------------

    def schedule(self) -> NoiseSchedule:
        """Return the published noise schedule."""
        from mri2pet.schedule import NoiseSchedule

        return NoiseSchedule()

    def cohort(self) -> Store:
        """Return the store of prepared volumes (phantoms unless `store:` is set)."""
        from mri2pet.stages import cohort

        return cohort.cohort(self)

    def phantoms(self) -> Store:
        """Return people whose truth is known: the cohort, or phantoms beside it."""
        from mri2pet.stages import cohort

        return cohort.phantoms(self)

    def styled(self, design: str) -> StyledSet:
        """Return the style-transferred MRIs of a design."""
        from mri2pet.stages import style

        return style.styled(self, design)

    def pretrain(self, kind: str, design: str, **variant: Any) -> Learned:
        """Return a pre-trained network; kind is style, self or noisy."""
        from mri2pet.stages import learn

        return learn.pretrain(self, kind, design, **variant)

    def finetune(self, row: str, design: str, **variant: Any) -> Learned:
        """Return the network of one learned row of Table 1."""
        from mri2pet.stages import rows

        return rows.trained(self, row, design, **variant)

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
        from mri2pet.stages import table1

        return table1.table1(self)

    def learning_curves(self) -> pd.DataFrame:
        """Return scores against samples seen, of every row and control."""
        from mri2pet.stages import curves

        return curves.learning_curves(self)

    def check_999(self) -> pd.DataFrame:
        """Return few ancestral calls against all 999, on a few validation scans."""
        from mri2pet.stages import few_calls

        return few_calls.check_999(self)

    # -- results and figures ------------------------------------------------

    def results(self, name: str) -> pd.DataFrame:
        """Read `results/<name>.csv`."""
        import pandas as pd

        path = self.path / "results" / f"{name}.csv"
        if not path.is_file() and self.parent is not None:
            path = self.parent / "results" / f"{name}.csv"  # an equal stage's
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


def _read_profile(profile: str | Path, path: Path | None) -> Profile:
    """Read a profile; one that no file of the book has, as its run has kept it."""
    try:
        return load_profile(profile)
    except ValueError:
        if path is None or not (path / "profile.json").is_file():
            raise
        kept = json.loads((path / "profile.json").read_text(encoding="utf-8"))
        if kept.get("name") != str(profile):
            raise
        return Profile(**kept)


def _own_changes(path: Path) -> tuple[Path | None, dict[str, Any]]:
    """What a directory of its own was made with: the original, and what is changed."""
    try:
        record = json.loads((path / CHANGES).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None, {}
    return Path(record["of"]), record["changes"]


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
