"""Image files as bytes: opened, unpacked, refused in one line, and written whole."""

from __future__ import annotations

import gzip
import os
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NoReturn
from uuid import uuid4

import nibabel as nib

PARTIAL, DAY_S = ".mri2pet-partial", 86_400.0


def refuse(path: Path, text: str) -> NoReturn:
    """Raise the ValueError that names a file, in one line."""
    name = str(path)
    name = name if name.isprintable() else repr(name)
    raise ValueError(f"{name}: {text}") from None  # what nibabel or zlib said is in it


def size_of(path: Path) -> int:
    """Return the number of bytes of a regular file that is not empty."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        refuse(path, "there is no such file")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        refuse(path, f"cannot be read ({reason}); is the name right, may you read it?")
    if stat.S_ISDIR(found.st_mode):
        refuse(path, "is a folder; give a .nii or .nii.gz file")
    if not stat.S_ISREG(found.st_mode):  # reading a pipe might wait for ever
        refuse(path, "is not a regular file; give a .nii or .nii.gz file")
    if found.st_size == 0:
        refuse(path, "not a readable NIfTI image (0 bytes); copy or download it again")
    return found.st_size


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open for reading, unpacked; what goes wrong inside becomes a ValueError."""
    again = "copy or download it again"
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if packed:
                with gzip.open(file) as stream:
                    yield stream
            else:
                yield file
    except EOFError:
        refuse(path, f"cannot be read to its end (the gzip stream is cut off); {again}")
    except (zlib.error, gzip.BadGzipFile) as error:
        refuse(path, f"cannot be read to its end (damaged gzip: {error}); {again}")
    except OSError as error:
        refuse(path, f"cannot be read ({error.strerror or error}); may you read it?")
    except MemoryError:
        refuse(path, "does not fit into memory; free some or use a larger machine")


def save_image(image: nib.Nifti1Image, path: str | Path) -> None:
    """Write a NIfTI under a temporary name, then rename it.

    Nothing half-written is left when writing fails. What a killed process leaves has a
    hidden name; the next image saved beside it sweeps it away once it is a day old.

    Raises
    ------
    OSError
        With the name of the file: disk full, read-only...
    """
    path = Path(path)
    suffix = ".nii.gz" if path.name.endswith(".nii.gz") else ".nii"
    temporary = path.with_name(f".{uuid4().hex}{PARTIAL}{suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        nib.save(image, temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def _sweep(folder: Path) -> None:
    for old in folder.glob(f".*{PARTIAL}.nii*"):
        with suppress(OSError):  # another process may sweep, too
            if time.time() - old.stat().st_mtime > DAY_S:
                old.unlink()
