"""DDPM-PA: each term against its formula, and what each released fault does."""

import numpy as np
import pytest
import torch
from torch import nn

from mri2pet.baselines.correspondence import correspondence
from mri2pet.baselines.ddpm_pa import DdpmPaRecipe, high_frequency_map
from mri2pet.model import SpatialUNet
from mri2pet.pairs import ArrayPairs
from mri2pet.recipes import Conditioned, DiffusionRecipe
from mri2pet.schedule import NoiseSchedule
from mri2pet.training import Budget, train

SCHEDULE = NoiseSchedule()
PET, MRI = (4, 8, 8), (2, 4, 4)
RELEASED = {
    "shared_draws": False,
    "kl": "released",
    "haar": "summed",
    "mri_noise": 1.0,
}


class Blend(nn.Module):
    """A denoiser that can be written down: a x_t + b (mean of the MRI) x_t^2."""

    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.tensor(v)) for v in (a, b))
        self.seen = []

    def encode(self, mri):
        return mri

    def forward(self, x, t, cond):
        self.seen.append((x, t, cond))
        return self.a * x + self.b * cond.mean((1, 2, 3, 4), keepdim=True) * x**2


def batch_of(n, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return {
        "mri": torch.rand(n, 1, *MRI, generator=rng),
        "target": torch.randn(n, 1, *PET, generator=rng),
    }


def outcome(recipe, n=5, seed=0):
    draws = recipe.draw(n, torch.Generator().manual_seed(seed))
    return recipe.losses(recipe.forward_module(), batch_of(n), draws)


def test_fine_detail_of_a_square_by_hand():
    """Rows (1 2 / 3 7): LH = (2 + 7 - 1 - 3) / 2, HL = 3.5, HH = 1.5."""
    square = torch.tensor([[1.0, 2.0], [3.0, 7.0]]).view(1, 1, 1, 2, 2)
    assert high_frequency_map(square).item() == 2.5 + 3.5 + 1.5
    assert high_frequency_map(square).item() == (3 * 7 - 1 - 2 - 3) / 2


def test_fine_detail_is_a_convolution_of_stride_two_with_the_haar_filters():
    x = torch.randn(2, 1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    low, high = torch.tensor([1.0, 1.0]) / 2**0.5, torch.tensor([-1.0, 1.0]) / 2**0.5
    bands = [torch.outer(low, high), torch.outer(high, low), torch.outer(high, high)]
    per_slice = sum(
        nn.functional.conv2d(x.reshape(6, 1, 6, 8), f.view(1, 1, 2, 2), stride=2)
        for f in bands
    )
    found = high_frequency_map(x)
    torch.testing.assert_close(found, per_slice.view(2, 1, 3, 3, 4))
    # As released: one filter whose kernel spans the slices, one channel out.
    spanning = sum(
        nn.functional.conv2d(x[:, 0], f.expand(1, 3, 2, 2), stride=2) for f in bands
    )
    torch.testing.assert_close(high_frequency_map(x, "summed")[:, 0], spanning)


def test_summed_over_the_depth_opposite_detail_vanishes():
    detail = torch.randn(1, 1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    x = torch.cat([detail, -detail], dim=2)
    assert high_frequency_map(x, "summed").abs().max() < 1e-6
    assert high_frequency_map(x).abs().mean() > 0.5
    assert not high_frequency_map(torch.full((1, 1, 2, 4, 4), 3.0)).any()


@pytest.mark.parametrize("prediction", ["x0", "eps", "v"])
@pytest.mark.parametrize("switches", [{}, RELEASED], ids=["corrected", "released"])
def test_each_term_is_its_formula(prediction, switches):
    network, source = Blend(0.4, 0.3), Blend(0.9, -0.5)
    recipe = DdpmPaRecipe(network, source, SCHEDULE, prediction, **switches)
    found = outcome(recipe)
    [(x_t, t_B, mri)], [(source_x_t, source_t_B, source_mri)] = (
        network.seen,
        recipe.source.seen,
    )
    assert torch.equal(mri, source_mri)

    def x0_of(model, x_t, t_B):
        with torch.no_grad():
            output = model(x_t, t_B, mri)
        abar = SCHEDULE.abar(t_B).float().view(-1, 1, 1, 1, 1)
        if prediction == "x0":
            return output
        if prediction == "eps":
            return (x_t - (1 - abar).sqrt() * output) / abar.sqrt()
        return abar.sqrt() * x_t - (1 - abar).sqrt() * output

    target = x0_of(network, x_t, t_B)
    reference = x0_of(recipe.source, source_x_t, source_t_B)
    real = batch_of(5)["target"]
    haar, kl = recipe.haar, recipe.kl
    maps = [high_frequency_map(x, haar) for x in (reference, target, real)]
    expected = {
        "image": correspondence(reference, target, kl=kl),
        "high_frequency": correspondence(maps[0], maps[1], kl=kl),
        "hf_mse": nn.functional.mse_loss(maps[1], maps[2]),
    }
    draws = recipe.draw(5, torch.Generator().manual_seed(0))
    plain = DiffusionRecipe(
        network, SCHEDULE, prediction, condition_noise=recipe.mri_noise
    )
    alone = plain.losses(Conditioned(network), batch_of(5), draws)
    expected["denoise"] = alone["denoise"]
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value.detach(), rtol=1e-4, atol=1e-6)
    total = (
        found["denoise"]
        + 0.5 * found["image"]
        + 0.5 * found["high_frequency"]
        + 0.05 * found["hf_mse"]
    )
    torch.testing.assert_close(found["loss"], total)
    assert found["loss"].requires_grad
    assert not any(v.requires_grad for k, v in found.items() if k != "loss")


def test_a_target_equal_to_its_source_costs_nothing_if_draws_are_shared():
    network = Blend(0.7, 0.2)
    shared = outcome(DdpmPaRecipe(network, network, SCHEDULE, "v"))
    own = outcome(DdpmPaRecipe(network, network, SCHEDULE, "v", shared_draws=False))
    for term in ("image", "high_frequency"):
        assert shared[term].item() == pytest.approx(0, abs=1e-6)
        assert own[term].item() > 1e-4
    assert shared["denoise"] == own["denoise"]  # the target's own draws are the same


def test_own_draws_put_the_source_at_another_step_and_noise():
    for shared in (True, False):
        network = Blend(0.7, 0.2)
        recipe = DdpmPaRecipe(network, network, SCHEDULE, "v", shared_draws=shared)
        outcome(recipe)
        [(x_t, t_B, _)], [(source_x_t, source_t_B, _)] = (
            network.seen,
            recipe.source.seen,
        )
        assert torch.equal(t_B, source_t_B) is shared
        assert torch.equal(x_t, source_x_t) is shared


def test_the_released_divergence_rewards_a_perfect_target_and_more_an_unlike_one():
    network = Blend(0.7, 0.2)
    found = outcome(DdpmPaRecipe(network, network, SCHEDULE, "x0", kl="released"))
    assert found["image"].item() < -0.1
    correct = outcome(DdpmPaRecipe(network, network, SCHEDULE, "x0"))
    assert found["loss"] < correct["loss"]


def test_noise_on_the_mri_is_off_unless_asked_for():
    for sd in (0.0, 1.0):
        network = Blend(0.7, 0.2)
        outcome(DdpmPaRecipe(network, network, SCHEDULE, "x0", mri_noise=sd), n=200)
        [(_, _, mri)] = network.seen
        extra = mri - batch_of(200)["mri"]
        assert extra.std().item() == pytest.approx(sd, abs=0.05)


@pytest.mark.parametrize("switches", [{}, RELEASED], ids=["corrected", "released"])
def test_batches_can_be_cut_anywhere(switches):
    def inputs(rows):
        network = Blend(0.4, 0.3)
        recipe = DdpmPaRecipe(network, network, SCHEDULE, "eps", flip=True, **switches)
        draws = recipe.draw(8, torch.Generator().manual_seed(3))
        batch = {k: v[rows] for k, v in batch_of(8).items()}
        recipe.losses(
            Conditioned(network), batch, {k: v[rows] for k, v in draws.items()}
        )
        return [*network.seen[0], *recipe.source.seen[0]]

    whole = inputs(slice(None))
    parts = [
        torch.cat(p) for p in zip(inputs(slice(3)), inputs(slice(3, 8)), strict=True)
    ]
    for a, b in zip(whole, parts, strict=True):
        assert torch.equal(a, b)


def test_a_flip_mirrors_mri_and_pet_in_every_term():
    n = 6
    draws = DiffusionRecipe(None, SCHEDULE, "v").draw(n, torch.Generator())
    draws["flip"][:] = torch.tensor([True, False] * 3)
    batch = batch_of(n)
    by_hand = {k: v.clone() for k, v in batch.items()}
    for volumes in by_hand.values():
        volumes[::2] = volumes[::2].flip(-1)
    found = []
    for flip, data in ((True, batch), (False, by_hand)):
        recipe = DdpmPaRecipe(
            Blend(0.4, 0.3), Blend(0.9, 0.1), SCHEDULE, "v", flip=flip
        )
        found.append(recipe.losses(recipe.forward_module(), data, draws))
    assert found[0] == found[1]


def test_two_steps_teach_the_target_and_leave_the_source_alone():
    torch.manual_seed(0)
    network = SpatialUNet((16, 16, 16), (32, 32, 32), width=8)
    nn.init.normal_(network.head.weight, std=0.1)  # a new head says 0 for everybody
    before = {k: v.clone() for k, v in network.state_dict().items()}
    recipe = DdpmPaRecipe(network, network, SCHEDULE, "v")
    rng = np.random.default_rng(0)
    pairs = ArrayPairs(
        rng.random((6, 32, 32, 32), dtype=np.float32),
        rng.standard_normal((6, 16, 16, 16)).astype(np.float32),
    )
    budget = Budget(steps=2, batch_size=6, accumulation_steps=2)
    trained = train(recipe, pairs, budget, seed=0)
    assert trained.network is network
    first, second = trained.history
    assert set(first) >= {"loss", "denoise", "image", "high_frequency", "hf_mse"}
    assert first["image"] == pytest.approx(0, abs=1e-6)  # still its own source
    assert second["image"] > first["image"]
    now = network.state_dict()
    assert any(not torch.equal(now[k], before[k]) for k in before)
    for name, value in recipe.source.state_dict().items():
        assert torch.equal(value, before[name])
    assert not recipe.source.training
    assert not any(p.requires_grad for p in recipe.source.parameters())
    assert all(p.requires_grad for p in network.parameters())


def test_bad_settings_are_refused_with_their_value():
    network = Blend(1.0, 0.0)
    with pytest.raises(ValueError, match="'volume'"):
        DdpmPaRecipe(network, network, SCHEDULE, "x0", haar="volume")
    with pytest.raises(ValueError, match="'reverse'"):
        DdpmPaRecipe(network, network, SCHEDULE, "x0", kl="reverse")
    with pytest.raises(ValueError, match="3 samples; got 2"):
        outcome(DdpmPaRecipe(network, network, SCHEDULE, "x0"), n=2)
    with pytest.raises(ValueError, match=r"\(1, 1, 2, 5, 4\)"):
        high_frequency_map(torch.zeros(1, 1, 2, 5, 4))
