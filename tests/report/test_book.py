"""Staging, the swap of the site, and the reference written from docstrings."""

from __future__ import annotations

from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mri2pet import paths
from mri2pet.report import book, reference, staging, status
from mri2pet.report.markup import reference_label


def test_staged_chapter_shows_the_values_used_and_no_path(tmp_path):
    cells = [
        new_markdown_cell("# The people"),
        new_code_cell('profile: str = "smoke"  # size\nrun_dir: str = ""  # where'),
        new_code_cell('profile = "tutorial"\nrun_dir = "/home/me/runs/tutorial"'),
        new_code_cell("print(1)"),
    ]
    cells[1].metadata["tags"] = ["parameters"]
    cells[2].metadata["tags"] = ["injected-parameters"]
    metadata = {
        "papermill": {"parameters": {"run_dir": "/home/me"}},
        "mri2pet": {"parameters": {"profile": "tutorial"}},
    }
    nbformat.write(new_notebook(cells=cells, metadata=metadata), tmp_path / "a.ipynb")
    staging._stage_chapter(tmp_path / "a.ipynb", tmp_path / "03_people.ipynb")
    text = (tmp_path / "03_people.ipynb").read_text(encoding="utf-8")
    assert "/home/me" not in text
    staged = nbformat.reads(text, as_version=4)
    assert staged.cells[0].source == "# Chapter 3. The people"
    assert staged.cells[1].source.startswith('profile: str = "tutorial"  # size\n')
    assert len(staged.cells) == 3


def test_exercises_get_the_numbers_of_their_checks():
    text = "```{exercise-start} Exercise 4.1: yours\n:label: a\n```\nDo."
    text, count = staging._numbered_exercises(text, 4, 0)
    assert text.startswith("```{exercise-start} 4.1 yours\n:nonumber:\n:label: a\n```")
    text = "````{exercise-start} Cut\n:label: b\n:nonumber:\n````\n"
    text, count = staging._numbered_exercises(text, 4, count)
    assert text == "````{exercise-start} 4.2 Cut\n:nonumber:\n:label: b\n````\n"
    assert count == 2


def test_long_drawing_code_is_folded_and_other_code_is_not():
    long = "x = 1\n" * 20
    assert staging._draws_at_length(long + "show_figure(x)")
    assert not staging._draws_at_length(long)
    assert not staging._draws_at_length("show_figure(x)")


def test_missing_chapters_leave_the_table_of_contents(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_a.ipynb").touch()
    chapters = [{"file": "notebooks/01_a"}, {"file": "notebooks/02_b"}]
    toc = {"root": "index", "parts": [{"chapters": chapters}]}
    assert staging._without_missing(toc, tmp_path)["parts"] == [
        {"chapters": [{"file": "notebooks/01_a"}]}
    ]


def test_site_is_not_built_from_unexecuted_chapters(tmp_path):
    run = SimpleNamespace(path=tmp_path, profile=SimpleNamespace(name="smoke"))
    with pytest.raises(ValueError, match=r"there is no such file; run the chapters"):
        book.build_site(run, ["01_cohort"])


def test_old_site_is_replaced_as_a_whole(tmp_path):
    new, site = tmp_path / "html", tmp_path / "site"
    for folder, text in ((new, "new"), (site, "old")):
        folder.mkdir()
        (folder / "index.html").write_text(text)
    (site / "gone.html").touch()
    book._swap(new, site)
    assert [p.name for p in site.iterdir()] == ["index.html"]
    assert (site / "index.html").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["site"]


def test_faults_of_the_theme_are_repaired(tmp_path):
    page = tmp_path / "a.html"
    page.write_text(
        '<link rel="preload" as="font" href="x.woff2" />\n'
        "<script>const THEBE_JS_URL = 'https://x'</script>"
        '<button class="btn search-button-field" aria-label="Search" x>Search</button>'
        '<summary><span class="toctree-toggle"></span></summary>'
        '<summary aria-label="Toggle hidden content">Show the code</summary>'
    )
    book._polish(tmp_path)
    text = page.read_text()
    assert "woff2" not in text
    assert "THEBE" not in text
    assert '<button class="btn search-button-field" x>' in text
    assert text.count("Show or hide") == 1
    assert "<summary>Show the code</summary>" in text


def test_build_log_is_explained_without_colours(tmp_path):
    log = tmp_path / "build.log"
    log.write_text("reading\n\x1b[91ma.md:3: WARNING: undefined label\x1b[39m\nend\n")
    text = book._explain(log)
    assert "a.md:3: WARNING: undefined label" in text
    assert "\x1b" not in text
    assert "reading" not in text


def test_figures_are_found_in_their_chapters():
    first = book.chapter_names()[0]
    name = book.shown_names(first)[0]
    assert book.chapters_showing(name) == [first]
    with pytest.raises(ValueError, match="figure 'no-such': no chapter shows it"):
        book.chapters_showing("no-such")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/a/b.git", "a/b"),
        ("git@github.com:a/b-c.git", "a/b-c"),
        ("https://github.com/a/b", "a/b"),
        ("https://example.org/a/b", None),
    ],
)
def test_github_remote_is_recognised(url, name):
    match = book._GITHUB.search(url)
    assert (match["name"] if match else None) == name


def test_status_page_lists_times_and_provenance(tmp_path):
    cell = new_code_cell("1", metadata={"papermill": {"duration": 2.5}})
    metadata = {"papermill": {"duration": 3.25}, "mri2pet": {"peak_memory_mb": 512}}
    path = tmp_path / "01_a.ipynb"
    nbformat.write(new_notebook(cells=[cell], metadata=metadata), path)
    (tmp_path / "run.json").write_text(
        '{"commit": "abc", "written": "now", "versions": {"torch": "2"}, "n": {"a": 1}}'
    )
    profile = SimpleNamespace(name="smoke", seed=4, threads=2, dtype="float32")
    run = SimpleNamespace(path=tmp_path, profile=profile)
    page = status.status_page(run, [path])
    assert "| [](notebooks/01_a.ipynb) | 3.2 | 2.5 | 512 |" in page
    assert "| commit | `abc` |" in page
    assert "| torch | `2` |" in page
    assert "now" not in page, "the page would change with every run"


DOCSTRING = """Return a*b of *things*.

Parameters
----------
x_BC : Tensor
    Shape (B, C); see `other`.
k : int, default=1

Returns
-------
float

Notes
-----
Uses ``a_b`` and **bold**.

Examples
--------
>>> 1 + 1
2
"""


def test_docstring_becomes_markdown():
    text = reference.docstring_markdown(DOCSTRING)
    assert text.startswith(r"Return a\*b of \*things\*.")
    assert "- `x_BC` (Tensor): Shape (B, C); see `other`." in text
    assert "- `k` (int, default=1)" in text
    assert "**Returns**\n\n- `float`" in text
    assert "Uses ``a_b`` and **bold**." in text
    assert "```python\n>>> 1 + 1\n2\n```" in text


def test_reference_names_every_public_function_once(tmp_path):
    pages = reference.write_reference(tmp_path)
    assert pages == list(reference.GROUPS)
    text = "".join((tmp_path / f"{p}.md").read_text(encoding="utf-8") for p in pages)
    for name in (
        "mri2pet.schedule.NoiseSchedule",
        "mri2pet.loss.laplacian_loss",
        "mri2pet.report.book.build_site",
    ):
        assert text.count(f"({reference_label(name)})=") == 1, name
    labels = [line for line in text.splitlines() if line.startswith("(api-")]
    assert len(set(labels)) == len(labels)
    assert "mri2pet.exercises" not in text, "the reference must not give answers away"


def test_long_signatures_are_wrapped():
    text = "function(first: int, second: dict[str, int], third: str='a')"
    wrapped = reference._wrapped(text.replace("first", "f" * 60))
    assert "\n    second: dict[str, int],\n" in wrapped
    assert wrapped.endswith(")")


def test_project_root_is_the_clone():
    assert (paths.project_root() / "_config.yml").is_file()
