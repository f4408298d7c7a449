"""Where nothing tells amyloid, rows guess; and a row that knew would be found."""

import numpy as np
import pandas as pd
import pytest

from mri2pet.cohort.phantom.disease import ceilings
from mri2pet.cohort.store import Store
from mri2pet.evaluation.delong import auc_interval
from mri2pet.evaluation.scoring import COLUMNS
from mri2pet.run import Run, runs_home
from mri2pet.stages import chance
from mri2pet.stages.cohort import unlinked_stage
from mri2pet.stages.plan import STAGES
from mri2pet.stages.rows import learned_rows

PEOPLE = 12
FEW = [
    ("mean_template", ""),
    ("nearest_subject", ""),
    ("regression_unet", ""),
    ("vanilla", "corrected"),
    ("vanilla", "published"),
    ("gan", "published"),
]


@pytest.fixture
def few_rows(monkeypatch):
    monkeypatch.setattr(chance, "chance_rows", lambda: FEW)


@pytest.fixture
def computed(tiny_run, monkeypatch):
    """Names of the stages that are computed from now on."""
    names = []
    monkeypatch.setattr(
        tiny_run, "log", lambda text: names.append(text.split(":")[0].strip())
    )
    return names


def test_every_learned_row_is_asked_in_both_designs():
    rows = chance.chance_rows()
    assert set(learned_rows()) < set(rows)
    assert {("mri2pet", "published"), ("mri2pet", "corrected")} < set(rows)
    assert {("regression_unet", ""), ("nearest_subject", "")} < set(rows)
    assert len(rows) == len(set(rows)) == 28
    assert STAGES["chance"] is chance.chance


def test_a_row_that_knows_is_above_one_half_and_guesses_are_not():
    rng = np.random.default_rng(0)
    scans = [f"sub-{i:05d}_ses-M000" for i in range(1000)]
    status = pd.Series(rng.random(1000) < 0.44, index=scans)
    guesses = {(f"guess{i}", ""): rng.standard_normal(1000) for i in range(27)}
    little = 0.35 * status + rng.standard_normal(1000)  # an area of about 0.6
    scores = {**guesses, ("knows", "corrected"): little}
    scores = {k: pd.Series(v, index=scans).sample(frac=1) for k, v in scores.items()}
    tidy = chance.at_once(scores, status, seed=4).set_index("row")
    found = tidy.loc["knows"]
    assert found["low"] > 0.5
    rest = tidy.drop(index="knows")
    assert ((rest["low"] <= 0.5) & (rest["high"] >= 0.5)).all()
    assert (tidy["high"] - tidy["low"] < 2 * 0.06).all()
    # the same people, each row alone: more certain, as an interval for one row is
    alone = auc_interval(scores["knows", "corrected"].loc[scans], status)
    assert alone.high - alone.low < 0.7 * (found["high"] - found["low"])


def test_a_thousand_people_are_enough():
    """28 rows, the phantom's share of positive people: narrower than +-0.06."""
    from scipy import stats

    from mri2pet.cohort.phantom.disease import draw_people

    share = draw_people(range(20000), seed=1, rho=0.0, linked=False)["status"].mean()
    positive = 1000 * (share - 3 * np.sqrt(share * (1 - share) / 1000))  # unlucky
    spread = np.sqrt(1001 / (12 * positive * (1000 - positive)))
    assert stats.norm.ppf(1 - 0.05 / 2 / len(chance.chance_rows())) * spread < 0.06


def test_the_stage_on_a_tiny_run(tiny_run, few_rows, computed):
    tidy = chance.chance(tiny_run, people=PEOPLE, calls=1)
    assert list(tidy.columns) == COLUMNS
    assert list(zip(tidy["row"], tidy["design"], strict=True)) == FEW
    assert set(tidy["metric"]) == {"positivity_auc"}
    assert set(tidy["variant"]) == {"rho=0"}
    assert set(tidy["rho"]) == {0.0}
    assert set(tidy["n"]) == {PEOPLE}
    assert (tidy["low"] <= tidy["value"]).all()
    assert (tidy["value"] <= tidy["high"]).all()
    assert (tidy["high"] - tidy["low"] > 0.2).all()
    assert tiny_run.results("chance").equals(tidy)
    store = Store(unlinked_stage(tiny_run, PEOPLE).path())
    assert store.attrs["linked"] is False
    assert store.attrs["rho"] == 0.0
    own = tiny_run.cohort()
    assert not set(store.scans["mri_sha256"]) & set(own.scans["mri_sha256"])
    assert not set(store.scans["participant_id"]) & set(
        own.scans.loc[own.ids("train"), "participant_id"]
    )
    computed.clear()
    chance.chance(tiny_run, people=PEOPLE, calls=1)
    assert computed == []


def test_a_planted_leak_is_found_and_a_kill_costs_one_row(
    tiny_run, few_rows, computed, monkeypatch
):
    """A row that is shown the real PET, and a row in which the run is killed."""
    pets = chance._pets

    def leaky(run, learned, row, store, ids, calls):
        if row == "gan":
            raise KeyboardInterrupt
        if (row, learned and learned.switches.prediction) == ("vanilla", "x0"):
            return store.read("pet", ids)
        return pets(run, learned, row, store, ids, calls)

    monkeypatch.setattr(chance, "_pets", leaky)
    with pytest.raises(KeyboardInterrupt):
        chance.chance(tiny_run, people=PEOPLE, calls=2)
    monkeypatch.setattr(chance, "_pets", pets)
    computed.clear()
    tidy = chance.chance(tiny_run, people=PEOPLE, calls=2)
    assert computed == ["chance-gan.published", "chance"]
    tidy = tidy.set_index(["row", "design"])
    assert tidy.loc[("vanilla", "corrected"), "low"] > 0.5
    assert tidy.loc[("vanilla", "published"), "low"] <= 0.5


def test_composites_are_those_of_the_truth(tiny_run):
    """Real PETs in their own regions: right people, right regions."""
    store = tiny_run.cohort()
    ids = store.ids(has_pet=True)
    found = chance.composites(store, ids, store.read("pet", ids))
    truth = store.truth.loc[ids, "suvr_composite"]
    np.testing.assert_allclose(found, truth, atol=0.1)


@pytest.mark.parametrize(("people", "calls"), [(3, 3), (100, 0)])
def test_impossible_numbers_are_refused(tiny_run, people, calls):
    with pytest.raises(ValueError, match=f"people = {people}, calls = {calls}"):
        chance.chance(tiny_run, people=people, calls=calls)


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory):
    """The smoke run; what is finished in runs/smoke is used and nothing put there."""
    run = Run.open("smoke", tmp_path_factory.mktemp("runs") / "smoke", quiet=True)
    run.parent = runs_home() / "smoke"
    return run


@pytest.mark.slow
def test_at_rho_0_every_row_guesses(smoke_run):
    tidy = chance.chance(smoke_run, people=1000, calls=2)
    made = set(zip(tidy["row"], tidy["design"], strict=True))
    assert made == set(chance.chance_rows())
    assert set(tidy["n"]) == {1000}
    off = tidy[(tidy["low"] > 0.5) | (tidy["high"] < 0.5)]
    assert off.empty, off[["row", "design", "value", "low", "high"]]
    assert (tidy["high"] - tidy["low"] < 2 * 0.06).all()
    # The labels are those of these scans: the real PETs tell them.
    store = Store(unlinked_stage(smoke_run, 1000).path())
    ids = store.ids()[:200]
    real = chance.composites(store, ids, store.read("pet", ids))
    assert auc_interval(real, store.truth["status"].loc[ids], level=0.99).low > 0.9


@pytest.mark.slow
def test_at_the_default_rho_no_row_knows_more_than_the_mri_can(smoke_run):
    tidy = smoke_run.evaluate()
    areas = tidy[(tidy["metric"] == "positivity_auc") & (tidy["comparison"] == "")]
    assert len(areas) >= len(learned_rows())
    table = ceilings(smoke_run.profile.cohort.rho).set_index(["information", "target"])
    ceiling = table.loc[("V, age", "status"), "auc"]
    above = areas[areas["low"] > ceiling]
    assert above.empty, above[["row", "design", "variant", "value", "low"]]
