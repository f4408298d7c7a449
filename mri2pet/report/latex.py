"""A table of the book as LaTeX, for a paper to include."""

from __future__ import annotations

import pandas as pd

_LATEX = {
    "\\": r"\textbackslash{}",
    **{c: rf"\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _escape(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in str(text))


def to_latex(wide: pd.DataFrame, caption: str = "", label: str = "") -> str:
    """A presentation table as a LaTeX ``table`` with booktabs rules."""
    body = [
        " & ".join(_escape(v) for v in line) + r" \\"
        for line in wide.itertuples(index=False)
    ]
    text = min(2, wide.shape[1])
    columns = "l" * text + "r" * (wide.shape[1] - text)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escape(caption)}}}" if caption else "",
        rf"\label{{{label}}}" if label else "",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(_escape(c) for c in wide.columns) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(line for line in lines if line) + "\n"
