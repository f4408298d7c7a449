"""Stage the pages of a site: prose, executed chapters, figures, generated pages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mri2pet import paths
from mri2pet.report.chapters import chapter_names
from mri2pet.report.dangling import without_dangling
from mri2pet.report.execution import executed_path
from mri2pet.report.reference import write_reference
from mri2pet.report.speed import write_speed_page
from mri2pet.report.status import status_page
from mri2pet.report.switches import switches_page

if TYPE_CHECKING:
    from mri2pet.run import Run

FOLDED_LINES = 15


def stage_book(run: Run, chapters: Iterable[str], stage: Path) -> None:
    """Copy everything the site is made from into one fresh folder.

    Parameters
    ----------
    run : mri2pet.run.Run
    chapters : iterable of str
        Executed chapters to publish.
    stage : pathlib.Path
        It is emptied first.
    """
    names = list(chapters)
    if stage.exists():
        shutil.rmtree(stage)
    shutil.copytree(paths.book_dir(), stage)
    (stage / "notebooks").mkdir()
    for name in names:
        _stage_chapter(executed_path(run, name), stage / "notebooks" / f"{name}.ipynb")
    figures = Path(run.path) / "figures"
    if figures.is_dir():
        ignore = shutil.ignore_patterns("*.partial")
        shutil.copytree(figures, stage / "figures", ignore=ignore)
    write_reference(stage / "api")
    (stage / "generated").mkdir()
    page = status_page(run, [executed_path(run, name) for name in names])
    (stage / "generated" / "status.md").write_text(page, encoding="utf-8")
    page = switches_page(names)
    (stage / "generated" / "switches.md").write_text(page, encoding="utf-8")
    write_speed_page(stage / "generated")
    toc = yaml.safe_load((stage / "_toc.yml").read_text(encoding="utf-8"))
    toc = _without_missing(toc, stage)
    if run.profile.store is not None or set(names) < set(chapter_names()):
        without_dangling(stage)
    (stage / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False), "utf-8")


def _stage_chapter(source: Path, target: Path) -> None:
    """Publish a chapter so that a reader can run the downloaded notebook.

    Papermill's own cell holds the directory of this machine. It goes, and the
    parameters cell shows the values that were used instead.
    """
    import nbformat

    notebook = nbformat.read(source, as_version=4)
    used = notebook.metadata.get("mri2pet", {}).get("parameters", {})
    # Sphinx would number the chapters 1, 2, 3... whatever their files are called.
    number = int(target.name.split("_")[0])
    title = notebook.cells[0]
    title.source = re.sub(
        r"\A# (?!Chapter )", f"# Chapter {number}. ", title.source, count=1
    )
    cells, count = [], 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source, count = _numbered_exercises(cell.source, number, count)
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags:
            continue
        if "parameters" in tags:
            cell.source = _with_values(cell.source, used)
        elif cell.cell_type == "code" and _draws_at_length(cell.source):
            cell.metadata["tags"] = [*tags, "hide-input"]
        cells.append(cell)
    notebook.cells = cells
    notebook.metadata.papermill["parameters"] = used
    nbformat.write(notebook, target)


def _draws_at_length(source: str) -> bool:
    """Tell whether a cell is long and ends in a figure or table: the page folds it.

    In a page the picture matters, and its code is one click away. In JupyterLab
    nothing is folded.
    """
    return source.count("\n") >= FOLDED_LINES and bool(
        re.search(r"^show_(figure|table)\(", source, flags=re.MULTILINE)
    )


def _numbered_exercises(text: str, chapter: int, count: int) -> tuple[str, int]:
    """Give exercises the numbers that `check` knows them by, 4.1, 4.2...

    The extension would count them through the whole book instead.
    """

    def head(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        title = re.sub(r"^(Exercise )?(\d+\.\d+)?[:.]? *", "", match["title"])
        options = match["options"].replace(":nonumber:\n", "")
        return (
            f"{match['fence']}{{exercise-start}} {chapter}.{count} {title}\n"
            f":nonumber:\n{options}"
        )

    pattern = (
        r"^(?P<fence>`{3,})\{exercise-start\} *(?P<title>[^\n]*)\n"
        r"(?P<options>(?::[^\n]*\n)*)"
    )
    return re.sub(pattern, head, text, flags=re.MULTILINE), count


def _with_values(source: str, used: dict[str, Any]) -> str:
    lines = []
    for line in source.split("\n"):
        match = re.match(r"(?P<name>\w+)(?P<kind>\s*:[^=]+)?\s*=\s*", line)
        if match and match["name"] in used:
            comment = line[line.index("  #") :] if "  #" in line else ""
            value = used[match["name"]]
            shown = f'"{value}"' if isinstance(value, str) else repr(value)
            line = f"{match['name']}{match['kind'] or ''}".rstrip()
            line = f"{line} = {shown}{comment}"
        lines.append(line)
    return "\n".join(lines)


def _without_missing(toc: Any, stage: Path) -> Any:
    """Drop chapters that are not staged from the table of contents."""
    if isinstance(toc, list):
        kept = (_without_missing(item, stage) for item in toc)
        return [item for item in kept if item is not None]
    if isinstance(toc, dict):
        name = str(toc.get("file", ""))
        if name.startswith("notebooks/") and not (stage / f"{name}.ipynb").is_file():
            return None
        cleaned = {key: _without_missing(value, stage) for key, value in toc.items()}
        # A part that has lost all its chapters goes as well.
        return None if cleaned.get("chapters") == [] else cleaned
    return toc
