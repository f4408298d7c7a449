"""What all few-shot methods share: players, sources, anchors, and the loop."""

import numpy as np
import pytest
import torch
from few_shot_players import (
    GRID,
    METHODS,
    MRI,
    heard,
    look,
    make,
    pairs_of,
    same,
    seed_where_near,
    state,
)
from lightning_fabric import Fabric
from stopping import train_until

from mri2pet.baselines.few_shot import CdcRecipe, DclRecipe, MaskGanRecipe
from mri2pet.baselines.few_shot.dcl import contrast
from mri2pet.baselines.gan import gradient_penalty
from mri2pet.baselines.networks import Generator
from mri2pet.training import Budget, train


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("released", [False, True], ids=["correct", "released"])
def test_two_steps_are_finite_move_the_players_and_leave_the_source(method, released):
    recipe = make(method, released=released)
    before = {name: state(player) for name, player in recipe.players().items()}
    sources = {
        name: getattr(recipe, name)
        for name in ("source_generator", "source_critic")
        if hasattr(recipe, name)
    }
    kept = {name: state(network) for name, network in sources.items()}
    # A step of the released alternation is one micro-batch; three make an update.
    budget = Budget(steps=3 if released else 2, batch_size=4, learning_rate=1e-3)
    trained = train(recipe, pairs_of(12), budget, seed=0)
    for record in trained.history:
        assert np.isfinite(list(record.values())).all()
    assert trained.network is recipe.generator
    for name, player in trained.players.items():
        moved = player.state_dict()
        weights = [k for k, _ in player.named_parameters()]
        assert any(not torch.equal(before[name][k], moved[k]) for k in weights), name
    for name, network in sources.items():
        if recipe.source_mode == "train":  # its batch statistics move, unused
            weights = dict(network.named_parameters())
            assert all(torch.equal(p, kept[name][k]) for k, p in weights.items())
        else:
            assert same(kept[name], network.state_dict())
        assert not any(
            p.requires_grad or p.grad is not None for p in network.parameters()
        )


@pytest.mark.parametrize("method", METHODS)
def test_mixed_precision_finds_much_the_same_losses(method):
    recipe = make(method)
    calls, batch, draws = look(recipe)
    fabric = Fabric(accelerator="cpu", precision="bf16-mixed")
    mixed = {name: fabric.setup(player) for name, player in calls.items()}
    for player in ("critic", "generator"):
        plain = recipe.losses(calls, batch, draws, player)
        short = recipe.losses(mixed, batch, draws, player)
        assert plain.keys() == short.keys()
        for key, value in plain.items():
            close = pytest.approx(value.item(), rel=0.05, abs=0.02)
            assert short[key].item() == close, key


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_on_the_other_player(method):
    recipe = make(method)
    calls, batch, draws = look(recipe)
    for player, other in (("critic", "generator"), ("generator", "critic")):
        recipe.generator.zero_grad()
        recipe.critic.zero_grad()
        recipe.losses(calls, batch, draws, player)["loss"].backward()
        assert all(p.grad is None for p in getattr(recipe, other).parameters())
        assert any(p.grad is not None for p in getattr(recipe, player).parameters())


@pytest.mark.parametrize("method", [CdcRecipe, DclRecipe, MaskGanRecipe])
def test_a_missing_source_is_refused_in_one_line(method):
    with pytest.raises(
        ValueError, match=r"needs source_generator.*source stage first$"
    ):
        make(method, source_generator=None)


@pytest.mark.parametrize("method", [CdcRecipe, MaskGanRecipe])
def test_too_small_a_micro_batch_is_refused_with_its_size(method):
    recipe = make(method)
    calls, batch, draws = look(recipe, 2)
    with pytest.raises(ValueError, match=r"at least 3 samples; got 2$"):
        recipe.losses(calls, batch, draws, "generator")
    with pytest.raises(ValueError, match=r"at least 2 samples; got 1$"):
        contrast(torch.ones(1, 5), torch.ones(1, 5))


@pytest.mark.parametrize(
    "method, changes, bad",
    [
        (CdcRecipe, {"kl": "reverse"}, "kl must be one of.*'reverse'"),
        (CdcRecipe, {"anchors": "loose"}, "anchors must be one of.*'loose'"),
        (CdcRecipe, {"source_mode": "off"}, "source_mode must be one of.*'off'"),
        (DclRecipe, {"denominator": "none"}, "denominator must be one of.*'none'"),
        (MaskGanRecipe, {"mask": "all"}, "mask must be one of.*'all'"),
    ],
)
def test_wrong_settings_are_refused_by_name(method, changes, bad):
    with pytest.raises(ValueError, match=bad):
        make(method, **changes)


def test_the_source_may_be_the_start_of_the_target():
    """One module for both: the recipe keeps a copy, frozen, in eval mode."""
    network = Generator(GRID, MRI)
    recipe = make(DclRecipe, source_generator=network)
    shared = DclRecipe(network, recipe.critic, source_generator=network)
    assert (
        shared.source_generator is not network and not shared.source_generator.training
    )
    assert all(p.requires_grad for p in network.parameters())
    assert make(CdcRecipe, source_mode="train").source_generator.training


def test_a_stopped_run_continues_exactly(tmp_path):
    """The method with most of everything: anchors, masks, two sources, dropout."""
    pairs, budget = pairs_of(6), Budget(steps=4, batch_size=3, checkpoint_every=1)
    whole = train(make(MaskGanRecipe, released=True), pairs, budget, seed=1)
    path = tmp_path / "state.pt"
    first, again = (
        make(MaskGanRecipe, released=True),
        make(MaskGanRecipe, released=True),
    )
    train_until(2, first, pairs, budget, seed=1, checkpoint=path)
    torch.manual_seed(99)
    resumed = train(again, pairs, budget, seed=1, checkpoint=path)
    assert resumed.history == whole.history
    for name, player in whole.players.items():
        assert same(player.state_dict(), resumed.players[name].state_dict())


@pytest.mark.parametrize("method", [CdcRecipe, MaskGanRecipe])
def test_noise_near_anchors_goes_with_the_full_head(method):
    """Ojha et al., 2021, section 3.2, in a quarter of the steps."""
    recipe = make(method)
    for near in (True, False):
        seed = seed_where_near(recipe, near)
        for player in ("critic", "generator"):
            assert heard(recipe, player, 3, seed) == (near, not near)
    shares = [
        recipe.draw(1, torch.Generator().manual_seed(s))["near"].float()
        for s in range(400)
    ]
    assert torch.cat(shares).mean().item() == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("method", [CdcRecipe, MaskGanRecipe])
def test_the_penalty_is_that_of_the_head_and_sees_all(method):
    recipe = make(method)

    def penalty(draws, batch, z, patch):
        return gradient_penalty(
            lambda x: recipe.critic(x, batch["mri"], patch=patch),
            batch["target"],
            recipe.generator(z, batch["mri"]),
            draws["between"],
        ).item()

    for near in (True, False):
        calls, batch, draws = look(recipe, seed=seed_where_near(recipe, near))
        z = draws["z"]
        if near:
            z = recipe._anchors_KZ[draws["anchor"]] + recipe.anchor_sd * z
        found = recipe.losses(calls, batch, draws, "critic")["penalty"].item()
        assert found == pytest.approx(penalty(draws, batch, z, not near), rel=1e-6)
        assert abs(found - penalty(draws, batch, z, near)) > 1e-5
