"""Bad files of the core, refused by name; and unusual input that is fine."""

import re

import numpy as np
import pytest
import torch

from mri2pet.checkpoint import load_tensors, load_weights, save_tensors
from mri2pet.model import SpatialUNet
from mri2pet.pairs import ArrayPairs
from mri2pet.recipes import DiffusionRecipe
from mri2pet.samplers import sample
from mri2pet.schedule import NoiseSchedule
from mri2pet.style import style_transfer
from mri2pet.synthesis import PetScale, sample_generator, synthesize
from mri2pet.training import Budget, train
from mri2pet.vgg import LAYERS, VGG19Features

SCHEDULE, NAN, INF = NoiseSchedule(), float("nan"), float("inf")
PET, MRI = (4, 8, 8), (8, 16, 16)


def small():
    torch.manual_seed(0)
    return SpatialUNet(PET, MRI, width=8, channel_mults=(1, 2))


def trained(steps=1, **kwargs):
    ema_decay = kwargs.pop("ema_decay", None)
    recipe = DiffusionRecipe(small(), SCHEDULE, "x0", levels=2)
    pairs = ArrayPairs(np.zeros((2, *MRI)), np.zeros((2, *PET)))
    budget = Budget(steps=steps, batch_size=2, ema_decay=ema_decay)
    return train(recipe, pairs, budget, **({"seed": 0} | kwargs))


def refused(message, call):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 350


def vgg_state():
    return {
        f"features.{i}.{kind}": torch.zeros((b, a, 3, 3) if kind == "weight" else b)
        for i, (a, b) in LAYERS.items()
        for kind in ("weight", "bias")
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "damaged or not plain tensors"),
        (torch.zeros(3), "expected a dictionary of tensors, got a Tensor"),
        (dict.fromkeys(vgg_state(), 3), r"features\.0\.weight must .* got int"),
        (
            vgg_state() | {"features.2.bias": torch.full((64,), NAN)},
            r"2\.bias holds 64",
        ),
    ],
)
def test_a_wrong_file_of_vgg_weights_is_named(tmp_path, content, message):
    path = tmp_path / "vgg.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    refused(rf"{re.escape(str(path))}.*{message}", lambda: VGG19Features(path))


@pytest.mark.parametrize("sha256", ["", "dcbb", "not hexadecimal"])
def test_a_checksum_that_would_match_anything_is_refused(tmp_path, sha256):
    torch.save(vgg_state(), tmp_path / "vgg.pth")
    refused(
        f"8 to 64 hexadecimal digits; got '{sha256}'",
        lambda: VGG19Features(tmp_path / "vgg.pth", sha256=sha256),
    )


def test_weights_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "weights.pt"
    save_tensors(torch.zeros(1), path)
    refused(r"weights\.pt: expected a dictionary.* Tensor", lambda: load_tensors(path))
    state = small().state_dict()
    sick = state | {"stem.bias": torch.full_like(state["stem.bias"], INF)}
    less = {k: v for k, v in state.items() if k != "stem.bias"}
    for weights, message in (
        ([1], r"weights\.pt: made for another network \(.*list"),
        (less, r"weights\.pt: made for another network \(Missing.*stem\.bias"),
        (sick, r"weights\.pt: stem\.bias holds 8 .*NaN"),
    ):
        refused(message, lambda weights=weights: load_weights(small(), weights, path))


@pytest.mark.parametrize(
    ("change", "how", "message"),
    [
        ({}, {"steps": 2, "ema_decay": 0.9}, "lacks the moving average that ema_decay"),
        ({"step": 5}, {"steps": 2}, "step 5, beyond the budget's 2 steps"),
        ({"players": {"network": [1]}}, {}, "another network"),
        (
            {"optimizers": {"network": {"state": {}, "param_groups": []}}},
            {},
            "optimiser's state",
        ),
    ],
)
def test_a_state_that_cannot_go_on_is_named(tmp_path, change, how, message):
    path = tmp_path / "state.pt"
    trained(checkpoint=str(path))
    save_tensors(load_tensors(path) | change, path)
    refused(
        rf"state\.pt: .*{message}",
        lambda: trained(checkpoint=path, **how),
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has one")
def test_a_gpu_that_is_not_there():
    refused("device is 'cuda', .*'cpu' or 'auto'", lambda: trained(device="cuda"))


# -- what is fine and stays so ---------------------------------------------------------


def test_what_looks_unusual_and_is_fine():
    scale = PetScale.fit(torch.tensor([1.0, 2.0], dtype=torch.bfloat16))
    assert scale == PetScale(1.5, 0.5)
    assert PetScale.fit(torch.tensor([1.0, 2.0], requires_grad=True)) == scale
    assert SCHEDULE.abar(torch.tensor([5], dtype=torch.uint16)) == SCHEDULE.abar(5)
    assert SCHEDULE.snr(range(3)).shape == (3,)
    x = sample(
        lambda x, t: x,
        SCHEDULE,
        torch.ones(2, 3),
        prediction="x0",
        num_calls=2,
        clip_x0=(-INF, 0.5),
    )
    assert x.max() == 0.5
    assert SCHEDULE.timesteps(np.int64(3)).shape == (3,)
    assert sample_generator(*np.array([1, 2, 3])).initial_seed() == (
        sample_generator(1, 2, 3).initial_seed()
    )
    rounded = torch.full((2, *MRI), 1 + 5e-7)
    out = synthesize(
        small(),
        SCHEDULE,
        rounded,
        prediction="x0",
        pet_scale=scale,
        person_seeds=np.array([1, 2]),
        num_calls=np.int64(1),
    )
    assert out.mean_NDHW.shape == (2, *PET)
    assert len(ArrayPairs(np.eye(3), np.ones(3))) == 3
    grey = torch.full((1, 2, 8, 8), 0.5)
    graph = grey.clone().requires_grad_() * 1
    styled = style_transfer(graph, grey, VGG19Features(), steps=1).styled_BDHW
    assert styled.shape == grey.shape


def test_flips_of_two_dimensional_pairs_stay_within_their_item():
    network = SpatialUNet((8, 8), (16, 16), width=8, channel_mults=(1, 2))
    recipe = DiffusionRecipe(network, SCHEDULE, "x0", levels=2, flip=True)
    seen = []

    def call(x_t, t_B, mri):
        seen.append(mri)
        return x_t

    mri = torch.arange(3.0)[:, None, None, None] + torch.arange(16.0) / 16
    mri = mri.expand(3, 1, 16, 16)
    draws = recipe.draw(3, torch.Generator()) | {"flip": torch.tensor([1, 0, 1]) > 0}
    recipe.losses(call, {"mri": mri, "target": torch.zeros(3, 1, 8, 8)}, draws)
    assert torch.equal(seen[0][1], mri[1])
    assert torch.equal(seen[0][::2], mri[::2].flip(-1))
