"""The API reference, written from the docstrings without importing anything.

Reading the syntax tree keeps the site's build fast and independent of the
libraries, and a fault in a docstring can spoil its own entry only.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from mri2pet import CORE
from mri2pet.report.markup import reference_label

_PACKAGE = Path(__file__).resolve().parents[1]
GROUPS = {
    "core": ("The slim core", "Networks, schedule, losses, style, synthesis."),
    "running": ("Training and running", "Profiles, training, stages, commands."),
    "cohort": ("The cohort", "Phantoms, regions, stores, splits."),
    "evaluation": ("Evaluation and controls", "Scores, intervals, controls."),
    "report": ("Report", "Chapters, tables, figures and this book."),
}
_LISTS = ("Parameters", "Returns", "Yields", "Raises", "Attributes", "Warns")
_SPECIAL = re.compile(r"([\\*_<>\[\]{}$|~#@^])")


def write_reference(folder: Path) -> list[str]:
    """Write one Markdown page per group of modules.

    Parameters
    ----------
    folder : pathlib.Path
        Receives `core.md`, `cohort.md` and so on.

    Returns
    -------
    list of str
        Names of the pages, without ending.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pages: dict[str, list[str]] = {name: [] for name in GROUPS}
    for path in _modules():
        pages[_group(path)].append(module_page(path))
    for name, sections in pages.items():
        title, summary = GROUPS[name]
        body = "\n\n".join([f"# {title}", summary, *sections])
        (folder / f"{name}.md").write_text(body + "\n", encoding="utf-8")
    return list(pages)


def module_page(path: Path) -> str:
    """Return the section of one module in MyST Markdown.

    Parameters
    ----------
    path : pathlib.Path
        A Python file of the package.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = _module_name(path)
    parts = [f"({reference_label(module)})=\n## `{module}`", _doc(tree)]
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_"):
            continue
        label = reference_label(f"{module}.{node.name}")
        parts.append(f"({label})=\n### `{node.name}`")
        parts.append(f"```python\n{_signature(node)}\n```")
        parts.append(_doc(node))
        if isinstance(node, ast.ClassDef):
            parts += _methods(node)
    return "\n\n".join(part for part in parts if part)


def _modules() -> list[Path]:
    def public(path: Path) -> bool:
        names = path.relative_to(_PACKAGE).with_suffix("").parts
        hidden = any(name.startswith("_") for name in names if name != "__init__")
        return not hidden and names[0] not in ("_data", "exercises")

    def has_content(path: Path) -> bool:
        return bool(path.read_text(encoding="utf-8").strip())

    def order(path: Path) -> tuple[int, str]:
        name = path.stem if path.parent == _PACKAGE else ""
        rank = CORE.index(name) if name in CORE else len(CORE)
        return rank, _module_name(path)

    found = [p for p in _PACKAGE.rglob("*.py") if public(p) and has_content(p)]
    return sorted(found, key=order)


def _group(path: Path) -> str:
    first = path.relative_to(_PACKAGE).parts[0]
    if path.parent == _PACKAGE:
        return "core" if path.stem in (*CORE, "__init__") else "running"
    folders = {
        "cohort": "cohort",
        "evaluation": "evaluation",
        "baselines": "evaluation",
        "related": "evaluation",
        "report": "report",
    }
    return folders.get(first, "running")


def _module_name(path: Path) -> str:
    parts = list(path.relative_to(_PACKAGE.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _signature(node: ast.FunctionDef | ast.ClassDef) -> str:
    if isinstance(node, ast.ClassDef):
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                arguments = ast.unparse(item.args)
                arguments = re.sub(r"^self(, )?", "", arguments)
                return _wrapped(f"class {node.name}({arguments})")
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    arguments = re.sub(r"^(self|cls)(, )?", "", ast.unparse(node.args))
    return _wrapped(f"{node.name}({arguments}){returns}")


def _wrapped(signature: str) -> str:
    """Break a long signature after its commas, outside of brackets."""
    if len(signature) <= 80:
        return signature
    opening = signature.index("(") + 1
    lines, depth, line = [signature[:opening]], 1, "    "
    for position, char in enumerate(signature[opening:], start=opening):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0:
            return "\n".join([*lines, f"{line},", signature[position:]])
        if char == "," and depth == 1:
            lines.append(f"{line},")
            line = "   "
        else:
            line += char
    return signature


def _methods(node: ast.ClassDef) -> list[str]:
    parts = []
    for item in node.body:
        if not isinstance(item, ast.FunctionDef) or item.name.startswith("_"):
            continue
        if ast.get_docstring(item) is None:
            continue
        parts += [f"```python\n{_signature(item)}\n```", _doc(item)]
    return parts


def _doc(node: ast.Module | ast.FunctionDef | ast.ClassDef) -> str:
    text = ast.get_docstring(node)
    return docstring_markdown(text) if text else ""


def docstring_markdown(text: str) -> str:
    """Return a numpydoc docstring as MyST Markdown.

    Parameters
    ----------
    text : str
        The docstring.
    """
    parts = []
    for title, lines in _sections(inspect.cleandoc(text)):
        body = "\n".join(lines).strip("\n")
        if not title:
            parts.append(_escape(body))
        elif title in _LISTS:
            parts.append(f"**{title}**\n\n{_entries(lines)}")
        elif title == "Examples":
            parts.append(f"**{title}**\n\n{_examples(body)}")
        else:
            parts.append(f"**{_escape(title)}**\n\n{_escape(body)}")
    return "\n\n".join(part for part in parts if part)


def _examples(body: str) -> str:
    """Code in fences, and the words between as words."""
    blocks = []
    for block in re.split(r"\n\s*\n", body):
        code = block.lstrip().startswith(">>>")
        blocks.append(f"```python\n{block}\n```" if code else _escape(block))
    return "\n\n".join(blocks)


def _sections(text: str) -> list[tuple[str, list[str]]]:
    sections: list[tuple[str, list[str]]] = [("", [])]
    lines = text.split("\n")
    skip = False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if skip:
            skip = False
        elif line.strip() and re.fullmatch(r"-{3,}", following.strip()):
            sections.append((line.strip(), []))
            skip = True
        else:
            sections[-1][1].append(line)
    return sections


def _entries(lines: list[str]) -> str:
    """Render `name : type` with indented text as a list."""
    entries: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.strip() and not line.startswith(" "):
            entries.append((line.strip(), []))
        elif line.strip() and entries:
            entries[-1][1].append(line.strip())
    rendered = []
    for head, text in entries:
        name, colon, kind = head.partition(" : ")
        first = f"`{name}`" if "`" not in name else _escape(name)
        first += f" ({_escape(kind)})" if colon else ""
        rest = _escape(" ".join(text))
        rendered.append(f"- {first}: {rest}" if rest else f"- {first}")
    return "\n".join(rendered)


def _escape(text: str) -> str:
    """Escape what Markdown would take for markup, code spans and bold excepted."""
    text = text.replace(":math:`", "{math}`")
    pieces = re.split(r"((?:\{math\})?``?[^`]+``?|\*\*[\w ,.-]+\*\*)", text)
    return "".join(
        piece if index % 2 else _SPECIAL.sub(r"\\\1", piece)
        for index, piece in enumerate(pieces)
    )
