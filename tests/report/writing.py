"""Chapters for the tests of the runner."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PARAMETERS = 'profile: str = "smoke"  # p\nrun_dir: str = ""  # d\nx: int = 0  # x'


def write_chapter(root, name, *sources):
    """Write a chapter with a title, parameters, and these cells of code."""
    cells = [new_markdown_cell("# T"), new_code_cell(PARAMETERS)]
    cells[1].metadata["tags"] = ["parameters"]
    cells += [new_code_cell(s) for s in sources]
    for number, cell in enumerate(cells):
        cell["id"] = f"c{number}"
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, root / "notebooks" / f"{name}.ipynb")


def make_project(folder):
    """Folders and files that the runner expects of a project."""
    root = folder / "project"
    (root / "notebooks").mkdir(parents=True)
    (root / "data" / "published").mkdir(parents=True)
    (root / "constraints.txt").write_text("a==1\n")
    return root
