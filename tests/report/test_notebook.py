"""What chapters publish: both forms of figures, tables, sources and sentences."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from mri2pet.report import notebook
from mri2pet.schedule import NoiseSchedule

mpl.use("agg")
import matplotlib.pyplot as plt


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """Collect what is displayed; figures go to a run in a temporary folder."""
    bundles = []
    monkeypatch.setattr(notebook, "_display", bundles.append)
    monkeypatch.setitem(notebook._current, "run", tmp_path)
    return bundles


def _figure():
    fig, ax = plt.subplots(figsize=(2, 1))
    ax.plot([0, 1], [1, 0])
    return fig


def test_figure_is_saved_numbered_and_described(shown, tmp_path):
    fig = _figure()
    notebook.show_figure(fig, "fig-line", "A line,\n  falling.", 'From "1" to 0: down')
    (bundle,) = shown
    assert (tmp_path / "figures" / "fig-line.png").stat().st_size > 500
    assert (
        "{figure} ../figures/fig-line.png\n:name: fig-line" in bundle["text/markdown"]
    )
    assert r':alt: "From \"1\" to 0: down"' in bundle["text/markdown"]
    assert "A line, falling." in bundle["text/markdown"]
    assert 'alt="From &quot;1&quot; to 0: down"' in bundle["text/html"]
    assert "data:image/png;base64," in bundle["text/html"]
    assert fig.number not in plt.get_fignums(), "it would be drawn twice"
    assert not list(tmp_path.rglob("*.partial"))


def test_same_figure_gives_same_bytes(shown, tmp_path):
    notebook.show_figure(_figure(), "one", "A line.", "A line.")
    notebook.show_figure(_figure(), "two", "A line.", "A line.")
    one, two = (tmp_path / "figures" / f"{n}.png" for n in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("name", "caption", "alt"),
    [("bad name", "c", "a"), ("../up", "c", "a"), ("n", " ", "a"), ("n", "c", "\n")],
)
def test_figure_without_name_caption_or_alt_is_refused(shown, name, caption, alt):
    with pytest.raises(ValueError, match="name|caption|alt"):
        notebook.show_figure(_figure(), name, caption, alt)
    plt.close("all")
    assert not shown


def test_table_is_numbered_and_safe(shown):
    frame = pd.DataFrame(
        {"row": ["a|b", "<c>"], "ssim": [0.12345, np.nan], "n": np.array([3, 40])}
    )
    notebook.show_table(frame, "tab-x", "With `code` inside.", floatfmt=".2f")
    (bundle,) = shown
    lines = bundle["text/markdown"].splitlines()
    assert lines[0] == "~~~{table} With `code` inside."
    assert lines[1] == ":name: tab-x"
    assert lines[3] == "| row | ssim | n |"
    assert lines[4] == "| :--- | ---: | ---: |"
    assert lines[5] == r"| a\|b | 0.12 | 3 |"
    assert lines[6] == "| <c> |  | 40 |"
    assert "&lt;c&gt;" in bundle["text/html"]
    assert "<code>code</code>" in bundle["text/html"]


def test_table_shows_a_named_index_and_formats_by_column(shown):
    frame = pd.DataFrame({"a": [1.0], "b": [2.0]}, index=pd.Index(["x"], name="row"))
    notebook.show_table(frame, "tab-y", "Two.", floatfmt={"a": ".1f"})
    assert "| x | 1.0 | 2.000 |" in shown[0]["text/markdown"]


def test_empty_table_is_refused(shown):
    with pytest.raises(ValueError, match="empty"):
        notebook.show_table(pd.DataFrame({"a": []}), "tab-z", "Nothing.")


def test_source_is_the_imported_one_with_a_link(shown):
    notebook.show_source(NoiseSchedule.q_sample)
    markdown = shown[0]["text/markdown"]
    assert "<api-mri2pet-schedule-noiseschedule-class>" in markdown
    assert "mri2pet/schedule.py, line " in markdown
    assert "\ndef q_sample(self" in markdown
    assert "def q_sample" not in shown[0]["text/plain"]


@pytest.mark.parametrize("source", [NoiseSchedule, NoiseSchedule.q_sample, notebook])
def test_of_a_docstring_the_words_are_shown(shown, source):
    """Sections go, code stays: without docstrings both syntax trees are equal."""
    notebook.show_source(source)
    markdown = shown[0]["text/markdown"]
    assert "Parameters\n" not in markdown and ">>>" not in markdown
    code = re.search(r"(`{3,})python\n(.*)\n\1", markdown, re.DOTALL).group(2)
    whole = textwrap.dedent(inspect.getsource(source))

    def documented(node):
        return isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module)

    def tree(text):
        found = ast.parse(text)
        for node in filter(documented, ast.walk(found)):
            if ast.get_docstring(node):
                node.body[0] = ast.Pass()
        return ast.dump(found)

    assert tree(code) == tree(whole)
    first = inspect.getdoc(source).split("\n")[0]
    assert first in markdown


def test_source_of_something_else_is_refused(shown):
    with pytest.raises(ValueError, match="mri2pet"):
        notebook.show_source(pd.DataFrame)


def test_say_needs_something_to_say(shown):
    notebook.say("  One is **1**.\n")
    assert shown[0]["text/markdown"] == "One is **1**."
    with pytest.raises(ValueError, match="nothing"):
        notebook.say("  ")


@pytest.mark.parametrize("illustrative", [True, False])
def test_banner_says_phantoms_and_profile(shown, tmp_path, illustrative):
    profile = SimpleNamespace(name="p", seed=4, threads=1, dtype="float32", store=None)
    profile.illustrative = illustrative
    notebook.chapter_banner(SimpleNamespace(profile=profile, path=tmp_path, used={}))
    text = shown[0]["text/markdown"]
    assert "phantoms, not ADNI" in text
    assert ("illustrative" in text) == illustrative
