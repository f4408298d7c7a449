"""Images of phantoms: contrast, SUVR, calibration, and what carries amyloid."""

import numpy as np
import pandas as pd
import pytest
import torch

from mri2pet.cohort import geometry
from mri2pet.cohort.phantom import anatomy, disease, mri, pet
from mri2pet.cohort.phantom import constants as k
from mri2pet.cohort.phantom.atlas import load_atlases
from mri2pet.cohort.phantom.plan import FIRST_PERSON
from mri2pet.cohort.regions import REGIONS

GRID_MRI, GRID_PET, WORK_MM = (32, 64, 64), (16, 32, 32), 3.0
WHO = {"people": [3], "visits": [0], "seed": 0}


@pytest.fixture(scope="module")
def tissues():
    atlas = load_atlases("", WORK_MM)[0]
    shape = anatomy.draw_shape(3, seed=0)
    return anatomy.build(atlas, [shape], [0.3], geometry.work_shape(WORK_MM))


@pytest.fixture(scope="module")
def uptake(tissues):
    return pet.render_uptake(tissues, GRID_PET, people=[3], seed=0)


def test_mri_is_brain_extracted_and_in_range(tissues):
    image = mri.render(tissues, GRID_MRI, **WHO)[0]
    assert image.dtype == torch.float32
    assert tuple(image.shape) == GRID_MRI
    assert float(image.min()) == 0.0
    assert float(image.max()) == 1.0
    share = geometry.apply_axes(
        tissues.mask, geometry.resampling(GRID_MRI, tissues.work_shape)
    )[0]
    assert (image[share <= 0.5] == 0).all()
    assert float((image[share > 0.5] > 0).float().mean()) > 0.99


def test_white_matter_is_brighter_than_grey_than_csf(tissues):
    image = mri.render(tissues, GRID_MRI, **WHO)[0]
    down = geometry.resampling(GRID_MRI, tissues.work_shape)
    level = {}
    for name in ("wm", "gm", "csf"):
        share = geometry.apply_axes(getattr(tissues, name), down)[0]
        level[name] = float(image[share > 0.85].mean())
    assert level["wm"] > level["gm"] + 0.1 > level["csf"] + 0.2


def test_scanner_noise_is_new_at_every_visit(tissues):
    a = mri.render(tissues, GRID_MRI, **WHO)
    assert torch.equal(a, mri.render(tissues, GRID_MRI, **WHO))
    b = mri.render(tissues, GRID_MRI, people=[3], visits=[24], seed=0)
    assert not torch.equal(a, b)


def test_pet_is_scaled_by_the_reference(uptake):
    for load in (0.0, 0.8):
        scan = pet.measure(uptake, [load], **WHO)[0].double()
        reference = uptake.regions[0, REGIONS.index("cerebellum")].double()
        mean = float((scan * reference).sum() / reference.sum())
        assert mean == pytest.approx(1.0, abs=0.005)
        assert float(scan.min()) >= 0


def test_composite_rises_strictly_with_amyloid(uptake):
    grid = np.linspace(0, 1.2, 13)
    composite = [pet.truth(uptake, [a])[0]["suvr_composite"] for a in grid]
    assert (np.diff(composite) > 0.02).all()


def test_white_matter_pattern_without_and_cortex_with_amyloid(uptake):
    row = pet.truth(uptake, [1.0])[0]
    assert row["suvr0_white_matter"] > 1.4 > 1.2 > row["suvr0_composite"]
    assert row["suvr1_precuneus_pcc"] > row["suvr1_occipital"]
    assert row["suvr1_composite"] > 1.35
    assert row["suvr_cerebellum"] == pytest.approx(1.0)


def test_atrophy_lowers_uptake_through_partial_volume():
    atlas = load_atlases("", WORK_MM)[0]
    shape = anatomy.draw_shape(8, seed=0)
    rows = []
    for v in (-0.4, 1.1):
        brain = anatomy.build(atlas, [shape], [v], geometry.work_shape(WORK_MM))
        clean = pet.render_uptake(brain, GRID_PET, people=[8], seed=0)
        rows.append(pet.truth(clean, [1.0])[0]["suvr_composite"])
    assert rows[1] < rows[0] - 0.01


def test_pet_noise_has_the_stated_size_and_grows_with_uptake(uptake):
    flat = pet.Uptake(
        torch.ones_like(uptake.base).repeat(30, 1, 1, 1),
        torch.zeros_like(uptake.base).repeat(30, 1, 1, 1),
        uptake.regions.repeat(30, 1, 1, 1, 1),
        uptake.brain.repeat(30, 1, 1, 1),
    )
    who = {"people": list(range(30)), "visits": [0] * 30, "seed": 1}
    scans = pet.measure(flat, [0.0] * 30, **who)
    assert float(scans.std()) == pytest.approx(k.PET_NOISE, rel=0.1)
    # One cell at four times the uptake has twice the noise.
    flat.base[:, 2, 2, 2] = 4.0
    scans = pet.measure(flat, [0.0] * 30, **who)
    ratio = float(scans[:, 2, 2, 2].std() / scans[:, 2, 8, 2].std())
    assert 1.3 < ratio < 3.0
    # Neighbours share it: it is reconstruction-like.
    flat.base[:, 2, 2, 2] = 1.0
    scans = pet.measure(flat, [0.0] * 30, **who) - 1
    along = float((scans[..., 1:] * scans[..., :-1]).mean() / scans.square().mean())
    assert along > 0.3


def test_gains_are_the_persons_own(tissues, uptake):
    again = pet.render_uptake(tissues, GRID_PET, people=[3], seed=0)
    assert torch.equal(uptake.amyloid, again.amyloid)
    other = pet.render_uptake(tissues, GRID_PET, people=[4], seed=0)
    assert not torch.equal(uptake.amyloid, other.amyloid)


def test_a_fine_pet_keeps_its_regions(tissues, uptake):
    fine = (32, 96, 96)
    weights, _ = pet.region_weights(tissues, fine)
    coarse = uptake.regions.mean((2, 3, 4))
    torch.testing.assert_close(weights.mean((2, 3, 4)), coarse, atol=2e-4, rtol=0.12)


@pytest.fixture(scope="module")
def validation_people():
    """Truth of validation people at the smallest profile's grids."""
    first = FIRST_PERSON["val"]
    people = disease.draw_people(range(first, first + 60), seed=0)
    atlas = load_atlases("", WORK_MM)[0]
    rows = []
    for person, row in people.iterrows():
        shape = anatomy.draw_shape(person, seed=0)
        brain = anatomy.build(atlas, [shape], [row["V"]], geometry.work_shape(WORK_MM))
        clean = pet.render_uptake(brain, GRID_PET, people=[person], seed=0)
        rows.append(pet.truth(clean, [row["A"]])[0])
    return people.join(pd.DataFrame(rows, index=people.index))


def test_calibration_of_the_composite(validation_people):
    people = validation_people
    without = people["suvr0_composite"]
    assert without.mean() == pytest.approx(1.0, abs=0.05)
    assert without.std() < 0.05
    low, high = people.loc[people["A"] > 0.5, "suvr_composite"].quantile([0.05, 0.95])
    assert low > 1.3
    assert high < 1.8
    healthy = people.loc[people["A"] < 0.1, "suvr_composite"]
    assert (healthy > k.SUVR_CUT).mean() <= 0.05


@pytest.mark.slow
def test_without_the_link_volumes_tell_nothing_about_amyloid():
    """With rho = 0: tissue volumes and age against age alone, cross-validated."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    work = geometry.work_shape(5.0)
    atlas = load_atlases("", 5.0)[0]
    people = disease.draw_people(range(220), seed=5, rho=0.0)
    rows = []
    for person, row in people.iterrows():
        shape = anatomy.draw_shape(person, seed=5)
        brain = anatomy.build(atlas, [shape], [row["V"]], work)
        known = anatomy.measures(brain)[0]
        clean = pet.render_uptake(brain, GRID_PET, people=[person], seed=5)
        known.update(pet.truth(clean, [row["A"]])[0])
        rows.append(known)
    known = pd.DataFrame(rows, index=people.index)
    volumes = known[[c for c in known if c.endswith(("_ml", "_mm"))]].to_numpy()
    age = people[["age"]].to_numpy()
    # SUVR itself is coupled to atrophy by partial volume, legitimately.
    share = (known["suvr_composite"] - known["suvr0_composite"]) / (
        known["suvr1_composite"] - known["suvr0_composite"]
    )
    assert np.corrcoef(share, people["A"])[0, 1] > 0.99
    for target in (people["A"], people["status"].astype(float), share):
        y = target.to_numpy()
        for model in (
            make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 4, 20))),
            RandomForestRegressor(100, min_samples_leaf=10, random_state=0),
        ):
            error = {}
            for name, x in (("age", age), ("both", np.hstack([age, volumes]))):
                error[name] = (cross_val_predict(model, x, y, cv=10) - y) ** 2
            gain = error["age"] - error["both"]
            half = 1.96 * gain.std() / np.sqrt(len(gain))
            assert gain.mean() - half <= 0, target.name
    # The same volumes do tell V, so the test could have seen a leak.
    v = people["V"].to_numpy()
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 4, 20)))
    found = cross_val_predict(model, np.hstack([age, volumes]), v, cv=10)
    assert np.corrcoef(found, v)[0, 1] > 0.8
