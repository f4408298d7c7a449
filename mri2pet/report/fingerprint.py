"""What a chapter was made from, and what of it has changed since.

A chapter is made from its own text and code, its parameters, the profile, the
package's modules that it imports (with everything those import), the published
values, the other data that these modules read, the lock of libraries, and the stages
that it asked its run for.
"""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri2pet import paths, provenance

if TYPE_CHECKING:
    from mri2pet.run import Run

_PACKAGE = Path(__file__).resolve().parents[1]
# What a module reads from `data/`, besides the published values.
_READS = {
    "report/ambiguity.py": "claims_appendix_c.yaml",
    "report/claims.py": "claims.yaml",
    "report/clinical_claims.py": "claims_clinical.yaml",
    "report/study.py": "expected/study",
}


def fingerprint(run: Run, chapter: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the hashes of everything a chapter depends on, stages excepted.

    Parameters
    ----------
    run : mri2pet.run.Run
    chapter : str
        Name of a clean notebook in `notebooks/`.
    parameters : dict
        Given by the runner; the run's directory does not count.

    Returns
    -------
    dict
        JSON-ready: notebook, parameters, profile, sources, data, published, lock.
    """
    source = paths.notebooks_dir() / f"{chapter}.ipynb"
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    text = [[c["cell_type"], "".join(c["source"]), c["metadata"]] for c in cells]
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    sources = source_hashes(imported_modules("\n".join(code)))
    read = [name for module, name in _READS.items() if module in sources]
    return {
        "notebook": _hash(json.dumps(text, sort_keys=True)),
        "parameters": {k: v for k, v in parameters.items() if k != "run_dir"},
        "profile": _hash(run.profile.model_dump_json()),
        "sources": sources,
        "data": {name: _folder_hash(paths.data_dir() / name) for name in read},
        "published": _folder_hash(paths.data_dir() / "published"),
        "lock": _hash(paths.lock_file().read_text(encoding="utf-8")),
    }


def changes(run: Run, executed: Path, now: dict[str, Any]) -> str:
    """Return why an executed chapter is out of date, or an empty string.

    Parameters
    ----------
    run : mri2pet.run.Run
    executed : pathlib.Path
        The executed notebook, which may not exist yet.
    now : dict
        Its present `fingerprint`.
    """
    if not executed.is_file():
        return "not run yet"
    try:
        metadata = json.loads(executed.read_text(encoding="utf-8"))["metadata"]
        then = metadata["mri2pet"]
    except (ValueError, KeyError, TypeError):
        return "its record is not readable"
    words = {
        "notebook": "its text or code changed",
        "parameters": "its parameters changed",
        "profile": "the profile changed",
        "published": "the published values changed",
        "lock": "the lock of libraries changed",
    }
    for key, reason in words.items():
        if then.get(key) != now[key]:
            return reason
    before, after = then.get("sources", {}), now["sources"]
    changed = sorted(
        name for name in before | after if before.get(name) != after.get(name)
    )
    if changed:
        return f"{', '.join(changed[:3])}{' ...' if changed[3:] else ''} changed"
    for name, content in now["data"].items():
        if then.get("data", {}).get(name) != content:
            return f"data/{name} changed"
    keys = run.stage_keys()
    for stage, key in then.get("stages", {}).items():
        if keys.get(stage) != key:
            return f"stage {stage} changed"
    return ""


def source_hashes(modules: set[str]) -> dict[str, str]:
    """Return the hash of each module that these import, directly or not.

    Parameters
    ----------
    modules : set of str
        Full names; names outside the package are ignored.

    Returns
    -------
    dict of str
        Path below `mri2pet/` to hash, sorted.
    """
    seen: dict[str, str] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        path = provenance.module_file(name)
        if path is None or (short := path.relative_to(_PACKAGE).as_posix()) in seen:
            continue
        text = path.read_text(encoding="utf-8")
        seen[short] = _hash(text)
        package = path.name == "__init__.py"
        todo += provenance.imports_of(ast.parse(text), name, is_package=package)
    return dict(sorted(seen.items()))


@cache
def imported_modules(code: str) -> frozenset[str]:
    """Return every name of the package that a notebook's code imports.

    Lines that only a notebook understands (`%...`, `!...`) are left out.
    """
    lines = ["" if s.lstrip()[:1] in ("%", "!") else s for s in code.split("\n")]
    tree = ast.parse("\n".join(lines))
    return frozenset(provenance.imports_of(tree, "notebook", is_package=False))


def _folder_hash(folder: Path) -> str:
    """Hash of a file, or of all files below a folder; of nothing where it is not."""
    found = [folder] if folder.is_file() else folder.rglob("*")
    files = sorted(p for p in found if p.is_file())
    listing = [f"{p.relative_to(folder)} {_hash(p.read_bytes())}" for p in files]
    return _hash("\n".join(listing))


def _hash(data: str | bytes) -> str:
    data = data.encode("utf-8") if isinstance(data, str) else data
    return hashlib.sha256(data).hexdigest()[:16]
