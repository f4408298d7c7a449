"""Does a run still give the expected results? Regenerated, expected, published.

The expected results of a profile are the tidy tables committed under
`data/expected/<profile>/`. A regenerated value may differ by a tolerance per kind of
metric (`data/expected/tolerances.yaml`); a line that is missing or new, another number
of people, or a value that is no longer finite is drift too.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import yaml

from mri2pet import paths
from mri2pet.evaluation.scoring import COLUMNS, KEY

if TYPE_CHECKING:
    from mri2pet.run import Run

# A value may stand twice: with its spread over people, and over trainings.
_KEY = [*KEY, "interval"]
_EXACT = ("n", "k")
_SAME, _DRIFT, _MISSING, _EXTRA = "ok", "drift", "missing", "new"
_REPORT = [
    *("artifact", *_KEY, "regenerated", "expected", "published", "difference"),
    *("tolerance", "status", "what"),
]


def load_tolerances(path: Path | None = None) -> dict:
    """Read the tolerances.

    Raises
    ------
    ValueError
        If a tolerance lacks a part or is negative.
    """
    path = paths.data_dir() / "expected" / "tolerances.yaml" if path is None else path
    content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    for name, part in {**content["metrics"], "default": content["default"]}.items():
        if set(part) != {"absolute", "relative"} or min(part.values()) < 0:
            raise ValueError(f"{path}: {name}: {part}, expected absolute and relative")
    return content


def tolerance(tolerances: dict, metric: str, expected: float) -> float:
    """Largest accepted difference for a value of this metric."""
    part = tolerances["metrics"].get(metric, tolerances["default"])
    return part["absolute"] + part["relative"] * abs(expected)


def read_tidy(path: Path) -> pd.DataFrame:
    """Read a tidy results file.

    Raises
    ------
    ValueError
        If it lacks a column or holds a line twice.
    """
    frame = pd.read_csv(path, keep_default_na=False, na_values=["NA", "nan"])
    missing = [c for c in COLUMNS if c not in frame]
    if missing:
        raise ValueError(f"{path}: columns {missing} are missing")
    frame[_KEY] = frame[_KEY].fillna("").astype(str)
    twice = frame.duplicated(_KEY)
    if twice.any():
        raise ValueError(f"{path}: {tuple(frame[twice].iloc[0][_KEY])} stands twice")
    return frame


def _is_tidy(path: Path) -> bool:
    header = path.read_text(encoding="utf-8").splitlines()[:1]
    return bool(header) and set(COLUMNS) <= set(header[0].split(","))


def compare(
    results_dir: Path, expected_dir: Path, tolerances: dict | None = None
) -> tuple[pd.DataFrame, bool]:
    """Compare the tidy tables of a run with the expected ones.

    Parameters
    ----------
    results_dir, expected_dir : Path
        Folders of CSV files. Every tidy file among the expected ones is compared; a
        file that the run made beyond those is not.
    tolerances : dict, optional
        As `load_tolerances` gives them.

    Returns
    -------
    report : DataFrame
        One line per result: key, regenerated, expected, published, difference,
        tolerance, status ("ok", "drift", "missing", "new") and what differs.
    ok : bool

    Raises
    ------
    ValueError
        If there is nothing to compare with, or a file is not readable.
    """
    tolerances = load_tolerances() if tolerances is None else tolerances
    results_dir, expected_dir = Path(results_dir), Path(expected_dir)
    files = [p for p in sorted(expected_dir.glob("*.csv")) if _is_tidy(p)]
    if not files:
        raise ValueError(f"{expected_dir}: no expected results to compare with")
    lines: list[dict] = []
    for path in files:
        lines += _compare_file(results_dir / path.name, path, tolerances)
    report = pd.DataFrame(lines, columns=_REPORT)
    return report, bool((report["status"] == _SAME).all())


def _compare_file(result: Path, expected: Path, tolerances: dict) -> list[dict]:
    theirs = read_tidy(expected).set_index(_KEY)
    if not result.is_file():
        empty = dict.fromkeys(_REPORT, "")
        what = f"{result.name} was not made"
        return [{**empty, "artifact": result.stem, "status": _MISSING, "what": what}]
    mine = read_tidy(result).set_index(_KEY)
    lines = []
    for key, old in theirs.iterrows():
        new = mine.loc[key] if key in mine.index else None
        lines.append(_compare_line(result.stem, key, new, old, tolerances))
    lines += [
        _compare_line(result.stem, key, mine.loc[key], None, tolerances)
        for key in mine.index.difference(theirs.index, sort=False)
    ]
    return lines


def _compare_line(artifact, key, new, old, tolerances) -> dict:
    nan = float("nan")
    known = dict(zip(_KEY, key, strict=True))
    line = {"artifact": artifact, **known, "difference": nan, "tolerance": nan}
    line["regenerated"] = nan if new is None else new["value"]
    line["expected"] = nan if old is None else old["value"]
    line["published"] = (old if new is None else new)["published"]
    if new is None or old is None:
        status = _MISSING if new is None else _EXTRA
        return {**line, "status": status, "what": f"line is {status}"}
    factor = tolerances["interval_factor"]
    allowed = tolerance(tolerances, known["metric"], old["value"])
    if known["comparison"]:  # both sides of a difference may move
        allowed *= factor
    line["difference"] = new["value"] - old["value"]
    line["tolerance"] = allowed
    wrong = [c for c in _EXACT if str(new[c]) != str(old[c])]
    for column, limit in (("value", 1.0), ("low", factor), ("high", factor)):
        a, b = float(new[column]), float(old[column])
        if math.isnan(a) and math.isnan(b):
            continue
        if column != "value" and known["interval"] == "seeds":
            # Student's interval of few trainings magnifies what a rounding does.
            wrong += [] if math.isfinite(a) and math.isfinite(b) else [column]
        elif not abs(a - b) <= limit * allowed:
            wrong.append(column)
    if not _same_number(new["published"], old["published"]):
        wrong.append("published")
    status = _DRIFT if wrong else _SAME
    return {**line, "status": status, "what": ", ".join(wrong)}


def _same_number(a, b) -> bool:
    a, b = (np.nan if v == "" else float(v) for v in (a, b))
    return a == b or (np.isnan(a) and np.isnan(b))


def summary(report: pd.DataFrame) -> str:
    """One line: how many results agree, how many do not."""
    counts = report["status"].value_counts()
    parts = [f"{counts.get(s, 0)} {s}" for s in (_SAME, _DRIFT, _MISSING, _EXTRA)]
    return f"{len(report)} results: {', '.join(parts)}"


def _show(value) -> str:
    if isinstance(value, str):
        return value
    return "" if pd.isna(value) else f"{value:.4g}"


def to_markdown(report: pd.DataFrame, title: str) -> str:
    """The report as a Markdown page: what drifted first, then all values."""
    head = ["artifact", *_KEY]
    columns = [*head, *_REPORT[len(head) :]]
    ordered = report.assign(bad=report["status"] == _SAME).sort_values(
        ["bad", "artifact"], kind="stable"
    )
    lines = [f"# {title}", "", summary(report), ""]
    lines.append("| " + " | ".join(columns) + " |")
    lines.append("|" + " --- |" * len(columns))
    lines += [
        "| " + " | ".join(_show(v) for v in row) + " |"
        for row in ordered[columns].itertuples(index=False)
    ]
    return "\n".join(lines) + "\n"


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #111;
       background: #fff }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
caption { text-align: left; padding: .5rem 0 }
th, td { border-bottom: 1px solid #bbb; padding: .2rem .6rem; text-align: left }
td.number { text-align: right }
tr.bad { background: #fde7e7 }
"""


def to_html(report: pd.DataFrame, title: str) -> str:
    """The report as one HTML page without any outside resource."""
    columns = list(_REPORT)
    ordered = report.assign(bad=report["status"] == _SAME).sort_values(
        ["bad", "artifact"], kind="stable"
    )
    rows = []
    for row in ordered[columns].itertuples(index=False):
        cells = "".join(
            f"<td>{html.escape(v)}</td>"
            if isinstance(v, str)
            else f'<td class="number">{_show(v)}</td>'
            for v in row
        )
        bad = "" if row.status == _SAME else ' class="bad"'
        rows.append(f"<tr{bad}>{cells}</tr>")
    head = "".join(f'<th scope="col">{c}</th>' for c in columns)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{html.escape(title)}</h1>\n<table><caption>"
        f"{html.escape(summary(report))}. Lines that do not agree come first."
        f"</caption><thead><tr>{head}</tr></thead>\n<tbody>"
        + "\n".join(rows)
        + "</tbody></table></body></html>\n"
    )


def check_run(
    run: Run,
    expected_dir: Path | None = None,
    *,
    say: Callable[[str], None] = print,
) -> bool:
    """Compare a run with its profile's expected results and write the report.

    Writes `report/drift.html` and `report/drift.md` into the run, and says in one line
    each how many results agree and which do not.

    Parameters
    ----------
    run : Run
    expected_dir : Path, optional
        Default: `data/expected/<profile>`.
    say : callable
        Receives the lines.

    Returns
    -------
    bool
        True if everything agrees.
    """
    name = run.profile.name
    if expected_dir is None:
        expected_dir = paths.data_dir() / "expected" / name
    report, ok = compare(Path(run.path) / "results", Path(expected_dir))
    folder = Path(run.path) / "report"
    folder.mkdir(parents=True, exist_ok=True)
    title = f"Results of profile {name}: regenerated, expected, published"
    for file, text in (
        ("drift.html", to_html(report, title)),
        ("drift.md", to_markdown(report, title)),
    ):
        partial = folder / f"{file}.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(folder / file)
    say(f"{summary(report)}; report: {folder / 'drift.html'}")
    bad = report[report["status"] != _SAME]
    for line in bad.head(20).to_dict("records"):
        key = " ".join(str(line[c]) for c in _KEY if line[c])
        say(
            f"  {line['status']}: {line['artifact']} {key} ({line['what']}): "
            f"regenerated {_show(line['regenerated'])}, "
            f"expected {_show(line['expected'])}"
        )
    if len(bad) > 20:
        say(f"  and {len(bad) - 20} more, in the report")
    return ok
