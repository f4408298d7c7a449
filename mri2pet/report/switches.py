"""The page of switches: what the paper says, what the release does, what we do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import yaml

from mri2pet import paths
from mri2pet.config import DESIGNS, Design, Profile

_KEYS = {"switch", "paper", "released", "why", "chapter"}


@dataclass(frozen=True)
class Switch:
    """One switch: its values, its two presets, and what is known about it."""

    name: str
    values: tuple[str, ...]
    published: str
    corrected: str
    paper: str
    released: str
    why: str
    chapter: str
    equation: str = ""


def load_switches(path: Path | None = None) -> list[Switch]:
    """Read `data/switches.yaml` and join it with the presets of the two designs.

    Raises
    ------
    ValueError
        An entry lacks a key, or names no switch.
    """
    path = paths.data_dir() / "switches.yaml" if path is None else path
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = []
    for entry in entries:
        missing = _KEYS - entry.keys()
        if missing:
            raise ValueError(
                f"{path}: entry {entry.get('switch')!r} lacks {sorted(missing)}"
            )
        name = entry.pop("switch")
        values, published, corrected = _presets(name, path)
        found.append(Switch(name, values, published, corrected, **entry))
    return found


def _presets(name: str, path: Path) -> tuple[tuple[str, ...], str, str]:
    if name == "split":  # a key of the profile: the same for both designs
        return get_args(Profile.model_fields[name].annotation), "pair", "patient"
    if name not in Design.model_fields:
        raise ValueError(f"{path}: there is no switch {name!r}")
    field = Design.model_fields[name]
    values = get_args(field.annotation) or (True, False)
    if field.annotation is float:
        bounds = [
            getattr(m, k) for k in ("ge", "le") for m in field.metadata if hasattr(m, k)
        ]
        values = (f"{bounds[0]:g} to {bounds[1]:g}",)
    presets = (DESIGNS[d].get(name, field.default) for d in ("published", "corrected"))
    return (tuple(map(_word, values)), *map(_word, presets))


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def switches_page(chapters: list[str], switches: list[Switch] | None = None) -> str:
    """Return the page in MyST Markdown.

    Parameters
    ----------
    chapters : list of str
        Chapters of the site; only these are linked.
    switches : list of Switch, optional
        As in `load_switches` by default.
    """
    switches = load_switches() if switches is None else switches
    lines = [
        "~~~{table} All switches and their two presets.",
        ":name: switches",
        "",
        "| Switch | published | corrected | other values |",
        "| :--- | :--- | :--- | :--- |",
    ]
    for s in switches:
        others = [f"`{v}`" for v in s.values if v not in (s.published, s.corrected)]
        lines.append(
            f"| [`{s.name}`](#switch-{s.name.replace('_', '-')}) | `{s.published}` "
            f"| `{s.corrected}` | {', '.join(others)} |"
        )
    lines.append("~~~")
    for s in switches:
        shown = f", equation {{eq}}`{s.equation}`" if s.equation else ""
        linked = s.chapter in chapters
        where = f"[](notebooks/{s.chapter}.ipynb){shown}" if linked else "not here yet"
        lines += [
            "",
            f"(switch-{s.name.replace('_', '-')})=",
            f"## `{s.name}`",
            "",
            f"- **The paper:** {s.paper}",
            f"- **The released code:** {s.released}",
            f"- **Corrected:** {s.why}",
            f"- **Shown in:** {where}",
        ]
    return "\n".join(lines) + "\n"
