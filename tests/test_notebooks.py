"""The chapters as committed: clean, uniform, and without numbers typed by hand."""

from __future__ import annotations

import ast
import csv
import json
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
import yaml

import mri2pet
from mri2pet import exercises, paths
from mri2pet.report.book import shown_names
from mri2pet.report.chapters import chapter_names

PACKAGE = Path(exercises.__file__).parents[1]

# Decimals that prose may state: choices and definitions, not results.
DEFINITIONS = {
    "0.0015": "first beta of the schedule",
    "0.02": "last beta of the schedule",
    "0.25": "the paper's weight of the Laplacian loss",
    "0.5": "status A; one half",
    "1.11": "composite SUVR cut-off of florbetapir",
    "2.5": "data range of SSIM and PSNR, in SUVR",
    "0.67": "default rho",
    "1.5": "profile `paper`: work grid in mm",
}
FORBIDDEN = {
    r"\bADNI (results?|scores?|patients? in this)\b": "phantoms are not ADNI",
    r"\bour patients\b": "phantoms are not patients",
    r"\bclinically (valid|useful|ready|proven)": "no clinical claim",
    r"\b(can|could|may|will) (be used to )?diagnose\b": "no clinical claim",
    r"\bstate[- ]of[- ]the[- ]art\b": "no claim without a comparison",
    r"\bproves? that\b": "an experiment supports or contradicts",
    r"\bFID of (ours|our)\b": "ours is fid_random",
    r"\b(TODO|FIXME|XXX|TBD|lorem ipsum)\b": "unfinished",
}
NEGATED = re.compile(
    r"\b(not|no|never|nobody|nothing|cannot|nor|neither)\b", re.IGNORECASE
)


def _read(chapter: str) -> nbformat.NotebookNode:
    return nbformat.read(paths.notebooks_dir() / f"{chapter}.ipynb", as_version=4)


def _code(chapter: str) -> list[str]:
    return [c.source for c in _read(chapter).cells if c.cell_type == "code"]


def _markdown(chapter: str) -> str:
    return "\n\n".join(
        c.source for c in _read(chapter).cells if c.cell_type == "markdown"
    )


def _parameters(chapter: str) -> str:
    cells = [
        c for c in _read(chapter).cells if "parameters" in c.metadata.get("tags", [])
    ]
    assert len(cells) == 1, "exactly one cell has the tag `parameters`"
    return cells[0].source


chapters = pytest.mark.parametrize("chapter", chapter_names())


@chapters
def test_notebook_is_committed_clean(chapter):
    notebook = _read(chapter)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags", "mystnb"}, cell.id
        if cell.cell_type == "code":
            assert not cell.outputs, cell.id
            assert cell.execution_count is None, cell.id
            assert cell.source.strip(), f"{cell.id} is empty"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.kernelspec.language == "python"
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}


@chapters
def test_notebook_has_one_title(chapter):
    first = _read(chapter).cells[0]
    assert first.cell_type == "markdown"
    # The site puts "Chapter N" before it; see mri2pet/report/staging.py.
    assert re.match(r"# \w", first.source), first.source[:60]
    titles = re.findall(r"^# ", _markdown(chapter), flags=re.MULTILINE)
    assert len(titles) == 1, "one title; everything else starts with `##`"


@chapters
def test_parameters_are_literals_one_a_line(chapter):
    source = _parameters(chapter)
    names = []
    for line in source.splitlines():
        assert line.count("=") == 1, f"one `=` a line, or papermill cannot read: {line}"
        assert "  # " in line, f"each parameter is explained: {line}"
        (node,) = ast.parse(line).body
        assert isinstance(node, ast.AnnAssign), f"name: type = literal: {line}"
        value = ast.literal_eval(node.value)
        assert type(value).__name__ == ast.unparse(node.annotation), line
        names.append(node.target.id)
        if node.target.id not in ("profile", "run_dir"):
            assert not value, f"the neutral default is 0 or empty: {line}"
    assert names[:2] == ["profile", "run_dir"]
    assert 'profile: str = "smoke"' in source
    assert 'run_dir: str = ""' in source


@chapters
def test_parameters_are_used(chapter):
    rest = "\n".join(c for c in _code(chapter) if c != _parameters(chapter))
    for node in ast.parse(_parameters(chapter)).body:
        assert re.search(rf"\b{node.target.id}\b", rest), node.target.id


@chapters
def test_code_is_short_and_quiet(chapter):
    for source in _code(chapter):
        for line in source.splitlines():
            assert len(line) <= 88, line
            assert not re.match(r"\s*[%!]", line), f"plain Python only: {line}"
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom | ast.Import):
                modules = [a.name for a in node.names]
                modules.append(getattr(node, "module", "") or "")
                assert not any(m.split(".")[0] == "tqdm" for m in modules)


@cache
def _core_names() -> frozenset[str]:
    names = set()
    for module in mri2pet.CORE:
        tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
        names |= {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
    return frozenset(name for name in names if not name.startswith("_"))


@chapters
def test_core_is_shown_and_never_redefined(chapter):
    imported, made = set(), set()
    for source in _code(chapter):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and "mri2pet" in (node.module or ""):
                imported |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                assert node.name not in _core_names(), f"{node.name} is the core's"
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                made.add(node.id)
    assert not imported & made, "an imported name is overwritten"
    assert {"chapter_banner", "show_figure"} <= imported


@chapters
def test_names_of_figures_and_tables_are_unique(chapter):
    everywhere = [name for other in chapter_names() for name in shown_names(other)]
    for name in shown_names(chapter):
        assert everywhere.count(name) == 1, name


@chapters
def test_shown_figures_and_tables_are_spoken_of(chapter):
    text = "\n".join(cell.source for cell in _read(chapter).cells)
    for name in re.findall(r"\{numref\}`(?:[^`<]*<)?([\w-]+)>?`", text):
        known = {n for other in chapter_names() for n in shown_names(other)}
        assert name in known, f"{{numref}} to {name}, which nobody shows"


@chapters
def test_exercises_have_hint_solution_and_check(chapter):
    text = _markdown(chapter)
    labels = re.findall(r"\{exercise-start\}[^\n]*\n:label: ([\w-]+)", text)
    assert len(labels) >= 2
    solved = re.findall(r"\{solution-start\} ([\w-]+)\n", text)
    assert solved == labels, "each exercise is followed by its solution, in order"
    assert text.count("{solution-end}") == text.count("{exercise-end}") == len(labels)
    assert len(re.findall(r":class: dropdown", text)) >= len(labels)
    assert len(re.findall(r"\bhint\b", text, flags=re.IGNORECASE)) >= len(labels)
    code = "\n".join(_code(chapter))
    assert "from mri2pet.exercises import check" in code
    number = int(chapter.split("_")[0])
    known = [i for i in exercises.exercise_ids() if int(i.split(".")[0]) == number]
    asked = re.findall(r'check\("([\d.]+)"', code)
    assert sorted(set(asked)) == sorted(known)
    for exercise in known:
        assert asked.count(exercise) >= 2, (
            f"{exercise}: the reader's and the solution's"
        )


@chapters
def test_chapter_has_its_standard_parts(chapter):
    text = _markdown(chapter)
    opening = text[:2500].lower()
    for word in ("learn", "need", "run"):
        assert word in opening, f"the opening does not say what you {word}"
    for heading in ("Summary", "Exercises", "What to read next"):
        assert re.search(rf"^## {heading}", text, flags=re.MULTILINE), heading
    assert re.search(r"\$\$ ?\(eq-[\w-]+\)", text), "no labelled equation"
    assert any("show_source(" in code for code in _code(chapter))


def _known_values() -> set[str]:
    """Every number of the published tables and of the profiles, as written."""
    known = set(DEFINITIONS)
    for table in (paths.data_dir() / "published").glob("*.csv"):
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                known |= {row.get("value") or "", row.get("plus_minus") or ""}
    for profile in paths.profiles_dir().glob("*.yaml"):
        known |= set(re.findall(r"\d+\.\d+", profile.read_text(encoding="utf-8")))
    return known


def _prose(text: str) -> str:
    """Remove what is no prose: code, formulas, directives' heads, links, roles."""
    text = re.sub(r"^\$\$.*?^\$\$[^\n]*$", " ", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\$\$.*?\$\$", " ", text, flags=re.DOTALL)
    text = re.sub(
        r"^(`{3,}|~{3,})(?!\{)[^\n]*\n.*?^\1 *$",
        " ",
        text,
        flags=re.DOTALL | re.MULTILINE,
    )
    text = re.sub(r"^(`{3,}|~{3,}|:{3,})[^\n]*$", " ", text, flags=re.MULTILINE)
    text = re.sub(r"^:[\w-]+:[^\n]*$", " ", text, flags=re.MULTILINE)
    text = re.sub(r"(\{[\w:]+\})?(`+)[^`]+\2", " ", text)
    text = re.sub(r"\$[^$]+\$", " ", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    text = re.sub(r"https?://\S+", " ", text)
    return re.sub(
        r"\b(Exercises?|Chapters?|Section) [\d.]+", " ", text, flags=re.IGNORECASE
    )


def _stray(text: str) -> list[str]:
    # An exercise gives numbers to work with.
    text = re.sub(r"\{exercise-start\}.*\{solution-end\}", " ", text, flags=re.DOTALL)
    known = _known_values()
    found = re.findall(r"(?<![\w.,])\d+\.\d+(?![\w.]*\d)", _prose(text))
    return [number for number in found if number not in known]


@chapters
def test_no_number_of_a_run_is_typed_by_hand(chapter):
    assert not _stray(_markdown(chapter))


def _pages() -> list[Path]:
    root = paths.project_root()
    return [*sorted((root / "book").glob("*.md")), root / "README.md"]


@pytest.mark.parametrize("page", _pages(), ids=lambda p: p.name)
def test_no_number_of_a_run_is_typed_into_a_page(page):
    text = page.read_text(encoding="utf-8")
    assert not re.sub(r"\b3\.1\d\b|MathJax [\d.]+", "", " ".join(_stray(text))).strip()


def _claims(text: str) -> list[str]:
    """Forbidden phrases, unless their sentence denies them."""
    found = []
    for sentence in re.split(r"(?<=[.!?:])\s+", " ".join(_prose(text).split())):
        if NEGATED.search(sentence):
            continue
        found += [
            f"{reason}: {sentence[:100]}"
            for pattern, reason in FORBIDDEN.items()
            if re.search(pattern, sentence, flags=re.IGNORECASE)
        ]
    return found


@chapters
def test_chapter_makes_no_forbidden_claim(chapter):
    assert not _claims(_markdown(chapter))


@pytest.mark.parametrize("page", _pages(), ids=lambda p: p.name)
def test_page_makes_no_forbidden_claim(page):
    assert not _claims(page.read_text(encoding="utf-8"))


def test_scans_can_fail():
    assert _stray("The SSIM was 0.987 on average.") == ["0.987"]
    assert not _stray("The SSIM was `0.987`, $x = 0.987$; see Exercise 4.1.")
    assert _claims("These ADNI results are good.")
    assert _claims("This model can diagnose amyloid.")
    assert not _claims("These are not ADNI results.")


def test_table_of_contents_lists_every_chapter_in_order():
    toc = yaml.safe_load((paths.book_dir() / "_toc.yml").read_text(encoding="utf-8"))
    files = re.findall(r"'file': 'notebooks/(\w+)'", str(toc))
    assert files == chapter_names()


def test_cited_keys_exist_and_all_entries_are_cited():
    bib = (paths.book_dir() / "references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{([^,]+),", bib, flags=re.MULTILINE)
    assert len(set(keys)) == len(keys)
    texts = [p.read_text(encoding="utf-8") for p in paths.book_dir().glob("*.md")]
    texts += [
        json.dumps([c.source for c in _read(chapter).cells])
        for chapter in chapter_names()
    ]
    cited = {
        key.strip()
        for text in texts
        for group in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text)
        for key in group.split(",")
    }
    assert cited - set(keys) == set(), "cited but not in references.bib"
    assert set(keys) - cited == set(), "in references.bib but nowhere cited"


def test_every_reference_can_be_found():
    bib = (paths.book_dir() / "references.bib").read_text(encoding="utf-8")
    for entry in re.split(r"\n(?=@)", bib):
        found = re.search(r"doi *=|arXiv:|journal *=|howpublished *=|under", entry)
        assert found, entry.split("\n")[0]
