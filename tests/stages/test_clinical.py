"""Tables 2 and 3 and the agreement of predictions, on a tiny run."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mri2pet.artifacts import RunBusyError
from mri2pet.evaluation.scoring import COLUMNS
from mri2pet.stages import clinical as stage
from mri2pet.stages.agreement import agreement, agreement_lines
from mri2pet.stages.clinical import clinical, predictions, score_table
from mri2pet.stages.downstream import read_predictions
from mri2pet.stages.settings import SETTINGS, arms

TEN = {
    *("real_mri", "real_limited_mri", "real_pet", "generated_pet", "real_paired"),
    *("augmented_paired", "augmented_pet", "synthetic_paired", "covariates"),
    "mri_covariates",
}


@pytest.fixture(scope="module")
def tables(tiny_run):
    return dict(zip(("table2", "table3"), clinical(tiny_run), strict=True))


def test_all_ten_settings_have_values_and_both_intervals(tables):
    assert set(SETTINGS) == TEN
    for table, metrics in (
        ("table2", {"accuracy", "f1_macro", "balanced_accuracy", "auroc_macro"}),
        ("table3", {"mse", "pearson_r"}),
    ):
        tidy = tables[table]
        assert list(tidy.columns) == COLUMNS
        own = tidy[(tidy["variant"] == "") & (tidy["comparison"] == "")]
        own = own[own["row"] != "ceiling"]
        assert set(own["row"]) == TEN and set(own["metric"]) == metrics
        assert np.isfinite(own[["value", "low", "high"]].to_numpy(float)).all()
        counts = own.groupby(["row", "metric", "region"])["interval"].agg(set)
        assert (counts == {"people", "seeds"}).all()
        made = own["row"].map(lambda row: SETTINGS[row].synthetic)
        assert ((own["design"] != "") == made).all()


def test_a_value_is_the_mean_over_trainings(tables, tiny_run):
    frame = pd.read_parquet(tiny_run.path / "results/downstream_predictions.parquet")
    part = frame.query(
        "row == 'real_mri' and variant == '' and on == 'real' and target == 'mmse'"
    )
    by_seed = part.groupby("seed").apply(
        lambda own: ((own["predicted"] - own["truth"]) ** 2).mean()
    )
    tidy = tables["table3"].query(
        "row == 'real_mri' and variant == '' and comparison == '' and "
        "metric == 'mse' and region == 'full_range'"
    )
    assert len(by_seed) == tiny_run.profile.downstream.seeds
    assert tidy["value"].to_numpy() == pytest.approx([by_seed.mean()] * 2)


def test_published_values_stand_beside_the_settings_that_the_paper_has(tables):
    two = tables["table2"]
    line = two.query("row == 'augmented_paired' and metric == 'auroc_macro'")
    default = line[(line["variant"] == "") & (line["comparison"] == "")]
    assert (default["published"] == 0.780).all()
    assert line.loc[line["variant"] != "", "published"].isna().all()
    assert two.loc[two["row"] == "augmented_pet", "published"].isna().all()
    three = tables["table3"]
    assert three.loc[three["region"] == "full_range", "published"].isna().all()


def test_ceilings_stand_for_every_rho(tables, tiny_run):
    best = tables["table2"].query("row == 'ceiling'").set_index("variant")["value"]
    assert best["V, age"] == pytest.approx(0.777, abs=0.015)
    for rho in tiny_run.profile.rhos:
        assert 0.48 < best[f"A, age, rho={rho:g}"] < best["all"]


def test_tests_are_adjusted_within_their_family(tables, tiny_run):
    tests = pd.read_csv(tiny_run.path / "results/table2_tests.csv")
    one = tests[tests["metric"] == "auroc_macro"]
    assert len(one) == len(stage.COMPARISONS) and (one["family"] == len(one)).all()
    assert (one["p_holm"] >= one["p"]).all()


def test_a_setting_that_cannot_be_run_is_named_and_the_rest_stands(
    tiny_run, monkeypatch
):
    real = stage.predictions_stage

    def broken(run, arm, images):
        if arm.setting == "real_pet":
            raise ValueError("the loss is nan\nat learning rate 1")
        return real(run, arm, images)

    monkeypatch.setattr(stage, "predictions_stage", broken)
    stages, missing = predictions(tiny_run)
    assert missing["real_pet", "", ""] == "the loss is nan at learning rate 1"
    assert ("real_mri", "", "") in stages
    frames = {k: read_predictions(s)[0] for k, s in stages.items()}
    tidy, tests, _ = score_table("table2", frames, {}, 50, tiny_run.profile)
    assert "real_pet" not in set(tidy["row"]) | set(tests["comparison"])
    assert "real_mri" in set(tidy["row"])

    def busy(run, arm, images):
        raise RunBusyError("another process is computing there")

    monkeypatch.setattr(stage, "predictions_stage", busy)
    with pytest.raises(RunBusyError):
        predictions(tiny_run)


def test_a_variant_is_compared_with_its_own_setting(tables):
    two = tables["table2"]
    kinds = two[(two["variant"] != "") & (two["row"] != "ceiling")]
    with_other = kinds[kinds["comparison"] != ""]
    step = with_other["row"].map(stage.STEPS) == with_other["comparison"]
    assert set(with_other.loc[step, "variant"]) == {"template_pet"}
    assert (with_other["comparison"] == with_other["row"])[~step].all()
    assert {"no_crossfit", "template_pet"} <= set(with_other["variant"])


def test_three_steps_add_up_to_what_the_abstract_compares(tables):
    for table, metric in (("table2", "auroc_macro"), ("table3", "mse")):
        tidy = tables[table]
        tidy = tidy[(tidy["metric"] == metric) & (tidy["interval"] == "people")]

        def minus(row, variant, other, tidy=tidy):
            fits = (tidy["row"] == row) & (tidy["variant"] == variant)
            found = tidy.loc[fits & (tidy["comparison"] == other), "value"]
            assert len(found) == (2 if len(set(tidy["region"])) == 2 else 1)
            return found.to_numpy()

        steps = minus("real_paired", "", "real_pet")
        steps = steps + minus("augmented_paired", "template_pet", "real_paired")
        steps = steps - minus("augmented_paired", "template_pet", "augmented_paired")
        assert steps == pytest.approx(minus("augmented_paired", "", "real_pet"))


def test_what_the_paper_says_of_the_augmented_setting_is_compared(tables):
    tidy = tables["table2"].query("row == 'augmented_paired' and variant == ''")
    others = {other for row, other in stage.CLAIMED if row == "augmented_paired"}
    assert others == {"real_paired", "real_limited_mri", "generated_pet"}
    assert others <= set(tidy["comparison"])


def test_arms_have_different_keys(tiny_run):
    keys = [arm.key for arm in arms(tiny_run)]
    assert len(keys) == len(set(keys))


def test_agreement_has_a_reliability_and_a_floor(tiny_run):
    tidy = agreement(tiny_run)
    variants = set(tidy["variant"])
    assert {"", "last_seed", "reliability", "rho=0"} <= variants
    assert tidy.loc[tidy["comparison"] == "", "value"].between(-1, 1).all()
    floor = tidy[tidy["comparison"] != ""].set_index(["row", "region", "interval"])
    assert set(floor["variant"]) == {"rho=0"}
    own = tidy[(tidy["comparison"] == "") & (tidy["interval"] == "people")]
    people = own.set_index(["row", "region", "variant"])
    for row, region, interval in floor.index:
        own, at_zero = (people["value"][row, region, v] for v in ("", "rho=0"))
        assert floor["value"][row, region, interval] == pytest.approx(at_zero - own)
    paper = tidy[(tidy["row"] == "real_pet") & (tidy["region"] == "mmse_20")]
    assert (paper.loc[paper["variant"] == "", "published"] == 0.273).all()
    assert paper.loc[paper["variant"] == "reliability", "published"].isna().all()


def _predictions(real, generated):
    lines = []
    for on, values in (("real", real), ("generated", generated)):
        for seed, row in enumerate(values):
            for i, value in enumerate(row):
                about = {"scan_id": f"s{i}", "participant_id": f"p{i}", "on": on}
                about |= {"target": "mmse", "seed": 4 * seed, "truth": 25.0}
                lines.append({**about, "predicted": value})
    return pd.DataFrame(lines)


def test_agreement_is_the_mean_correlation_over_trainings(tiny_run):
    rng = np.random.default_rng(0)
    real = rng.normal(25, 2, (2, 40))
    generated = real + rng.normal(0, [[1], [4]], (2, 40))
    lines = agreement_lines(
        _predictions(real, generated), ("real_pet", "", ""), None, tiny_run.profile
    )
    found = {(x["variant"], x["interval"]): x for x in lines}
    each = [stats.pearsonr(a, b)[0] for a, b in zip(real, generated, strict=True)]
    assert found["", "people"]["value"] == pytest.approx(np.mean(each))
    assert found["last_seed", "people"]["value"] == pytest.approx(each[-1])
    assert found["reliability", "people"]["value"] == pytest.approx(
        stats.pearsonr(real[0], real[1])[0]
    )
    assert ("reliability", "seeds") not in found
