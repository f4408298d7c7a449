"""The latent model: copula, clocks, visits, ceilings."""

import numpy as np
import pandas as pd
import pytest

from mri2pet.cohort.phantom import constants as k
from mri2pet.cohort.phantom import disease


@pytest.fixture(scope="module")
def people():
    return disease.draw_people(range(20000), seed=7)


def test_a_person_depends_on_seed_and_number_alone():
    many = disease.draw_people(range(50), seed=3)
    few = disease.draw_people([41, 7], seed=3)
    pd.testing.assert_frame_equal(many.loc[[41, 7]], few)
    other = disease.draw_people([41, 7], seed=4)
    assert (other["z_A"] != few["z_A"]).all()


def test_marginals_are_the_designed_ones(people):
    assert people["z_A"].std() == pytest.approx(1.0, abs=0.02)
    assert people["age"].mean() == pytest.approx(71.9, abs=0.3)
    assert people["age"].between(50, 95).all()
    assert people["mmse"].mean() == pytest.approx(26.2, abs=0.2)
    assert people["mmse"].std() == pytest.approx(4.2, abs=0.2)
    assert people["mmse"].between(0, 30).all()
    shares = people["diagnosis"].value_counts(normalize=True)
    for name, share in (("CN", 0.38), ("MCI", 0.33), ("AD", 0.29)):
        assert shares[name] == pytest.approx(share, abs=0.015)
    positive = people.groupby("diagnosis")["status"].mean()
    for name, share in (("CN", 0.25), ("MCI", 0.38), ("AD", 0.72)):
        assert positive[name] == pytest.approx(share, abs=0.03)
    carriers = (people["apoe_e4"] > 0).groupby(people["status"]).mean()
    assert carriers[True] == pytest.approx(0.56, abs=0.03)
    assert carriers[False] == pytest.approx(0.35, abs=0.03)


def test_off_the_pathway_there_is_no_amyloid(people):
    off = people[~people["on_pathway_A"]]
    assert len(off) / len(people) == pytest.approx(k.PATHWAY_FROM, abs=0.02)
    assert (off["A"] == 0).all()
    assert (people["status"] == (people["A"] > 0.5)).all()


def test_amyloid_reaches_the_mri_through_rho_alone():
    linked = disease.draw_people(range(8000), seed=1, rho=0.67)
    free = disease.draw_people(range(8000), seed=1, rho=0.0)
    # The same people otherwise: what an MRI shows does not move with rho.
    pd.testing.assert_series_equal(linked["V"], free["V"])
    assert np.corrcoef(free["z_A"], free["z_N"])[0, 1] == pytest.approx(0, abs=0.03)
    assert np.corrcoef(linked["z_A"], linked["z_N"])[0, 1] > 0.55


def test_linked_people_are_those_of_every_cohort_so_far():
    """Numbers of before `linked` existed, to the last bit."""
    people = disease.draw_people(range(3), seed=3)
    assert people["z_A"].tolist() == [
        -0.9000502846755458,
        0.13987347834926667,
        1.6906766087491616,
    ]
    pd.testing.assert_frame_equal(
        people, disease.draw_people(range(3), seed=3, linked=True)
    )


def test_unlinked_people_differ_in_their_amyloid_only():
    linked = disease.draw_people(range(8000), seed=1, rho=0.0)
    free = disease.draw_people(range(8000), seed=1, rho=0.0, linked=False)
    own = ["z_A", "u_A", "on_pathway_A", "d_A", "A", "status"]
    pd.testing.assert_frame_equal(linked.drop(columns=own), free.drop(columns=own))
    assert free["z_A"].std() == pytest.approx(1.0, abs=0.02)
    assert free["status"].mean() == pytest.approx(linked["status"].mean(), abs=0.01)
    for told in ("age", "apoe_e4", "V", "mmse", "education"):
        assert abs(free["z_A"].corr(free[told])) < 0.03, told
    assert linked["z_A"].corr(linked["apoe_e4"]) > 0.2
    assert linked["z_A"].corr(linked["age"]) > 0.1


def test_with_rho_alone_unlinked_people_still_have_their_link():
    free = disease.draw_people(range(4000), seed=1, rho=0.67, linked=False)
    assert np.corrcoef(free["z_A"], free["z_N"])[0, 1] == pytest.approx(0.67, abs=0.03)


@pytest.mark.parametrize("rho", [-0.1, 1.0, 2.0])
def test_rho_outside_its_range_is_refused(rho):
    with pytest.raises(ValueError, match="rho"):
        disease.draw_people([0], seed=0, rho=rho)


def test_a_later_visit_moves_the_clocks_and_nothing_else(people):
    some = people.head(500)
    later = disease.later_visit(some, 4.0, seed=7)
    on = some["on_pathway_A"]
    assert (later["d_A"] - some["d_A"])[on].to_numpy() == pytest.approx(4 / 16)
    assert (later["d_A"] == some["d_A"])[~on].all()
    assert (later["age"] - some["age"]).to_numpy() == pytest.approx(4.0)
    assert (later["A"] >= some["A"]).all()
    for kept in ("z_A", "z_N", "load", "V_noise", "N_noise", "sex", "apoe_e4"):
        assert (later[kept] == some[kept]).all()
    assert (later["mmse_retest"] != some["mmse_retest"]).all()
    assert (later["diagnosis"] != some["diagnosis"]).any()
    with pytest.raises(ValueError, match="visit 0"):
        disease.later_visit(later, 1.0, seed=7)
    with pytest.raises(ValueError, match="later visit"):
        disease.later_visit(some, 0.0, seed=7)


def test_a_visit_does_not_depend_on_the_visits_before_it(people):
    some = people.head(20)
    alone = disease.later_visit(some.tail(3), 4.0, seed=7)
    among = disease.later_visit(some, 4.0, seed=7).tail(3)
    pd.testing.assert_frame_equal(alone, among)


def test_sex_and_education_act_on_mmse_only(people):
    for column in ("A", "V", "c"):
        assert abs(people["education"].corr(people[column])) < 0.03
    healthy = people[people["c"] < 0]
    assert healthy["education"].corr(healthy["mmse"]) > 0.1


def test_visits_of_the_leak_cohort():
    scans = disease.draw_visits(150, seed=0)
    visits = scans.groupby("participant_id").size()
    assert len(visits) == 150
    assert visits.between(1, 5).all()
    assert visits.mean() == pytest.approx(2.2, abs=0.25)
    assert scans.index.is_unique
    assert scans.index[0] == "sub-00000_ses-M000"
    assert scans.loc["sub-00000_ses-M000", "days"] == 0
    with pytest.raises(ValueError, match="sum to 1"):
        disease.draw_visits(5, seed=0, shares=(0.5, 0.4))


def test_ceilings_are_those_of_the_design():
    table = disease.ceilings(0.67).set_index(["information", "target"])["auc"]
    for key, value in {
        ("age", "status"): 0.56,
        ("age, APOE", "status"): 0.64,
        ("V, age", "status"): 0.70,
        ("V, age, APOE", "status"): 0.74,
        ("V, age, MMSE", "status"): 0.73,
        ("all", "status"): 0.77,
        ("V, age", "diagnosis"): 0.777,
        ("A, age", "diagnosis"): 0.65,
        ("all", "diagnosis"): 0.79,
    }.items():
        assert table[key] == pytest.approx(value, abs=0.01), key


def test_without_the_link_the_mri_tells_no_more_than_age():
    table = disease.ceilings(0.0).set_index(["information", "target"])["auc"]
    assert table["V, age", "status"] == pytest.approx(0.56, abs=0.01)
    assert table["V, age", "status"] - table["age", "status"] < 0.01


def test_the_hash_follows_the_constants(monkeypatch):
    before = k.constants_hash()
    monkeypatch.setattr(k, "PSF_FWHM", 6.0)
    assert k.constants_hash() != before
