"""Every public name of the core says what it takes, gives and refuses, with an example.

The examples themselves are run as doctests, see `testpaths` in `pyproject.toml`.
"""

import ast
import doctest
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import pytest
from pygments.lexers import PythonConsoleLexer, PythonLexer
from pygments.token import Error

import mri2pet
from mri2pet.report.reference import module_page

PACKAGE = str(Path(mri2pet.__file__).parent)
MODULES = (
    *mri2pet.CORE,
    "pairs",
    "training",
    "turns",
    "state",
    "recipes",
    "memory",
    "checkpoint",
)
# Their one line names parameter, shape and type already.
ONE_LINE = {"NoiseSchedule.abar", "NoiseSchedule.snr"}
# The class says what `forward` maps to what.
BLOCKS = {
    "DoubleConv",
    "Down",
    "Up",
    "MRIEncoder",
    "ResBlock",
    "LinearAttention",
    "SelfAttention",
}


def members():
    """Name and object of what the modules define, methods after their class."""
    for module in MODULES:
        loaded = importlib.import_module(f"mri2pet.{module}")
        for name, found in vars(loaded).items():
            if not inspect.isfunction(found) and not inspect.isclass(found):
                continue
            if name.startswith("_") or found.__module__ != loaded.__name__:
                continue
            yield name, inspect.unwrap(found)
            if inspect.isclass(found):
                for method, raw in vars(found).items():
                    function = inspect.unwrap(getattr(raw, "__func__", raw))
                    if inspect.isfunction(function) and not method.startswith("_"):
                        yield f"{name}.{method}", function


MEMBERS = dict(members())


def sections(text):
    """Lines of each numpydoc section by its title."""
    pieces = re.split(r"^(\w+)\n-{3,}$", inspect.cleandoc(text), flags=re.MULTILINE)
    titles, bodies = pieces[1::2], pieces[2::2]
    return {t: b.strip("\n").split("\n") for t, b in zip(titles, bodies, strict=True)}


def entries(lines):
    """Names before the colons of `name, other : type`, each with its description."""
    found = {}
    for i, line in enumerate(lines):
        if line and not line.startswith(" "):
            described = i + 1 < len(lines) and lines[i + 1].startswith("    ")
            for name in line.partition(" : ")[0].split(","):
                found[name.strip().lstrip("*")] = described
    return found


def parameters(found):
    """What a caller passes, or for a class without a constructor what it declares."""
    if inspect.isclass(found):
        own = {n for n in inspect.get_annotations(found) if not n.startswith("_")}
        if "__init__" not in vars(found) or getattr(found, "_is_protocol", False):
            return own
        return own | set(inspect.signature(found).parameters)
    return set(inspect.signature(found).parameters) - {"self", "cls"}


def nodes(found):
    """Syntax of a function, or of what a class does with its arguments."""
    parts = [found]
    if inspect.isclass(found):
        parts = [vars(found).get(n) for n in ("__init__", "__post_init__")]
    for part in parts:
        file = getattr(getattr(part, "__code__", None), "co_filename", "")
        # Dataclasses and protocols get a constructor that nobody wrote.
        if file.startswith(PACKAGE) or file == __file__:
            source = textwrap.dedent(inspect.getsource(part))
            yield from ast.walk(ast.parse(source))


def raises(found):
    return any(isinstance(node, ast.Raise) for node in nodes(found))


def refusing_helpers():
    """Names of the checks that public functions call: they raise for their caller."""
    names = set()
    for module in MODULES:
        loaded = importlib.import_module(f"mri2pet.{module}")
        for holder in (loaded, *(c for c in MEMBERS.values() if inspect.isclass(c))):
            for name, found in vars(holder).items():
                helper = name.startswith(("_", "check_")) and not name.startswith("__")
                check = getattr(found, "__module__", "") == "mri2pet.checks"
                if inspect.isfunction(found) and (helper or check):
                    names |= {name} if raises(found) else set()
    return names


REFUSING = refusing_helpers()


def refuses(found):
    """Whether it raises, itself or by the hand of a check."""
    calls = {
        getattr(node.func, "attr", getattr(node.func, "id", ""))
        for node in nodes(found)
        if isinstance(node, ast.Call)
    }
    return raises(found) or bool(calls & REFUSING)


def faults(name, found):
    """What is missing in the docstring of an object, in words."""
    text = found.__doc__
    # A dataclass without one gets its signature.
    if not text or text.startswith(f"{name}("):
        return ["no docstring"]
    owner, _, method = name.rpartition(".")
    if name in ONE_LINE or (method == "forward" and owner in BLOCKS):
        return []
    parts = sections(text)
    wanted = parameters(found)
    listed = entries(parts.get("Parameters", []))
    if inspect.isclass(found):
        listed |= entries(parts.get("Attributes", []))
    missing = [f"parameter {p} is missing" for p in sorted(wanted - set(listed))]
    if "Attributes" not in parts:
        missing += [f"there is no {p}" for p in sorted(set(listed) - wanted)]
    missing += [f"{p} has no description" for p in listed if not listed[p]]
    if not inspect.isclass(found) and wanted:
        returned = inspect.signature(found).return_annotation
        if returned not in (None, "None") and "Returns" not in parts:
            missing.append("no Returns")
    if refuses(found) and "Raises" not in parts:
        missing.append("no Raises")
    examples = doctest.DocTestParser().get_examples(
        "\n".join(parts.get("Examples", []))
    )
    if not owner and not examples:
        missing.append("no Examples")
    if any(example.options.get(doctest.SKIP) for example in examples):
        missing.append("an example is skipped")
    return missing


@pytest.mark.parametrize("name", MEMBERS)
def test_docstring_is_complete(name):
    assert faults(name, MEMBERS[name]) == []


def test_every_module_is_looked_at():
    seen = {found.__module__.removeprefix("mri2pet.") for found in MEMBERS.values()}
    assert seen == set(MODULES)
    assert {*ONE_LINE, *BLOCKS} <= set(MEMBERS), "an exception for what is not there"
    # Through the decorator of torch, a classmethod, a protocol and a dataclass.
    assert {"sample", "PetScale.fit", "Pairs.batch", "Budget"} <= set(MEMBERS)


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_block_says_what_its_forward_maps(name):
    assert re.search(r"Maps\s+(x )?\(B, ", MEMBERS[name].__doc__)


@pytest.mark.parametrize(
    "name", ["PublishedUNet", "SpatialUNet", "VGG19Features"], ids=str
)
def test_network_shows_its_methods(name):
    methods = [m for m in MEMBERS if m.startswith(f"{name}.")]
    assert f"{name}.forward" in methods
    for method in methods:
        assert ">>> " in MEMBERS[method].__doc__, method


@pytest.mark.parametrize("module", MODULES)
def test_code_of_the_reference_can_be_coloured(module):
    """Sphinx warns of code that it cannot read, and the site is built without one."""
    page = module_page(Path(PACKAGE, f"{module}.py"))
    for block in re.findall(r"```python\n(.*?)\n```", page, flags=re.DOTALL):
        lexer = PythonConsoleLexer if block.startswith(">>>") else PythonLexer
        wrong = [text for kind, text in lexer().get_tokens(block) if kind is Error]
        assert not wrong, block


def test_the_examples_are_run(pytestconfig):
    assert pytestconfig.getoption("doctestmodules")
    assert "mri2pet" in pytestconfig.getini("testpaths")


# -- so that the tests above can fail --------------------------------------------


def _complete(a, *rest, b=1) -> int:
    """Add.

    Parameters
    ----------
    a, b : int
        Terms.
    *rest : int
        More terms.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        Never.

    Examples
    --------
    >>> 1 + 1
    2
    """
    raise ValueError


def _with(old, new):
    """The function above with other words in its docstring."""

    def changed(a, *rest, b=1) -> int:
        raise ValueError

    assert old in _complete.__doc__
    changed.__doc__ = _complete.__doc__.replace(old, new)
    return changed


def test_a_complete_docstring_has_no_fault():
    assert faults("f", _complete) == []


@pytest.mark.parametrize(
    "old,new,fault",
    [
        ("a, b : int", "a : int", "parameter b is missing"),
        ("*rest : int\n        More terms.", "", "parameter rest is missing"),
        ("a, b : int", "a, b, c : int", "there is no c"),
        ("        More terms.\n", "", "rest has no description"),
        ("Parameters\n", "Arguments\n", "parameter a is missing"),
        ("Returns\n", "Gives\n", "no Returns"),
        ("Raises\n", "Refuses\n", "no Raises"),
        (">>> 1 + 1\n    2", "One and one is two.", "no Examples"),
        (">>> 1 + 1", ">>> 1 + 1  # doctest: +SKIP", "an example is skipped"),
    ],
)
def test_a_gap_is_found(old, new, fault):
    assert fault in faults("f", _with(old, new))


def test_no_docstring_is_found():
    from dataclasses import make_dataclass

    assert faults("f", lambda: None) == ["no docstring"]
    assert faults("Bare", make_dataclass("Bare", ["x"])) == ["no docstring"]


def test_refusal_by_a_check_is_found():
    assert {"_check", "check_t", "one_of", "_read_weights"} <= REFUSING
    assert refuses(MEMBERS["NoiseSchedule.velocity"])
    assert refuses(MEMBERS["ArrayPairs"]) and refuses(MEMBERS["sample"])
    assert refuses(MEMBERS["gram_matrix_slice"])
    assert not refuses(MEMBERS["beside"])
