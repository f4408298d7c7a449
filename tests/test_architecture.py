"""Arrows between the rooms of the package point one way, and never in a circle."""

import ast
from pathlib import Path

import pytest

import mri2pet

PACKAGE = Path(mri2pet.__file__).parent
# A room may import from itself and from those named here.
ALLOWED = {
    "core": set(),
    "cohort": {"core"},
    "training": {"core"},
    "evaluation": {"core", "cohort", "machinery"},
    "baselines": {"core", "training"},
    "machinery": set(),
    "stages": {
        "core",
        "cohort",
        "training",
        "evaluation",
        "baselines",
        "machinery",
    },
    "run": {"core", "cohort", "machinery", "stages"},
    "report": {
        "core",
        "cohort",
        "training",
        "evaluation",
        "baselines",
        "machinery",
        "stages",
        "run",
    },
    "exercises": {"core", "cohort", "training", "evaluation", "baselines"},
    "commands": {"cohort", "machinery", "stages", "run", "report"},
    "cli": {"cohort", "machinery", "stages", "run", "report", "commands"},
}
ROOM_OF_FILE = {
    **dict.fromkeys(mri2pet.CORE, "core"),
    **dict.fromkeys(
        ["training", "turns", "pairs", "state", "recipes", "checkpoint", "memory"],
        "training",
    ),
    **dict.fromkeys(
        ["artifacts", "config", "engine", "paths", "provenance", "scheduling"],
        "machinery",
    ),
    "run": "run",
    "cli": "cli",
}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if "_data" not in parts and parts != ("__init__",):
            yield path, parts


def room(parts):
    return ROOM_OF_FILE.get(parts[0], parts[0])


def imports(path, parts):
    """Modules of this package that a file imports, type hints left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    package = parts if path.name == "__init__.py" else parts[:-1]
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names = [a.name.split(".") for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".") if node.module else []
            if node.level:
                base = ["mri2pet", *package[: len(package) - node.level + 1], *base]
            names = [base, *([*base, a.name] for a in node.names)]
        else:
            continue
        yield from (tuple(n[1:]) for n in names if n[:1] == ["mri2pet"] and n[1:])


def exists(parts):
    path = PACKAGE.joinpath(*parts)
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@pytest.mark.parametrize(
    "path,parts", list(modules()), ids=lambda v: ".".join(v) if type(v) is tuple else ""
)
def test_arrows_point_one_way(path, parts):
    mine = room(parts)
    for name in imports(path, parts):
        if exists(name):
            theirs = room(name)
            assert theirs == mine or theirs in ALLOWED[mine], f"{name} from {parts}"


def test_there_is_no_circle():
    graph = {
        parts: {n for n in imports(path, parts) if exists(n) and n != parts}
        for path, parts in modules()
        if path.name != "__init__.py" and parts != ("run",)
    }
    done, active = set(), []

    def visit(node):
        if node in done or node not in graph:
            return
        assert node not in active, f"circle: {[*active[active.index(node) :], node]}"
        active.append(node)
        for other in sorted(graph[node]):
            visit(other)
        active.pop()
        done.add(node)

    for node in sorted(graph):
        visit(node)
    assert len(done) == len(graph)
