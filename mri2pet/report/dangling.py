"""References to what a book of another cohort does not hold become plain words.

The whole book refers to every chapter and every figure. On other people a chapter may
be left out, or a figure not drawn (nobody came twice, say). In the staged copy of such
a book the references to it are replaced. In the whole book of the phantoms they stay,
so that a wrong label still stops the build.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

GONE = "*(not shown for these people)*"

_DEFINED = (
    r"^:(?:name|label): *([\w-]+)",
    r"^\(([\w-]+)\)=",
    r"\$\$ *\(([\w-]+)\)",
)
_ROLE = re.compile(r"\{(?:numref|eq)\}`(?:[^`<]*<)?([\w-]+)>?`")
_DOC = re.compile(r"\{doc\}`(?:[^`<]*<)?(?:[\w./]*/)?(\d\d_\w+)>?`")
_LINK = re.compile(
    r"\[([^\]]*)\]\((?:[\w./]*/)?(\d\d_\w+)(?:\.(?:ipynb|md|html))?(?:#[^)]*)?\)"
)


def without_dangling(stage: Path) -> int:
    """Replace references to what is not there, in all pages of a staged book.

    Parameters
    ----------
    stage : pathlib.Path
        Folder of pages and executed chapters, about to be built.

    Returns
    -------
    int
        How many were replaced.
    """
    pages = {p: p.read_text(encoding="utf-8") for p in sorted(stage.rglob("*.md"))}
    books = {
        p: json.loads(p.read_text(encoding="utf-8"))
        for p in sorted((stage / "notebooks").glob("*.ipynb"))
    }
    texts = [*pages.values()]
    texts += [text for book in books.values() for _, text in _texts(book)]
    labels = {
        label
        for text in texts
        for pattern in _DEFINED
        for label in re.findall(pattern, text, re.MULTILINE)
    }
    chapters = {p.stem for p in books}
    total = 0
    for path, text in pages.items():
        found, count = _replaced(text, labels, chapters)
        total += count
        if count:
            path.write_text(found, encoding="utf-8")
    for path, book in books.items():
        counts = 0
        for put, text in _texts(book):
            found, count = _replaced(text, labels, chapters)
            counts += count
            if count:
                put(found)
        total += counts
        if counts:
            path.write_text(json.dumps(book, indent=1), encoding="utf-8")
    return total


def _texts(book: dict):
    """Markdown of a notebook, in cells and outputs, each with what puts it back."""
    for cell in book["cells"]:
        if cell["cell_type"] == "markdown":
            yield _setter(cell, "source"), "".join(cell["source"])
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "text/markdown" in data:
                yield _setter(data, "text/markdown"), "".join(data["text/markdown"])


def _setter(holder: dict, key: str):
    def put(text: str) -> None:
        holder[key] = text

    return put


def _replaced(text: str, labels: set[str], chapters: set[str]) -> tuple[str, int]:
    count = 0

    def label(match: re.Match) -> str:
        nonlocal count
        if match[1] in labels:
            return match[0]
        count += 1
        return GONE

    def chapter(match: re.Match) -> str:
        nonlocal count
        name = match[match.lastindex]
        if name in chapters:
            return match[0]
        count += 1
        said = match[1] if match.lastindex > 1 and match[1] else f"chapter {name[:2]}"
        return f"{said} *(left out of this book)*"

    text = _ROLE.sub(label, text)
    text = _DOC.sub(chapter, text)
    return _LINK.sub(chapter, text), count
