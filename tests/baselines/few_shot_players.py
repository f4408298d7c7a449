"""The few-shot methods on a small grid, and what they see, for their tests."""

import copy
import math

import numpy as np
import torch
from torch import nn

from mri2pet.baselines.few_shot import (
    CdcRecipe,
    DclRecipe,
    DiffAugmentRecipe,
    MaskGanRecipe,
)
from mri2pet.baselines.networks import Critic, Generator
from mri2pet.pairs import ArrayPairs
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
