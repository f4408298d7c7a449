"""DCL: its contrasts by their formula, and the released ones."""

import math

import pytest
import torch
from few_shot_players import look, make, masks_seen

from mri2pet.baselines.few_shot import DclRecipe
from mri2pet.baselines.few_shot.dcl import contrast


def cosine(a, b):
    return (a.flatten() @ b.flatten() / a.norm() / b.norm()).item()


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


def test_released_dcl_hides_two_thirds_of_the_critics_input_in_its_turn():
    for keep, share in ((0.34, 0.34), (1.0, 1.0)):
        recipe = make(DclRecipe, critic_keep=keep)
        masks = masks_seen(recipe, "critic")
        assert len(masks) == 3  # generated, real, source; not the penalty
        for mask in masks:
            assert mask.shape == (16, 512)
            assert mask.mean().item() == pytest.approx(share, abs=0.02)
        assert masks_seen(recipe, "generator") == []
