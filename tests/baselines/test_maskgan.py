"""MaskGAN: what the critic may see, and its correspondence."""

import numpy as np
import pytest
import torch
from few_shot_players import heard, look, make, masks_seen, seed_where_near

from mri2pet.baselines.correspondence import correspondence
from mri2pet.baselines.few_shot import CdcRecipe, MaskGanRecipe


def test_maskgan_needs_the_sources_critic_too():
    with pytest.raises(ValueError, match=r"MaskGanRecipe needs source_critic: train"):
        make(MaskGanRecipe, source_critic=None)


def test_released_maskgan_pairs_anchors_with_the_patch_head():
    """Audit, 6.7: three of four batches, and never in the generator's turn."""
    recipe = make(MaskGanRecipe, anchors="swapped")
    for batch in range(8):
        near = batch % 4 != 0
        assert heard(recipe, "critic", batch, seed=0) == (near, near)
    for batch in (0, 2):
        assert heard(recipe, "generator", batch, seed=0) == (batch % 4 != 0, False)


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
