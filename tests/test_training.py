"""The loop: order, accumulation, resuming, averaging, and what it refuses."""

import math

import numpy as np
import pytest
import torch
from stopping import train_until
from torch import nn

from mri2pet.checkpoint import load_tensors, save_tensors
from mri2pet.model import SpatialUNet
from mri2pet.pairs import ArrayPairs, batch_indices, step_generator
from mri2pet.recipes import DiffusionRecipe, RegressionRecipe
from mri2pet.schedule import NoiseSchedule
from mri2pet.training import Budget, TrainingDivergedError, train

PET, MRI = (16, 16, 16), (32, 32, 32)


def small_network():
    torch.manual_seed(0)
    return SpatialUNet(PET, MRI, width=8)


def small_pairs(n=6):
    rng = np.random.default_rng(0)
    return ArrayPairs(
        rng.random((n, *MRI), dtype=np.float32),
        rng.standard_normal((n, *PET)).astype(np.float32),
    )


def diffusion(**kwargs):
    return DiffusionRecipe(
        small_network(), NoiseSchedule(), "x0", laplacian=0.25, levels=3, **kwargs
    )


class Line:
    """A one-weight model whose gradients can be written down: loss = w * mean(x)."""

    def __init__(self):
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.network.weight, 1.0)

    def forward_module(self):
        return self.network

    def draw(self, n, generator):
        return {"u": torch.rand(n, generator=generator)}

    def losses(self, call, batch, draws):
        loss = call(batch["x"]).mean()
        zero = torch.zeros(())
        return {"loss": loss, "denoise": loss.detach(), "laplacian": zero}


class Numbers:
    def __init__(self, values):
        self.values = np.asarray(values, dtype=np.float32)

    def __len__(self):
        return len(self.values)

    def batch(self, indices):
        return {"x": torch.from_numpy(self.values[indices])[:, None]}


class RecordingSGD(torch.optim.SGD):
    """Plain steps of size 1, so that the weight shows the gradient."""

    def __init__(self, parameters, **_):
        super().__init__(parameters, lr=1.0)


def test_an_epoch_uses_every_sample_once():
    seen = np.concatenate([batch_indices(10, 4, 3, s) for s in range(5)])
    assert sorted(seen[:10]) == list(range(10))
    assert sorted(seen[10:]) == list(range(10))
    assert list(seen[:10]) != list(seen[10:])


def test_random_numbers_depend_on_seed_and_step_only():
    one = torch.rand(3, generator=step_generator(4, 7))
    again = torch.rand(3, generator=step_generator(4, 7))
    other = torch.rand(3, generator=step_generator(4, 8))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("parts", [2, 8])
@pytest.mark.parametrize("accumulation", ["correct", "released"])
def test_which_micro_batches_reach_an_update(monkeypatch, accumulation, parts):
    """Released: the last of 8, scaled by 1/8 (in the small profiles, of 2)."""
    monkeypatch.setattr(torch.optim, "Adam", RecordingSGD)
    values = 1.0 + np.arange(2 * parts) ** 2.0
    budget = Budget(
        steps=1,
        batch_size=2 * parts,
        learning_rate=1.0,
        learning_rate_schedule="constant",
        accumulation_steps=parts,
        accumulation=accumulation,
        clip_norm=1e9,
    )
    line = Line()
    train(line, Numbers(values), budget, seed=0)
    order = values[batch_indices(len(values), len(values), 0, 0)]
    if accumulation == "correct":
        gradient = order.mean()
    else:
        gradient = order[-2:].mean() / parts
    assert 1.0 - line.network.weight.item() == pytest.approx(gradient, rel=1e-5)


def test_accumulation_equals_one_large_batch():
    weights = []
    for parts in (1, 2):
        recipe = diffusion()
        budget = Budget(steps=3, batch_size=4, accumulation_steps=parts, clip_norm=1e9)
        train(recipe, small_pairs(), budget, seed=5)
        weights.append(torch.cat([p.flatten() for p in recipe.network.parameters()]))
    assert torch.allclose(*weights, atol=2e-3)
    assert not torch.allclose(
        weights[0],
        torch.cat([p.flatten() for p in small_network().parameters()]),
        atol=2e-3,
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_resuming_is_exact(tmp_path, dtype):
    budget = Budget(steps=6, batch_size=2, ema_decay=0.9, checkpoint_every=2)
    whole = train(diffusion(flip=True), small_pairs(), budget, seed=1, dtype=dtype)
    kwargs = {"seed": 1, "dtype": dtype, "checkpoint": tmp_path / "state.pt"}
    train_until(5, diffusion(flip=True), small_pairs(), budget, **kwargs)
    assert load_tensors(tmp_path / "state.pt")["step"] == 4
    resumed = train(diffusion(flip=True), small_pairs(), budget, **kwargs)
    assert resumed.history == whole.history
    pairs = zip(
        whole.network.state_dict().values(),
        resumed.network.state_dict().values(),
        strict=True,
    )
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_average_is_what_is_returned():
    plain = train(diffusion(), small_pairs(), Budget(steps=4, batch_size=2), seed=1)
    mean = train(
        diffusion(), small_pairs(), Budget(steps=4, batch_size=2, ema_decay=0.5), seed=1
    )
    assert plain.history == mean.history  # the average does not feed back
    a, b = (next(iter(t.network.state_dict().values())) for t in (plain, mean))
    assert not torch.equal(a, b)


def test_the_learning_rate_falls_to_zero_along_a_cosine():
    budget = Budget(steps=10, batch_size=1, learning_rate=2.0)
    assert budget.learning_rate_at(0) == 2.0
    assert budget.learning_rate_at(5) == pytest.approx(1.0)
    assert budget.learning_rate_at(9) == pytest.approx(1 + math.cos(0.9 * math.pi))
    warm = Budget(steps=10, batch_size=1, learning_rate=2.0, warmup_steps=3)
    assert warm.learning_rate_at(0) == 0.5


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tmp_path):
    values = np.ones(4)
    values[batch_indices(4, 1, 0, 2)] = np.nan
    path = tmp_path / "state.pt"
    budget = Budget(steps=4, batch_size=1, checkpoint_every=1)
    with pytest.raises(TrainingDivergedError, match="step 2"):
        train(Line(), Numbers(values), budget, seed=0, checkpoint=path)
    assert load_tensors(path)["step"] == 2
    weights = load_tensors(path)["players"]["network"]["weight"]
    assert torch.isfinite(weights).all()


def test_regression_learns():
    recipe = RegressionRecipe(small_network())
    trained = train(recipe, small_pairs(2), Budget(steps=25, batch_size=2), seed=0)
    assert trained.history[-1]["loss"] < 0.9 * trained.history[0]["loss"]


def test_noise_on_the_condition_changes_the_loss():
    batch = small_pairs(2).batch(np.array([0, 1]))
    clean, noisy = diffusion(), diffusion(condition_noise=1.0)
    with torch.no_grad():
        for recipe in (clean, noisy):  # the last layer starts at zero
            for p in recipe.network.parameters():
                p.add_(0.01)
    draws = clean.draw(2, step_generator(0, 0))
    a = clean.losses(clean.forward_module(), batch, draws)["loss"]
    b = noisy.losses(noisy.forward_module(), batch, draws)["loss"]
    assert a.item() != b.item()


@pytest.mark.parametrize("damage", ["truncated", "other network", "pickle"])
def test_a_wrong_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "state.pt"
    budget = Budget(steps=1, batch_size=2)
    train(diffusion(), small_pairs(), budget, seed=0, checkpoint=path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "other network":
        content = load_tensors(path)
        content["players"] = {"network": {"weight": torch.zeros(1)}}
        save_tensors(content, path)
    else:
        torch.save({"model": Line}, path)
    with pytest.raises(ValueError, match="state.pt") as caught:
        train(diffusion(), small_pairs(), budget, seed=0, checkpoint=path)
    assert "\n" not in str(caught.value)


def test_pairs_must_match():
    with pytest.raises(ValueError, match="2 MRIs and 3 targets"):
        ArrayPairs(np.zeros((2, 1, 1, 1)), np.zeros((3, 1, 1, 1)))
    with pytest.raises(ValueError, match="multiple"):
        Budget(steps=1, batch_size=3, accumulation_steps=2)
