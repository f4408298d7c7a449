"""Where the project's own files lie: in a clone, or inside an installed wheel.

A clone has `pyproject.toml`, `notebooks/`, `data/` and `book/` beside the package.
A wheel carries the same folders, with the same names, under `mri2pet/_data`.
Everybody asks here, so that nobody needs to know which of the two it is.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def repository_root() -> Path | None:
    """Return the root of the clone that this package runs from, or None.

    Returns
    -------
    pathlib.Path or None
        None when the package was installed from a wheel.
    """
    root = _PACKAGE.parent
    if (root / "pyproject.toml").is_file() and (root / "notebooks").is_dir():
        return root
    return None


def project_root() -> Path:
    """Return the folder that holds `notebooks/`, `data/` and `book/`.

    Returns
    -------
    pathlib.Path
        The root of the clone, or `mri2pet/_data` in an installed wheel.

    Raises
    ------
    ValueError
        If the package lies in neither of the two forms.
    """
    root = repository_root()
    if root is not None:
        return root
    packaged = _PACKAGE / "_data"
    if packaged.is_dir():
        return packaged
    raise ValueError(
        f"{_PACKAGE}: no project files beside or inside the package; "
        "install mri2pet from a wheel, or from a clone with `pip install -e .`"
    )


def notebooks_dir() -> Path:
    """Return the folder of the chapters' clean notebooks."""
    return project_root() / "notebooks"


def profiles_dir() -> Path:
    """Return the folder of the profiles (`smoke.yaml`, `tutorial.yaml`, ...)."""
    return notebooks_dir() / "profiles"


def data_dir() -> Path:
    """Return the folder of the published and the expected values."""
    return project_root() / "data"


def book_dir() -> Path:
    """Return the folder of the book's prose pages."""
    return project_root() / "book"


def lock_file() -> Path:
    """Return the tested lock of every library, `constraints.txt`."""
    return project_root() / "constraints.txt"
