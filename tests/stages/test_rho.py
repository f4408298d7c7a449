"""The same people with another rho: their MRIs stay, their amyloid does not."""

import numpy as np

from mri2pet.stages.cohort import TrainingPeople, cohort, cohort_stage
from mri2pet.stages.learn import finetune
from mri2pet.stages.rho import rho_learned, rho_store, rho_synthetic


def test_rho_moves_amyloid_and_nothing_that_an_mri_shows(tiny_run):
    own, other = cohort(tiny_run), rho_store(tiny_run, 0.0)
    ids = other.ids(part="test")
    assert ids == own.ids(part="test")
    np.testing.assert_array_equal(own.read("mri", ids), other.read("mri", ids))
    assert not np.array_equal(own.truth.loc[ids, "A"], other.truth.loc[ids, "A"])
    np.testing.assert_array_equal(own.truth.loc[ids, "V"], other.truth.loc[ids, "V"])


def test_the_network_learns_from_the_other_pets(tiny_run):
    made = rho_synthetic(tiny_run, 0.0)
    assert made.scan_ids == cohort(tiny_run).ids(part="test")
    assert made.samples.shape[1] == tiny_run.profile.sampling.samples
    own = finetune(tiny_run, "mri2pet", "corrected")
    other = rho_learned(tiny_run, 0.0)
    assert other.pet_scale != own.pet_scale


def test_people_can_be_left_out_of_training_and_of_pretraining(tiny_run):
    store = cohort(tiny_run)
    gone = store.scans["participant_id"][store.ids(part="train")[0]]
    some = TrainingPeople("some", cohort_stage(tiny_run), frozenset({gone}))
    kept = some.keep(store.ids(part="train"))
    assert gone not in set(store.scans["participant_id"][kept]) and kept
    fewer = finetune(tiny_run, "mri2pet", "corrected", people=some)
    assert fewer.pet_scale != finetune(tiny_run, "mri2pet", "corrected").pet_scale
    pets = store.read("pet", kept)
    assert np.isclose(fewer.pet_scale.shift, pets.mean())
    nobody = store.scans["participant_id"][store.ids(part="unpaired")[0]]
    without = TrainingPeople("fold", cohort_stage(tiny_run), frozenset({nobody}))
    folded = finetune(tiny_run, "mri2pet", "corrected", pretrained_on=without)
    assert folded.name.endswith("_pretrained=fold")
