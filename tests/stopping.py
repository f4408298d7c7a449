"""A training that is stopped on its way, for tests of going on from there."""

import pytest

from mri2pet.training import train


class StoppedError(Exception):
    """What a killed process looks like from within."""


def train_until(done, recipe, pairs, budget, **options):
    """Train, and be stopped after so many steps; `options` are those of `train`."""

    def stop(steps, total, loss):
        if steps == done:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(recipe, pairs, budget, progress=stop, **options)
