"""In a book with less in it, references to the rest become words."""

import json

from mri2pet.report.dangling import GONE, without_dangling


def notebook(*cells):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def markdown(text):
    return {"cell_type": "markdown", "id": "a", "metadata": {}, "source": [text]}


def shown(text):
    output = {"output_type": "display_data", "data": {"text/markdown": [text]}}
    return {"cell_type": "code", "id": "b", "source": [], "outputs": [output]}


def test_only_what_is_not_there_is_replaced(tmp_path):
    (tmp_path / "notebooks").mkdir()
    here = notebook(
        markdown("See {numref}`fig-a`, {numref}`fig-b` and {eq}`eq-c`.\n\n"
                 "$$ x $$ (eq-c)\n\n{eq}`eq-gone`, {doc}`11_table2`, {doc}`09_table1`"),
        shown("~~~{figure} ../figures/fig-a.png\n:name: fig-a\n\nA\n~~~"),
        shown("As {numref}`tab-z` says, and {numref}`Table %s <fig-a>`."),
    )  # fmt: skip
    path = tmp_path / "notebooks/09_table1.ipynb"
    path.write_text(json.dumps(here))
    page = tmp_path / "page.md"
    page.write_text("[two](notebooks/11_table2), [one](notebooks/09_table1.ipynb#a)")
    assert without_dangling(tmp_path) == 5
    cells = json.loads(path.read_text())["cells"]
    text = "".join(cells[0]["source"])
    assert "{numref}`fig-a`" in text
    assert "{eq}`eq-c`." in text
    assert "{doc}`09_table1`" in text
    assert text.count(GONE) == 2
    assert "chapter 11 *(left out of this book)*" in text
    said = "".join(cells[2]["outputs"][0]["data"]["text/markdown"])
    assert GONE in said
    assert "{numref}`Table %s <fig-a>`" in said
    assert page.read_text().startswith("two *(left out of this book)*, [one](")
    assert without_dangling(tmp_path) == 0
