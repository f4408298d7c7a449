"""What stages leave behind, and how files get their names: whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mri2pet import provenance

Made = TypeVar("Made")


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


class RunBusyError(ValueError):
    """Another process is at work on the same run."""


def made_or_why(
    make: Callable[[], Made], name: Iterable[str], log: Callable[[str], None]
) -> Made | str:
    """Make something, or say in one line why that is not possible.

    Parameters
    ----------
    make : callable
        Makes it, and refuses with a ValueError.
    name : iterable of str
        What the log calls it, row and design; empty parts are left out.
    log : callable
        Receives the reason.

    Returns
    -------
    object
        What ``make`` returns, or the reason as a str.

    Raises
    ------
    RunBusyError
        Another process works on the run: nothing is wrong with the row.

    Examples
    --------
    >>> made_or_why(lambda: int("ten"), ["gan", ""], print)
      gan is missing: invalid literal for int() with base 10: 'ten'
    "invalid literal for int() with base 10: 'ten'"
    """
    try:
        return make()
    except RunBusyError:
        raise
    except ValueError as error:
        reason = " ".join(str(error).split())
        log(f"  {' '.join(filter(None, name))} is missing: {reason}")
        return reason


@contextmanager
def hold(path: Path, what: str, busy: str) -> Iterator[None]:
    """Hold a lock file against other processes; it is free again when this one ends.

    Parameters
    ----------
    path : Path
        The lock file.
    what : str
        Written into it, for whoever finds it held.
    busy : str
        Message of the error, with ``{who}`` for what the holder has written.

    Raises
    ------
    RunBusyError
        Another process holds it.
    """
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            raise RunBusyError(busy.format(who=handle.read().strip())) from None
        handle.truncate(0)
        handle.write(what)
        handle.flush()
        yield


def replace(source: Path, target: Path) -> None:
    """Put a file or a folder in place of another, by renames only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.is_dir():
        os.replace(target, old)
    os.replace(source, target)
    shutil.rmtree(old, ignore_errors=True)
