"""Regions lie where anatomy puts them and never count a voxel twice."""

import numpy as np
import pytest
import torch

from mri2pet.cohort import geometry, regions, template


@pytest.fixture(scope="module")
def weights():
    shape = (42, 52, 44)
    maps, brain = regions.template_regions(shape)
    x, y, z = regions.grid_coordinates(shape)
    centre = {}
    for name, weight in zip(regions.REGIONS, maps, strict=True):
        total = weight.sum()
        centre[name] = tuple(float((weight * c).sum() / total) for c in (x, y, z))
    return maps, brain, centre


def test_names_are_those_of_the_contract():
    assert regions.REGIONS == (
        "frontal",
        "precuneus_pcc",
        "lateral_parietal",
        "lateral_temporal",
        "medial_temporal",
        "occipital",
        "motor",
        "striatum",
        "cerebellum",
        "white_matter",
    )
    assert regions.REGIONS[:4] == regions.COMPOSITE


def test_weights_are_shares_of_tissue(weights):
    maps, brain, _ = weights
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    assert maps.max() <= 1
    assert maps.sum(0).max() <= 1 + 1e-4  # no tissue is counted twice
    assert set(np.unique(brain)) == {0.0, 1.0}
    assert (maps.sum(0) * (1 - brain)).sum() < 0.04 * maps.sum()


def test_regions_are_symmetric(weights):
    _, _, centre = weights
    for name, (x, _, _) in centre.items():
        assert abs(x) < 1.5, name


def test_regions_lie_where_they_belong(weights):
    _, _, centre = weights
    y = {name: c[1] for name, c in centre.items()}
    z = {name: c[2] for name, c in centre.items()}
    front_to_back = ("frontal", "striatum", "motor", "precuneus_pcc", "occipital")
    assert [y[n] for n in front_to_back] == sorted(
        (y[n] for n in front_to_back), reverse=True
    )
    assert z["cerebellum"] < -25
    assert y["cerebellum"] < -50
    assert z["cerebellum"] < z["medial_temporal"] < z["striatum"] < z["motor"]
    assert z["lateral_temporal"] < z["lateral_parietal"]


def test_volumes_are_plausible(weights):
    maps, _, _ = weights
    ml = np.prod(geometry.voxel_mm(maps.shape[1:])) / 1000
    volume = dict(zip(regions.REGIONS, maps.sum((1, 2, 3)) * ml, strict=True))
    assert 100 < volume["cerebellum"] < 190  # about 140 ml in life
    assert 12 < volume["striatum"] < 30
    assert 12 < volume["medial_temporal"] < 40
    assert 100 < volume["frontal"] < 320
    assert all(v > 12 for v in volume.values())


def test_weigh_uses_the_right_tissue():
    spatial = torch.ones(10, 2, 2, 2)
    gm, wm = torch.full((2, 2, 2), 0.5), torch.full((2, 2, 2), 0.3)
    out = regions.weigh(spatial, gm, wm)[:, 0, 0, 0]
    assert out[:8].tolist() == pytest.approx([0.5] * 8)
    assert out[8:].tolist() == pytest.approx([0.8, 0.3])


def test_the_template_is_brain_extracted_and_its_tissues_are_fractions():
    brain = template.mni152()
    assert brain.t1.shape == (189, 233, 197)
    assert brain.mask.sum() / 1000 == pytest.approx(1883, abs=1)
    assert (brain.gm + brain.wm <= brain.mask + 1e-6).all()
    assert (brain.t1[brain.mask == 0] == 0).all()
    assert np.median(brain.t1[brain.wm > 0.9]) == pytest.approx(0.87, abs=0.01)
