"""Rows of Table 1: which there are, in which designs, and what trains each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mri2pet.config import CONTROLS, PRETRAINING
from mri2pet.stages.adversarial import METHODS, adversarial
from mri2pet.stages.learn import finetune
from mri2pet.stages.learned import Learned

if TYPE_CHECKING:
    from mri2pet.run import Run

DESIGNS = ("published", "corrected")


def learned_rows() -> list[tuple[str, str]]:
    """(row, design) of every learned row, ablations first."""
    return [
        (row, design)
        for row in (*PRETRAINING, *METHODS)
        for design in DESIGNS
        if row != "mri2pet_published" or design == "published"
    ]


def table1_rows() -> list[tuple[str, str]]:
    """(row, design) of every row of Table 1, controls first."""
    return [(row, "") for row in CONTROLS] + learned_rows()


def trained(run: Run, row: str, design: str, **variant: Any) -> Learned:
    """Return the network of a learned row.

    Parameters
    ----------
    run : Run
    row : str
        A diffusion row or a GAN row.
    design : {"published", "corrected"}
    **variant
        Switches and budgets to change, of a diffusion row only.

    Raises
    ------
    ValueError
        An unknown row, a variant of a GAN row, or one that does not exist.
    """
    if row not in METHODS:
        return finetune(run, row, design, **variant)
    if variant:
        raise ValueError(f"row {row!r} has no variants; got {sorted(variant)}")
    return adversarial(run, row, design)
