"""Attention: the released one by loops, its other order, and softmax attention."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mri2pet import attention as attention_module
from mri2pet.attention import LinearAttention, SelfAttention
from mri2pet.model import PublishedUNet


def randn(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


@pytest.mark.parametrize(("channels", "parameters"), [(8, 4_104), (128, 65_664)])
def test_parameters_of_the_published_attention(channels, parameters):
    block = LinearAttention(channels)
    assert sum(p.numel() for p in block.parameters()) == parameters


@pytest.mark.parametrize("order", attention_module.ORDERS)
def test_linear_attention_by_loops(order):
    """Softmax over the voxels of k, raw q, no residual: head by head in numpy."""
    attention = LinearAttention(6, heads=2, head_dim=3, order=order)
    x = randn(1, 6, 2, 2, 3)
    qkv = attention.to_qkv(x).flatten(2)[0].detach().double().numpy()
    inner = np.zeros((6, 12))
    for head in range(2):
        rows = slice(3 * head, 3 * head + 3)
        q, k, v = qkv[0:6][rows], qkv[6:12][rows], qkv[12:18][rows]
        k = np.exp(k) / np.exp(k).sum(axis=1, keepdims=True)
        for n in range(12):
            for e in range(3):
                inner[3 * head + e, n] = sum(
                    q[d, n] * sum(k[d, m] * v[e, m] for m in range(12))
                    for d in range(3)
                )
    weight = attention.to_out.weight.detach().double().numpy().reshape(6, 6)
    bias = attention.to_out.bias.detach().double().numpy()[:, None]
    expected = weight @ inner + bias
    found = attention(x).flatten(2)[0].detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def both_orders(block, x):
    """Outputs and all gradients, in the released order and reordered."""
    found = []
    for order in attention_module.ORDERS:
        block.order = order
        block.zero_grad()
        leaf = x.clone().requires_grad_()
        y = block(leaf)
        (
            y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
        ).sum().backward()
        found.append(
            [y.detach(), leaf.grad, *(p.grad.clone() for p in block.parameters())]
        )
    return zip(*found, strict=True)


@settings(max_examples=25, deadline=None)
@given(
    channels=st.integers(1, 9),
    batch=st.integers(1, 3),
    grid=st.lists(st.integers(1, 6), min_size=2, max_size=3),
    seed=st.integers(0, 1000),
    held=st.sampled_from([1, 2**20]),
)
def test_the_other_order_is_the_same_function(channels, batch, grid, seed, held):
    """Whatever the shape, and however many blocks the voxels are cut into."""
    torch.manual_seed(seed)
    block = LinearAttention(channels, heads=2, head_dim=5, dims=len(grid)).double()
    x = 3 * randn(batch, channels, *grid, seed=seed, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(attention_module._HELD, "cpu", held)
        for released, reordered in both_orders(block, x):
            torch.testing.assert_close(reordered, released, rtol=1e-8, atol=1e-10)


def test_many_blocks_of_voxels_are_one_softmax():
    """300 voxels in blocks of 64; the logits rise, so the maximum changes each time."""
    block = LinearAttention(2, heads=1, head_dim=4, order="reordered").double()
    x = 50 * torch.linspace(-1, 1, 600, dtype=torch.float64).view(1, 2, 3, 10, 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(attention_module._HELD, "cpu", 1)
        assert len(attention_module._blocks(torch.zeros(1, 300, 2), 4)) == 5
        for released, reordered in both_orders(block, x):
            torch.testing.assert_close(reordered, released, rtol=1e-8, atol=1e-10)
        leaf = x[:, :, :1, :2, :2].clone().requires_grad_()
        assert torch.autograd.gradcheck(block, (leaf,))


def test_the_other_order_keeps_close_under_autocast():
    block = LinearAttention(8)
    x = randn(2, 8, 4, 6, 6)
    exact = block(x)
    block.order = "reordered"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = block(x)
    assert (half - exact).abs().max() < 0.02 * exact.abs().max()


def test_the_published_network_is_the_same_in_both_orders():
    grids = {"pet_shape": (16, 16, 32), "mri_shape": (16, 32, 32)}
    released = PublishedUNet(**grids)
    reordered = PublishedUNet(**grids, attention="reordered")
    reordered.load_state_dict(released.state_dict())
    x, mri = randn(2, 1, 16, 16, 32), randn(2, 1, 16, 32, 32, seed=1)
    t_B = torch.tensor([1, 900])
    with torch.no_grad():
        expected = released(x, t_B, released.encode(mri))
        found = reordered(x, t_B, reordered.encode(mri))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_fresh_self_attention_is_the_identity():
    x = randn(2, 8, 2, 4, 4)
    assert torch.equal(SelfAttention(8)(x), x)


def test_self_attention_is_softmax_attention():
    attention = SelfAttention(8, heads=2)
    torch.nn.init.normal_(attention.out.weight)
    x = randn(1, 8, 2, 2, 2)
    tokens = attention.norm(x).flatten(2)[0].T
    q, k, v = attention.qkv(tokens).chunk(3, dim=1)
    heads = []
    for c in (slice(0, 4), slice(4, 8)):
        weights = (q[:, c] @ k[:, c].T / 2).softmax(1)
        heads.append(weights @ v[:, c])
    expected = x + attention.out(torch.cat(heads, 1)).T.reshape(x.shape)
    torch.testing.assert_close(attention(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SelfAttention(6), "6 channels"),
        (lambda: LinearAttention(8, order="fast"), "'fast'"),
        (lambda: PublishedUNet(attention="fast"), "'fast'"),
    ],
)
def test_bad_arguments_name_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
