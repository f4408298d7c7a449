"""CDC: its correspondence, the source, and what the release made of them."""

import math

import numpy as np
import pytest
import torch
from few_shot_players import GRID, MRI, heard, look, make

from mri2pet.baselines.correspondence import correspondence
from mri2pet.baselines.few_shot import CdcRecipe
from mri2pet.baselines.networks import Critic


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


def test_anchors_are_fixed_by_their_seed_and_few():
    one, two, other = (make(CdcRecipe, anchor_seed=s)._anchors_KZ for s in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert one.shape == (10, 256)


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
