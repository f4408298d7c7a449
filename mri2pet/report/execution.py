"""Execute one chapter, whole or not at all, and say whether it may be published.

Papermill executes a clean notebook of `notebooks/` into a temporary file of the
run; the file gets its final name only when every cell has run without an error.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri2pet import paths
from mri2pet.report.notebook import RUN_DIR_VARIABLE, STAGES_VARIABLE

if TYPE_CHECKING:
    from mri2pet.run import Run

CELL_TIMEOUT = 6 * 3600  # seconds; a hung kernel must not hang for ever
START_TIMEOUT = 180


class ChapterError(RuntimeError):
    """A chapter did not run to its end."""


def executed_path(run: Run, chapter: str) -> Path:
    """Return where the executed notebook of a chapter lies in a run."""
    return Path(run.path) / "notebooks" / f"{chapter}.ipynb"


def execute(
    run: Run,
    name: str,
    given: dict[str, Any],
    made_from: dict[str, Any],
    cell_timeout: int,
    report: Callable[[str], None],
) -> float:
    """Run a clean notebook in a kernel of its own, and keep the result if it is whole.

    Parameters
    ----------
    run : mri2pet.run.Run
    name : str
        Of the chapter.
    given : dict
        Parameters for papermill.
    made_from : dict
        Its `mri2pet.report.fingerprint.fingerprint`, written into its metadata.
    cell_timeout : int
        Seconds that one cell may take.
    report : callable
        Receives what the chapter wrote to stderr.

    Returns
    -------
    float
        Wall time in seconds.

    Raises
    ------
    ChapterError
        A cell failed, or the kernel died; what it had done is kept aside.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    target = executed_path(run, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{name}.partial.ipynb")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch, _environment(run, Path(scratch)):
        memory = _PeakMemory()
        try:
            papermill.execute_notebook(
                str(paths.notebooks_dir() / f"{name}.ipynb"),
                str(partial),
                given,
                kernel_name="python3",
                progress_bar=False,
                start_timeout=START_TIMEOUT,
                execution_timeout=cell_timeout,
                cwd=str(target.parent),
            )
        except PapermillExecutionError as error:
            kept = _keep_failed(partial)
            raise ChapterError(
                f"{name}: cell {error.cell_index} raised {error.ename}: {error.evalue} "
                f"(the notebook with the traceback is {kept})"
            ) from None
        except (CellTimeoutError, DeadKernelError, TimeoutError, RuntimeError) as error:
            kept = _keep_failed(partial)
            text = " ".join(str(error).split())[:300]
            raise ChapterError(
                f"{name}: the kernel stopped ({type(error).__name__}: {text}); "
                f"what it had done is in {kept}"
            ) from None
        finally:
            peak = memory.stop()
        read = _stages_read(Path(scratch))
    seconds = time.perf_counter() - start
    _finish(run, partial, target, made_from, read, seconds, peak, report)
    return seconds


def _finish(
    run: Run,
    partial: Path,
    target: Path,
    made_from: dict[str, Any],
    read: set[str] | None,
    seconds: float,
    peak: float,
    report: Callable[[str], None],
) -> None:
    """Write what the chapter was made from, check it and give it its name."""
    import nbformat

    keys = run.stage_keys()
    stages = keys if read is None else {s: keys.get(s, "") for s in sorted(read)}
    notebook = nbformat.read(partial, as_version=4)
    record = {**made_from, "stages": stages}
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    notebook.metadata["mri2pet"] = {
        "key": digest,
        **record,
        "seconds": round(seconds, 2),
        "peak_memory_mb": round(peak),
    }
    # Paths of this machine have no place in a published notebook.
    for key in ("input_path", "output_path"):
        if notebook.metadata.papermill.get(key):
            notebook.metadata.papermill[key] = Path(target.name).name
    notebook.metadata.papermill["environment_variables"] = {}
    nbformat.write(notebook, partial)
    if faults := gate(partial):
        raise ChapterError(f"{faults[0]} (kept as {_keep_failed(partial)})")
    partial.replace(target)
    for line in _stderr_lines(notebook)[:3]:
        report(f"    it wrote to stderr: {line}")


def gate(path: Path) -> list[str]:
    """Return what makes an executed notebook unfit for the book.

    Parameters
    ----------
    path : pathlib.Path
        An executed notebook.

    Returns
    -------
    list of str
        One line per fault: error output, cell that never ran, papermill's mark of
        an exception. Empty means that the notebook may be published.
    """
    import nbformat

    if not path.is_file():
        return [f"{path}: there is no such file"]
    try:
        notebook = nbformat.read(path, as_version=4)
    except (nbformat.ValidationError, ValueError, KeyError, AttributeError) as error:
        return [f"{path}: not a notebook ({type(error).__name__})"]
    faults = []
    if "papermill" not in notebook.metadata:
        faults.append(f"{path}: it was never executed")
    if notebook.metadata.get("papermill", {}).get("exception"):
        faults.append(f"{path}: papermill recorded an exception")
    for number, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags", [])
        if any(tag.startswith("papermill-error") for tag in tags):
            faults.append(f"{path}: cell {number} is papermill's error banner")
        if cell.cell_type != "code":
            continue
        if cell.source.strip() and cell.execution_count is None:
            faults.append(f"{path}: code cell {number} was not run")
        faults += [
            f"{path}: code cell {number} raised {output.ename}"
            for output in cell.outputs
            if output.output_type == "error"
        ]
    return faults


def _stderr_lines(notebook: Any) -> list[str]:
    texts = [
        output.text.strip().splitlines()[0]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
        if output.text.strip()
    ]
    return [text[:160] for text in texts]


def _keep_failed(partial: Path) -> Path:
    """Move a half-run notebook out of the way of the book, for reading."""
    kept = partial.parent / "failed" / partial.name.lstrip(".").replace(".partial", "")
    kept.parent.mkdir(exist_ok=True)
    if partial.exists():
        partial.replace(kept)
    return kept


def _stages_read(scratch: Path) -> set[str] | None:
    """Stages that the chapter asked its run for; None when that is not known."""
    log = scratch / "stages"
    if not log.is_file():
        return None
    return {line for line in log.read_text(encoding="utf-8").splitlines() if line}


@contextmanager
def _environment(run: Run, scratch: Path) -> Iterator[None]:
    """Kernels of this interpreter, without the user's own Jupyter settings."""
    spec = scratch / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    command = [
        *(sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
        "--IPKernelApp.log_level=ERROR",
    ]
    kernel = {"argv": command, "display_name": "Python 3", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(kernel), encoding="utf-8")
    changed = {
        "JUPYTER_PATH": str(scratch / "jupyter"),
        "IPYTHONDIR": str(scratch / "ipython"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        RUN_DIR_VARIABLE: str(Path(run.path).resolve()),
        STAGES_VARIABLE: str(scratch / "stages"),
    }
    before = {key: os.environ.get(key) for key in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


class _PeakMemory:
    """Largest memory of the kernel and its workers while it is watched, in MB."""

    def __init__(self, interval: float = 0.5) -> None:
        import psutil

        self._psutil = psutil
        self._peak = 0.0
        self._interval = interval
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        me = self._psutil.Process()
        while not self._done.wait(self._interval):
            total = 0
            for child in me.children(recursive=True):
                try:
                    total += child.memory_info().rss
                except self._psutil.Error:
                    continue  # it ended between the two calls
            self._peak = max(self._peak, total / 2**20)

    def stop(self) -> float:
        self._done.set()
        self._thread.join()
        return self._peak
