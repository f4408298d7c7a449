"""A real T1 through a trained network, and its PET back in the T1's own space."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

import mri2pet
from mri2pet import provenance
from mri2pet.cohort.images import read_header
from mri2pet.cohort.placing import Placed, place_prepared, place_raw
from mri2pet.schedule import NoiseSchedule
from mri2pet.stages.learn import finetune
from mri2pet.stages.learned import Learned, load_learned
from mri2pet.stages.sample import person_seed
from mri2pet.synthesis import synthesize

if TYPE_CHECKING:
    from mri2pet.run import Run


@dataclass(frozen=True)
class RealSynthesis:
    """A synthetic PET in the space of its T1.

    Attributes
    ----------
    pet, sd : Nifti1Image
        SUVR, grid and affine of the T1; `sd` over samples (zeros when K is 1).
    placed : Placed
        The T1 on the network's grid, and the way back.
    card : dict
        What goes into the JSON sidecar.
    """

    pet: nib.Nifti1Image
    sd: nib.Nifti1Image
    placed: Placed
    card: dict[str, Any]

    @property
    def t1(self) -> nib.Nifti1Image:
        """The input."""
        return self.placed.t1


def synthesize_t1(
    path: str | Path,
    *,
    run: Run | None = None,
    checkpoint: str | Path | None = None,
    prepared: bool = False,
    samples: int = 1,
    calls: int | None = None,
    seed: int = 4,
) -> RealSynthesis:
    """Make a synthetic PET of a T1, in the T1's own grid.

    Parameters
    ----------
    path : str or Path
        NIfTI of a head, in any orientation.
    run : Run, optional
        Use this run's `mri2pet` network (design corrected), computed if needed.
    checkpoint : str or Path, optional
        A folder with `weights.pt` and `card.json` instead.
    prepared : bool
        The T1 is brain-extracted and lies in MNI orientation and origin: take it as
        it is.
    samples : int
        K; the PET is their mean.
    calls : int, optional
        Network calls per sample; the run's own number, or 25.
    seed : int

    Returns
    -------
    RealSynthesis

    Raises
    ------
    ValueError
        No T1 of a head, an alignment that failed, or no network.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}: expected at least 1")
    read_header(path, "T1")  # a wrong file is refused before a network is loaded
    if checkpoint is not None:
        learned = load_learned(checkpoint)
    elif run is not None:
        learned = finetune(run, "mri2pet", "corrected")
    else:
        raise ValueError("neither a run nor a checkpoint is given")
    card = json.loads((learned.path.parent / "card.json").read_text(encoding="utf-8"))
    if calls is None:
        calls = run.profile.sampling.calls if run is not None else 25
    mri_shape, pet_shape = (
        tuple(learned.network[f"{k}_shape"]) for k in ("mri", "pet")
    )
    placed = (
        place_prepared(path, mri_shape)
        if prepared
        else place_raw(path, mri_shape, pet_shape)
    )
    made = synthesize(
        learned.model(),
        NoiseSchedule(),
        placed.mri_DHW[None],
        prediction=learned.switches.prediction,
        pet_scale=learned.pet_scale,
        person_seeds=[person_seed(Path(path).name)],
        num_samples=samples,
        seed=seed,
        batch_size=min(samples, 8),
        sampler=learned.switches.sampler,
        num_calls=calls,
        variance=learned.switches.variance,
        clip_x0=learned.clip if learned.switches.clip_x0 else None,
    )
    pet = placed.to_t1(made.mean_NDHW[0].numpy())
    sd = nib.Nifti1Image(np.zeros(pet.shape, dtype=np.float32), pet.affine)
    if samples > 1:
        sd = placed.to_t1(made.sd_NDHW[0].numpy())
    about = _sidecar(path, learned, card, samples, calls, seed) | _placement(placed)
    return RealSynthesis(pet, sd, placed, about)


def _placement(placed: Placed) -> dict[str, Any]:
    return {
        "BoxFromT1": placed.box_from_t1.tolist(),
        "Quality": placed.verdict,
        "QualityRemarks": placed.reasons,
        "QualityNumbers": placed.numbers,
    }


def _sidecar(
    path: str | Path,
    learned: Learned,
    card: dict[str, Any],
    samples: int,
    calls: int,
    seed: int,
) -> dict[str, Any]:
    phantoms = card["trained_on"] == "phantoms"
    notice = "Research use only."
    if phantoms:
        notice += " The network was trained on digital phantoms, not on people."
    return {
        "Description": "Synthetic amyloid (AV45) PET from a T1-weighted MRI",
        "Units": "SUVR",
        "Reference": "whole cerebellum of the training data",
        "Sources": [Path(path).name],
        "Model": learned.name,
        "CheckpointSHA256": provenance.file_digest(learned.path),
        "TrainedOn": card["trained_on"],
        "Profile": card["profile"],
        "Samples": samples,
        "NetworkCalls": calls,
        "Seed": seed,
        "GeneratedBy": {"Name": "mri2pet", "Version": mri2pet.__version__},
        "Notice": notice,
    }
