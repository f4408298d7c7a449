"""Synthesis: scaling, streams of random numbers, statistics, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mri2pet.model import SpatialUNet
from mri2pet.samplers import draw_noise, sample
from mri2pet.schedule import NoiseSchedule
from mri2pet.synthesis import PetScale, sample_generator, synthesize

SCHEDULE = NoiseSchedule()
PET, MRI = (4, 8, 8), (8, 16, 16)
SCALE = PetScale(1.0, 0.5)


class Affine(nn.Module):
    """Predicts x0 = (mean of the MRI) + gain x_t; counts its encodings."""

    pet_shape, mri_shape = PET, MRI

    def __init__(self, gain=0.1):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))
        self.encoded = 0

    def encode(self, mri):
        self.encoded += mri.shape[0]
        return mri.mean((1, 2, 3, 4))

    def forward(self, x, t_B, cond):
        assert not self.training
        return cond.view(-1, 1, 1, 1, 1) + self.gain * x


def mris(n, seed=0):
    return torch.rand(n, 1, *MRI, generator=torch.Generator().manual_seed(seed))


def run(model=None, mri=None, **kwargs):
    mri = mris(3) if mri is None else mri
    defaults = {
        "prediction": "x0",
        "pet_scale": SCALE,
        "person_seeds": list(range(11, 11 + len(mri))),
        "num_calls": 4,
    }
    model = Affine() if model is None else model
    return synthesize(model, SCHEDULE, mri, **(defaults | kwargs))


@settings(max_examples=40, deadline=None)
@given(shift=st.floats(-5, 5), scale=st.floats(0.01, 10), value=st.floats(-5, 5))
def test_pet_scale_round_trip(shift, scale, value):
    map_ = PetScale(shift, scale)
    assert map_.to_suvr(map_.to_network(value)) == pytest.approx(value, abs=1e-9)
    assert map_.to_network(shift) == 0


def test_pet_scale_fits_mean_and_sd():
    pets = np.random.default_rng(0).gamma(2.0, size=(3, *PET)).astype(np.float32)
    scaled = PetScale.fit(pets).to_network(pets)
    assert scaled.dtype == np.float32
    assert scaled.mean() == pytest.approx(0, abs=1e-5)
    assert scaled.std() == pytest.approx(1, rel=1e-5)
    assert PetScale.fit(torch.from_numpy(pets)) == PetScale.fit(pets)


def test_mean_and_sd_are_those_of_the_samples():
    out = run(num_samples=5)
    assert out.samples_NKDHW.shape == (3, 5, *PET)
    samples = out.samples_NKDHW.numpy()
    np.testing.assert_allclose(out.mean_NDHW, samples.mean(1), rtol=1e-5)
    np.testing.assert_allclose(out.sd_NDHW, samples.std(1, ddof=1), rtol=1e-4)
    assert (out.sd_NDHW > 0).all()
    one = run(num_samples=1)
    assert torch.equal(one.mean_NDHW, one.samples_NKDHW[:, 0])
    assert torch.isnan(one.sd_NDHW).all()


def test_a_sample_by_hand():
    """One person, sample 2: its own stream gives the start and the step noise."""
    model, mri = Affine().eval(), mris(3)
    out = run(model, mri, num_samples=3, sampler="ddpm", variance="posterior", seed=7)
    generator = sample_generator(7, 12, 2)
    x = sample(
        lambda x, t: model(x, t, model.encode(mri[1:2])),
        SCHEDULE,
        draw_noise((1, 1, *PET), generator),
        prediction="x0",
        sampler="ddpm",
        num_calls=4,
        variance="posterior",
        generator=generator,
    )
    torch.testing.assert_close(
        out.samples_NKDHW[1, 2], SCALE.to_suvr(x[0, 0]), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_samples_do_not_depend_on_batch_or_company(sampler):
    mri = mris(3)
    whole = run(mri=mri, num_samples=2, sampler=sampler, batch_size=6).samples_NKDHW
    for size in (1, 4):
        cut = run(mri=mri, num_samples=2, sampler=sampler, batch_size=size)
        torch.testing.assert_close(cut.samples_NKDHW, whole, rtol=1e-5, atol=1e-6)
    alone = run(mri=mri[2:], num_samples=2, sampler=sampler, person_seeds=[13])
    torch.testing.assert_close(alone.samples_NKDHW[0], whole[2], rtol=1e-5, atol=1e-6)
    fewer = run(mri=mri, num_samples=1, sampler=sampler)
    torch.testing.assert_close(
        fewer.samples_NKDHW[:, 0], whole[:, 0], rtol=1e-5, atol=1e-6
    )


def test_seeds_matter():
    mri = mris(1).expand(2, -1, -1, -1, -1)
    out = run(mri=mri, num_samples=2).samples_NKDHW
    streams = out.flatten(0, 1)
    for i in range(4):
        for j in range(i):
            assert not torch.allclose(streams[i], streams[j])
    assert not torch.allclose(run(mri=mri, num_samples=2, seed=1).samples_NKDHW, out)


def test_the_mri_is_encoded_once_per_person_and_batch():
    model = Affine()
    run(model, num_samples=4, num_calls=9, batch_size=12)
    assert model.encoded == 3


def test_clip_is_in_network_units():
    out = run(Affine(50.0), clip_x0=(-2.0, 3.0))
    assert out.samples_NKDHW.min() >= SCALE.to_suvr(-2.0)
    assert out.samples_NKDHW.max() <= SCALE.to_suvr(3.0)


def test_training_mode_and_global_generator_are_left_as_found():
    model, state = Affine().train(), torch.get_rng_state()
    run(model, sampler="ddpm")
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_with_the_real_network_arrays_and_autocast():
    torch.manual_seed(0)
    model = SpatialUNet(PET, MRI, width=8, channel_mults=(1, 2))
    nn.init.normal_(model.head.weight, std=0.02)
    mri = mris(2)[:, 0].numpy()
    exact = run(model, mri, clip_x0=(-2, 2))
    coarse = run(model, mri, clip_x0=(-2, 2), autocast=torch.bfloat16)
    assert exact.samples_NKDHW.dtype == coarse.samples_NKDHW.dtype == torch.float32
    assert (exact.mean_NDHW - coarse.mean_NDHW).abs().mean() < 0.02


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"mri": torch.zeros(2, 2, *MRI)}, r"\(2, 2, 8, 16, 16\)|one person"),
        ({"mri": torch.zeros(0, 1, *MRI)}, r"\(0, 1"),
        ({"mri": torch.full((1, 1, *MRI), float("nan"))}, "NaN"),
        ({"person_seeds": [1]}, "3; got 1"),
        ({"num_samples": 0}, "num_samples .*0"),
        ({"batch_size": 0}, "batch_size .*0"),
        ({"num_calls": 1000}, "1000"),
        ({"seed": -1}, "-1"),
        ({"prediction": "score"}, "score"),
        ({"sampler": "euler"}, "euler"),
    ],
)
def test_bad_arguments_name_the_value(kwargs, message):
    model = SpatialUNet(PET, MRI, width=8, channel_mults=(1, 2))
    with pytest.raises(ValueError, match=message):
        run(model, **kwargs)


@pytest.mark.parametrize(
    ("shift", "scale"), [(0.0, 0.0), (0.0, -1.0), (float("nan"), 1.0)]
)
def test_impossible_scales(shift, scale):
    with pytest.raises(ValueError, match=r"got"):
        PetScale(shift, scale)
