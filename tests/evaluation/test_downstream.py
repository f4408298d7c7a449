"""Predictors of diagnosis and MMSE: the published networks, splits, and fits."""

import numpy as np
import pytest
import torch

from mri2pet.evaluation.downstream import (
    CLASSES,
    Encoder,
    Plan,
    Predictor,
    Sample,
    fit,
    seen,
    split,
)

MRI, PET = (64, 144, 144), (32, 128, 128)
SMALL = (8, 16, 16)
QUICK = Plan(epochs=12, batch_size=8, learning_rate=3e-3, dropout="released")


def _count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("shapes", "parameters"),
    [
        ({"mri": MRI}, 21_383_827),
        ({"pet": PET}, 8_538_771),
        ({"mri": MRI, "pet": PET}, 29_921_571),
    ],
)
def test_parameters_are_the_published_ones(shapes, parameters):
    assert _count(Predictor(shapes, len(CLASSES))) == parameters
    # One dense layer more, and one output in place of three (audit, 8.1).
    assert _count(Predictor(shapes, 1)) == parameters + 65_278


def test_shapes_and_what_is_refused():
    network = Predictor({"mri": SMALL, "pet": (8, 8, 8)}, 3, covariates=4, width=16)
    images = {"mri": torch.rand(5, *SMALL), "pet": torch.rand(5, 8, 8, 8)}
    assert network(images, torch.rand(5, 4)).shape == (5, 3)
    with pytest.raises(ValueError, match="8 voxels a side"):
        Encoder((8, 16, 7))
    with pytest.raises(ValueError, match="one image"):
        Predictor({}, 3)


def test_the_released_dropout_flag_means_no_dropout():
    """The flag is inverted in the release: what says dropout has none."""
    x = {"mri": torch.rand(4, *SMALL)}
    for dropout, same in ((0.0, True), (0.5, False)):
        network = Predictor({"mri": SMALL}, 3, width=32, dropout=dropout).train()
        assert torch.equal(network(x), network(x)) is same


def _sample(n=48, signal=1.0, seed=0, target="diagnosis"):
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 3
    image = rng.normal(0.5, 0.1, (n, *SMALL)).astype("f4")
    image[:, 2:6, 4:8, 4:8] += signal * 0.2 * label[:, None, None, None]
    y = label if target == "diagnosis" else 30.0 - 4 * label + rng.normal(0, 0.2, n)
    return Sample({"mri": image}, None, y, [f"sub-{seed}{i}" for i in range(n)])


def test_a_planted_signal_is_learned_and_nothing_is_learned_without_one():
    test = _sample(30, seed=1)
    found = fit(_sample(), {"real": test}, list(range(3)) * 16, QUICK, seed=0)["real"]
    assert found.shape == (30, 3)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert (found.argmax(1) == test.target_N).mean() > 0.9
    nothing = fit(
        _sample(signal=0), {"real": test}, list(range(3)) * 16, QUICK, seed=0
    )["real"]
    assert (nothing.argmax(1) == test.target_N).mean() < 0.7


def test_values_come_back_in_their_own_units():
    train, test = _sample(target="mmse"), _sample(30, seed=1, target="mmse")
    found = fit(train, {"real": test}, list(range(3)) * 16, QUICK, seed=0)["real"]
    assert found.shape == (30,) and found.min() > 15 and found.max() < 35
    assert np.corrcoef(found, test.target_N)[0, 1] > 0.9


def test_a_fit_is_a_function_of_its_seed():
    train, test = _sample(), {"real": _sample(6, seed=1)}
    classes = list(range(3)) * 16
    state = torch.get_rng_state()
    one, two, other = (fit(train, test, classes, QUICK, s)["real"] for s in (0, 0, 4))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_training_stops_early_and_keeps_the_best_weights():
    train, test = _sample(24), {"real": _sample(6, seed=1)}
    classes = list(range(3)) * 8
    plans = [
        Plan(epochs=n, patience=p, batch_size=8, learning_rate=0.02)
        for n, p in ((40, 2), (80, 2), (40, 40))
    ]
    a, b, c = (fit(train, test, classes, plan, 0)["real"] for plan in plans)
    np.testing.assert_array_equal(a, b)  # it had stopped before 40 epochs
    assert np.isfinite(c).all()
    with pytest.raises(ValueError, match="the loss is"):
        fit(train, test, classes, Plan(learning_rate=1e30, epochs=5), 0)


def test_validation_people_are_whole_people_and_the_same_in_every_setting():
    people = [f"sub-{i // 2}" for i in range(40)]  # two scans each
    classes = [("CN", "MCI", "AD")[i // 2 % 3] for i in range(40)]
    whole = Sample({}, np.zeros((40, 1)), np.zeros(40), people)
    held = split(whole, classes, 0.2, seed=4)
    for person in set(people):
        assert len({h for h, p in zip(held, people, strict=True) if p == person}) == 1
    chosen = {p for h, p in zip(held, people, strict=True) if h}
    assert 3 <= len(chosen) <= 5
    # With fewer people of the same kinds, the ones who stay are on the same side
    # unless their class has lost its first ones.
    some = np.array([int(p[4:]) < 15 for p in people])
    again = split(whole.take(some), list(np.array(classes)[some]), 0.2, seed=4)
    kept = [p for p, s in zip(people, some, strict=True) if s]
    still = {p for h, p in zip(again, kept, strict=True) if h}
    assert chosen & set(kept) <= still | chosen
    assert len(still & chosen) >= 2
    assert not np.array_equal(held, split(whole, classes, 0.2, seed=8))


def test_a_class_of_one_stays_in_training_and_one_person_is_refused():
    sample = Sample({}, np.zeros((4, 1)), np.array([0, 0, 0, 2]), list("abcd"))
    held = split(sample, [0, 0, 0, 2], 0.5, seed=0)
    assert not held[3] and 1 <= held.sum() <= 2
    alone = Sample({}, np.zeros((1, 1)), np.array([0]), ["a"])
    with pytest.raises(ValueError, match="too few to hold any back"):
        split(alone, [0], 0.2, seed=0)


def test_covariates_alone_are_a_logistic_regression():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = np.stack([y + rng.normal(0, 0.4, 60), rng.normal(size=60)], 1)
    sample = Sample({}, x, y, [f"s{i}" for i in range(60)])
    found = fit(sample, {"real": sample}, list(y), QUICK, 0)["real"]
    assert (found.argmax(1) == y).mean() > 0.75
    ages = Sample({}, x, 20.0 + y, [f"s{i}" for i in range(60)])
    assert fit(ages, {"real": ages}, list(y), QUICK, 0)["real"].shape == (60,)
    only = Sample({}, x, np.zeros(60, int), [f"s{i}" for i in range(60)])
    assert (fit(only, {"a": only}, list(y), QUICK, 0)["a"] == [1, 0, 0]).all()


def test_the_light_network_sees_averages_and_the_published_one_everything():
    image = np.random.default_rng(0).random((2, 32, 48, 48)).astype("f4")
    light = seen(image, "mri", "light")
    assert light.shape == (2, 16, 24, 24)
    expected = image.reshape(2, 16, 2, 24, 2, 24, 2).mean((2, 4, 6))
    np.testing.assert_allclose(light, expected, atol=1e-6)
    assert seen(image, "pet", "published").shape == image.shape
    assert seen(image, "pet", "light").max() <= image.max() / 2.5 + 1e-6
    assert seen(image[:, ::4, ::4, ::4], "mri", "light").shape == (2, 8, 12, 12)
    with pytest.raises(ValueError, match="'ct'"):
        seen(image, "ct", "light")
