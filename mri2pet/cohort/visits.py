"""What a BIDS dataset knows of people and sessions, as users really write it down.

Tables come with tabs or commas, with or without a byte order mark, with other names
for columns, with n/a. What cannot be understood is left out and listed.
"""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

VISITS = ["age", "sex", "education", "apoe_e4", "diagnosis", "mmse"]
MMSE_RANGE = (0, 30)
Skipped = list[tuple[str, str]]
_MISSING = ["n/a", "N/A", "NA", "nan", ""]
_SPELLINGS = {
    "participant": "participant_id",
    "subject_id": "participant_id",
    "gender": "sex",
    "dx": "diagnosis",
    "diagnosis_group": "diagnosis",
    "mmscore": "mmse",
    "apoe": "apoe_e4",
    "apoe4": "apoe_e4",
    "educ": "education",
    "years_of_education": "education",
}
_DIAGNOSES = {
    **dict.fromkeys(("cn", "nc", "hc", "control", "normal", "smc"), "CN"),
    **dict.fromkeys(("mci", "emci", "lmci"), "MCI"),
    **dict.fromkeys(("ad", "dementia", "alzheimer"), "AD"),
}


def read_table(path: Path) -> pd.DataFrame:
    """Read a table as users really have them: tabs or commas, with or without a BOM.

    Raises
    ------
    ValueError
        Not readable as a table.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ValueError(f"{path}: cannot be read ({reason})") from None
    lines = text.splitlines()
    if not lines:
        raise ValueError(f"{path}: empty")
    separator = "\t" if "\t" in lines[0] else ";" if ";" in lines[0] else ","
    try:
        frame = pd.read_csv(
            StringIO(text),
            sep=separator,
            dtype=str,
            na_values=_MISSING,
            keep_default_na=False,
            skipinitialspace=True,
        )
    except (pd.errors.ParserError, ValueError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ValueError(f"{path}: not a table ({reason})") from None
    names = [str(c).strip().lower().replace(" ", "_") for c in frame.columns]
    frame.columns = [_SPELLINGS.get(name, name) for name in names]
    return frame.loc[:, ~frame.columns.duplicated()]


def read_visits(root: Path, images: pd.DataFrame, skipped: Skipped) -> pd.DataFrame:
    """Collect what is known of the sessions of everybody who has an image.

    Parameters
    ----------
    root : Path
    images : DataFrame
        With participant_id and session_id.
    skipped : list
        Gets a (place, reason) for all that is not understood.

    Returns
    -------
    DataFrame
        By (participant_id, session_id): days, age, sex, education, apoe_e4, diagnosis,
        mmse. A session's own values go before those of participants.tsv.
    """
    people: dict[str, dict] = {}
    for name in ("participants.tsv", "participants.csv"):
        table = _table_or_none(root / name, "participant_id", skipped)
        if table is not None:
            people = _by(table, "participant_id", "sub-")
            break
    rows = []
    for person, own in images.groupby("participant_id", sort=True):
        table = _table_or_none(
            root / person / f"{person}_sessions.tsv", "session_id", skipped
        )
        known = {} if table is None else _by(table, "session_id", "ses-")
        names = sorted(set(own["session_id"]) | set(known))
        days = _days(names, known)
        for name in names:
            line = {**people.get(person, {}), **known.get(name, {})}
            about = {"participant_id": person, "session_id": name, "days": days[name]}
            rows.append(about | _clean(line, f"{person} {name}".strip(), skipped))
    frame = pd.DataFrame(rows).reindex(
        columns=["participant_id", "session_id", "days", *VISITS]
    )
    return frame.set_index(["participant_id", "session_id"])


def _by(table: pd.DataFrame, key: str, prefix: str) -> dict[str, dict]:
    """Lines of a table by their label, the first of equal ones; without the unknown."""
    found: dict[str, dict] = {}
    for line in table.to_dict("records"):
        name = line.pop(key)
        if isinstance(name, str):
            label = name if name.startswith(prefix) else prefix + name
            known = {k: v for k, v in line.items() if isinstance(v, str)}
            found.setdefault(label, known)
    return found


def _table_or_none(path: Path, key: str, skipped: Skipped) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    try:
        frame = read_table(path)
    except ValueError as error:
        skipped.append((str(path), str(error).split(": ", 1)[1]))
        return None
    if key not in frame:
        skipped.append((str(path), f"has no column {key}"))
        return None
    return frame


def _days(names: list[str], known: dict[str, dict]) -> dict[str, float]:
    """Days of each session: a column, dates, or months in the session's label."""
    found = dict.fromkeys(names, np.nan)
    dated = {}
    for name in names:
        line = known.get(name, {})
        label = re.fullmatch(r"ses-(?:M|m)(\d{1,4})", name)
        when = pd.to_datetime(line.get("acq_time"), errors="coerce", utc=True)
        if "days" in line:
            found[name] = pd.to_numeric(line["days"], errors="coerce")
        elif pd.notna(when):
            dated[name] = when
        elif label:
            found[name] = round(int(label[1]) * 365.25 / 12)
    if dated:
        first = min(dated.values())
        for name, when in dated.items():
            found[name] = float((when - first).days)
    if len(names) == 1 and np.isnan(found[names[0]]):
        found[names[0]] = 0.0
    return found


def _clean(line: dict, where: str, skipped: Skipped) -> dict:
    """Values as numbers and known words; what cannot be is left out and listed."""
    found = {}
    for column in ("age", "education", "apoe_e4", "mmse"):
        value = pd.to_numeric(line.get(column), errors="coerce")
        found[column] = value
        if column in line and pd.isna(value):
            skipped.append((where, f"{column} {line[column]!r} is no number"))
    low, high = MMSE_RANGE
    if pd.notna(found["mmse"]) and not low <= found["mmse"] <= high:
        skipped.append((where, f"MMSE {found['mmse']:g} is not in {low}..{high}"))
        found["mmse"] = np.nan
    sex = str(line.get("sex", "")).strip().lower()[:1]
    found["sex"] = {"f": "F", "w": "F", "m": "M"}.get(sex)
    said = line.get("diagnosis")
    found["diagnosis"] = None
    if said is not None:
        found["diagnosis"] = _DIAGNOSES.get(str(said).strip().lower())
        if found["diagnosis"] is None:
            skipped.append((where, f"diagnosis {said!r} is not CN, MCI or AD"))
    return found
