"""Run the chapters in order, each one only when something it depends on changed.

What a chapter was made from is written into its metadata (`mri2pet.report.execution`),
so the next run can tell whether it is still right, and say why when it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri2pet import paths
from mri2pet.report.execution import CELL_TIMEOUT, execute, executed_path, gate
from mri2pet.report.fingerprint import changes, fingerprint

if TYPE_CHECKING:
    from mri2pet.run import Run


@dataclass(frozen=True)
class Outcome:
    """What happened to one chapter.

    Attributes
    ----------
    chapter : str
        The notebook's name without its ending.
    seconds : float
        Wall time of this execution, 0 when it was not needed.
    reason : str
        Why it was run; empty when nothing it depends on had changed.
    """

    chapter: str
    seconds: float
    reason: str


def chapter_names() -> list[str]:
    """Return the chapters' names (`01_cohort`, ...) in the order of the book."""
    return sorted(p.stem for p in paths.notebooks_dir().glob("[0-9][0-9]_*.ipynb"))


def execute_chapters(
    run: Run,
    chapters: Iterable[str] | None = None,
    parameters: dict[str, Any] | None = None,
    *,
    force: bool = False,
    cell_timeout: int = CELL_TIMEOUT,
    report: Callable[[str], None] = print,
) -> list[Outcome]:
    """Execute chapters in order; skip those that nothing has changed for.

    Parameters
    ----------
    run : mri2pet.run.Run
        The run that the chapters open, by its profile and directory.
    chapters : iterable of str, optional
        Names as in `chapter_names()`; all by default.
    parameters : dict, optional
        Further parameters; each chapter must declare each of them.
    force : bool, default=False
        Run every chapter even if nothing changed.
    cell_timeout : int, default=21600
        Seconds that one cell may take.
    report : callable, default=print
        Receives one line per chapter.

    Returns
    -------
    list of Outcome

    Raises
    ------
    ValueError
        Unknown chapter or parameter.
    ChapterError
        A cell failed; finished chapters are kept.
    """
    names = _checked_names(chapters)
    given = _given(run) | (parameters or {})
    for name in names:
        _check_parameters(name, given)
    outcomes = []
    for name in names:
        now = fingerprint(run, name, given)
        reason = "asked for" if force else _reason(run, name, now)
        if not reason:
            report(f"  {name}: up to date")
            outcomes.append(Outcome(name, 0.0, ""))
            continue
        report(f"  {name}: running ({reason})")
        seconds = execute(run, name, given, now, cell_timeout, report)
        report(f"  {name}: {seconds:.1f} s")
        outcomes.append(Outcome(name, seconds, reason))
    return outcomes


def reason_to_run(run: Run, chapter: str) -> str:
    """Say why a chapter must be executed; empty if nothing has changed for it."""
    return _reason(run, chapter, fingerprint(run, chapter, _given(run)))


def _given(run: Run) -> dict[str, Any]:
    return {"profile": run.profile.name, "run_dir": str(Path(run.path).resolve())}


def _reason(run: Run, chapter: str, now: dict[str, Any]) -> str:
    target = executed_path(run, chapter)
    reason = changes(run, target, now)
    if not reason and (faults := gate(target)):
        reason = f"the executed notebook is not usable: {faults[0]}"
    return reason


def _checked_names(chapters: Iterable[str] | None) -> list[str]:
    known = chapter_names()
    if chapters is None:
        if not known:
            raise ValueError(f"{paths.notebooks_dir()}: no chapter `NN_name.ipynb`")
        return known
    wanted = set(chapters)
    if unknown := sorted(wanted - set(known)):
        raise ValueError(f"chapter {unknown[0]!r}: expected one of {', '.join(known)}")
    return [name for name in known if name in wanted]


def _check_parameters(name: str, given: dict[str, Any]) -> None:
    """Papermill only warns of a parameter that the notebook does not declare."""
    from papermill import inspect_notebook

    source = paths.notebooks_dir() / f"{name}.ipynb"
    declared = inspect_notebook(str(source))
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise ValueError(
            f"{source}: no parameter {unknown[0]!r}; "
            f"its parameters cell declares {', '.join(sorted(declared)) or 'nothing'}"
        )
