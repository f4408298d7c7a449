"""The page about the quality of a prepared dataset: `qc/index.html` in its store."""

from __future__ import annotations

from html import escape
from pathlib import Path

import pandas as pd

from mri2pet.cohort.building import write_whole
from mri2pet.cohort.qc import RULES, VERDICTS

_STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto;
       padding: 0 1rem; color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; } th, td { padding: .3rem .6rem; text-align: left;
border-bottom: 1px solid #ccc; vertical-align: top; }
.pass { color: #176b2f; } .look { color: #8a4500; } .fail { color: #a01020; }
img { max-width: 100%; height: auto; } figure { margin: 2rem 0; }
"""


def write_quality_page(store_path: str | Path) -> Path:
    """Write the page of a prepared store from its `qc.tsv` and `left_out.tsv`.

    Parameters
    ----------
    store_path : str or Path

    Returns
    -------
    Path
        Of the page, ``qc/index.html``.

    Raises
    ------
    ValueError
        The store was not made from raw scans.
    """
    root = Path(store_path)
    if not (root / "qc.tsv").is_file():
        raise ValueError(f"{root}: has no qc.tsv; it was not made by `mri2pet prepare`")
    table = pd.read_csv(root / "qc.tsv", sep="\t", index_col=0)
    left_out = pd.read_csv(root / "left_out.tsv", sep="\t", keep_default_na=False)
    page = root / "qc" / "index.html"
    page.parent.mkdir(exist_ok=True)
    write_whole(page, _page(root, table, left_out))
    return page


def summary_lines(store_path: str | Path) -> list[str]:
    """Say how many scans passed, and list what was left out."""
    root = Path(store_path)
    table = pd.read_csv(root / "qc.tsv", sep="\t", index_col=0)
    left_out = pd.read_csv(root / "left_out.tsv", sep="\t", keep_default_na=False)
    lines = []
    for kind, name in (("t1", "T1"), ("pet", "PET")):
        counts = _verdicts(table, kind).value_counts()
        said = ", ".join(f"{counts.get(v, 0)} {v}" for v in VERDICTS)
        lines.append(f"{name}: {said}")
    lines += [f"left out: {r.path}: {r.reason}" for r in left_out.itertuples()]
    return lines


def _verdicts(table: pd.DataFrame, kind: str) -> pd.Series:
    column = f"{kind}_verdict"
    return table[column].dropna() if column in table else pd.Series(dtype=object)


def _page(root: Path, table: pd.DataFrame, left_out: pd.DataFrame) -> str:
    worst = {v: i for i, v in enumerate(reversed(VERDICTS))}
    order = sorted(
        table.index,
        key=lambda s: min(
            worst.get(table.at[s, c], 9)
            for c in ("t1_verdict", "pet_verdict")
            if c in table
        ),
    )
    rows = "\n".join(_row(table, scan) for scan in order)
    pictures = "\n".join(_picture(root, table, scan) for scan in order)
    gone = "\n".join(
        f"<tr><td>{escape(r.path)}</td><td>{escape(r.reason)}</td></tr>"
        for r in left_out.itertuples()
    )
    rules = "\n".join(f"<tr>{_rule_cells(rule)}</tr>" for rule in RULES)
    summary = escape("; ".join(summary_lines(root)[:2]))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<title>Quality of {escape(root.name)}</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>
<main><h1>Quality of {escape(root.name)}</h1><p>{summary}. The worst come first.
<em>fail</em> is left out of the store; at <em>look</em> somebody should look.</p>
<h2>Scans</h2><table><thead><tr><th>scan</th><th>T1</th><th>PET</th><th>why</th></tr>
</thead><tbody>{rows}</tbody></table>
<h2>Left out</h2><table><thead><tr><th>what</th><th>why</th></tr></thead>
<tbody>{gone}</tbody></table>
<h2>Rules</h2><table><thead><tr><th>number</th><th>passes</th><th>is left out</th></tr>
</thead><tbody>{rules}</tbody></table>
<h2>Pictures</h2>{pictures}</main></body></html>
"""


def _row(table: pd.DataFrame, scan: str) -> str:
    cells = [f'<a href="#{escape(scan)}">{escape(scan)}</a>']
    why = []
    for kind in ("t1", "pet"):
        verdict = (
            table.at[scan, f"{kind}_verdict"] if f"{kind}_verdict" in table else ""
        )
        verdict = verdict if isinstance(verdict, str) else "none"
        cells.append(f'<span class="{verdict}">{verdict}</span>')
        reasons = (
            table.at[scan, f"{kind}_reasons"] if f"{kind}_reasons" in table else ""
        )
        if isinstance(reasons, str) and reasons:
            why.append(reasons)
    cells.append(escape("; ".join(why)))
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _picture(root: Path, table: pd.DataFrame, scan: str) -> str:
    if not (root / "qc" / f"{scan}.png").is_file():
        return ""
    name = escape(scan)
    verdict = table.at[scan, "t1_verdict"]
    alt = (
        f"{name}: T1 with the outline of its brain mask, prepared MRI with the PET "
        "over it, PET before and after motion correction, histograms. "
        f"T1 verdict {verdict}."
    )
    return (
        f'<figure id="{name}"><img src="{name}.png" alt="{alt}" loading="lazy">'
        f"<figcaption>{name}</figcaption></figure>"
    )


def _rule_cells(rule: dict) -> str:
    def limits(low, high, joined):
        parts = [f"from {low:g}"] if low is not None else []
        parts += [f"to {high:g}"] if high is not None else []
        return joined.join(parts) or "never"

    low, high = rule["fail"]
    out = [f"below {low:g}"] if low is not None else []
    out += [f"above {high:g}"] if high is not None else []
    cells = [rule["name"], limits(*rule["look"], " "), " or ".join(out) or "never"]
    return "".join(f"<td>{escape(c)}</td>" for c in cells)
