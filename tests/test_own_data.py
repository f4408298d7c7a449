"""The whole book on raw scans, with a truth beside them and without."""

import json
import shutil

import nbformat
import pandas as pd
import pytest

from mri2pet.cli import main
from mri2pet.cohort.phantom.dataset import make_dataset
from mri2pet.cohort.store import Store
from mri2pet.report.chapters import chapter_names
from mri2pet.report.whose import TITLE

pytestmark = pytest.mark.slow
RESULTS = ("table1", "table2", "table3", "table4", "table5", "figure3", "appendix_c")


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    out = tmp_path_factory.mktemp("raw") / "study"
    return make_dataset(out, subjects=24, t1_mm=4.0, pet_mm=4.0, frames=2, workers=2)


def reproduce(data, runs, monkeypatch):
    """Run the book on a dataset: its run directory, and the text of its chapters."""
    monkeypatch.setenv("MRI2PET_RUNS", str(runs))
    assert main(["reproduce", "--profile", "smoke", "--data", str(data)]) == 0
    [run] = runs.glob("smoke-*")
    left_out = json.loads((run / "run.json").read_text())["left_out"]
    said = {}
    for name in set(chapter_names()) - set(left_out):
        notebook = nbformat.read(run / "notebooks" / f"{name}.ipynb", as_version=4)
        outputs = [o for c in notebook.cells for o in c.get("outputs", ())]
        assert not [o for o in outputs if o.output_type == "error"], name
        said[name] = "\n".join(
            o.data.get("text/markdown", "") for o in outputs if "data" in o
        )
    assert (run / "site/index.html").is_file()
    for name in RESULTS:
        if not (name in ("table2", "table3") and left_out):
            assert len(pd.read_csv(run / "results" / f"{name}.csv")), name
    return run, said


def test_the_book_on_raw_phantoms_with_their_truth(raw, tmp_path, monkeypatch):
    run, said = reproduce(raw, tmp_path / "runs", monkeypatch)
    store = Store(json.loads((run / "profile.json").read_text())["store"])
    assert store.truth is not None
    assert store.path.parent == tmp_path / "runs/prepared"
    # They are phantoms, but nobody can make them again from the store alone.
    assert TITLE in said["01_cohort"]
    assert "prepared scans of phantoms" in said["03_diffusion"]
    table = pd.read_csv(run / "results/table1.csv")
    assert "ceiling" in set(table["row"])


def test_the_book_on_the_same_scans_without_truth(raw, tmp_path, monkeypatch):
    data = shutil.copytree(raw, tmp_path / "study")
    shutil.rmtree(data / "derivatives")
    run, said = reproduce(data, tmp_path / "runs", monkeypatch)
    store = Store(json.loads((run / "profile.json").read_text())["store"])
    assert store.truth is None
    for chapter in ("01_cohort", "09_table1", "13_appendix_c"):
        assert said[chapter].count(f"admonition}} {TITLE}"), chapter
    assert "the true status of these people" in said["01_cohort"]
    table = pd.read_csv(run / "results/table1.csv", na_values=["NA"])
    assert "ceiling" not in set(table["row"])
    assert "positivity_auc" in set(table["metric"])
    experiment = pd.read_csv(run / "results/appendix_c.csv", keep_default_na=False)
    assert {"do(V)", "do(A)"} < set(experiment["variant"])
