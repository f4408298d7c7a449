"""Wasserstein terms against formulas, and who learns from what in each alternation."""

import copy

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from stopping import train_until
from torch import nn

from mri2pet.baselines.gan import GanRecipe, gradient_penalty, released_turns
from mri2pet.baselines.networks import Critic, Generator
from mri2pet.pairs import ArrayPairs, batch_indices
from mri2pet.training import Budget, train
from mri2pet.turns import Place

GRID, MRI = (16, 32, 32), (16, 16, 16)


class Painter(nn.Module):
    """Paints weight + (mean of z) over a small volume."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, z_BZ, mri_BCDHW):
        level_B = self.weight + z_BZ.mean(dim=1)
        return level_B.view(-1, 1, 1, 1, 1).expand(-1, 1, 2, 2, 2)


class Judge(nn.Module):
    """A linear critic: slope times the mean of the volume."""

    def __init__(self, slope=2.0):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, pet_BCDHW, mri):
        if pet_BCDHW is None:
            return mri  # a toy has nothing to encode
        return self.slope * pet_BCDHW.flatten(1).mean(dim=1)


def toys(**changes):
    return GanRecipe(Painter(), Judge(), **changes)


def calls_of(recipe):
    return {"generator": recipe.generator, "critic": recipe.critic}


def batch_of(n=3, grid=(2, 2, 2), mri=(2, 2, 2)):
    g = torch.Generator().manual_seed(5)
    return {
        "mri": torch.rand(n, 1, *mri, generator=g),
        "target": torch.rand(n, 1, *grid, generator=g) * 2 - 1,
    }


def draws_of(recipe, n=3, seed=0):
    return recipe.draw(n, torch.Generator().manual_seed(seed))


def pairs_of(n, grid=(2, 2, 2), mri=(2, 2, 2)):
    rng = np.random.default_rng(3)
    return ArrayPairs(
        rng.random((n, *mri), dtype=np.float32),
        rng.random((n, *grid), dtype=np.float32) * 2 - 1,
    )


def small_gan(alternation="correct", *, released=False, **changes):
    torch.manual_seed(0)
    return GanRecipe(
        Generator(GRID, MRI),
        Critic(GRID, MRI, released=released),
        alternation=alternation,
        **changes,
    )


# -- terms ------------------------------------------------------------------------


def test_penalty_of_a_linear_critic_is_its_slope_less_one_squared():
    """D(x) = a sum(x) over 8 voxels has slope |a| sqrt(8) everywhere."""
    real, fake = torch.randn(4, 1, 2, 2, 2), torch.randn(4, 1, 2, 2, 2)
    for a in (0.1, -0.7):
        found = gradient_penalty(
            lambda x, a=a: a * x.flatten(1).sum(1), real, fake, torch.rand(4)
        )
        assert found.item() == pytest.approx((abs(a) * 8**0.5 - 1) ** 2, rel=1e-5)


def test_penalty_is_taken_where_the_draw_says_and_reaches_the_critic_only():
    """D(x) = w x^2 / 2 has slope w x, which tells the places."""
    real, fake = torch.full((3, 1), 2.0), torch.full((3, 1), 6.0, requires_grad=True)
    between, w = torch.tensor([0.0, 0.25, 1.0]), torch.tensor(1.5, requires_grad=True)
    found = gradient_penalty(lambda x: (w * x.square() / 2).sum(1), real, fake, between)
    slopes = 1.5 * np.array([2.0, 3.0, 6.0])
    assert found.item() == pytest.approx(((slopes - 1) ** 2).mean())
    found.backward()
    assert fake.grad is None
    expected = (2 * (slopes - 1) * slopes / 1.5).mean()
    assert w.grad.item() == pytest.approx(expected, rel=1e-5)


def test_losses_are_the_gap_the_penalty_and_minus_the_score():
    recipe, batch = toys(penalty=7.0), batch_of()
    draws = draws_of(recipe)
    fake = 0.5 + draws["z"].mean(1)
    gap = 2 * (fake - batch["target"].flatten(1).mean(1)).mean().item()
    penalty = (2 / 8**0.5 - 1) ** 2  # slope 2/8 in each of eight voxels
    critic = recipe.losses(calls_of(recipe), batch, draws, "critic")
    assert critic["loss"].item() == pytest.approx(gap + 7 * penalty, rel=1e-5)
    assert critic["wasserstein"].item() == pytest.approx(-gap, rel=1e-5)
    assert critic["penalty"].item() == pytest.approx(penalty, rel=1e-4)
    generator = recipe.losses(calls_of(recipe), batch, draws, "generator")
    assert generator["loss"].item() == pytest.approx(-2 * fake.mean().item(), rel=1e-5)


def test_mri_noise_and_mirroring_come_from_the_draws():
    seen = []

    class Listener(Judge):
        def forward(self, pet_BCDHW, mri):
            if pet_BCDHW is not None:
                seen.append((pet_BCDHW.detach(), mri))
            return super().forward(pet_BCDHW, mri)

    recipe = GanRecipe(Painter(), Listener(), mri_noise=1.0, flip=True)
    batch, draws = batch_of(64), draws_of(recipe, 64)
    recipe.losses(calls_of(recipe), batch, draws, "critic")
    noise = seen[0][1] - torch.where(
        draws["flip"].view(-1, 1, 1, 1, 1), batch["mri"].flip(-1), batch["mri"]
    )
    assert noise.std().item() == pytest.approx(1, abs=0.1)
    one = draws["flip"].int().argmax()
    mirrored = batch["target"][one].flip(-1)
    assert any(torch.equal(pet[one], mirrored) for pet, _ in seen)
    # The generator's turn sees the same noise: it looks at the same batch.
    recipe.losses(calls_of(recipe), batch, draws, "generator")
    assert torch.equal(seen[-1][1], seen[0][1])


def test_a_batch_may_be_cut_anywhere():
    recipe = toys(mri_noise=1.0, flip=True)
    batch, draws = batch_of(4), draws_of(recipe, 4)
    whole = recipe.losses(calls_of(recipe), batch, draws, "generator")["loss"]
    halves = [
        recipe.losses(
            calls_of(recipe),
            {k: v[rows] for k, v in batch.items()},
            {k: v[rows] for k, v in draws.items()},
            "generator",
        )["loss"]
        for rows in (slice(0, 2), slice(2, 4))
    ]
    assert (sum(halves) / 2).item() == pytest.approx(whole.item(), rel=1e-6)


# -- alternations -----------------------------------------------------------------


@pytest.mark.parametrize(
    "micro, accumulation, critic, at",
    [(16, 8, 14, 14), (32, 4, 15, 6), (64, 2, 15, 2)],
    ids=["CDC, MaskGAN", "DCL", "DiffAugment"],
)
def test_released_updates_of_an_epoch(micro, accumulation, critic, at):
    """Audit, section 6.3: 2,017 pairs, one update of the generator."""
    updates = {"critic": [], "generator": []}
    for batch in range(2017 // micro):
        for turn in released_turns(batch, accumulation):
            assert turn.scale == 1 / accumulation
            if turn.update:
                updates[turn.player].append(batch)
    assert len(updates["critic"]) == critic
    assert updates["generator"] == [at]


@pytest.mark.parametrize("micro, accumulation, at", [(16, 8, 14), (32, 4, 6)])
def test_released_updates_of_an_epoch_of_pretraining(micro, accumulation, at):
    """22,956 MRIs: 178 updates of the critic, still one of the generator."""
    turns = [
        (batch, turn.player)
        for batch in range(22956 // micro)
        for turn in released_turns(batch, accumulation)
        if turn.update
    ]
    assert sum(player == "critic" for _, player in turns) == 178
    assert [b for b, player in turns if player == "generator"] == [at]


def test_the_released_gan_updates_the_generator_at_every_second_batch():
    """Audit, section 6.2: 16 and 8 updates of an epoch, cleared before each."""
    recipe = toys(alternation="every_batch")
    turns = [t for b in range(16) for t in recipe.turns(Place(b, 0, 1, b))]
    assert all(t.update and t.scale == 1 for t in turns)
    assert all(t.clear_before == (t.player,) for t in turns)
    players = [t.player for t in turns]
    assert players.count("critic") == 16 and players.count("generator") == 8
    assert players[:3] == ["critic", "generator", "critic"]


def test_correct_adds_up_the_micro_batches_of_a_step():
    recipe = toys()
    turns = [t for p in range(4) for t in recipe.turns(Place(2, p, 4, p))]
    for player in ("critic", "generator"):
        mine = [t for t in turns if t.player == player]
        assert [t.clear_before for t in mine] == [(player,), (), (), ()]
        assert [t.update for t in mine] == [False, False, False, True]
        assert sum(t.scale for t in mine) == 1
    assert {t.player for t in recipe.turns(Place(3, 0, 1, 3))} == {"critic"}


def test_an_unknown_alternation_is_refused_by_name():
    with pytest.raises(ValueError, match="'sometimes'"):
        toys(alternation="sometimes")


class Watched(torch.optim.SGD):
    """Writes down the gradients at each update, and moves nothing."""

    log = None

    def __init__(self, parameters, **_):
        super().__init__(parameters, lr=0.0)

    def step(self, closure=None):
        [weight] = self.param_groups[0]["params"]
        Watched.log.append((weight, weight.grad.item()))


def gradients_at_updates(monkeypatch, recipe, steps, batch_size):
    """Of the toys: lists of the critic's and the generator's gradients."""
    monkeypatch.setattr(torch.optim, "Adam", Watched)
    monkeypatch.setattr(Watched, "log", [])
    budget = Budget(
        steps=steps,
        batch_size=batch_size,
        learning_rate=0.0,
        clip_norm=1e9,
    )
    train(recipe, pairs_of(126), budget, seed=0)
    of = {id(recipe.critic.slope): "critic", id(recipe.generator.weight): "generator"}
    found = {"critic": [], "generator": []}
    for weight, gradient in Watched.log:
        found[of[id(weight)]].append(gradient)
    return found


def test_the_released_generator_learns_to_lower_its_score(monkeypatch):
    """Of every batch +slope from the critic's pass, of every second -slope its own.

    At the first update, batch 14, fifteen and eight of them are in the gradient: the
    audit's +7 (section 6.3). The right gradient of the loss is -slope.
    """
    released = toys(alternation="released", accumulation=8)
    [found] = gradients_at_updates(monkeypatch, released, 15, 1)["generator"]
    assert found == pytest.approx(+7 / 8 * 2.0)
    correct = toys()
    found = gradients_at_updates(monkeypatch, correct, 4, 8)["generator"]
    assert found == pytest.approx([-2.0, -2.0])
    plain = toys(alternation="every_batch")
    found = gradients_at_updates(monkeypatch, plain, 4, 8)["generator"]
    assert found == pytest.approx([-2.0, -2.0])


def test_the_released_critic_learns_from_the_generators_loss_too(monkeypatch):
    """At its first update, batch 7, four turns of the generator are in it."""
    fakes = {}

    class Heard(Painter):
        def forward(self, z_BZ, mri_BCDHW):
            fake = super().forward(z_BZ, mri_BCDHW)
            fakes.setdefault(float(z_BZ.sum()), fake.mean().item())
            return fake

    for alternation in ("released", "correct"):
        fakes.clear()
        accumulation = 8 if alternation == "released" else 1
        recipe = GanRecipe(
            Heard(), Judge(), alternation, accumulation=accumulation, penalty=0.0
        )
        [found] = gradients_at_updates(
            monkeypatch, recipe, accumulation, 8 // accumulation
        )["critic"]
        reals = seen_targets(steps=accumulation, batch_size=8 // accumulation)
        own = np.mean(list(fakes.values())) - np.mean(reals)
        stray = -sum(list(fakes.values())[::2]) / 8
        expected = own + stray if alternation == "released" else own
        assert found == pytest.approx(expected, rel=1e-4)
        assert abs(stray) > 0.05


def seen_targets(steps, batch_size):
    data = pairs_of(126).target_NDHW
    return [data[batch_indices(126, batch_size, 0, s)].mean() for s in range(steps)]


def test_the_two_released_gradients_are_exact_opposites_without_dropout():
    """On the real networks: cosine -1 (audit, 6.3), hence nothing but the surplus."""
    recipe = small_gan("released", released=True)
    recipe.critic.eval()
    batch, draws = batch_of(2, GRID, MRI), draws_of(recipe, 2)
    found = {}
    for player in ("critic", "generator"):
        recipe.generator.zero_grad()
        recipe.losses(calls_of(recipe), batch, draws, player)["loss"].backward()
        found[player] = torch.cat(
            [p.grad.flatten() for p in recipe.generator.parameters()]
        )
    cosine = torch.cosine_similarity(found["critic"], found["generator"], dim=0)
    assert cosine.item() == pytest.approx(-1, abs=1e-4)


@pytest.mark.parametrize("alternation", ["correct", "every_batch", "released"])
def test_only_released_turns_leave_gradients_on_the_other_player(alternation):
    recipe = small_gan(alternation)
    batch, draws = batch_of(2, GRID, MRI), draws_of(recipe, 2)
    for player, other in (("critic", "generator"), ("generator", "critic")):
        recipe.critic.zero_grad()
        recipe.generator.zero_grad()
        recipe.losses(calls_of(recipe), batch, draws, player)["loss"].backward()
        mine, theirs = (
            [p.grad for p in getattr(recipe, who).parameters()]
            for who in (player, other)
        )
        assert all(g is not None for g in mine)
        assert all((g is not None) == (alternation == "released") for g in theirs)
        assert all(p.requires_grad for p in recipe.critic.parameters())


def test_released_turns_use_the_same_noise():
    recipe = small_gan("every_batch")
    heard = []
    recipe.generator.register_forward_pre_hook(lambda _, args: heard.append(args[0]))
    train(recipe, pairs_of(4, GRID, MRI), Budget(steps=1, batch_size=2), seed=0)
    assert len(heard) == 2 and torch.equal(heard[0], heard[1])


# -- on the loop ------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"alternation": "released", "accumulation": 2, "released": True},
        {"alternation": "every_batch", "released": True, "mri_noise": 1.0},
    ],
    ids=["correct", "released", "every batch"],
)
def test_a_stopped_run_continues_exactly(tmp_path, changes):
    """Dropout of the released critic included: it is drawn for the step."""
    pairs = pairs_of(6, GRID, MRI)
    long = Budget(steps=5, batch_size=2, learning_rate=1e-3, checkpoint_every=1)
    whole = train(small_gan(**changes), pairs, long, seed=1)
    path = tmp_path / "state.pt"
    train_until(3, small_gan(**changes), pairs, long, seed=1, checkpoint=path)
    again = small_gan(**changes)
    torch.manual_seed(99)
    resumed = train(again, pairs, long, seed=1, checkpoint=path)
    assert resumed.history == whole.history
    for name, player in whole.players.items():
        other = resumed.players[name].state_dict()
        assert all(torch.equal(v, other[k]) for k, v in player.state_dict().items())


def test_dropout_leaves_the_callers_random_numbers_alone():
    recipe = small_gan(released=True)
    batch, draws = batch_of(2, GRID, MRI), draws_of(recipe, 2)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = recipe.losses(calls_of(recipe), batch, draws, "critic")["wasserstein"]
    assert torch.equal(torch.rand(3), expected)
    again = recipe.losses(calls_of(recipe), batch, draws, "critic")["wasserstein"]
    assert torch.equal(first, again)
    other = {**draws, "noise_seed": draws["noise_seed"] + 5}
    moved = recipe.losses(calls_of(recipe), batch, other, "critic")["wasserstein"]
    assert not torch.equal(first, moved)


def test_the_penalty_works_in_mixed_precision():
    """Losses only: on a CPU bfloat16 gradients of narrow convolutions may be NaN."""
    recipe = small_gan()
    batch, draws = batch_of(4, GRID, MRI), draws_of(recipe, 4)
    fabric = Fabric(accelerator="cpu", precision="bf16-mixed")
    mixed = {name: fabric.setup(player) for name, player in calls_of(recipe).items()}
    for player in ("critic", "generator"):
        plain = recipe.losses(calls_of(recipe), batch, draws, player)
        short = recipe.losses(mixed, batch, draws, player)
        for key, value in plain.items():
            assert short[key].item() == pytest.approx(value.item(), rel=0.02, abs=0.01)


def test_a_few_steps_move_both_networks_and_stay_finite():
    recipe = small_gan()
    before = {k: copy.deepcopy(p.state_dict()) for k, p in recipe.players().items()}
    budget = Budget(steps=3, batch_size=4, accumulation_steps=2)
    trained = train(recipe, pairs_of(6, GRID, MRI), budget, seed=0)
    assert trained.network is recipe.generator
    for record in trained.history:
        assert np.isfinite(list(record.values())).all()
        assert {"critic_loss", "wasserstein", "penalty"} <= record.keys()
    for name, player in trained.players.items():
        key = next(k for k in before[name] if k.endswith("weight"))
        assert not torch.equal(before[name][key], player.state_dict()[key])
