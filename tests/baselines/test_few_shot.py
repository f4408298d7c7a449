"""The few-shot methods: their terms, their released faults, and the loop."""

import copy
import math

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from mri2pet.baselines.correspondence import correspondence
from mri2pet.baselines.few_shot import (
    CdcRecipe,
    DclRecipe,
    DiffAugmentRecipe,
    MaskGanRecipe,
)
from mri2pet.baselines.few_shot.dcl import contrast
from mri2pet.baselines.few_shot.diffaugment import augment, hole, recolour, translate
from mri2pet.baselines.gan import gradient_penalty
from mri2pet.baselines.networks import Critic, Generator
from mri2pet.pairs import ArrayPairs
from mri2pet.training import Budget, train
from mri2pet.turns import Place

GRID, MRI = (16, 32, 32), (16, 16, 16)
METHODS = [CdcRecipe, DclRecipe, DiffAugmentRecipe, MaskGanRecipe]
RELEASED = {
    CdcRecipe: {
        "mri_noise": 1.0,
        "kl": "released",
        "anchors": "dead",
        "source_mode": "train",
    },
    DclRecipe: {"mri_noise": 1.0, "denominator": "released", "critic_keep": 0.34},
    DiffAugmentRecipe: {},
    MaskGanRecipe: {
        "mri_noise": 1.0,
        "kl": "released",
        "anchors": "swapped",
        "mask": "samples",
        "source_mode": "train",
    },
}


def make(method, *, released=False, **changes):
    torch.manual_seed(0)
    generator = Generator(GRID, MRI)
    critic = Critic(GRID, MRI, released=released, patch_head=True)
    if released:
        changes = {
            "alternation": "released",
            "accumulation": 2,
            **RELEASED[method],
            **changes,
        }
    if method is not DiffAugmentRecipe:
        torch.manual_seed(1)
        changes = {"source_generator": Generator(GRID, MRI), **changes}
    if method is MaskGanRecipe:
        changes = {"source_critic": Critic(GRID, MRI), **changes}
    return method(generator, critic, **changes)


def pairs_of(n):
    rng = np.random.default_rng(3)
    return ArrayPairs(
        rng.random((n, *MRI), dtype=np.float32),
        rng.random((n, *GRID), dtype=np.float32) * 2 - 1,
    )


def look(recipe, n=4, seed=0):
    """One batch, its draws, and what is called."""
    seed += 1000  # not the anchors' own, whose first numbers would be the same
    batch = pairs_of(n).batch(np.arange(n))
    draws = recipe.draw(n, torch.Generator().manual_seed(seed))
    return {"generator": recipe.generator, "critic": recipe.critic}, batch, draws


def cosine(a, b):
    return (a.flatten() @ b.flatten() / a.norm() / b.norm()).item()


def state(network):
    return copy.deepcopy(network.state_dict())


def same(a, b):
    return all(torch.equal(v, b[k]) for k, v in a.items())


def seed_where_near(recipe, near):
    return next(
        seed
        for seed in range(99)
        if bool(look(recipe, seed=seed)[2]["near"][0]) == near
    )


# -- all methods ------------------------------------------------------------------


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


def test_maskgan_needs_the_sources_critic_too():
    with pytest.raises(ValueError, match=r"MaskGanRecipe needs source_critic: train"):
        make(MaskGanRecipe, source_critic=None)


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

    class StoppedError(Exception):
        pass

    def stop(done, total, loss):
        if done == 2:
            raise StoppedError

    path = tmp_path / "state.pt"
    first, again = (
        make(MaskGanRecipe, released=True),
        make(MaskGanRecipe, released=True),
    )
    with pytest.raises(StoppedError):
        train(first, pairs, budget, seed=1, checkpoint=path, progress=stop)
    torch.manual_seed(99)
    resumed = train(again, pairs, budget, seed=1, checkpoint=path)
    assert resumed.history == whole.history
    for name, player in whole.players.items():
        assert same(player.state_dict(), resumed.players[name].state_dict())


# -- the source and the anchors ---------------------------------------------------


def test_the_source_does_not_depend_on_who_else_is_in_the_batch_unless_released():
    for mode, alone_is_same in (("eval", True), ("train", False)):
        recipe = make(CdcRecipe, source_mode=mode)
        _, batch, draws = look(recipe)
        image, layers = recipe.source(draws, batch["mri"])
        few = {k: v[:3] for k, v in draws.items()}
        part, _ = recipe.source(few, batch["mri"][:3])
        assert torch.allclose(image[:3], part, atol=1e-6) == alone_is_same
        assert image.shape == (4, 1, *GRID) and len(layers) == 5
        assert not image.requires_grad


class Ear(nn.Module):
    """Notes which noise the generator gets, and which head scores."""

    def __init__(self, network):
        super().__init__()
        self.network, self.heard = network, []
        self.patch = True

    def forward(self, *args, **options):
        if args[0] is not None:  # else the MRI is only encoded
            self.heard.append((args[0], options.get("patch", False)))
        return self.network(*args, **options)


def heard(recipe, player, batch_number, seed):
    """Noise of the generator and heads of the critic in one turn."""
    calls, batch, draws = look(recipe, seed=seed)
    recipe.turns(Place(batch_number, 0, 1, batch_number))
    ears = {name: Ear(network) for name, network in calls.items()}
    recipe.losses(ears, batch, draws, player)
    [(z, _)] = ears["generator"].heard
    [patch] = {patch for _, patch in ears["critic"].heard}
    anchors = recipe._anchors_KZ
    distance = torch.cdist(z, anchors).min(dim=1).values / math.sqrt(z.shape[1])
    near = bool((distance < 2 * recipe.anchor_sd).all())
    assert near or bool((distance > 1).all())
    return near, patch


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


def test_released_cdc_never_uses_anchors_or_patch_head():
    """Audit, 6.4: the number that chooses is always 0."""
    recipe = make(CdcRecipe, anchors="dead")
    for batch in range(4):
        for player in ("critic", "generator"):
            assert heard(recipe, player, batch, seed=batch) == (False, False)
    no_head = Critic(GRID, MRI)
    source = recipe.source_generator
    CdcRecipe(recipe.generator, no_head, source_generator=source, anchors="dead")
    with pytest.raises(ValueError, match="needs a critic made with patch_head=True"):
        CdcRecipe(recipe.generator, no_head, source_generator=source)


def test_released_maskgan_pairs_anchors_with_the_patch_head():
    """Audit, 6.7: three of four batches, and never in the generator's turn."""
    recipe = make(MaskGanRecipe, anchors="swapped")
    for batch in range(8):
        near = batch % 4 != 0
        assert heard(recipe, "critic", batch, seed=0) == (near, near)
    for batch in (0, 2):
        assert heard(recipe, "generator", batch, seed=0) == (batch % 4 != 0, False)


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


def test_anchors_are_fixed_by_their_seed_and_few():
    one, two, other = (make(CdcRecipe, anchor_seed=s)._anchors_KZ for s in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert one.shape == (10, 256)


# -- CDC --------------------------------------------------------------------------


@pytest.mark.parametrize("kl", ["correct", "released"])
def test_cdc_adds_the_mean_correspondence_of_five_layers(kl):
    recipe = make(CdcRecipe, kl=kl, anchors="dead", weight=30.0)
    calls, batch, draws = look(recipe)
    found = recipe.losses(calls, batch, draws, "generator")
    fake, target = recipe.generator(draws["z"], batch["mri"], features=True)
    source = recipe.source_generator(draws["z"], batch["mri"], features=True)[1]
    term = np.mean(
        [
            correspondence(s, t, kl=kl).item()
            for s, t in zip(source, target, strict=True)
        ]
    )
    score = recipe.critic(fake, batch["mri"]).mean().item()
    assert found["correspondence"].item() == pytest.approx(term, rel=1e-4)
    assert found["loss"].item() == pytest.approx(-score + 30 * term, rel=1e-4)
    assert len(target) == 5


def test_released_cdc_measures_no_divergence():
    """Where the target is the source, the term should be 0 (audit, 6.4)."""
    for kl in ("correct", "released"):
        recipe = make(CdcRecipe, kl=kl, source_mode="train")
        recipe.source_generator.load_state_dict(recipe.generator.state_dict())
        calls, batch, draws = look(recipe)
        term = recipe.losses(calls, batch, draws, "generator")["correspondence"].item()
        if kl == "correct":
            assert term == pytest.approx(0, abs=1e-6)
        else:  # three others, all but alike: (log(1/3) - 1/3) / 3
            assert term == pytest.approx((math.log(1 / 3) - 1 / 3) / 3, abs=0.03)


# -- DCL --------------------------------------------------------------------------


def written_out(query, key, others=None, released=False, temperature=0.07):
    total = 0.0
    for i in range(len(query)):
        pair = math.exp(cosine(query[i], key[i]) / temperature)
        apart = [
            math.exp(
                cosine(query[i], (key if others is None else others)[j]) / temperature
            )
            for j in range(len(query))
            if others is not None or j != i
        ]
        total -= math.log(pair / (sum(apart) + (0 if released else pair)))
    return total / len(query)


def test_contrast_is_its_formula():
    g = torch.Generator().manual_seed(0)
    q, k, o = (torch.randn(4, 2, 3, generator=g) for _ in range(3))
    for others in (None, o):
        for denominator in ("correct", "released"):
            found = contrast(q, k, others, denominator=denominator).item()
            released = denominator == "released"
            expected = written_out(q, k, others, released)
            assert found == pytest.approx(expected, rel=1e-4)


def test_released_contrast_pulls_on_pairs_that_are_together_already():
    """Nothing is left to learn: the right loss is 0, the released far below it."""
    key = torch.eye(4)
    slopes = {}
    for denominator in ("correct", "released"):
        query = torch.eye(4) + 0.05
        query.requires_grad_(True)
        loss = contrast(query, key, denominator=denominator)
        loss.backward()
        slopes[denominator] = query.grad.norm().item()
        if denominator == "correct":
            assert 0 <= loss.item() < 1e-4
        else:
            assert loss.item() < -10
    assert slopes["released"] > 1000 * slopes["correct"]


@pytest.mark.parametrize("released", [False, True], ids=["correct", "released"])
def test_dcl_generator_adds_twice_the_contrast_of_one_layer(released):
    recipe = make(DclRecipe, denominator="released" if released else "correct")
    calls, batch, draws = look(recipe)
    found = recipe.losses(calls, batch, draws, "generator")
    fake, target = recipe.generator(draws["z"], batch["mri"], features=True)
    source = recipe.source_generator(draws["z"], batch["mri"], features=True)[1]
    layer = int(draws["generator_layer"][0])
    term = written_out(target[layer], source[layer], released=released)
    score = recipe.critic(fake, batch["mri"]).mean().item()
    assert found["loss"].item() == pytest.approx(-score + 2 * term, rel=1e-3)


def test_dcl_critic_adds_half_the_contrast_with_real_pets():
    recipe = make(DclRecipe, penalty=0.0)
    calls, batch, draws = look(recipe)
    found = recipe.losses(calls, batch, draws, "critic")
    mri, layer = batch["mri"], int(draws["critic_layer"][0])
    fake = recipe.generator(draws["z"], mri)
    source = recipe.source_generator(draws["z"], mri)
    features = [
        recipe.critic(x, mri, features=True)[1][layer]
        for x in (fake, source, batch["target"])
    ]
    term = written_out(*features)
    gap = (recipe.critic(fake, mri) - recipe.critic(batch["target"], mri)).mean().item()
    assert found["critic_contrast"].item() == pytest.approx(term, rel=1e-3)
    assert found["loss"].item() == pytest.approx(gap + 0.5 * term, rel=1e-3)


def test_dcl_draws_a_layer_for_the_step():
    recipe = make(DclRecipe)
    seen = set()
    for seed in range(60):
        draws = recipe.draw(3, torch.Generator().manual_seed(seed))
        for key in ("generator_layer", "critic_layer"):
            assert len(draws[key].unique()) == 1
            seen.add((key, int(draws[key][0])))
    assert len(seen) == 10


def masks_seen(recipe, player):
    """Masks of the critic's calls in a turn; those without one are left out."""
    masks = []

    class Spy(nn.Module):
        def forward(self, *args, keep_BV=None, **options):
            if keep_BV is not None:
                masks.append(keep_BV)
            return recipe.critic(*args, keep_BV=keep_BV, **options)

    calls, batch, draws = look(recipe, 16)
    recipe.losses({**calls, "critic": Spy()}, batch, draws, player)
    return masks


def test_released_dcl_hides_two_thirds_of_the_critics_input_in_its_turn():
    for keep, share in ((0.34, 0.34), (1.0, 1.0)):
        recipe = make(DclRecipe, critic_keep=keep)
        masks = masks_seen(recipe, "critic")
        assert len(masks) == 3  # generated, real, source; not the penalty
        for mask in masks:
            assert mask.shape == (16, 512)
            assert mask.mean().item() == pytest.approx(share, abs=0.02)
        assert masks_seen(recipe, "generator") == []


# -- MaskGAN ----------------------------------------------------------------------


@pytest.mark.parametrize("patch", [False, True], ids=["full head", "patch head"])
def test_maskgan_critic_is_its_formula(patch):
    recipe = make(MaskGanRecipe, penalty=0.0, weight=50.0)
    seed = seed_where_near(recipe, not patch)
    calls, batch, draws = look(recipe, seed=seed)
    found = recipe.losses(calls, batch, draws, "critic")
    mri, z = batch["mri"], draws["z"]
    if not patch:
        z = recipe._anchors_KZ[draws["anchor"]] + recipe.anchor_sd * z
    keep_fake, keep_real = (
        (draws[k] < 0.34).float() for k in ("hide_fake", "hide_real")
    )
    fake, source = recipe.generator(z, mri), recipe.source_generator(z, mri)
    fake_B, layers = recipe.critic(
        fake, mri, keep_BV=keep_fake, patch=patch, features=True
    )
    real_B = recipe.critic(batch["target"], mri, keep_BV=keep_real, patch=patch)
    _, theirs = recipe.source_critic(source, mri, keep_BV=keep_fake, features=True)
    assert len(layers) == (2 if patch else 5)
    term = np.mean(
        [correspondence(s, t).item() for s, t in zip(theirs, layers, strict=False)]
    )
    gap = (fake_B.mean() - real_B.mean()).item()
    assert found["critic_correspondence"].item() == pytest.approx(term, rel=1e-3)
    assert found["loss"].item() == pytest.approx(gap + 50 * term, rel=1e-3)


def test_released_maskgan_shows_the_critic_nothing_of_two_samples_in_three():
    for mask, whole in (("samples", True), ("elements", False)):
        masks = masks_seen(make(MaskGanRecipe, mask=mask), "critic")
        assert len(masks) == 2  # generated and real; not the penalty
        for keep in masks:
            assert keep.shape == ((16, 1) if whole else (16, 512))
            blind = (keep.sum(dim=1) == 0).float().mean().item()
            assert (0.3 < blind < 1) if whole else blind == 0
    draws = make(MaskGanRecipe).draw(3000, torch.Generator().manual_seed(0))
    assert (draws["hide_real"][:, 0] >= 0.34).float().mean().item() == pytest.approx(
        0.66, abs=0.03
    )


def test_maskgan_generator_is_not_masked_and_keeps_cdcs_term():
    recipe = make(MaskGanRecipe)
    assert masks_seen(recipe, "generator") == []
    calls, batch, draws = look(recipe)
    plain = make(CdcRecipe)
    plain.critic.load_state_dict(recipe.critic.state_dict())
    found = recipe.losses(calls, batch, draws, "generator")
    expected = plain.losses(
        {"generator": plain.generator, "critic": plain.critic},
        batch,
        draws,
        "generator",
    )
    torch.testing.assert_close(found, expected)


# -- DiffAugment ------------------------------------------------------------------


def test_colours_are_their_formulas():
    x = torch.randn(3, 1, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    u = torch.tensor([[0.1, 0.9, 0.3], [0.5, 0.5, 0.5], [0.7, 0.0, 1.0]])
    found = recolour(x, *(n.view(-1, 1, 1, 1, 1) for n in u.unbind(1)))
    for volume, (b, s, c), out in zip(
        x[:, 0].double().numpy(), u.tolist(), found[:, 0], strict=True
    ):
        y = volume + b - 0.5
        y = (y - y.mean(0)) * 2 * s + y.mean(0)
        y = (y - y.mean()) * (0.5 + c) + y.mean()
        np.testing.assert_allclose(out.numpy(), y, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1], x[1])  # the middle of all draws
    assert found[2, 0].std(dim=0).max() < 1e-6  # no saturation: all slices alike


def test_translation_is_up_to_an_eighth_with_zeros():
    """16 voxels at the paper's 128; on 32 x 48 it is 4 and 6."""
    x = torch.ones(5, 1, 2, 32, 48).cumsum(-1).cumsum(-2)
    u = torch.tensor([[0.0, 0.0], [0.999, 0.999], [0.5, 0.5], [0.0, 0.5], [0.5, 0.999]])
    found = translate(x, u)
    assert torch.equal(found[2], x[2])
    assert torch.equal(found[0][..., 4:, 6:], x[0][..., :-4, :-6])
    assert found[0][..., :4, :].abs().sum() == 0 == found[0][..., :6].abs().sum()
    assert torch.equal(found[1][..., :-4, :-6], x[1][..., 4:, 6:])
    assert found[1][..., -4:, :].abs().sum() == 0 == found[1][..., -6:].abs().sum()
    assert torch.equal(found[3][..., 4:, :], x[3][..., :-4, :])
    assert torch.equal(found[4][..., :-6], x[4][..., 6:])


def test_all_shifts_are_drawn_alike():
    u = torch.linspace(0, 1, 901)[:-1]
    x = torch.zeros(900, 1, 1, 32, 32)
    x[..., 16, 16] = 1
    at = translate(x, torch.stack([u, u], 1)).flatten(1).argmax(1) // 32 - 16
    values, counts = at.unique(return_counts=True)
    assert values.tolist() == list(range(-4, 5))
    assert counts.min() >= 99 and counts.max() <= 101


def test_the_hole_is_half_the_side_and_clipped_at_the_border():
    """64 voxels at the paper's 128."""
    mask = hole(torch.tensor([[0.5, 0.5], [0.0, 0.0], [0.999, 0.5]]), (128, 128))
    assert mask.shape == (3, 1, 1, 128, 128)
    rows = [(m[0, 0] == 0).any(1).nonzero()[:, 0].tolist() for m in mask]
    assert rows[0] == list(range(32, 96))
    assert rows[1] == list(range(32))
    assert rows[2] == list(range(96, 128))
    assert (mask[0] == 0).sum() == 64 * 64


def test_augmentation_is_differentiable_and_each_sample_for_itself():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(3, 1, 4, 16, 16, generator=g).double().requires_grad_(True)
    u = torch.rand(3, 7, generator=g)
    assert torch.autograd.gradcheck(lambda v: augment(v, u)[:, :, :2, :8, :8], x)
    alone = augment(x[1:2], u[1:2])
    torch.testing.assert_close(augment(x, u)[1:2], alone)


def test_diffaugment_changes_all_that_the_critic_sees_each_by_its_own_draw():
    recipe = make(DiffAugmentRecipe, penalty=0.0)
    calls, batch, draws = look(recipe)
    mri, real = batch["mri"], batch["target"]
    fake = recipe.generator(draws["z"], mri)
    found = {
        player: recipe.losses(calls, batch, draws, player)["loss"].item()
        for player in ("critic", "generator")
    }

    def score(pet, which):
        return recipe.critic(augment(pet, draws[f"augment_{which}"]), mri).mean().item()

    expected = score(fake, "fake") - score(real, "real")
    assert found["critic"] == pytest.approx(expected, rel=1e-4)
    assert found["generator"] == pytest.approx(-score(fake, "generator"), rel=1e-4)
    keys = ("augment_real", "augment_fake", "augment_generator")
    assert len({float(draws[k].sum()) for k in keys}) == 3


def test_the_generator_learns_through_the_augmentation():
    """No gradient where the hole is, for a critic that adds up the voxels."""

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.volume = nn.Parameter(torch.full((1, 1, 4, 16, 16), 0.5))

        def forward(self, z_BZ, mri_BCDHW):
            return self.volume.expand(len(mri_BCDHW), -1, -1, -1, -1)

    class Sum(nn.Module):
        def forward(self, pet_BCDHW, mri_BCDHW):
            return pet_BCDHW.flatten(1).sum(1)

    recipe = DiffAugmentRecipe(Whole(), Sum())
    draws = recipe.draw(1, torch.Generator().manual_seed(0))
    # Colours and place as they are, and the hole at the upper left.
    draws["augment_generator"] = torch.tensor([[0.5] * 5 + [0.0, 0.0]])
    batch = {"mri": torch.zeros(1, 1, 4, 4, 4), "target": torch.zeros(1, 1, 4, 16, 16)}
    calls = {"generator": recipe.generator, "critic": recipe.critic}
    recipe.losses(calls, batch, draws, "generator")["loss"].backward()
    slope = recipe.generator.volume.grad[0, 0]
    assert slope[:, :4, :4].abs().max() < 1e-6
    torch.testing.assert_close(slope[:, 4:, :], torch.full((4, 12, 16), -1.0))


class Level(nn.Module):
    """A generator of one number."""

    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.5))

    def forward(self, z_BZ, mri_BCDHW):
        return self.level.expand(len(mri_BCDHW), 1, 2, 16, 16)


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(1.0))

    def forward(self, pet_BCDHW, mri):
        if pet_BCDHW is None:
            return mri  # a toy has nothing to encode
        return self.slope * pet_BCDHW.flatten(1).mean(1)


def test_released_diffaugment_pushes_the_generator_the_wrong_way():
    """Three passes of the critic and two of the generator: +1 (audit, 6.3)."""
    for alternation, sign in (("released", 1), ("correct", -1)):
        recipe = DiffAugmentRecipe(
            Level(), Mean(), alternation=alternation, accumulation=2
        )
        calls = {"generator": recipe.generator, "critic": recipe.critic}
        batch = {
            "mri": torch.zeros(64, 1, 2, 2, 2),
            "target": torch.zeros(64, 1, 2, 16, 16),
        }
        for number in range(3):
            draws = recipe.draw(64, torch.Generator().manual_seed(number))
            for turn in recipe.turns(Place(number, 0, 1, number)):
                for player in turn.clear_before:
                    calls[player].zero_grad()
                loss = recipe.losses(calls, batch, draws, turn.player)["loss"]
                (turn.scale * loss).backward()
                if turn.update and turn.player == "generator":
                    slope = recipe.generator.level.grad.item()
        # The hole and the shift take up to two fifths of a flat volume away.
        assert 0.2 < sign * slope < 1
