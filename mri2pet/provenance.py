"""What a result depends on besides its settings: code, libraries, machine."""

from __future__ import annotations

import ast
import copy
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import mri2pet
from mri2pet import paths

_PACKAGE_DIR = Path(mri2pet.__file__).resolve().parent
_MACHINERY = {
    f"mri2pet.{m}"
    for m in (
        *("artifacts", "config", "engine", "run", "paths", "provenance"),
        "scheduling",  # where work runs does not change a byte
    )
}
_LIBRARIES = (
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "zarr",
    "nilearn",
    "scikit-image",
    "scikit-learn",
    "lightning-fabric",
    "papermill",
    "jupyter-book",
)


def digest(content: Any) -> str:
    """Return the sha256 of anything that JSON can hold, keys sorted."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, or of all files below a folder with their names."""
    hasher = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*"))
    for file in files:
        if file.is_file():
            hasher.update(str(file.relative_to(path)).encode())
            hasher.update(file.read_bytes())
    return hasher.hexdigest()


@cache
def source_hashes(module: str) -> dict[str, str]:
    """Hash of each module of this package that `module` needs, itself included.

    Docstrings and comments do not count: better prose does not retrain a network.
    Nor does the code of other stages, whose outputs count by content, nor the
    machinery, whose values count as settings. What stages share without being one
    (`mri2pet.stages.settings`) counts.

    Parameters
    ----------
    module : str
        Dotted name inside the package, `mri2pet.stages.learn`.
    """
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = module_file(name)
        if name in found or path is None or (name != module and name in _MACHINERY):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if name != module and _is_stage(tree):
            continue
        waiting += imports_of(tree, name, is_package=path.name == "__init__.py")
        found[name] = hashlib.sha256(_without_prose(tree).encode()).hexdigest()[:16]
    return dict(sorted(found.items()))


def _is_stage(tree: ast.Module) -> bool:
    """Whether a module makes a stage of its own: it says ``module=__name__``."""
    return any(
        isinstance(node, ast.keyword)
        and node.arg == "module"
        and isinstance(node.value, ast.Name)
        and node.value.id == "__name__"
        for node in ast.walk(tree)
    )


def module_file(name: str) -> Path | None:
    """File of a module of this package, None for any other name."""
    if not name.startswith("mri2pet."):
        return None  # the package's own __init__ only names things
    base = _PACKAGE_DIR.joinpath(*name.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def imports_of(tree: ast.Module, name: str, *, is_package: bool) -> list[str]:
    """Names of this package that a module's source imports, at any depth."""
    package = name if is_package else name.rpartition(".")[0]
    names = []
    for node in ast.walk(_without_type_checking(tree)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                source = ".".join([*above, source] if source else above)
            names.append(source)
            names += [f"{source}.{alias.name}" for alias in node.names]
    return [n for n in names if n.startswith("mri2pet.")]


def _without_type_checking(tree: ast.Module) -> ast.Module:
    """Drop `if TYPE_CHECKING:` blocks, which import nothing when run."""

    class Drop(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST | None:
            named = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            return None if named else self.generic_visit(node)

    return Drop().visit(copy.deepcopy(tree))


def _without_prose(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list) or not body:
            continue
        first = body[0]
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            node.body = body[1:] or [ast.Pass()]
    return ast.unparse(tree)


@cache
def lock_hash() -> str:
    """Hash of the tested lock of all libraries."""
    return hashlib.sha256(paths.lock_file().read_bytes()).hexdigest()[:16]


def environment() -> dict[str, Any]:
    """Describe commit, versions and machine of this process, for `run.json`."""
    versions = {}
    for library in _LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            versions[library] = "absent"
    return {
        "mri2pet": mri2pet.__version__,
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
        "lock": lock_hash(),
        "python": platform.python_version(),
        "versions": versions,
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "host": platform.node(),
    }


def _git(*arguments: str) -> str:
    root = paths.repository_root()
    if root is None:
        return ""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
