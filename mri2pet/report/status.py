"""The page that says how this book was made: times, memory, versions, commit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mri2pet.run import Run

# Keys of `run.json` that a reader wants to see, in this order. Times of the whole
# run are left out: they would change the page when nothing else has changed.
_FACTS = (
    "profile",
    "seed",
    "threads",
    "dtype",
    "mri2pet",
    "commit",
    "dirty",
    "lock",
    "python",
    "cpu",
    "cores",
    "system",
)


def status_page(run: Run, notebooks: Iterable[Path]) -> str:
    """Return the generated part of "How this book was made" in MyST Markdown.

    Parameters
    ----------
    run : mri2pet.run.Run
        Its `run.json`, if there is one, gives the provenance.
    notebooks : iterable of pathlib.Path
        Executed chapters.
    """
    import nbformat

    rows, total = [], 0.0
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        seconds = float(notebook.metadata.papermill.get("duration") or 0.0)
        total += seconds
        peak = notebook.metadata.get("mri2pet", {}).get("peak_memory_mb", 0)
        slowest = max(map(_cell_seconds, notebook.cells), default=0.0)
        rows.append(
            f"| [](notebooks/{path.name}) | {seconds:.1f} | {slowest:.1f} "
            f"| {peak:.0f} |"
        )
    caption = (
        f"Time and memory of each chapter, profile {run.profile.name}; all together "
        f"{total:.0f} s. A chapter that finds its stages done takes seconds."
    )
    table = [
        f"~~~{{table}} {caption}",
        ":name: chapter-times",
        "",
        "| Chapter | seconds | slowest cell, s | peak memory, MB |",
        "| :--- | ---: | ---: | ---: |",
        *rows,
        "~~~",
    ]
    return "\n".join([*table, "", *_provenance(run), ""])


def _cell_seconds(cell: Any) -> float:
    timing = cell.metadata.get("papermill", {})
    return float(timing.get("duration") or 0.0)


def _provenance(run: Run) -> list[str]:
    facts = {
        "profile": run.profile.name,
        "seed": run.profile.seed,
        "threads": run.profile.threads,
        "dtype": run.profile.dtype,
        **_run_record(Path(run.path)),
    }
    lines = [
        "~~~{table} Provenance of this run, from its `run.json`.",
        ":name: provenance",
        "",
        "| What | Value |",
        "| :--- | :--- |",
    ]
    lines += [
        f"| {key} | `{facts[key]}` |" for key in _FACTS if facts.get(key, "") != ""
    ]
    versions = facts.get("versions", {})
    lines += [f"| {name} | `{version}` |" for name, version in sorted(versions.items())]
    return [*lines, "~~~"]


def _run_record(root: Path) -> dict[str, Any]:
    path = root / "run.json"
    if not path.is_file():
        return {}
    record = json.loads(path.read_text(encoding="utf-8"))
    return {
        key: value
        for key, value in record.items()
        if key == "versions" or isinstance(value, str | int | float | bool)
    }
