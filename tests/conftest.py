"""A run of a few seconds, made once, for everything that needs trained networks."""

from pathlib import Path

import pytest

# Doctests are looked for in every file, and files of one name cannot be told apart.
collect_ignore_glob = ["*conftest.py"]

TINY = """
extends: smoke
name: tiny
description: For the tests only.
threads: 1
grids: {mri: [32, 32, 32], pet: [16, 32, 32]}
cohort:
  unpaired: 4
  labelled: 2
  train: 4
  val: 2
  test: 5
  train_two_visits: 1
  test_two_visits: 1
  work_mm: 6.0
  select_test: false
  workers: 1
body: {width: 8}
style: {volumes: 4, steps: 2, batch_size: 2}
training:
  batch_size: 4
  pretrain_steps: 3
  finetune_steps: 4
  published_net_batch_size: 2
  published_net_steps: 1
  gan_batch_size: 6
  gan_steps: 3
  gan_source_steps: 2
  checkpoint_every: 2
  snapshots: [4, 8, 16]
sampling: {calls: 3, published_calls: 4, samples: 2, batch_size: 3, check_people: 1}
evaluation: {bootstrap: 50, frechet_dims: 4}
downstream: {epochs: 1, workers: 1}
rhos: [0.0]
atrophy: {people: 2, levels: 3}
"""


@pytest.fixture(scope="session")
def tiny_profile(tmp_path_factory) -> Path:
    """File of a profile that runs in seconds."""
    path = tmp_path_factory.mktemp("profiles") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny_run(tiny_profile, tmp_path_factory):
    """Run of that profile; its stages are computed as tests ask for them."""
    from mri2pet.run import Run

    run = Run.open(tiny_profile, tmp_path_factory.mktemp("runs") / "tiny", quiet=True)
    run.log = lambda text: None
    return run
