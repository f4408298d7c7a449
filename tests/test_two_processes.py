"""Two processes at an equal global batch learn what one learns, as a stage too."""

import os
import subprocess
import sys

import pandas as pd
import pytest
import torch

SCRIPT = """
import sys
import numpy as np
import torch
from mri2pet.model import SpatialUNet
from mri2pet.recipes import DiffusionRecipe
from mri2pet.schedule import NoiseSchedule
from mri2pet.pairs import ArrayPairs
from mri2pet.training import Budget, train

torch.set_num_threads(1)
torch.manual_seed(0)
rng = np.random.default_rng(0)
pairs = ArrayPairs(
    rng.random((6, 32, 32, 32), dtype=np.float32),
    rng.standard_normal((6, 16, 16, 16)).astype(np.float32),
)
network = SpatialUNet((16, 16, 16), (32, 32, 32), width=8)
recipe = DiffusionRecipe(network, NoiseSchedule(), "x0", 0.25, levels=3, flip=True)
budget = Budget(steps=4, batch_size=4, ema_decay=0.5, accumulation_steps=2)
trained = train(recipe, pairs, budget, seed=3)
if int(__import__("os").environ.get("RANK", "0")) == 0:
    torch.save(
        {"weights": trained.network.state_dict(), "history": trained.history},
        sys.argv[1],
    )
"""


STAGES = """
import sys
from mri2pet.config import load_profile
from mri2pet.run import Run

profile = load_profile(
    "smoke", pretrain_steps=4, unpaired=4, labelled=2, train=4, volumes=2, threads=1
)
run = Run(profile, __import__("pathlib").Path(sys.argv[1]))
run._prepare()
learned = run.pretrain("self", "corrected")
print("learned", learned.path)
"""


def learn(tmp_path, processes, content=SCRIPT):
    script, out = tmp_path / "learn.py", tmp_path / f"{processes}.pt"
    script.write_text(content)
    command = [sys.executable, str(script), str(out)]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}"]
        command = [sys.executable, *launcher, "--standalone", *command[1:]]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return torch.load(out, weights_only=True) if content is SCRIPT else (out, done)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path):
    one, two = learn(tmp_path, 1), learn(tmp_path, 2)
    torch.testing.assert_close(
        [list(h.values()) for h in two["history"]],
        [list(h.values()) for h in one["history"]],
        rtol=1e-4,
        atol=1e-5,
    )
    for name, weight in one["weights"].items():
        torch.testing.assert_close(two["weights"][name], weight, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_stage_is_computed_once_by_all_processes(tmp_path):
    (one, _), (two, said) = (learn(tmp_path, n, STAGES) for n in (1, 2))
    curves = [
        pd.read_parquet(run / "checkpoints/pretrain-self-corrected/losses.parquet")
        for run in (one, two)
    ]
    pd.testing.assert_frame_equal(*curves, rtol=1e-3)
    # The cohort is made by the first process alone, and everything is left tidy.
    assert said.stdout.count("cohort: computing") == 1
    assert said.stdout.count("learned") == 2
    assert not list((two / "work").iterdir())
    assert sorted(p.name for p in (one / "stages").iterdir()) == sorted(
        p.name for p in (two / "stages").iterdir()
    )
