"""The page of measurements: figure, bars that hold and bars that do not."""

import pandas as pd

from mri2pet.report.speed import results_dir, write_speed_page


def _line(case, value, dtype="float32", **more):
    return {
        "benchmark": "training", "case": case, "grid": "16x48x48", "dtype": dtype,
        "value": value, "low": 0.9 * value, "high": 1.1 * value, "unit": "s/sample",
        "cpu": "A CPU", "cores": 2, **more,
    }  # fmt: skip


def test_bars_and_figure_come_from_the_csv(tmp_path):
    results, folder = tmp_path / "results", tmp_path / "page"
    results.mkdir()
    folder.mkdir()
    compared = {"against": "released", "ratio_low": 9.0, "ratio_high": 31.0}
    pd.DataFrame(
        [
            _line("released design, plain PyTorch, 16x48x48", 0.5),
            _line("SpatialUNet, spatial, our loop", 0.02, "bfloat16"),
            _line("fast enough", 0.02, ratio=25.0, bar=">= 12", holds=True, **compared),
            _line("too slow", 0.2, ratio=2.5, bar=">= 5", holds=False, **compared),
        ]
    ).to_csv(results / "a-cpu-2-cores.csv", index=False)
    write_speed_page(folder, results)
    page = (folder / "speed.md").read_text()
    assert (folder / "a-cpu-2-cores.png").stat().st_size > 5000
    assert "{figure} page/a-cpu-2-cores.png" in page
    assert "500 ms" in page and "20 ms" in page
    assert "| fast enough (PET 16x48x48) | 25.0 x [9.0, 31.0] | >= 12 | yes |" in page
    assert "| too slow (PET 16x48x48) | 2.5 x [9.0, 31.0] | >= 5 | **no** |" in page


def test_no_measurement_is_said_to_be_none(tmp_path):
    (tmp_path / "results").mkdir()
    write_speed_page(tmp_path, tmp_path / "results")
    assert "without measurements" in (tmp_path / "speed.md").read_text()


def test_committed_measurements_can_be_read():
    for path in results_dir().glob("*-cores.csv"):
        table = pd.read_csv(path)
        assert {"benchmark", "case", "value", "bar", "holds", "cpu"} <= set(table)


def test_variants_and_scaling_have_tables(tmp_path):
    results, folder = tmp_path / "results", tmp_path / "page"
    results.mkdir()
    folder.mkdir()
    compared = {"ratio_low": 0.8, "ratio_high": 1.4, "parameters": 1154052}
    rows = [
        _line("share of convolution", 0.4) | {"benchmark": "variants"},
        _line("share of SiLU", 0.1) | {"benchmark": "variants"},
        _line("torch.compile", 0.02, ratio=1.25, **compared)
        | {"benchmark": "variants"},
        _line("batch, 16x48x48, b4, bfloat16", 0.036, batch=4.0)
        | {"benchmark": "scaling"},
    ]
    pd.DataFrame(rows).assign(bar=None).to_csv(
        results / "a-cpu-2-cores.csv", index=False
    )
    write_speed_page(folder, results)
    page = (folder / "speed.md").read_text()
    assert "convolution 40 %, SiLU 10 %" in page
    assert "| torch.compile | 20.0 | 1.25 [0.80, 1.40] | 1,154,052 |" in page
    assert "| batch | 16x48x48 | 4 | 36.0 | 977 |" in page


def test_the_samplers_that_pass_all_measures_are_named(tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    common = {
        "people": 64, "samples": 4, "few": 1.0, "many": 1.0, "unit": "ratio",
        "value": 1.0, "low": 0.9, "high": 1.1, "bar": "0.8 .. 1.25",
    }  # fmt: skip
    rows = [
        {"sampler": name, "calls": 25, "metric": metric, "holds": holds, **common}
        for name, all_hold in (("ddim", True), ("ddpm", False))
        for metric, holds in (("ssim", True), ("sample_sd", all_hold))
    ]
    pd.DataFrame(rows).to_csv(results / "equivalence.csv", index=False)
    write_speed_page(tmp_path, results)
    page = (tmp_path / "speed.md").read_text()
    assert "999 calls on all four measures: `ddim` with 25 calls." in page
