"""GAN rows as stages: both designs, from their source stage to PETs in SUVR."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mri2pet.config import load_profile
from mri2pet.run import Run
from mri2pet.stages import adversarial as stage_module
from mri2pet.stages import learned
from mri2pet.stages.adversarial import METHODS, adversarial, fit_unit_scale, source
from mri2pet.stages.sample import sample_stage

KEYS = [(row, design) for row in METHODS for design in ("published", "corrected")]


@pytest.mark.parametrize(("row", "design"), KEYS)
def test_a_gan_row_makes_pets(tiny_run, row, design):
    made = tiny_run.sample(row, design)
    scans = len(tiny_run.cohort().ids(part="test", has_pet=True))
    assert made.samples.shape == (scans, 1, *tiny_run.profile.grids.pet)
    assert np.isfinite(made.samples).all()
    trained = adversarial(tiny_run, row, design)
    top = trained.pet_scale.to_suvr(1.0)
    assert made.samples.min() >= 0 and made.samples.max() <= top
    assert {"critic_loss", "step"} <= set(trained.losses)
    methods_own = {"cdc": "correspondence", "dcl": "critic_contrast"}
    if row in methods_own:
        assert methods_own[row] in trained.losses


@pytest.mark.parametrize("design", ["published", "corrected"])
def test_the_target_starts_from_the_source(tiny_run, tiny_profile, design):
    """Both networks do, and the frozen copies are the source's too."""
    first = source(tiny_run, design)
    weights = torch.load(first.path, weights_only=True)
    seen = {}

    def record(recipe, *args, **kwargs):
        seen["recipe"] = recipe
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learned, "train", record)
        longer = Run.open(tiny_profile, tiny_run.path, quiet=True, gan_steps=99)
        longer.log = lambda text: None
        with pytest.raises(KeyboardInterrupt):
            adversarial(longer, "maskgan", design)
    recipe = seen["recipe"]
    for network, state in (
        (recipe.generator, weights["model"]),
        (recipe.source_generator, weights["model"]),
        (recipe.critic, weights["players"]["critic"]),
        (recipe.source_critic, weights["players"]["critic"]),
    ):
        for key, value in network.state_dict().items():
            assert torch.equal(value, state[key]), key


def test_a_sample_depends_on_its_person_only(tiny_run):
    whole = tiny_run.sample("gan", "corrected").samples
    few = tiny_run.sample("gan", "corrected", people=2).samples
    np.testing.assert_allclose(few, whole[:2], atol=1e-5)
    two = tiny_run.sample("gan", "corrected", people=2, samples=2).samples
    np.testing.assert_allclose(two[:, :1], few, atol=1e-5)
    assert np.abs(two[:, 0] - two[:, 1]).max() > 0


def test_the_scale_of_a_tanh_covers_the_training_pets():
    pets = np.array([[[[0.0, 2.0]]]])
    scale, clip = fit_unit_scale(pets)
    assert scale.to_network(0.0) == -1 and scale.to_suvr(1.0) == pytest.approx(2.2)
    assert clip == (-1.0, 1.0)


@pytest.mark.parametrize(("row", "design"), KEYS)
def test_gradients_are_cut_where_chapter_8_says_so(tiny_run, monkeypatch, row, design):
    """Audit, 6.3: the four released few-shot methods; nobody in corrected."""
    budgets = {}

    def note(run, name, *, budget, **rest):
        budgets[name] = budget
        return SimpleNamespace(stage=None)

    monkeypatch.setattr(stage_module, "learn", note)
    adversarial(tiny_run, row, design)
    cut = METHODS[row].released["alternation"] == "released" and design == "published"
    norm = tiny_run.profile.training.clip_norm
    assert budgets[f"finetune-{row}-{design}"].clip_norm == (norm if cut else None)
    assert cut == (design == "published" and row != "gan")


def test_unknown_rows_and_small_batches_are_refused(tiny_run):
    with pytest.raises(ValueError, match="'wgan'"):
        adversarial(tiny_run, "wgan", "corrected")
    with pytest.raises(ValueError, match="gan_batch_size is 4 in 2"):
        load_profile("smoke", gan_batch_size=4)


def test_the_critic_is_kept_with_its_generator(tiny_run):
    path = sample_stage(tiny_run, "cdc", "corrected").path()
    assert path.exists()
    content = torch.load(source(tiny_run, "corrected").path, weights_only=True)
    assert set(content["players"]) == {"critic", "generator"}
