"""What both denoisers share: activation checkpointing and checks of their inputs."""

import pytest
import torch

from mri2pet.model import PublishedUNet, SpatialUNet

PET, MRI = (16, 16, 16), (32, 32, 32)
MAKE = {
    "published": lambda: PublishedUNet(PET, MRI),
    "spatial": lambda: SpatialUNet(PET, MRI, width=8),
    "global": lambda: SpatialUNet(PET, MRI, width=8, conditioning="global"),
}


@pytest.fixture(params=MAKE)
def network(request):
    torch.manual_seed(0)
    network = MAKE[request.param]()
    for p in network.parameters():
        if p.ndim > 1 and not p.any():
            torch.nn.init.normal_(p, std=0.05)
    return network


def step(network):
    """Output, gradients, and how many numbers the graph keeps for them."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 1, *PET, generator=generator)
    mri = torch.rand(2, 1, *MRI, generator=generator)
    kept = {}

    def remember(tensor):
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    network.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        y = network(x, torch.tensor([3, 700]), network.encode(mri))
    y.square().mean().backward()
    return y.detach(), [p.grad.clone() for p in network.parameters()], kept


def test_checkpointing_gives_the_same_gradients_from_less_memory(network):
    y, gradients, kept = step(network)
    network.activation_checkpointing = True
    again, recomputed, fewer = step(network)
    assert torch.equal(y, again)
    for a, b in zip(gradients, recomputed, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-8)
    assert sum(fewer.values()) < 0.5 * sum(kept.values())


def test_checkpointing_recomputes_nothing_without_gradients(network):
    network.activation_checkpointing = True
    calls = []
    block = next(m for m in network.modules() if isinstance(m, torch.nn.GroupNorm))
    block.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        network(
            torch.zeros(1, 1, *PET),
            torch.tensor([1]),
            network.encode(torch.zeros(1, 1, *MRI)),
        )
    once = len(calls)
    calls.clear()
    step(network)
    assert len(calls) == 2 * once


def test_wrong_kinds_are_refused(network):
    x, mri = torch.zeros(1, 1, *PET), torch.zeros(1, 1, *MRI)
    cond = network.encode(mri)
    with pytest.raises(
        ValueError, match=r"mri must be .*floating-point.*; got torch\.int64"
    ):
        network.encode(mri.long())
    with pytest.raises(ValueError, match=r"t_B must be integers .* torch\.float32"):
        network(x, torch.tensor([1.0]), cond)
    with pytest.raises(
        ValueError, match=r"x must be .*floating-point.*; got torch\.uint8"
    ):
        network(x.byte(), torch.tensor([1]), cond)
