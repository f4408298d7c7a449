"""What the property tests draw: grids, batches, types and schedules."""

import torch
from hypothesis import settings
from hypothesis import strategies as st

from mri2pet.schedule import PREDICTIONS, NoiseSchedule

WIDE = (torch.float32, torch.float64)
FLOATS = (*WIDE, torch.bfloat16)
few = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 10**6)
batches = st.integers(1, 3)
predictions = st.sampled_from(PREDICTIONS)
grids = st.lists(st.integers(1, 5), min_size=2, max_size=3).map(tuple)


@st.composite
def schedules(draw):
    """From two to a thousand steps, gentle or steep."""
    start = 10 ** draw(st.floats(-5, -2))
    end = start + draw(st.floats(0, 0.04))
    return NoiseSchedule(draw(st.integers(2, 1000)), start, end)


def randn(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def some_steps(schedule, batch, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(schedule.num_train_timesteps, (batch,), generator=generator)


def column(values_B, like):
    """One number per item, beside data of any shape."""
    return values_B.view(-1, *(1,) * (like.ndim - 1))
