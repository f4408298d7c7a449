"""Text in the two forms that a chapter shows: MyST Markdown and HTML.

Nothing here knows of a run or a notebook: text goes in, text comes out.
"""

from __future__ import annotations

import ast
import html
import math
import re
from numbers import Integral, Real
from typing import Any


def table_markdown(
    name: str,
    caption: str,
    columns: list[str],
    cells: list[list[str]],
    numeric: list[bool],
) -> str:
    """Return a numbered table in MyST, with its caption.

    Parameters
    ----------
    name : str
        Label for ``{numref}``.
    caption : str
    columns : list of str
    cells : list of list of str
        One list a line.
    numeric : list of bool
        Columns that are set to the right.
    """

    def row(values: list[str]) -> str:
        return "| " + " | ".join(v.replace("|", "\\|") for v in values) + " |"

    rule = ["---:" if right else ":---" for right in numeric]
    body = "\n".join([row(columns), row(rule), *(row(line) for line in cells)])
    # After a fence of backticks the caption could not hold `code`.
    return f"~~~{{table}} {caption}\n:name: {name}\n\n{body}\n~~~"


def table_html(
    caption: str, columns: list[str], cells: list[list[str]], numeric: list[bool]
) -> str:
    """Return the same table in HTML; parameters as in `table_markdown`."""
    style = [' style="text-align:right"' if right else "" for right in numeric]
    head = "".join(
        f'<th scope="col"{s}>{inline_html(c)}</th>'
        for c, s in zip(columns, style, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{s}>{inline_html(v)}</td>" for v, s in zip(line, style, strict=True)
        )
        + "</tr>"
        for line in cells
    )
    return (
        f"<table><caption>{inline_html(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def cell_text(value: Any, floatfmt: str) -> str:
    """Return a value as a cell shows it; a missing one is empty.

    Examples
    --------
    >>> cell_text(0.25, ".1f"), cell_text(3, ".1f"), cell_text(float("nan"), ".1f")
    ('0.2', '3', '')
    """
    if value is None or (isinstance(value, Real) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, Real):
        missing = type(value).__name__ in ("NAType", "NaTType")
        return "" if missing else " ".join(str(value).split())
    return str(int(value)) if isinstance(value, Integral) else format(value, floatfmt)


def is_plain(index: Any) -> bool:
    """Whether an index is 0, 1, 2... and says nothing to a reader."""
    return list(index) == list(range(len(index)))


def inline_html(text: str) -> str:
    """Return HTML for the little Markdown that captions and cells use."""
    text = html.escape(text)
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    text = re.sub(r"(?<![*\w])\*([^*\s][^*]*)\*", r"<i>\1</i>", text)
    return re.sub(r"(?<!\})`([^`]+)`", r"<code>\1</code>", text)


def simple_html(text: str) -> str:
    """Return paragraphs of HTML for paragraphs of that Markdown."""
    return "".join(f"<p>{inline_html(p)}</p>" for p in text.split("\n\n"))


def highlighted(source: str) -> str:
    """Return Python source as coloured HTML."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return highlight(source, PythonLexer(), HtmlFormatter(noclasses=True))


def without_sections(source: str) -> str:
    """Cut each docstring before its first section (Parameters, Returns...)."""
    lines = source.split("\n")
    documented = ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef | ast.Module
    nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, documented)]
    found = [n.body[0] for n in nodes if ast.get_docstring(n) is not None]
    for node in sorted(found, key=lambda n: -n.lineno):
        first, last = node.lineno - 1, node.end_lineno
        text = lines[first:last]
        rule = next(
            (i for i, s in enumerate(text) if re.fullmatch(r" *-{3,}", s)), None
        )
        if rule is None:
            continue
        kept = text[: rule - 1]
        while not kept[-1].strip():
            kept.pop()
        if len(kept) == 1:
            kept[0] += '"""'
        else:
            kept.append(" " * node.col_offset + '"""')
        lines[first:last] = kept
    return "\n".join(lines)


def reference_label(qualified_name: str) -> str:
    """Return the label of an object in the API reference.

    Examples
    --------
    >>> reference_label("mri2pet.loss.laplacian_loss")
    'api-mri2pet-loss-laplacian-loss'
    >>> reference_label("mri2pet.run.Run")
    'api-mri2pet-run-run-class'
    """
    label = "api-" + re.sub(r"[._]+", "-", qualified_name).strip("-")
    # Labels have no capitals, so a class must differ from a function otherwise.
    return label.lower() + ("-class" if label.split("-")[-1][0].isupper() else "")
