"""Read an ADNI download: folders of images as the archive packs them, and its tables.

The archive unpacks to ``PTID/Series_Description/2011-03-01_10_22_33.0/I123456/`` with
NIfTI or DICOM files in the last folder. Diagnoses, scores and demographics come as CSV
tables of their own, whose columns are found by name; none is needed.

The result is the same `Dataset` that `mri2pet.cohort.bids` gives.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from mri2pet.cohort.bids import IMAGES, SKIPPED, Dataset, one_each
from mri2pet.cohort.visits import MMSE_RANGE, VISITS, read_table

_PTID = re.compile(r"^\d{3}_S_\d{4,5}$")
_DATE = re.compile(r"^(\d{4}-\d{2}-\d{2})_\d{2}_\d{2}_\d{2}")
_T1 = re.compile(r"mp-?rage|ir-?f?spgr|fspgr|\bt1\b|t1w|t1_", re.IGNORECASE)
_PET = re.compile(r"av-?45|florbetapir|amyvid", re.IGNORECASE)
_OTHER_PET = re.compile(
    r"fdg|pib|av-?1451|tau|flortaucipir|fbb|florbetaben", re.IGNORECASE
)
# Columns in the tables, in lower case, in the order in which they are looked for.
_PERSON = ("ptid", "subject", "subject_id", "participant_id")
_WHEN = ("examdate", "visdate", "userdate", "date")
_DIAGNOSIS = ("diagnosis", "dxcurren", "dx", "dxchange")
# As in the column DIAGNOSIS of DXSUM.
_CODES = {
    **dict.fromkeys(("1", "cn", "nl", "smc", "control"), "CN"),
    **dict.fromkeys(("2", "mci", "emci", "lmci"), "MCI"),
    **dict.fromkeys(("3", "ad", "dementia"), "AD"),
}
# 1-3 stable, 4-6 conversions to MCI or AD, 7-9 reversions.
_CHANGES = {"1": "CN", "2": "MCI", "3": "AD", "4": "MCI", "5": "AD", "6": "AD"}
_CHANGES |= {"7": "CN", "8": "MCI", "9": "CN"}


def read_adni(
    path: str | Path,
    tables: str | Path | None = None,
) -> Dataset:
    """Index an ADNI download folder.

    Parameters
    ----------
    path : str or Path
        Folder that holds folders named by PTID, or one level above it.
    tables : str or Path, optional
        Folder of the CSV tables; by default all CSV files in ``path``.

    Returns
    -------
    Dataset
        Images are NIfTI files, or folders of DICOM files, which
        `mri2pet.cohort.convert.nifti_of` turns into NIfTI. Participants get BIDS ids
        (``sub-002S0295``), sessions the date (``ses-20110301``).

    Raises
    ------
    ValueError
        No such folder, or no T1 in it.
    """
    root = Path(path)
    if not root.is_dir():
        raise ValueError(f"{root}: there is no such folder; expected an ADNI download")
    people = sorted(p for p in root.iterdir() if _PTID.match(p.name) and p.is_dir())
    if not people:
        people = sorted(
            p for p in root.glob("*/*") if _PTID.match(p.name) and p.is_dir()
        )
    skipped: list[tuple[str, str]] = []
    lines = [line for person in people for line in _images(root, person, skipped)]
    columns = [c for c in IMAGES if c != "days"] + ["date"]
    images = pd.DataFrame(lines, columns=columns)
    if "mri" not in set(images["kind"]):
        raise ValueError(
            f"{root}: no T1 series under PTID/series/date/image; is it an ADNI "
            "download?"
        )
    images, doubles = one_each(images)
    skipped += doubles
    dates = pd.to_datetime(images["date"])
    first = dates.groupby(images["participant_id"]).transform("min")
    images["days"] = (dates - first).dt.days.astype(float)
    known = _known(Path(tables) if tables else root, skipped)
    visits = _visits(images.assign(when=dates), first, known)
    images = images[IMAGES].sort_values("image", kind="stable", ignore_index=True)
    return Dataset(root, images, visits, pd.DataFrame(sorted(skipped), columns=SKIPPED))


def is_adni(path: str | Path) -> bool:
    """Whether a folder, or one below it, has folders that are named by PTID."""
    root = Path(path)
    return any(_PTID.match(p.name) for p in [*root.glob("*"), *root.glob("*/*")])


def bids_id(ptid: str) -> str:
    """BIDS label of an ADNI person.

    Examples
    --------
    >>> bids_id("002_S_0295")
    'sub-002S0295'
    """
    return "sub-" + ptid.replace("_", "")


def _images(root: Path, person: Path, skipped) -> Iterator[tuple]:
    for series in sorted(p for p in person.iterdir() if p.is_dir()):
        kind = _kind(series.name)
        for day in sorted(p for p in series.iterdir() if p.is_dir()):
            relative = str(day.relative_to(root))
            date = _DATE.match(day.name)
            if kind is None:
                skipped.append((relative, f"series {series.name} is no T1 and no AV45"))
            elif date is None:
                skipped.append((relative, "its folder does not begin with a date"))
            else:
                yield from _files(root, person, day, kind, date[1], skipped)


def _files(root, person, day, kind, date, skipped):
    found = False
    for folder in sorted(p for p in day.iterdir() if p.is_dir()):
        names = sorted(entry.name for entry in os.scandir(folder))
        nifti = [n for n in names if n.endswith((".nii", ".nii.gz"))]
        dicom = [n for n in names if n.lower().endswith((".dcm", ".ima"))]
        if not nifti and not dicom:
            continue
        found = True
        path = folder / nifti[0] if nifti else folder
        session = "ses-" + date.replace("-", "")
        yield (
            *(str(path.relative_to(root)), str(path), bids_id(person.name), session),
            *(kind, "AV45" if kind == "pet" else "", folder.name, "", date),
        )
    if not found:
        relative = str(day.relative_to(root))
        skipped.append((relative, "holds neither NIfTI nor DICOM files"))


def _kind(series: str) -> str | None:
    text = series.replace("_", " ")
    if _PET.search(text) and not _OTHER_PET.search(re.sub(_PET, "", text)):
        return "pet"
    return "mri" if _T1.search(text) and not _OTHER_PET.search(text) else None


def _known(folder: Path, skipped) -> pd.DataFrame:
    """Everything the tables say: person, date (or none), column, value."""
    lines = []
    for path in sorted(folder.glob("*.csv")):
        try:
            table = read_table(path)
        except ValueError as error:
            skipped.append((path.name, str(error).split(": ", 1)[1]))
            continue
        person = _first(table, _PERSON)
        if person is None:
            skipped.append((path.name, f"has none of the columns {', '.join(_PERSON)}"))
            continue
        when = _first(table, _WHEN)
        for line in table.to_dict("records"):
            if not isinstance(line[person], str):
                continue
            day = pd.to_datetime(line.get(when), errors="coerce") if when else pd.NaT
            for column, value in _values(line).items():
                lines.append((bids_id(line[person]), day, column, value))
    return pd.DataFrame(lines, columns=["participant_id", "when", "column", "value"])


def _first(table: pd.DataFrame, names) -> str | None:
    return next((name for name in names if name in table), None)


def _values(line: dict) -> dict[str, object]:
    """What one line of any table says, in our terms."""
    found: dict[str, object] = {}
    for name in _DIAGNOSIS:
        if isinstance(line.get(name), str):
            code = line[name].strip().lower().removesuffix(".0")
            diagnosis = (_CHANGES if name == "dxchange" else _CODES).get(code)
            if diagnosis:
                found["diagnosis"] = diagnosis
                break
    score = pd.to_numeric(line.get("mmse", line.get("mmscore")), errors="coerce")
    if pd.notna(score) and MMSE_RANGE[0] <= score <= MMSE_RANGE[1]:
        found["mmse"] = float(score)  # unknown scores are coded -1
    sex = str(line.get("ptgender", line.get("sex", ""))).strip().lower()
    code = {"1": "M", "2": "F", "male": "M", "female": "F", "m": "M", "f": "F"}
    if sex.removesuffix(".0") in code:
        found["sex"] = code[sex.removesuffix(".0")]
    for column, names in (
        ("education", ("pteducat", "education")),
        ("born", ("ptdobyy", "ptdob")),
    ):
        value = next((line[n] for n in names if isinstance(line.get(n), str)), None)
        number = pd.to_numeric(str(value)[-4:] if column == "born" else value, "coerce")
        if value is not None and pd.notna(number) and number > 0:
            found[column] = float(number)
    alleles = [line.get("apgen1"), line.get("apgen2")]
    if isinstance(line.get("genotype"), str):
        alleles = line["genotype"].split("/")
    if all(isinstance(a, str) and a.strip() in {"2", "3", "4"} for a in alleles):
        found["apoe_e4"] = float(sum(a.strip() == "4" for a in alleles))
    return found


def _visits(images: pd.DataFrame, first: pd.Series, known: pd.DataFrame):
    """Sessions with images, and the dated visits of the tables between them."""
    start = dict(zip(images["participant_id"], first, strict=True))
    known = known[known["participant_id"].isin(start)]
    of = dict(tuple(known.groupby("participant_id")))
    rows = []
    for person, own in images.groupby("participant_id", sort=True):
        said = of.get(person, known.iloc[:0])
        fixed = said.drop_duplicates("column").set_index("column")["value"].to_dict()
        dated = said[said["column"].isin(["diagnosis", "mmse"]) & said["when"].notna()]
        days = {when: {} for when in sorted({*own["when"], *dated["when"]})}
        for line in dated.itertuples():
            days[line.when].setdefault(line.column, line.value)
        for when, values in days.items():
            row = {
                "participant_id": person,
                "session_id": f"ses-{when:%Y%m%d}",
                "days": float((when - start[person]).days),
                "age": when.year - fixed["born"] if "born" in fixed else np.nan,
                **{k: fixed.get(k) for k in ("sex", "education", "apoe_e4")},
                **{k: values.get(k) for k in ("diagnosis", "mmse")},
            }
            rows.append(row)
    frame = pd.DataFrame(rows).reindex(
        columns=["participant_id", "session_id", "days", *VISITS]
    )
    frame["mmse"] = frame["mmse"].astype(float)
    return frame.set_index(["participant_id", "session_id"])
