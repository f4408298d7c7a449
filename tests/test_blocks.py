"""Blocks: folding, commuting pools, two and three dimensions."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mri2pet.blocks import (
    DoubleConv,
    Down,
    MRIEncoder,
    ResBlock,
    Up,
    conv_nd,
    depth_to_space,
    space_to_depth,
    time_code,
)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_time_code_by_its_formula():
    code = time_code(torch.tensor([0, 1, 999]), 256)
    assert code.shape == (3, 256)
    for row, t in enumerate((0, 1, 999)):
        for i in (0, 1, 64, 127):
            angle = t * 1000 ** (-2 * i / 256)
            assert code[row, i].item() == pytest.approx(math.sin(angle), abs=1e-3)
            assert code[row, 128 + i].item() == pytest.approx(math.cos(angle), abs=1e-3)


@pytest.mark.parametrize(
    ("module", "parameters"),
    [
        (DoubleConv(1, 8), 1_976),
        (Down(8, 16, 256), 18_032),
        (Down(64, 128, 256), 918_400),
        (DoubleConv(128, 128), 885_248),
        (Up(192, 64, 256), 2_671_744),
        (Up(24, 8, 256), 43_664),
    ],
)
def test_parameters_of_the_published_layers(module, parameters):
    assert count(module) == parameters


def test_parameters_of_the_mri_encoder():
    with torch.device("meta"):
        assert count(MRIEncoder((64, 144, 144))) == 5_447_376


def test_mri_encoder_is_conv_relu_pool():
    """The pooling comes first for speed; the numbers are those of the audit's order."""
    encoder = MRIEncoder((16, 16, 32))
    x = h = randn(2, 1, 16, 16, 32)
    for conv in encoder.convs:
        h = F.max_pool3d(F.relu(conv(h)), 2)
    torch.testing.assert_close(encoder(x), encoder.linears(h.flatten(1)))


def test_double_conv_residual_ends_in_gelu():
    block = DoubleConv(4, 4, residual=True)
    x = randn(1, 4, 3, 4, 5)
    torch.testing.assert_close(block(x), F.gelu(x + block.block(x)))


def test_up_concatenates_the_skip_first():
    up = Up(6, 2, 8)
    x, skip, e = randn(1, 4, 2, 2, 2), randn(1, 2, 4, 4, 4), randn(1, 8)
    big = F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=True)
    expected = up.convs(torch.cat([skip, big], 1))
    expected = expected + up.embed.linear(F.silu(e))[..., None, None, None]
    torch.testing.assert_close(up(x, skip, e), expected)


@pytest.mark.parametrize("dims", [2, 3])
def test_every_block_runs_in_two_and_three_dimensions(dims):
    grid, half = (4, 6, 8)[-dims:], (2, 3, 4)[-dims:]
    x, e = randn(2, 8, *grid), randn(2, 16)
    assert DoubleConv(8, 4, dims=dims)(x).shape == (2, 4, *grid)
    assert Down(8, 12, 16, dims=dims)(x, e).shape == (2, 12, *half)
    low = randn(2, 4, *half)
    assert Up(12, 5, 16, dims=dims)(low, x, e).shape == (2, 5, *grid)
    assert ResBlock(8, 16, dims=dims)(x, e).shape == x.shape
    assert MRIEncoder((16,) * dims, 10)(randn(2, 1, *(16,) * dims)).shape == (2, 10)


@settings(max_examples=30, deadline=None)
@given(
    factors=st.lists(st.integers(1, 3), min_size=2, max_size=3),
    channels=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_folding_is_invertible_and_keeps_every_number(factors, channels, seed):
    grid = [f * n for f, n in zip(factors, (2, 1, 3), strict=False)]
    x = randn(2, channels, *grid, seed=seed)
    folded = space_to_depth(x, factors)
    assert folded.shape[1] == channels * math.prod(factors)
    assert torch.equal(folded.flatten().sort().values, x.flatten().sort().values)
    assert torch.equal(depth_to_space(folded, factors), x)


def test_folded_channels_hold_the_right_voxels():
    x = torch.arange(2 * 4 * 6.0).view(1, 1, 2, 4, 6)
    folded = space_to_depth(x, (1, 2, 2))
    for dy in range(2):
        for dx in range(2):
            assert torch.equal(folded[0, 2 * dy + dx], x[0, 0, :, dy::2, dx::2])


def test_fresh_residual_blocks_are_the_identity():
    x, e = randn(2, 8, 2, 4, 4), randn(2, 16)
    for convs in (1, 2):
        assert torch.equal(ResBlock(8, 16, convs=convs)(x, e), x)


@pytest.mark.parametrize("convs", [1, 2])
def test_film_scales_and_shifts_the_last_norm(convs):
    block = ResBlock(8, 16, convs=convs)
    torch.nn.init.normal_(block.convs[-1].weight)
    x, e = randn(2, 8, 2, 4, 4), randn(2, 16)
    scale, shift = block.film(e)[..., None, None, None].chunk(2, 1)
    h = x if convs == 1 else block.convs[0](F.silu(block.norms[0](x)))
    h = block.norms[-1](h) * (1 + scale) + shift
    torch.testing.assert_close(block(x, e), x + block.convs[-1](F.silu(h)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv_nd(1, 2, 2, 3), "1"),
        (lambda: time_code(torch.tensor([1]), 7), "7"),
        (lambda: DoubleConv(2, 3, residual=True), "2 -> 3"),
        (lambda: MRIEncoder((16, 8, 16)), r"\(16, 8, 16\)"),
        (lambda: space_to_depth(torch.zeros(1, 1, 4, 5), (2, 2)), r"\(4, 5\)"),
        (lambda: space_to_depth(torch.zeros(1, 1, 4, 4), (2, 2, 2)), r"\(4, 4\)"),
    ],
)
def test_bad_arguments_name_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
