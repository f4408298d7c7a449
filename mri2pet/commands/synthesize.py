"""`mri2pet synthesize`: a T1 in, a synthetic PET in the T1's own space out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

TEXT = "Make a synthetic PET (SUVR) of a T1 of a head, in the T1's own space."
EXAMPLES = (
    "mri2pet synthesize t1.nii.gz --out pet.nii.gz --samples 4 --uncertainty sd.nii.gz"
)


def add_options(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument("t1", help="NIfTI file, whole head, any orientation")
    command.add_argument("--out", required=True, help="NIfTI file to write")
    command.add_argument("--samples", type=int, default=1, help="PETs to average")
    command.add_argument(
        "--uncertainty", default=None, help="NIfTI of the SD over samples"
    )
    command.add_argument(
        "--checkpoint", default=None, help="default: newest finished run's"
    )
    command.add_argument(
        "--prepared",
        action="store_true",
        help="the T1 is brain-extracted and lies in MNI orientation: do not align it",
    )
    command.add_argument("--calls", type=int, default=None, help="calls a sample")
    command.add_argument("--seed", type=int, default=4)


def run(options: argparse.Namespace) -> int:
    """Write the PET, its sidecar and a picture to look at.

    Raises
    ------
    ValueError
        Impossible options, no network, or an input that is no T1 of a head.
    """
    from mri2pet.artifacts import write_text
    from mri2pet.cohort.images import save_image
    from mri2pet.report.synthesis_picture import draw_synthesis
    from mri2pet.run import newest_checkpoint
    from mri2pet.stages.real import synthesize_t1

    out = _nifti_name(options.out)
    sd = _nifti_name(options.uncertainty) if options.uncertainty else None
    if sd is not None and options.samples < 2:
        raise ValueError("--uncertainty needs --samples 2 or more")
    made = synthesize_t1(
        options.t1,
        checkpoint=options.checkpoint or newest_checkpoint(),
        prepared=options.prepared,
        samples=options.samples,
        calls=options.calls,
        seed=options.seed,
    )
    save_image(made.pet, out)
    if sd is not None:
        save_image(made.sd, sd)
    stem = out.name.removesuffix(".gz").removesuffix(".nii")
    write_text(out.with_name(stem + ".json"), json.dumps(made.card, indent=1) + "\n")
    picture = out.with_name(stem + ".png")
    draw_synthesis(made, picture)
    for reason in made.placed.reasons:
        print(f"look: {reason}")
    print(
        f"{out}: synthetic PET in SUVR; look at {picture.name}. {made.card['Notice']}"
    )
    return 0


def _nifti_name(text: str) -> Path:
    path = Path(text)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"{path}: expected a name that ends in .nii or .nii.gz")
    return path
