"""The published network at the paper's size on a phantom: a step, a sample, memory."""

import json
import re
import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mri2pet import paths
from mri2pet.config import load_profile
from mri2pet.model import PublishedUNet, SpatialUNet

SCRIPT = """
import json
import resource

import numpy as np
import torch

from mri2pet.cohort.phantom import simulate
from mri2pet.cohort.phantom.plan import plan
from mri2pet.model import PublishedUNet
from mri2pet.recipes import DiffusionRecipe
from mri2pet.schedule import NoiseSchedule
from mri2pet.synthesis import PetScale, synthesize
from mri2pet.pairs import ArrayPairs
from mri2pet.training import Budget, train

GRIDS = {"grid_pet": (32, 128, 128), "grid_mri": (64, 144, 144)}
rows = plan(unpaired=0, labelled=0, train=1, val=0, test=0, seed=4)
[(person, _)] = simulate(rows, seed=4, work_mm=3.0, **GRIDS)
torch.manual_seed(0)
network = PublishedUNet(attention="reordered")
before = network.out.weight.detach().clone()
scale = PetScale.fit(person["pet"][None])
recipe = DiffusionRecipe(network, NoiseSchedule(), "eps", 0.25, "x0")
pairs = ArrayPairs(person["mri"][None], scale.to_network(person["pet"][None]))
trained = train(recipe, pairs, Budget(steps=1, batch_size=1), seed=0)
moved = float((trained.network.out.weight - before).abs().max())
made = synthesize(
    trained.network, NoiseSchedule(), person["mri"][None], prediction="eps",
    pet_scale=scale, person_seeds=[0], sampler="ddpm", num_calls=1,
)
print(json.dumps({
    "parameters": sum(p.numel() for p in network.parameters()),
    "loss": trained.history[0]["loss"],
    "moved": moved,
    "shape": list(made.samples_NKDHW.shape),
    "finite": bool(np.isfinite(made.samples_NKDHW.numpy()).all()),
    "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


@pytest.mark.slow
def test_one_step_and_one_sample_at_the_papers_size(tmp_path):
    script = tmp_path / "step.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["parameters"] == 13_085_945
    assert found["shape"] == [1, 1, 32, 128, 128] and found["finite"]
    assert found["loss"] > 0 and found["moved"] > 0
    assert found["mb"] <= 4096


def forward_gflop(network):
    """Operations of one call on one scan, in 10^9."""
    profile = load_profile("paper")
    pet, mri = profile.grids.pet, profile.grids.mri
    with torch.device("meta"):
        made = network(pet, mri)
        noisy, t = torch.empty(1, 1, *pet), torch.zeros(1, dtype=torch.long)
        with FlopCounterMode(display=False) as counter:
            made(noisy, t, made.encode(torch.empty(1, 1, *mri)))
    return counter.get_total_flops() / 1e9


def test_the_costs_on_the_page_are_those_of_the_profile():
    page = (paths.repository_root() / "book/scaling.md").read_text(encoding="utf-8")

    def printed(label):
        number = re.search(rf"^\| {label}.* ([\d,]+) \|$", page, re.MULTILINE)[1]
        return int(number.replace(",", ""))

    plan = load_profile("paper").training
    fast, published = forward_gflop(SpatialUNet), forward_gflop(PublishedUNet)
    assert printed("`SpatialUNet`") == round(fast)
    assert printed("`PublishedUNet`") == round(published)
    for label, steps, each in (
        ("one pre-training", plan.pretrain_steps, fast),
        ("one fine-tuning, ", plan.finetune_steps, fast),
        ("one fine-tuning of", plan.published_net_steps, published),
    ):
        assert printed(label) == round(3 * each * steps * plan.batch_size / 1e6)
    assert printed("sampling") == round(250 * 999 * fast / 1e6)
