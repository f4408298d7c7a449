"""Fits of a setting: in this process, in others, or on a Dask cluster, the same."""

import numpy as np
import pytest

from mri2pet.config import load_profile
from mri2pet.evaluation.downstream import Sample
from mri2pet.stages.downstream import Images, _fit_all, _plan, _who
from mri2pet.stages.settings import Arm


@pytest.fixture
def jobs(tiny_run):
    rng = np.random.default_rng(0)
    images = {"mri": rng.random((12, 8, 8, 8), dtype=np.float32)}
    people = [f"sub-{i}" for i in range(12)]
    sample = Sample(images, None, np.arange(12) % 3, people)
    classes = list(np.arange(12) % 3)
    test = {"real": sample.take(np.arange(4))}
    return [(sample, test, classes, _plan(tiny_run), seed) for seed in (0, 4)]


def _results(jobs, profile):
    return [found["real"] for found in _fit_all(jobs, profile.downstream)]


def test_processes_and_a_cluster_give_the_same_numbers(jobs, tiny_profile):
    alone = _results(jobs, load_profile(tiny_profile))
    two = load_profile(tiny_profile)
    two = two.model_copy(
        update={"downstream": two.downstream.model_copy(update={"workers": 2})}
    )
    np.testing.assert_array_equal(alone, _results(jobs, two))
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        there = two.downstream.model_copy(
            update={"scheduler": cluster.scheduler_address}
        )
        remote = two.model_copy(update={"downstream": there})
        np.testing.assert_array_equal(alone, _results(jobs, remote))


def test_fewer_labelled_people_are_a_part_of_more(tiny_run):
    images = Images(tiny_run)
    some = _who(Arm("real_mri", fraction=0.5), images)
    everyone = _who(Arm("real_mri"), images)
    assert set(some) < set(everyone)
    people = images.store.scans["participant_id"]
    assert len(set(people[some])) == max(2, round(len(set(people[everyone])) / 2))
    paired = _who(Arm("real_pet"), images)
    assert set(paired) < set(everyone)
    assert (images.store.scans["part"][paired] != "unpaired").all()
    assert "test" not in set(images.store.scans["part"][everyone])
