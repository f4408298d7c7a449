"""The tidy table of Appendix C finds what was put in, and says what is missing."""

import atrophy_cases as cases
import numpy as np
import pytest

from mri2pet.evaluation.appendix_c import (
    Table,
    intervention,
    observation,
    stages_of,
)
from mri2pet.evaluation.scoring import COLUMNS, KEY
from mri2pet.report.ambiguity import find

MAIN = cases.MAIN


@pytest.fixture(scope="module")
def found():
    return cases.results()


def _observed(frames, n_boot=50):
    table = Table(n_boot, 4, 0.67)
    observation(table, frames)
    return table.tidy(), table.noted()


def test_the_table_has_the_columns_of_the_contract(found):
    tidy, _ = found
    assert list(tidy.columns) == COLUMNS
    assert not tidy.duplicated(KEY).any()
    assert set(tidy["interval"]) == {"people"}
    ends = tidy[tidy["low"].notna()]
    assert (ends["low"] <= ends["high"]).all()
    assert (tidy["n"] <= 40).all()  # people: the second visit is no witness


@pytest.mark.parametrize("sign", [1, -1])
def test_the_direction_that_was_put_in_comes_out(sign):
    effects = {k: sign * v for k, v in cases.AS_THE_PAPER_SAYS.items()}
    tidy, _ = _observed(cases.frames(effects))
    for measure, size in effects.items():
        for kind in ("pearson_r:atrophy", "spearman_r:atrophy", "slope"):
            line = find(tidy, *MAIN, f"{kind}:{measure}")
            assert line["value"] * size > 0, measure
            assert line["low"] * line["high"] > 0, measure
        line = find(tidy, *MAIN, f"slope:{measure}")
        assert line["value"] == pytest.approx(size * cases.LEVEL[measure], rel=0.3)


def test_amyloid_goes_along_with_atrophy_but_not_at_equal_atrophy():
    tidy, _ = _observed(cases.frames())
    line = find(tidy, *MAIN, "partial_r:amyloid:detail")
    assert line["low"] < 0 < line["high"]
    frames = cases.frames()
    mine = frames[(*MAIN, "")]
    mine["detail"] += 0.1 * mine["amyloid"]
    tidy, _ = _observed(frames)
    assert find(tidy, *MAIN, "partial_r:amyloid:detail")["low"] > 0


def test_the_real_scan_is_only_asked_what_it_has_by_itself(found):
    tidy, _ = found
    mine = tidy[(tidy["row"] == "real_pet") & (tidy["variant"] == "")]
    asked = {m.rsplit(":", 1)[-1] for m in mine["metric"]}
    assert asked <= {*cases.REAL, "ventricle_mri_ml"}
    proxy = find(tidy, "real_pet", "", "spearman_r:ventricle_ml:ventricle_mri_ml")
    assert proxy["low"] > 0.8


def test_a_method_with_one_sample_is_never_ambiguous(found):
    tidy, notes = found
    mine = tidy[tidy["row"] == "regression_unet"]
    assert not mine["metric"].str.contains("spread|entropy|dispersion").any()
    assert "one_sample" in set(notes.loc[notes["row"] == "regression_unet", "kind"])


def test_links_are_compared_on_the_same_people(found):
    tidy, _ = found
    line = find(tidy, *MAIN, "pearson_r:atrophy:sharpness", "", "mri2pet/rho=0")
    own = find(tidy, *MAIN, "pearson_r:atrophy:sharpness")
    other = find(tidy, *MAIN, "pearson_r:atrophy:sharpness", "rho=0")
    assert line["value"] == pytest.approx(own["value"] - other["value"])
    assert line["low"] > 0
    assert (own["rho"], other["rho"], line["rho"]) == (0.67, 0.0, 0.67)
    frames = cases.frames()
    key = (*MAIN, "rho=0")
    frames[key] = frames[key].iloc[::-1]
    with pytest.raises(ValueError, match="other scans than mri2pet"):
        _observed(frames)


def test_samples_that_are_the_same_are_noted_and_not_correlated():
    frames = cases.frames()
    mine = frames[(*MAIN, "")]
    mine[["spread", "spread_composite", "entropy"]] = 0.0
    tidy, notes = _observed(frames)
    line = find(tidy, *MAIN, "pearson_r:atrophy:spread_composite")
    assert np.isnan([line["value"], line["low"], line["high"]]).all()
    assert np.isnan(find(tidy, *MAIN, "slope:spread_composite")["value"])
    assert find(tidy, *MAIN, "spread")["value"] == 0
    mine = notes[(notes["row"] == "mri2pet") & (notes["variant"] == "")]
    assert (
        "All samples of 41 of 41 scans"
        in mine.set_index("kind").at["no_spread", "note"]
    )
    assert "undefined" in set(mine["kind"])


def test_scans_without_detail_or_diagnosis_are_counted():
    frames = cases.frames()
    mine = frames[(*MAIN, "")]
    mine.loc[:2, "sharpness"] = np.nan
    mine.loc[:4, "stage"] = np.nan
    tidy, notes = _observed(frames)
    notes = notes[notes["row"] == "mri2pet"].set_index("kind")
    assert notes.at["flat", "note"].startswith("3 of 41")
    assert notes.at["no_stage", "note"].startswith("5 of 41")
    assert find(tidy, *MAIN, "pearson_r:atrophy:sharpness")["n"] == 37
    assert find(tidy, *MAIN, "pearson_r:atrophy:detail")["n"] == 40


def test_without_truth_the_rest_stands():
    """No V, A or tissue volumes: a stand-in from the MRI, and the real composite."""
    gone = ["V", "A", "ventricle_ml", "cortex_mm", "gm_ml"]
    key = (*MAIN, "")
    frame = cases.scans(key, cases.AS_THE_PAPER_SAYS).drop(columns=gone)
    frame["atrophy"] = frame["ventricle_mri_ml"]
    table = Table(50, 4)
    observation(table, {key: frame})
    tidy = table.tidy()
    assert find(tidy, *MAIN, "pearson_r:atrophy:sharpness")["low"] > 0
    assert tidy["rho"].isna().all()
    assert not tidy["metric"].str.contains("cortex|gm_ml").any()


def test_slopes_within_people_are_those_put_in(found):
    tidy, _ = found
    for measure, size in cases.AS_THE_PAPER_SAYS.items():
        line = find(tidy, *MAIN, f"slope:{measure}", "do(V)")
        assert line["value"] == pytest.approx(size * cases.LEVEL[measure])
        assert line["n"] == 8
    gap = find(tidy, *MAIN, "slope:detail", "do(V)", "real_pet")
    assert gap["value"] == pytest.approx((0.5 - 0.3) * cases.LEVEL["detail"])
    assert find(tidy, *MAIN, "change_r", "do(V)")["low"] > 0
    assert find(tidy, "real_pet", "", "slope:sharpness", "do(V)") is None


def test_each_person_has_slopes_of_their_own():
    table = Table(50, 4, 0.67)
    intervention(table, cases.made(), k={})
    slopes = table.personal()
    mine = slopes[(slopes["row"] == "mri2pet") & (slopes["measure"] == "detail")]
    for variant, size in (("do(V)", 0.5), ("do(A)", 0.0)):
        found = mine[mine["variant"] == variant]
        assert found["participant_id"].nunique() == len(found) == 8
        np.testing.assert_allclose(found["slope"], size * cases.LEVEL["detail"])
    assert Table(50, 4).personal().empty


def test_amyloid_alone_changes_nothing_and_that_is_exact(found):
    tidy, _ = found
    assert find(tidy, *MAIN, "max_change", "do(A)")["value"] == 0
    assert find(tidy, "mri", "", "max_change", "do(A)")["value"] == 0
    line = find(tidy, *MAIN, "slope:composite", "do(A)")
    assert (line["value"], line["low"], line["high"]) == (0.0, 0.0, 0.0)
    assert find(tidy, "real_pet", "", "slope:composite", "do(A)")["low"] > 0


def test_no_slope_of_an_ambiguity_that_is_never_there():
    made = cases.made()
    made[["spread", "spread_composite", "entropy"]] *= 0.0
    table = Table(50, 4, 0.67)
    intervention(table, made, k={"mri2pet": 4})
    tidy = table.tidy()
    assert find(tidy, *MAIN, "slope:spread_composite", "do(V)") is None
    assert find(tidy, *MAIN, "slope:detail", "do(V)") is not None


def test_interventions_of_another_link_have_their_own_lines():
    tidy, _ = cases.results(unlinked_changes=cases.made())
    line = find(tidy, *MAIN, "slope:detail", "do(V), rho=0")
    assert line["rho"] == 0.0
    assert find(tidy, *MAIN, "slope:detail", "do(V)")["rho"] == 0.67


def test_stages():
    found = stages_of(["CN", "MCI", "AD", None, float("nan"), "other"])
    np.testing.assert_array_equal(found, [0, 1, 2, np.nan, np.nan, np.nan])
