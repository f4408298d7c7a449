"""DiffAugment: each change by its formula, and the gradient through it."""

import numpy as np
import pytest
import torch
from few_shot_players import look, make
from torch import nn

from mri2pet.baselines.few_shot import DiffAugmentRecipe
from mri2pet.baselines.few_shot.diffaugment import augment, hole, recolour, translate
from mri2pet.turns import Place


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
