"""The page of switches: complete, from the presets, linked to chapters that exist."""

import json

import pytest
import yaml

from mri2pet import paths
from mri2pet.config import DESIGNS, Design
from mri2pet.report.switches import load_switches, switches_page


def test_every_switch_of_a_design_is_explained_once():
    names = [s.name for s in load_switches()]
    assert len(names) == len(set(names))
    assert set(names) == set(Design.model_fields) | {"split"}


def test_presets_are_those_of_the_code():
    known = {s.name: s for s in load_switches()}
    for design, preset in DESIGNS.items():
        for name, value in preset.items():
            word = {True: "yes", False: "no"}.get(value, value)
            assert getattr(known[name], design) == word
            assert word in known[name].values


def test_chapters_and_equations_exist():
    for switch in load_switches():
        source = paths.notebooks_dir() / f"{switch.chapter}.ipynb"
        text = "".join(
            line
            for cell in json.loads(source.read_text(encoding="utf-8"))["cells"]
            for line in cell["source"]
        )
        assert not switch.equation or f"({switch.equation})" in text, switch.name


def test_the_page_links_only_what_is_there():
    page = switches_page(["03_diffusion"])
    assert page.count("[](notebooks/03_diffusion.ipynb)") >= 3
    assert "04_style_transfer" not in page
    for switch in load_switches():
        assert f"## `{switch.name}`" in page
        assert switch.released.strip() in page


def test_wrong_entries_are_named(tmp_path):
    path = tmp_path / "switches.yaml"
    good = yaml.safe_load((paths.data_dir() / "switches.yaml").read_text("utf-8"))[0]
    for change, message in (({"switch": "colour"}, "colour"), ({"why": None}, "why")):
        entry = {k: v for k, v in {**good, **change}.items() if v is not None}
        path.write_text(yaml.safe_dump([entry]))
        with pytest.raises(ValueError, match=message):
            load_switches(path)
