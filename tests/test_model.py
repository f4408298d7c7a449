"""The published network by its counts; SpatialUNet by what it may and may not do."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from mri2pet.model import CONDITIONINGS, PublishedUNet, SpatialUNet

PET, MRI = (8, 16, 16), (16, 32, 32)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def count(module):
    return sum(p.numel() for p in module.parameters())


def awake(model, seed=0):
    """Give the zero-initialised layers weights, so that the output depends on all."""
    generator = torch.Generator().manual_seed(seed)
    for p in model.parameters():
        if p.ndim > 1 and not p.any():
            torch.nn.init.normal_(p, std=0.05, generator=generator)
    return model


# -- PublishedUNet ---------------------------------------------------------------------


def test_published_parameters_and_flop_at_the_papers_sizes():
    with torch.device("meta"):
        model = PublishedUNet()
        assert count(model) == 13_085_945
        with FlopCounterMode(display=False) as counter:
            cond = model.encode(torch.empty(1, 1, 64, 144, 144))
            t_B = torch.zeros(1, dtype=torch.long)
            out = model(torch.empty(1, 1, 32, 128, 128), t_B, cond)
        assert out.shape == (1, 1, 32, 128, 128)
        assert counter.get_total_flops() == 108_423_598_080


@pytest.mark.parametrize(
    ("pet", "mri", "parameters"),
    [
        ((16, 32, 32), (32, 64, 64), 8_301_817),
        ((16, 48, 48), (32, 96, 96), 8_957_177),
    ],
)
def test_published_parameters_on_the_profiles_grids(pet, mri, parameters):
    with torch.device("meta"):
        assert count(PublishedUNet(pet, mri)) == parameters


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(0)
    return PublishedUNet((16, 16, 32), (16, 32, 32)).eval()


def test_published_forward_follows_the_layer_table(published):
    """Skips are the attention outputs of the first three levels and the plain inc."""
    m = published
    x, mri, t_B = randn(1, 1, 16, 16, 32), randn(1, 1, 16, 32, 32), torch.tensor([7])
    i = torch.arange(128.0)
    angle = 7 * 1000 ** (-2 * i / 256)
    e = torch.cat([angle.sin(), angle.cos()])[None] + m.mri_encoder(mri)
    x1 = m.inc(x)
    x2 = m.down_attention[0](m.downs[0](x1, e))
    x3 = m.down_attention[1](m.downs[1](x2, e))
    x4 = m.down_attention[2](m.downs[2](x3, e))
    h = m.bottom(m.down_attention[3](m.downs[3](x4, e)))
    for up, attention, skip in zip(
        m.ups, m.up_attention, (x4, x3, x2, x1), strict=True
    ):
        h = attention(up(h, skip, e))
    torch.testing.assert_close(m(x, t_B, m.encode(mri)), m.out(h))


def test_published_condition_is_one_vector(published):
    cond = published.encode(randn(2, 1, 16, 32, 32))
    assert cond.shape == (2, 256)


# -- SpatialUNet -----------------------------------------------------------------------


@pytest.fixture(scope="module", params=CONDITIONINGS)
def spatial(request):
    torch.manual_seed(0)
    return awake(SpatialUNet(PET, MRI, conditioning=request.param)).eval()


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_a_fresh_network_outputs_zero(conditioning):
    model = SpatialUNet(PET, MRI, conditioning=conditioning)
    out = model(
        randn(2, 1, *PET), torch.tensor([0, 999]), model.encode(randn(2, 1, *MRI))
    )
    assert out.shape == (2, 1, *PET)
    assert not out.any()


def test_size_stays_within_bounds():
    with torch.device("meta"):
        model = SpatialUNet((16, 48, 48), (32, 96, 96))
        assert 1_000_000 < count(model) < 2_000_000
        with FlopCounterMode(display=False) as counter:
            cond = model.encode(torch.empty(1, 1, 32, 96, 96))
            model(torch.empty(1, 1, 16, 48, 48), torch.zeros(1, dtype=torch.long), cond)
        # Training is bound by this number on a CPU; a change should be on purpose.
        assert counter.get_total_flops() < 2.5e9


def test_everything_reaches_the_output(spatial):
    x, mri = randn(1, 1, *PET), randn(1, 1, *MRI)
    base = spatial(x, torch.tensor([5]), spatial.encode(mri))
    for other in (
        spatial(x, torch.tensor([500]), spatial.encode(mri)),
        spatial(x, torch.tensor([5]), spatial.encode(mri.flip(3))),
        spatial(x.flip(3), torch.tensor([5]), spatial.encode(mri)),
    ):
        assert (other - base).abs().max() > 1e-4


def test_every_parameter_learns(spatial):
    spatial.zero_grad()
    out = spatial(
        randn(2, 1, *PET), torch.tensor([5, 900]), spatial.encode(randn(2, 1, *MRI))
    )
    (out * randn(*out.shape, seed=1)).sum().backward()
    silent = [n for n, p in spatial.named_parameters() if not p.grad.any()]
    assert silent == []


def test_a_batch_does_not_mix_its_items(spatial):
    x, mri, t_B = randn(3, 1, *PET), randn(3, 1, *MRI), torch.tensor([1, 500, 999])
    together = spatial(x, t_B, spatial.encode(mri))
    for b in range(3):
        part = slice(b, b + 1)
        alone = spatial(x[part], t_B[part], spatial.encode(mri[part]))
        torch.testing.assert_close(together[part], alone, rtol=1e-4, atol=1e-5)


def test_encoded_mri_equals_concatenation():
    """stem(x) + encode(mri) is one convolution of the concatenated [x, MRI]."""
    model = awake(SpatialUNet(PET, MRI))
    x, mri = randn(1, 4, 8, 8, 8), randn(1, 32, 8, 8, 8)
    both = torch.zeros(32, 36, 3, 3, 3)
    both[:, :4] = model.stem.weight.detach()
    both[:, 4:, 1:2, 1:2, 1:2] = model.mri_stem.weight.detach()
    expected = F.conv3d(torch.cat([x, mri], 1), both, model.stem.bias, padding=1)
    torch.testing.assert_close(
        model.stem(x) + model.mri_stem(mri), expected, rtol=1e-4, atol=1e-5
    )


def test_spatial_conditioning_is_local_and_global_is_not_a_map():
    spatial = SpatialUNet(PET, MRI)
    mri = torch.zeros(1, 1, *MRI)
    changed = mri.clone()
    changed[..., 0:2, 4:8, 8:12] = 1
    moved = (spatial.encode(changed) - spatial.encode(mri)).abs().sum(1)[0] > 0
    assert moved.nonzero().tolist() == [[0, 1, 2]]
    vector = SpatialUNet(PET, MRI, conditioning="global").encode(mri)
    assert vector.ndim == 2


def test_an_mri_of_another_grid_is_resampled_first():
    odd = (12, 40, 36)
    model = SpatialUNet(PET, odd)
    mri = randn(2, 1, *odd)
    fine = F.interpolate(mri, size=MRI, mode="trilinear", align_corners=False)
    same = SpatialUNet(PET, MRI)
    same.load_state_dict(model.state_dict())
    torch.testing.assert_close(model.encode(mri), same.encode(fine))


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_two_dimensions(conditioning):
    model = awake(SpatialUNet((16, 24), (32, 48), conditioning=conditioning))
    cond = model.encode(randn(2, 1, 32, 48))
    out = model(randn(2, 1, 16, 24), torch.tensor([1, 2]), cond)
    assert out.shape == (2, 1, 16, 24) and out.any()


def test_options():
    plain = SpatialUNet(PET, MRI, width=16, channel_mults=(1, 2), attention=False)
    assert count(plain) < count(SpatialUNet(PET, MRI, width=16, channel_mults=(1, 2)))
    coarse = SpatialUNet(PET, MRI, patch=4, channel_mults=(1, 2))
    cond = coarse.encode(randn(1, 1, *MRI))
    assert coarse(randn(1, 1, *PET), torch.tensor([3]), cond).shape == (1, 1, *PET)


def test_bfloat16_autocast_stays_close(spatial):
    x, mri, t_B = randn(2, 1, *PET), randn(2, 1, *MRI), torch.tensor([3, 800])
    exact = spatial(x, t_B, spatial.encode(mri))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coarse = spatial(x, t_B, spatial.encode(mri)).float()
    assert (coarse - exact).square().mean() < 1e-3 * exact.square().mean()


def test_it_learns_a_picture_from_the_mri():
    """Thirty steps of regression: the PET here is the pooled MRI."""
    torch.manual_seed(0)
    model = SpatialUNet(PET, MRI, width=16)
    mri = F.interpolate(randn(4, 1, 4, 8, 8), size=MRI, mode="trilinear")
    pet = F.avg_pool3d(mri, 2)
    blank, t_B = torch.zeros_like(pet), torch.zeros(4, dtype=torch.long)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(30):
        loss = (model(blank, t_B, model.encode(mri)) - pet).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 * pet.square().mean().item()


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PublishedUNet((8, 32, 32)), r"\(8, 32, 32\)"),
        (lambda: PublishedUNet((16, 40, 32)), r"\(16, 40, 32\)"),
        (lambda: PublishedUNet((16, 32)), r"\(16, 32\)"),
        (lambda: PublishedUNet((16, 32, 32), (64, 64)), r"\(64, 64\)"),
        (lambda: PublishedUNet((16, 32, 32), (8, 64, 64)), r"\(8, 64, 64\)"),
        (lambda: SpatialUNet((8, 18, 16), MRI), r"\(8, 18, 16\)"),
        (lambda: SpatialUNet((6, 16, 16), MRI), r"\(6, 16, 16\)"),
        (lambda: SpatialUNet(PET, (32, 32)), r"\(32, 32\)"),
        (lambda: SpatialUNet(PET, MRI, conditioning="film"), "film"),
        (lambda: SpatialUNet(PET, MRI, width=12), "12"),
        (lambda: SpatialUNet(PET, MRI, patch=0), "0"),
        (lambda: SpatialUNet(PET, MRI, channel_mults=()), r"\(\)"),
    ],
)
def test_impossible_networks(make, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        make()


def test_wrong_inputs_name_their_shape(published, spatial):
    x, mri = randn(2, 1, *PET), randn(2, 1, *MRI)
    cond, t_B = spatial.encode(mri), torch.tensor([1, 2])
    for call, message in [
        (lambda: spatial.encode(mri[:, 0]), "mri"),
        (lambda: spatial.encode(mri[..., :-2]), r"32, 30\)"),
        (lambda: spatial.encode(torch.cat([mri, mri], 1)), r"\(2, 2, 16"),
        (lambda: spatial(x[..., :-8], t_B, cond), r"16, 8\)"),
        (lambda: spatial(x, t_B[:1], cond), r"\(1,\)"),
        (lambda: spatial(x[:1], t_B[:1], cond), "1 items and cond 2"),
        (lambda: published.encode(mri[..., :-2]), r"32, 30\)"),
        (lambda: published(x, t_B, cond), r"\(2, 1, 8, 16, 16\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


# -- half precision --------------------------------------------------------------------


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_gradients_in_bfloat16_are_those_of_float32(conditioning):
    """On the smoke grids, with memory full of large numbers that must not be read."""
    torch.manual_seed(0)
    pet, mri = (16, 32, 32), (32, 64, 64)
    model = awake(SpatialUNet(pet, mri, conditioning=conditioning))
    model = model.to(memory_format=torch.channels_last_3d)
    x, volume = randn(4, 1, *pet), randn(4, 1, *mri, seed=1).abs()
    t_B = torch.full((4,), 500)

    def gradients(half):
        model.zero_grad()
        junk = [torch.full((2**20,), 1e34) for _ in range(40)]
        del junk
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            y = model(x, t_B, model.encode(volume))
        (y.float() - x).square().mean().backward()
        return {n: p.grad.clone() for n, p in model.named_parameters()}

    exact = gradients(half=False)
    for _ in range(2):
        for name, half in gradients(half=True).items():
            off = (half - exact[name]).norm() / (exact[name].norm() + 1e-12)
            # The encoder's max-pools may choose another voxel after rounding.
            assert off < (0.5 if "mri_encoder" in name else 0.1), name
