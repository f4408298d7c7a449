"""What stages leave behind, and how files get their names: whole or not at all."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from mri2pet import provenance


@dataclass(frozen=True)
class Stage:
    """A finished stage: where its outputs lie and what they hash to."""

    name: str
    key: str
    root: Path
    outputs: dict[str, str]
    seconds: float

    @property
    def digest(self) -> str:
        """Hash of everything the stage made."""
        return provenance.digest(self.outputs)

    def path(self, relative: str | None = None) -> Path:
        """Path of one output (of the only one, when not named)."""
        return self.root / (relative or next(iter(self.outputs)))


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def replace(source: Path, target: Path) -> None:
    """Put a file or a folder in place of another, by renames only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.is_dir():
        os.replace(target, old)
    os.replace(source, target)
    shutil.rmtree(old, ignore_errors=True)
