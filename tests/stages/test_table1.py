"""Table 1 of a tiny run: all rows, variants, notes, tests, and what is missing."""

import numpy as np
import pandas as pd
import pytest

from mri2pet.artifacts import RunBusyError
from mri2pet.config import CONTROLS
from mri2pet.report.study import load_study, save_study
from mri2pet.run import Run
from mri2pet.stages import table1
from mri2pet.stages.plan import AFTER_TRAINING
from mri2pet.stages.rows import learned_rows, table1_rows, trained

SEVENTEEN = {
    *("mri2pet", "mri2pet_published", "no_style", "self_pretrained"),
    *("no_pretraining", "no_loss", "vanilla", "gan", "cdc", "dcl", "diffaugment"),
    *("maskgan", "ddpm_pa", "mean_template", "nearest_subject", "random_subject"),
    "regression_unet",
}


@pytest.fixture(scope="module")
def tidy(tiny_run):
    return tiny_run.evaluate()


def test_all_seventeen_rows_have_values_and_intervals(tidy):
    assert {row for row, _ in table1_rows()} == SEVENTEEN
    default = tidy[(tidy["variant"] == "") & (tidy["comparison"] == "")]
    assert set(default["row"]) == SEVENTEEN
    for metric, region in (("ssim", "brain"), ("psnr", "whole"), ("mae", "brain")):
        mine = default[(default["metric"] == metric) & (default["region"] == region)]
        keys = list(zip(mine["row"], mine["design"], strict=True))
        assert sorted(keys) == sorted(table1_rows())
        assert np.isfinite(mine[["value", "low", "high"]].to_numpy()).all()
        assert (mine["low"] <= mine["value"]).all()
        assert (mine["value"] <= mine["high"]).all()


def test_the_variants_are_there_and_are_compared(tidy):
    value = tidy[tidy["metric"].eq("ssim") & tidy["region"].eq("brain")]

    def has(row, design, variant, comparison=""):
        fits = (value[["row", "design", "variant", "comparison"]]) == (
            [row, design, variant, comparison]
        )
        return fits.all(axis=1).sum() == 1

    for design in ("published", "corrected"):
        assert has("no_pretraining", design, "equal_total_steps")
        assert has("mri2pet", design, "", "no_pretraining/equal_total_steps")
        assert has("no_loss", design, "", "vanilla/equal_total_steps")
        assert has("mri2pet", design, "x0_mse", "mri2pet")
    assert has("mri2pet", "corrected", "v", "mri2pet")
    assert has("mri2pet", "corrected", "eps", "mri2pet")
    assert has("mri2pet", "corrected", "mean_of_samples", "mri2pet")
    assert not has("mri2pet", "corrected", "x0")
    assert has("gan", "corrected", "", "gan/published")


def test_equal_total_steps_are_the_sum_of_both(tiny_run):
    plan = tiny_run.profile.training
    [arm] = [
        arm
        for arm in table1.arms(tiny_run)
        if arm.key == ("vanilla", "corrected", table1.EQUAL)
    ]
    keys = {k: v for k, v in arm.keys.items() if k != "samples"}
    curve = trained(tiny_run, arm.row, arm.design, **keys).losses
    assert len(curve) == plan.pretrain_steps + plan.finetune_steps


def test_limits_stand_beside_the_rows(tidy):
    auc = tidy[tidy["metric"] == "positivity_auc"].set_index(["row", "variant"])
    assert auc.loc[("ceiling", "V, age"), "value"] == pytest.approx(0.70, abs=0.01)
    assert auc.loc[("real_pet", "self"), "value"].item() > 0.5


def test_released_scores_stand_apart(tidy):
    released = tidy[tidy["variant"] == "released_scoring"]
    assert set(released["interval"]) == {"released"}
    assert set(released["metric"]) == {"ssim", "psnr"}
    ours = tidy[(tidy["variant"] == "") & (tidy["comparison"] == "")]
    ours = ours[(ours["metric"] == "ssim") & (ours["region"] == "whole")]
    both = ours.merge(released[released["metric"] == "ssim"], on=["row", "design"])
    assert len(both) > 20
    assert (both["value_x"] != both["value_y"]).all()


def test_tests_are_adjusted_within_a_design(tiny_run, tidy):
    tests = pd.read_csv(tiny_run.path / "results/table1_tests.csv")
    part = tests[(tests["metric"] == "ssim") & (tests["comparison"] == "mri2pet")]
    for design in ("published", "corrected"):
        rows = [row for row, d in learned_rows() if d == design and row != "mri2pet"]
        mine = part[part["design"] == design]
        assert sorted(mine["row"]) == sorted(rows)
        assert set(mine["family"]) == {len(rows)}
        assert (mine["p_holm"] >= mine["p"]).all()


def test_failed_rows_are_noted(tiny_run, tidy):
    """Three steps of a GAN give everybody the same picture."""
    notes = pd.read_csv(tiny_run.path / "results/table1_notes.csv")
    mine = notes[(notes["row"] == "gan") & (notes["kind"] == "failure")]
    assert mine["note"].str.contains("collapsed").any()


def test_a_row_that_cannot_be_made_is_named_and_the_others_stand(
    tiny_profile, tmp_path
):
    """DDPM-PA compares people with each other: two in a batch are too few."""
    few = tiny_profile.with_name("few.yaml")
    few.write_text(
        "extends: tiny\nname: few\ntraining: {batch_size: 2, accumulation_steps: 1}\n"
    )
    run = Run.open(few, tmp_path / "few", quiet=True)
    said = []
    run.log = said.append
    good = table1.attempt(run, table1.Arm("vanilla", "corrected"))
    assert not isinstance(good, str)
    bad = table1.attempt(run, table1.Arm("ddpm_pa", "corrected"))
    assert "at least 3 samples; got 2" in bad and "\n" not in bad
    assert any("ddpm_pa corrected is missing" in line for line in said)


def test_learning_curves_and_the_committed_study(
    tiny_run, tiny_profile, tidy, tmp_path
):
    with pytest.raises(ValueError, match=r"smoke: training\.snapshots is empty"):
        Run.open("smoke", tmp_path / "smoke", quiet=True).learning_curves()
    curves = tiny_run.learning_curves()
    mine = curves[(curves["row"] == "vanilla") & (curves["design"] == "corrected")]
    mine = mine[mine["metric"] == "ssim"]
    assert mine["samples"].tolist() == [4, 8, 16]
    last = tiny_run.sample("vanilla", "corrected").samples
    whole = tidy[(tidy["row"] == "vanilla") & (tidy["design"] == "corrected")]
    whole = whole[(whole["metric"] == "ssim") & (whole["region"] == "brain")]
    final = whole[(whole["comparison"] == "") & (whole["variant"] == "")]["value"]
    # The last point of a curve is the row itself.
    assert mine["value"].iloc[-1] == pytest.approx(final.item(), abs=1e-4)
    assert np.isfinite(last).all()
    template = curves[curves["row"] == "mean_template"]
    assert template["samples"].tolist() == [0, 0]

    # What is finished can be had without training the rest.
    part = Run.open(tiny_profile, tmp_path / "part", quiet=True)
    part.log = lambda text: None
    part.finetune("vanilla", "corrected")
    part.may_compute = AFTER_TRAINING
    few = part.learning_curves()
    assert set(few["row"]) == {"vanilla", *set(CONTROLS) - {"regression_unet"}}
    pd.testing.assert_frame_equal(
        few[few["row"] == "vanilla"].reset_index(drop=True),
        curves[
            (curves["row"] == "vanilla") & (curves["design"] == "corrected")
        ].reset_index(drop=True),
    )
    with pytest.raises(ValueError, match=r"gan.* is not finished in this run"):
        part.finetune("gan", "corrected")

    assert load_study(tmp_path / "kept") is None
    names = save_study(tiny_run, tmp_path / "kept")
    assert "learning_curves" in names and "table1" in names
    study = load_study(tmp_path / "kept")
    assert len(study.tables["learning_curves"]) == len(curves)
    assert "profile *tiny*" in study.name()


def test_a_busy_run_is_not_a_missing_row(tiny_run, monkeypatch):
    def busy(*args, **keys):
        raise RunBusyError("another process is computing there")

    monkeypatch.setattr(table1, "sample_stage", busy)
    with pytest.raises(RunBusyError):
        table1.attempt(tiny_run, table1.Arm("gan", "corrected"))
