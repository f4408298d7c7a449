"""The paper's numbers are there, once, and agree with each other."""

import csv

import pytest

from mri2pet import paths
from mri2pet.evaluation import published as paper


def test_spot_checks_against_the_paper():
    e = paper.entry("table1", "mri2pet", "psnr")
    assert (e.value, e.plus_minus, e.stars) == (24.771, 0.123, "***")
    assert paper.value("table1", "maskgan", "ssim") == 0.016
    assert paper.value("table2", "augmented_paired", "auroc_macro") == 0.780
    assert paper.entry("table3", "augmented_paired", "mse").stars == "**"
    assert paper.entry("table5", "train", "age").plus_minus == 7.12


@pytest.mark.parametrize(
    ("table", "rows", "metrics"),
    [
        ("table1", 11, 3),
        ("table2", 6, 4),
        ("table3", 6, 2),
        ("table5", 3, 10),
        ("log_table3", 8, 4),
    ],
)
def test_tables_are_complete(table, rows, metrics):
    frame = paper.table(table)
    assert len(frame) == rows * metrics
    assert frame["row"].nunique() == rows
    assert frame["value"].notna().all()
    assert frame["source"].str.len().min() > 0


def test_totals_of_tables_4_and_5():
    parts = [
        paper.value("table4", r, "mri_images") for r in ("adni", "ppmi", "ukbiobank")
    ]
    assert sum(parts) == paper.value("table4", "total", "mri_images")
    everyone = ("train", "validation", "test")
    scans = sum(paper.value("table5", r, "pet_scans") for r in everyone)
    assert scans == paper.fact("pairs")
    patients = sum(paper.value("table5", r, "patients") for r in everyone)
    assert patients == paper.fact("patients_sum_of_parts")
    for part in everyone:
        ratio = paper.value("table5", part, "pet_scans") / paper.value(
            "table5", part, "patients"
        )
        name = "val" if part == "validation" else part
        assert ratio == pytest.approx(
            paper.fact(f"scans_per_patient_{name}"), abs=0.005
        )


def test_facts_that_follow_from_table_1():
    for metric, name in (("ssim", "gain_ssim"), ("psnr", "gain_psnr")):
        ours, theirs = (
            paper.value("table1", r, metric) for r in ("mri2pet", "vanilla")
        )
        gain = 100 * (ours / theirs - 1)
        assert gain == pytest.approx(paper.fact(f"{name}_next_best"), abs=0.05)
    a = paper.entry("table1", "mri2pet", "psnr")
    b = paper.entry("table1", "no_style", "psnr")
    t = (a.value - b.value) / (a.plus_minus**2 + b.plus_minus**2) ** 0.5
    assert t == pytest.approx(paper.fact("t_style_psnr"), abs=0.005)


def test_what_stands_beside_our_rows():
    beside = paper.beside_table1()
    assert beside["mri2pet_published", "ssim"] == beside["mri2pet", "ssim"]
    value, source = beside["self_pretrained", "ssim"]
    assert value == 0.863
    assert "log" in source
    assert "paper, Table 1" in beside["gan", "fid"][1]


def test_every_fact_is_a_number_with_a_source_and_stands_once():
    with (paths.data_dir() / "published" / "facts.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len({line["id"] for line in lines}) == len(lines)
    for line in lines:
        assert float(line["value"]) == paper.fact(line["id"])
        assert line["source"]
    assert "counted" in paper.fact_source("unet_parameters")


def test_unknown_names_are_refused_with_what_there_is():
    with pytest.raises(ValueError, match="no published table 'table9'"):
        paper.value("table9", "mri2pet", "ssim")
    with pytest.raises(ValueError, match="rows are .*ddpm_pa"):
        paper.value("table1", "self_pretrained", "ssim")
    with pytest.raises(ValueError, match=r"\['fid', 'psnr', 'ssim'\]"):
        paper.value("table1", "mri2pet", "mae")
    with pytest.raises(ValueError, match="unet_parameters"):
        paper.fact("unet_parameter")
