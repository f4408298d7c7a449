"""The published network at the paper's size on a phantom: a step, a sample, memory."""

import json
import subprocess
import sys

import pytest

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
