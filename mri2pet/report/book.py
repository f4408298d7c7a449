"""Build the site of a run: stage the pages, run Jupyter Book, swap the result in.

The site is never built in place. `book/`, the executed notebooks and the run's
figures are copied into `build/` of the run; Jupyter Book reads that copy; and the
finished site replaces the old one only when there was not a single warning.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from mri2pet import paths
from mri2pet.report.chapters import Outcome, chapter_names, execute_chapters
from mri2pet.report.execution import ChapterError, executed_path, gate
from mri2pet.report.staging import stage_book
from mri2pet.stages.questions import unanswered

if TYPE_CHECKING:
    from mri2pet.run import Run

__all__ = [
    "ChapterError",
    "Outcome",
    "Site",
    "build_site",
    "chapter_names",
    "chapters_showing",
    "execute_chapters",
    "gate",
    "redraw_figures",
    "shown_names",
]

# Faults of the theme, each with its repair.
_REPAIRS = (
    # Browsers refuse preloaded fonts on pages opened from a folder.
    (r'<link rel="preload" as="font"[^>]*>\s*', ""),
    # Thebe would fetch code from the network, and its settings are declared twice.
    (r"<script>const THEBE_JS_URL[^<]*</script>\s*", ""),
    (r'<script [^>]*src="[^"]*sphinx-thebe\.js[^"]*"></script>\s*', ""),
    # A label that hides the visible text from people who speak to their computer.
    (r'(<button class="[^"]*search-button-field[^>]*) aria-label="Search"', r"\1"),
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    # A wide table scrolls, so it must be reachable by keyboard.
    (
        r'<div class="pst-scrollable-table-container">',
        '<div class="pst-scrollable-table-container" tabindex="0">',
    ),
    # A nameless button, and a list without list items.
    (
        r'<summary>(?=<span class="toctree-toggle")',
        '<summary aria-label="Show or hide the pages below">',
    ),
    (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
)
_GITHUB = re.compile(r"github\.com[:/](?P<name>[\w.-]+/[\w.-]+?)(?:\.git)?/?$")


@dataclass(frozen=True)
class Site:
    """A built site.

    Attributes
    ----------
    path : pathlib.Path
        The folder with `index.html`.
    seconds : float
        Wall time of this build, 0 when it was not needed.
    reason : str
        Why it was built; empty when no page had changed.
    """

    path: Path
    seconds: float
    reason: str


def build_site(
    run: Run,
    chapters: Iterable[str] | None = None,
    *,
    force: bool = False,
    report: Callable[[str], None] = print,
) -> Site:
    """Build the web book of a run from its executed chapters.

    Parameters
    ----------
    run : mri2pet.run.Run
        Its folder receives `build/` (the staged copy) and `site/` (the result).
    chapters : iterable of str, optional
        Chapters to publish; all by default. The others leave the table of contents.
    force : bool, default=False
        Build even if no page has changed.
    report : callable, default=print
        Receives one line.

    Returns
    -------
    Site

    Raises
    ------
    ValueError
        A chapter was not executed, or stopped half way.
    RuntimeError
        Jupyter Book ended with a warning or an error; the old site stays.
    """
    start = time.perf_counter()
    names = chapter_names() if chapters is None else sorted(chapters)
    faults = [fault for name in names for fault in gate(executed_path(run, name))]
    if faults:
        raise ValueError(
            f"{faults[0]}; run the chapters first "
            f"(`mri2pet reproduce --profile {run.profile.name}`)"
        )
    root = Path(run.path)
    build, site = root / "build", root / "site"
    stage_book(run, names, build / "_build" / "book")
    config = build / "_config.yml"
    config.write_text(_config(), encoding="utf-8")
    key = _tree_hash([build / "_build" / "book", config, paths.lock_file()])
    key_file = build / "site.key"
    built = (site / "index.html").is_file() and key_file.is_file()
    same = built and key_file.read_text(encoding="utf-8") == key
    if same and not force:
        report("  site: up to date")
        return Site(site, 0.0, "")
    reason = "asked for" if same else "a page changed" if built else "not built yet"
    report(f"  site: building ({reason})")
    _jupyter_book(build, config)
    _polish(build / "_build" / "html")
    _swap(build / "_build" / "html", site)
    key_file.write_text(key, encoding="utf-8")
    seconds = time.perf_counter() - start
    report(f"  site: {seconds:.1f} s, {site / 'index.html'}")
    return Site(site, seconds, reason)


def chapters_showing(name: str) -> list[str]:
    """Return the chapters that show the figure or table of this name.

    Parameters
    ----------
    name : str
        As given to `show_figure` or `show_table`.

    Raises
    ------
    ValueError
        No chapter shows it.
    """
    known: dict[str, list[str]] = {}
    for chapter in chapter_names():
        for found in shown_names(chapter):
            known.setdefault(found, []).append(chapter)
    if name not in known:
        raise ValueError(
            f"figure {name!r}: no chapter shows it; known: {', '.join(sorted(known))}"
        )
    return known[name]


def shown_names(chapter: str) -> list[str]:
    """Return the names of the figures and tables that a chapter shows, in order."""
    source = paths.notebooks_dir() / f"{chapter}.ipynb"
    names = []
    for cell in json.loads(source.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in ("show_figure", "show_table"):
                given = {k.arg: k.value for k in node.keywords}
                name = node.args[1] if len(node.args) > 1 else given.get("name")
                if isinstance(name, ast.Constant):
                    names.append(name.value)
    return names


def redraw_figures(
    run: Run,
    only: str | None = None,
    *,
    report: Callable[[str], None] = print,
) -> list[Outcome]:
    """Draw figures and tables again; finished stages are not computed again.

    Parameters
    ----------
    run : mri2pet.run.Run
    only : str, optional
        One figure or table; its whole chapter is executed. All by default.
    report : callable, default=print

    Raises
    ------
    ValueError
        No chapter shows that figure, or the cohort has no answer for its chapter.
    """
    chapters = chapter_names() if only is None else chapters_showing(only)
    gone = unanswered(run)
    if chapters and gone.keys() >= set(chapters):
        raise ValueError(f"{chapters[0]} is left out: {gone[chapters[0]]}")
    chapters = [name for name in chapters if name not in gone]
    return execute_chapters(run, chapters, force=True, report=report)


def _config() -> str:
    """Return `_config.yml`, with launch links where the repository is known."""
    source = paths.project_root() / "_config.yml"
    config = yaml.safe_load(source.read_text(encoding="utf-8"))
    name = _github_name()
    if name:
        config["repository"] = {"url": f"https://github.com/{name}", "branch": "main"}
        config["html"]["use_repository_button"] = True
        config["launch_buttons"] = {
            "binderhub_url": "https://mybinder.org",
            "notebook_interface": "jupyterlab",
        }
    return yaml.safe_dump(config, sort_keys=False)


def _github_name() -> str:
    """Return owner/name of the clone's GitHub repository, or an empty string."""
    if os.environ.get("GITHUB_REPOSITORY"):
        return os.environ["GITHUB_REPOSITORY"]
    root = paths.repository_root()
    if root is None or shutil.which("git") is None:
        return ""
    command = ["git", "-C", str(root), "config", "--get", "remote.origin.url"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    match = _GITHUB.search(found.stdout.strip())
    return match["name"] if match else ""


def _tree_hash(places: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for place in places:
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        for path in files:
            if path.is_file():
                name = path.relative_to(place) if place.is_dir() else path.name
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


def _jupyter_book(build: Path, config: Path) -> None:
    """Run `jupyter-book build` with every warning an error.

    The folder of the book lies in a folder `_build`, which is where Jupyter Book
    then puts the site, too.
    """
    for name in ("html", ".doctrees", "jupyter_execute"):
        shutil.rmtree(build / "_build" / name, ignore_errors=True)
    command = [
        sys.executable,
        "-c",
        "from jupyter_book.cli.main import main; main()",
        "build",
        str(build / "_build" / "book"),
        "--config",
        str(config),
        *("-W", "-n", "--keep-going", "--quiet"),
    ]
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False
    )
    log = build / "build.log"
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    index = build / "_build" / "html" / "index.html"
    if done.returncode or not index.is_file():
        raise RuntimeError(_explain(log))


def _polish(site: Path) -> None:
    """Repair what keeps the theme's pages from being offline and accessible."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for pattern, replacement in _REPAIRS:
            text = re.sub(pattern, replacement, text)
        page.write_text(text, encoding="utf-8")


def _explain(log: Path) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(encoding="utf-8"))
    lines = text.splitlines()
    telling = [line for line in lines if "WARNING" in line or "ERROR" in line]
    shown = "\n  ".join((telling or lines)[-12:])
    return f"the site was not built, the whole log is {log}:\n  {shown}"


def _swap(new: Path, site: Path) -> None:
    """Put the new site in the old one's place; readers never see half of one."""
    old = site.with_name(".site.old")
    shutil.rmtree(old, ignore_errors=True)
    if site.exists():
        site.replace(old)
    new.replace(site)
    shutil.rmtree(old, ignore_errors=True)
