"""The committed study: results of one long run, named and dated.

Small budgets cannot judge the paper's claims, and no reader should have to compute for
hours. So the tables of one run of the profile `study` are kept in
`data/expected/study/`, with what made them. The book shows them as that run, never
among the numbers of the reader's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mri2pet import paths, provenance
from mri2pet.artifacts import write_text

if TYPE_CHECKING:
    from mri2pet.run import Run

TABLES = (
    *("learning_curves", "table1", "table1_tests", "table1_notes", "chance"),
    *("figure3", "figure3_people", "certainty", "certainty_tests"),
    *("table2", "table2_tests", "table3", "table3_tests", "agreement"),
)


@dataclass(frozen=True)
class Study:
    """Tables of the committed run, by name, and what made them."""

    tables: dict[str, pd.DataFrame]
    provenance: dict[str, Any]

    def name(self) -> str:
        """One line for captions: which run this is, on what, when."""
        about = self.provenance
        return (
            f"run of the profile *{about['profile']}* of {about['date']} on "
            f"{about['cores']} cores of {about['cpu']} ({about['hours']:.1f} h, commit "
            f"{about['commit'][:7]})"
        )


def load_study(folder: Path | None = None) -> Study | None:
    """Read the committed study, None where there is none.

    Parameters
    ----------
    folder : Path, optional
        Default: `data/expected/study`.
    """
    folder = paths.data_dir() / "expected" / "study" if folder is None else folder
    about = Path(folder) / "provenance.json"
    if not about.is_file():
        return None
    read = {"keep_default_na": False, "na_values": ["NA"]}
    tables = {
        # A control has no design; a table that passed through pandas may say NA there.
        name: _without_design(pd.read_csv(Path(folder) / f"{name}.csv", **read))
        for name in TABLES
        if (Path(folder) / f"{name}.csv").is_file()
    }
    return Study(tables, json.loads(about.read_text(encoding="utf-8")))


def save_study(run: Run, folder: Path | str | None = None) -> list[str]:
    """Keep the tables that a run has, with their provenance.

    Parameters
    ----------
    run : Run
    folder : Path or str, optional
        Default: `data/expected/<profile>`.

    Returns
    -------
    list of str
        Names of the tables.

    Raises
    ------
    ValueError
        The run has none of them.
    """
    if folder is None:
        folder = paths.data_dir() / "expected" / run.profile.name
    found = [n for n in TABLES if (run.path / "results" / f"{n}.csv").is_file()]
    if not found:
        raise ValueError(f"{run.path / 'results'}: none of {', '.join(TABLES)} there")
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name in found:
        text = (run.path / "results" / f"{name}.csv").read_text(encoding="utf-8")
        write_text(Path(folder) / f"{name}.csv", text)
    machine = provenance.environment()
    kept = ("mri2pet", "commit", "lock", "python", "cpu", "cores", "system")
    about = {
        "profile": run.profile.name,
        "date": date.today().isoformat(),
        "hours": round(sum(run.stage_seconds().values()) / 3600, 2),
        "seed": run.profile.seed,
        "tables": found,
        "torch": machine["versions"]["torch"],
        **{key: machine[key] for key in kept},
    }
    write_text(Path(folder) / "provenance.json", json.dumps(about, indent=1) + "\n")
    return found


def _without_design(table: pd.DataFrame) -> pd.DataFrame:
    return table.fillna({"design": ""}) if "design" in table else table
