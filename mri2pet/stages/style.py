"""Stage `style`: MRIs of unpaired people made to look like PET (audit, section 4).

Template and style images come from training PETs only.

Legend: N scans, d h w voxels of the PET grid (z, y, x).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from mri2pet.cohort.scaling import scaled_mri
from mri2pet.cohort.store import Store
from mri2pet.stages.cohort import cohort, cohort_stage
from mri2pet.style import VGG19Features, style_transfer

if TYPE_CHECKING:
    from mri2pet.run import Run, Stage


@dataclass(frozen=True)
class StyledSet:
    """Styled MRIs: `volumes` (N, d, h, w) in [0, 1] and one report row per volume.

    Rows that are not `moved` are still MRIs; pre-training leaves them out.
    """

    scan_ids: list[str]
    volumes: np.ndarray
    report: pd.DataFrame


def unpaired_ids(run: Run, store: Store) -> list[str]:
    """Scans of the pre-training pool: the first `style.volumes` unpaired people."""
    return store.ids(part="unpaired")[: run.profile.style.volumes]


def style_images(
    pet_NDHW: np.ndarray, n: int, choice: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Style image of each content volume, min-max scaled as released.

    Parameters
    ----------
    pet_NDHW : ndarray, shape (N, d, h, w)
        Training PETs, SUVR.
    n : int
        Number of content volumes.
    choice : {"template", "random"}
        The mean training PET for all, or a random training PET for each.

    Returns
    -------
    images : ndarray, shape (k, d, h, w)
        In [0, 1].
    which : ndarray of int, shape (n,)
        Row of `images` for each content volume.
    """
    if choice == "template":
        images, which = pet_NDHW.mean(axis=0, keepdims=True), np.zeros(n, dtype=int)
    else:
        images = pet_NDHW
        which = np.random.default_rng([seed, 2]).integers(len(pet_NDHW), size=n)
    low = images.min(axis=(1, 2, 3), keepdims=True)
    high = images.max(axis=(1, 2, 3), keepdims=True)
    return ((images - low) / (high - low)).astype(np.float32), which


def styled_stage(run: Run, design: str) -> Stage:
    """Style the pre-training pool with the Gram matrix and images of a design."""
    profile, switches = run.profile, run.profile.design(design)
    upstream = cohort_stage(run)
    settings = {
        "style": profile.style.model_dump(exclude={"batch_size"}),
        "gram": switches.gram,
        "style_image": switches.style_image,
        "pet": profile.grids.pet,
        "dtype": profile.dtype,
    }
    half = profile.dtype == "bfloat16"
    name = f"style-{design}"

    def build(work: Path) -> None:
        store = cohort(run)
        ids = unpaired_ids(run, store)
        content = scaled_mri(store.read("mri", ids), profile.grids.pet)
        train = store.read("pet", store.ids(part="train"))
        images, which = style_images(
            train, len(ids), switches.style_image, profile.seed
        )
        features = VGG19Features(
            profile.style.weights, seed=profile.seed, sha256=profile.style.sha256
        )
        volumes, rows = [], []
        size = profile.style.batch_size
        for start in range(0, len(ids), size):
            part = slice(start, start + size)
            file = work / f"part-{start:06d}.npz"
            if not file.exists():
                result = style_transfer(
                    torch.from_numpy(content[part]),
                    torch.from_numpy(images[which[part]]),
                    features,
                    gram=switches.gram,
                    steps=profile.style.steps,
                    optimizer=profile.style.optimizer,
                    autocast=torch.bfloat16 if half else None,
                )
                frame = pd.DataFrame(result.report)
                _save_part(file, result.styled_BDHW.numpy(), frame)
            with np.load(file) as saved:
                volumes.append(saved["volumes"])
                rows.append(
                    pd.DataFrame({k: saved[k] for k in saved.files if k != "volumes"})
                )
            if run.progress is not None:
                run.progress(name, min(start + size, len(ids)), len(ids), float("nan"))
        report = pd.concat(rows, ignore_index=True)
        if not report["moved"].any():
            raise ValueError(
                f"style transfer ({design}) moved none of {len(ids)} volumes: the "
                f"largest gradient was {report['max_gradient'].max():.1e}. Raise "
                f"style.steps ({profile.style.steps}) or use style.optimizer: adam"
            )
        report.insert(0, "scan_id", ids)
        target = work / "styled" / design
        target.mkdir(parents=True, exist_ok=True)
        np.save(target / "volumes.npy", np.concatenate(volumes))
        report.to_parquet(target / "report.parquet", index=False)

    return run.stage(
        name,
        module=__name__,
        settings=settings,
        inputs=[upstream],
        outputs=[f"styled/{design}"],
        build=build,
    )


def styled(run: Run, design: str) -> StyledSet:
    """Return the styled MRIs of a design."""
    folder = styled_stage(run, design).path()
    report = pd.read_parquet(folder / "report.parquet")
    return StyledSet(list(report["scan_id"]), np.load(folder / "volumes.npy"), report)


def _save_part(file: Path, volumes: np.ndarray, report: pd.DataFrame) -> None:
    temporary = file.with_name(f".{file.name}")
    with temporary.open("wb") as handle:
        columns = {k: report[k].to_numpy() for k in report}
        np.savez(handle, volumes=volumes.astype(np.float32), **columns)
    temporary.rename(file)
