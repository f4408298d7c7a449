"""From MRI to synthetic PET: batches, K samples a person, mean and uncertainty.

Every sample has a random stream of its own, keyed by (seed, person, sample number), so
it does not depend on who else is in the batch or on the batch size.

Shape suffixes: N people, K samples, B batch, C channel, D H W depth, height, width.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .checks import HALF, finite, number, numbers, one_of, unit_range, whole, wholes
from .samplers import draw_noise, sample
from .schedule import NoiseSchedule


@dataclass(frozen=True)
class PetScale:
    """The one affine map between SUVR and what the network sees.

    MRI2PET, definition 2: PET is standardised for the diffusion model.

    Attributes
    ----------
    shift, scale : float
        In SUVR: ``network = (suvr - shift) / scale``; scale > 0.

    Raises
    ------
    ValueError
        A ``shift`` or ``scale`` that is not finite, or a ``scale`` not above 0.

    Examples
    --------
    >>> scale = PetScale.fit(np.array([0.0, 2.0]))
    >>> scale.shift, scale.scale, float(scale.to_network(3.0))
    (1.0, 1.0, 2.0)
    """

    shift: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        number("shift", self.shift)
        number("scale", self.scale, 0, inside=True)

    @classmethod
    def fit(cls, suvr: np.ndarray | Tensor) -> PetScale:
        """Standardise: mean and SD over every voxel of the **training** PETs.

        Parameters
        ----------
        suvr : ndarray or Tensor
            Training PETs in SUVR, any shape.

        Returns
        -------
        PetScale

        Raises
        ------
        ValueError
            PETs that are constant or hold a value that is not finite.

        Examples
        --------
        >>> PetScale.fit(np.ones(8))
        Traceback (most recent call last):
        ValueError: scale must be a number in (0, inf); got 0.0
        """
        if isinstance(suvr, Tensor):
            # NumPy knows no bfloat16, no gradients and no GPU.
            wide = torch.promote_types(suvr.dtype, torch.float32)
            suvr = suvr.detach().to("cpu", wide).numpy()
        suvr = numbers("suvr", suvr)
        finite("suvr", suvr)
        if suvr.size == 0:
            raise ValueError(f"suvr is empty: {suvr.shape}")
        return cls(
            float(suvr.mean(dtype=np.float64)), float(suvr.std(dtype=np.float64))
        )

    def to_network(self, suvr):
        """Map SUVR to network units.

        Parameters
        ----------
        suvr : float, ndarray or Tensor
            In SUVR, any shape.

        Returns
        -------
        float, ndarray or Tensor
            The type and shape of ``suvr``.

        Examples
        --------
        >>> PetScale(shift=1.25, scale=0.5).to_network(1.75)
        1.0
        """
        return (suvr - self.shift) / self.scale

    def to_suvr(self, x):
        """Map network units to SUVR: the inverse of `to_network`.

        Parameters
        ----------
        x : float, ndarray or Tensor
            In network units, any shape.

        Returns
        -------
        float, ndarray or Tensor
            The type and shape of ``x``.

        Examples
        --------
        >>> PetScale(shift=1.25, scale=0.5).to_suvr(1.0)
        1.75
        """
        return x * self.scale + self.shift


@dataclass(frozen=True)
class Synthesis:
    """Synthetic PETs in SUVR, float32 on the CPU.

    Attributes
    ----------
    samples_NKDHW : Tensor
        All samples.
    mean_NDHW : Tensor
        Mean over the samples of a person.
    sd_NDHW : Tensor
        Unbiased standard deviation over the samples; NaN where K = 1.

    Examples
    --------
    One person, two samples, one voxel:

    >>> samples = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1, 1)
    >>> result = Synthesis(samples, samples.mean(1), samples.std(1))
    >>> result.mean_NDHW.item(), round(result.sd_NDHW.item(), 3)
    (1.5, 0.707)
    """

    samples_NKDHW: Tensor
    mean_NDHW: Tensor
    sd_NDHW: Tensor


def sample_generator(seed: int, person: int, number: int) -> torch.Generator:
    """Return the random stream of one sample of one person.

    Parameters
    ----------
    seed : int
        Seed of the whole set.
    person : int
        Number of the person.
    number : int
        Number of the sample, from 0.

    Returns
    -------
    torch.Generator
        On the CPU.

    Raises
    ------
    ValueError
        A negative number.

    Examples
    --------
    >>> first, again, second = (
    ...     torch.rand(1, generator=sample_generator(4, 17, k)) for k in (0, 0, 1)
    ... )
    >>> torch.equal(first, again), torch.equal(first, second)
    (True, False)
    """
    words = wholes("(seed, person, number)", (seed, person, number))
    state = np.random.SeedSequence(words).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) >> 1)


@torch.no_grad()
def synthesize(
    model: nn.Module,
    schedule: NoiseSchedule,
    mri_BCDHW: Tensor | np.ndarray,
    *,
    prediction: str,
    pet_scale: PetScale,
    person_seeds: Sequence[int],
    num_samples: int = 1,
    seed: int = 0,
    batch_size: int = 8,
    sampler: str = "ddim",
    num_calls: int = 25,
    variance: str = "beta",
    eta: float = 0.0,
    clip_x0: tuple[float, float] | None = None,
    autocast: torch.dtype | None = None,
) -> Synthesis:
    """Draw ``num_samples`` synthetic PETs for every MRI.

    Parameters
    ----------
    model : Module
        `PublishedUNet` or `SpatialUNet`; put into eval mode during the call.
    schedule : NoiseSchedule
        The schedule of its training.
    mri_BCDHW : Tensor or array
        MRIs in [0, 1], shape (N, 1, D, H, W) or (N, D, H, W).
    prediction : {"eps", "x0", "v"}
        What the network outputs.
    pet_scale : PetScale
        The map that the network was trained through.
    person_seeds : sequence of int
        One number per MRI that names the person's random stream.
    num_samples : int
        Samples per MRI, K.
    seed : int
        Seed of the whole set.
    batch_size : int
        Volumes per network call; changes speed and memory only.
    sampler, num_calls, variance, eta, clip_x0
        As in `mri2pet.samplers.sample`; ``clip_x0`` is in network units.
    autocast : torch.dtype, optional
        Run the network under autocast, e.g. ``torch.bfloat16``.

    Returns
    -------
    Synthesis
        In SUVR, with N people and K samples of each.

    Raises
    ------
    ValueError
        MRIs of another shape, empty, not finite or not in [0, 1], one seed too many or
        too few, ``num_samples`` or ``batch_size`` below 1, or an unknown ``autocast``;
        and what `sample` refuses.

    Examples
    --------
    A fresh network answers x0 = 0 to everything, which is the mean SUVR:

    >>> from mri2pet.model import SpatialUNet
    >>> result = synthesize(
    ...     SpatialUNet((8, 8, 8), (16, 16, 16), width=8),
    ...     NoiseSchedule(),
    ...     torch.zeros(1, 16, 16, 16),
    ...     prediction="x0",
    ...     pet_scale=PetScale(shift=1.25, scale=0.5),
    ...     person_seeds=[17],
    ...     num_samples=2,
    ...     num_calls=3,
    ... )
    >>> result.samples_NKDHW.shape, result.mean_NDHW.unique()
    (torch.Size([1, 2, 8, 8, 8]), tensor([1.2500]))
    """
    if not isinstance(mri_BCDHW, Tensor):
        mri_BCDHW = numbers("mri", mri_BCDHW)
    mri = torch.as_tensor(mri_BCDHW, dtype=torch.float32)
    if mri.ndim == len(model.mri_shape) + 1:
        mri = mri.unsqueeze(1)
    if tuple(mri.shape[1:]) != (1, *model.mri_shape) or mri.shape[0] == 0:
        raise ValueError(
            f"mri needs shape (N, 1) + {tuple(model.mri_shape)} with N > 0; "
            f"got {tuple(mri.shape)}"
        )
    unit_range("mri", mri)
    people = mri.shape[0]
    person_seeds = wholes("person_seeds", person_seeds)
    if len(person_seeds) != people:
        raise ValueError(
            f"need one person seed per MRI, {people}; got {len(person_seeds)}"
        )
    num_samples = whole("num_samples", num_samples, 1)
    batch_size = whole("batch_size", batch_size, 1)
    one_of("autocast", autocast, HALF)

    device = next(model.parameters()).device
    grid = (1, *model.pet_shape)
    jobs = [(n, k) for n in range(people) for k in range(num_samples)]
    samples = torch.empty(people, num_samples, *model.pet_shape)
    context = (
        nullcontext()
        if autocast is None
        else torch.autocast(device.type, dtype=autocast)
    )
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(jobs), batch_size):
            batch = jobs[start : start + batch_size]
            generators = [sample_generator(seed, person_seeds[n], k) for n, k in batch]
            who = sorted({n for n, _ in batch})
            row = torch.tensor([who.index(n) for n, _ in batch], device=device)
            with context:
                cond = model.encode(mri[who].to(device))[row]

                def denoise(x: Tensor, t_B: Tensor, cond: Tensor = cond) -> Tensor:
                    return model(x, t_B, cond)

                x0 = sample(
                    denoise,
                    schedule,
                    draw_noise((len(batch), *grid), generators, device=device),
                    prediction=prediction,
                    sampler=sampler,
                    num_calls=num_calls,
                    variance=variance,
                    eta=eta,
                    clip_x0=clip_x0,
                    generator=generators,
                )
            x0 = pet_scale.to_suvr(x0.squeeze(1).float()).cpu()
            for (n, k), volume in zip(batch, x0, strict=True):
                samples[n, k] = volume
    finally:
        model.train(was_training)
    sd = (
        samples.std(dim=1)
        if num_samples > 1
        else torch.full_like(samples[:, 0], float("nan"))
    )
    return Synthesis(samples, samples.mean(dim=1), sd)
