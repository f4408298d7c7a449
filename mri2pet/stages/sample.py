"""Stage `sample`: synthetic PETs of one row for the test scans, and of controls.

Legend: N scans, K samples of a scan, d h w voxels of the PET grid (z, y, x).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import zarr

from mri2pet import provenance
from mri2pet.baselines.controls import mean_template, nearest_subject, random_subject
from mri2pet.baselines.networks import NOISE
from mri2pet.config import CONTROLS
from mri2pet.memory import keep_freed_memory
from mri2pet.recipes import Conditioned, regress
from mri2pet.samplers import draw_noise
from mri2pet.schedule import NoiseSchedule
from mri2pet.stages.cohort import cohort, cohort_stage
from mri2pet.stages.learn import regression
from mri2pet.stages.learned import Learned, precision
from mri2pet.stages.rows import trained
from mri2pet.synthesis import sample_generator, synthesize

if TYPE_CHECKING:
    from mri2pet.cohort.store import Store
    from mri2pet.run import Run, Stage

# Rows with K samples a person; all others have one.
MAIN_ROWS = {
    ("mri2pet", "corrected"),
    ("mri2pet", "published"),
    ("vanilla", "corrected"),
}


@dataclass(frozen=True)
class Synthetic:
    """Synthetic PETs in SUVR.

    Attributes
    ----------
    scan_ids : list of str
    samples : ndarray, shape (N, K, d, h, w)
    mean, sd : ndarray, shape (N, d, h, w)
        Over the K samples; `sd` is NaN where K is 1.
    """

    scan_ids: list[str]
    samples: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Mean of the samples."""
        return self.samples.mean(axis=1)

    @property
    def sd(self) -> np.ndarray:
        """Standard deviation over the samples (n - 1)."""
        if self.samples.shape[1] == 1:
            return np.full(self.mean.shape, np.nan, dtype=np.float32)
        return self.samples.std(axis=1, ddof=1)


def sample(run: Run, row: str, design: str = "", **variant: Any) -> Synthetic:
    """Return the synthetic PETs of a row of Table 1 for the test scans.

    Parameters
    ----------
    run : Run
    row : str
        A trained row, or a control (no design).
    design : {"published", "corrected", ""}
    **variant
        `calls`, `samples`, `sampler`, `variance`, `eta`, `clip_x0`, `part` ("test" or
        "val") and `people` (only the first few scans) change the sampling; other
        keys change the training of a diffusion row.
    """
    return read_synthetic(sample_stage(run, row, design, **variant).path())


def read_synthetic(path: Path) -> Synthetic:
    """Read one finished group of synthetic PETs."""
    group = zarr.open_group(path, mode="r")
    return Synthetic(list(group.attrs["scan_ids"]), np.asarray(group["samples"]))


def sample_stage(run: Run, row: str, design: str = "", **variant: Any) -> Stage:
    """As `sample`, but return the finished stage."""
    settings = sampling_settings(run, row, design, variant)
    if row in CONTROLS:
        if design:
            raise ValueError(
                f"row {row!r} is a control and has no design, not {design!r}"
            )
        learned = regression(run) if row == "regression_unet" else None
    else:
        rest = {k: v for k, v in variant.items() if k not in settings}
        learned = trained(run, row, design, **rest)
    inputs = [cohort_stage(run)] + ([learned.stage] if learned else [])
    tags = "".join(f"_{k}={v}" for k, v in sorted(variant.items()))
    name = f"{row}.{design}{tags}" if design else f"{row}{tags}"
    output = f"synthetic/{name}.zarr"

    def build(work: Path) -> None:
        store = cohort(run)
        ids = store.ids(part=settings["part"], has_pet=True)[: settings["people"]]
        if learned is None:
            samples = control(run, row, store, ids)[:, None]
        else:
            samples = draw(run, learned, store.read("mri", ids), ids, settings)
        write_synthetic(work / output, ids, samples)

    return run.stage(
        f"sample-{name}",
        module=__name__,
        settings={**settings, "row": row, "dtype": run.profile.dtype},
        inputs=inputs,
        outputs=[output],
        build=build,
    )


def drawing_code() -> str:
    """Hash of the code behind `draw`, for stages of other modules that call it."""
    return provenance.digest(provenance.source_hashes(__name__))


def person_seed(scan_id: str) -> int:
    """Number that names the random stream of a scan, whoever else is sampled."""
    return zlib.crc32(scan_id.encode())


def write_synthetic(path: Path, scan_ids: Sequence[str], samples: np.ndarray) -> None:
    """Write samples (N, K, d, h, w) as a Zarr group with one chunk per scan."""
    if not np.isfinite(samples).all():
        bad = [
            s
            for s, v in zip(scan_ids, samples, strict=True)
            if not np.isfinite(v).all()
        ]
        raise ValueError(
            f"synthetic PETs of {len(bad)} scans hold NaN or infinite values "
            f"(first: {bad[0]}); the network has diverged"
        )
    group = zarr.open_group(path, mode="w")
    group.attrs["scan_ids"] = list(scan_ids)
    group.attrs["units"] = "SUVR"
    group.create_array(
        "samples", data=samples.astype(np.float32), chunks=(1, *samples.shape[1:])
    )


def sampling_settings(
    run: Run, row: str, design: str, variant: dict[str, Any]
) -> dict[str, Any]:
    """Who is sampled and how, by the profile, the design and what `variant` changes."""
    plan = run.profile.sampling
    settings: dict[str, Any] = {"part": "test", "people": None}
    if row not in CONTROLS:
        switches = run.profile.design(design)
        released = switches.sampler == "ddpm"
        settings |= {
            "sampler": switches.sampler,
            "calls": plan.published_calls if released else plan.calls,
            "variance": switches.variance,
            "eta": switches.eta if switches.sampler == "ddim" else 0.0,
            "clip_x0": switches.clip_x0,
            "samples": plan.samples if (row, design) in MAIN_ROWS else 1,
        }
    return {k: variant.get(k, v) for k, v in settings.items()}


def draw(
    run: Run,
    learned: Learned,
    mri_NDHW: np.ndarray,
    scan_ids: Sequence[str],
    settings: dict[str, Any],
    at: int | None = None,
) -> np.ndarray:
    """Draw synthetic PETs from a network, the same for a scan whoever else is drawn.

    Parameters
    ----------
    run : Run
    learned : Learned
        A denoiser, a generator, or the regression.
    mri_NDHW : ndarray, shape (N, D, H, W)
    scan_ids : sequence of length N
    settings : dict
        Of `sampling_settings`.
    at : int, optional
        Take the weights as they were after so many samples.

    Returns
    -------
    ndarray, shape (N, K, d, h, w)
        SUVR.
    """
    if "sampler" not in settings:
        return _regression(learned, mri_NDHW, at)[:, None]
    if learned.network["kind"] == "generator":
        return _generate(run, learned, mri_NDHW, scan_ids, settings, at)
    keep_freed_memory()
    half = precision(run, learned.network) == "bfloat16"
    device = run.profile.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    size = run.profile.sampling.batch_size
    model = learned.model(at).to(device)
    done = []
    for start in range(0, len(scan_ids), size):
        part = slice(start, start + size)
        made = synthesize(
            model,
            NoiseSchedule(),
            mri_NDHW[part],
            prediction=learned.switches.prediction,
            pet_scale=learned.pet_scale,
            person_seeds=[person_seed(s) for s in scan_ids[part]],
            num_samples=settings["samples"],
            seed=run.profile.seed,
            batch_size=size,
            sampler=settings["sampler"],
            num_calls=settings["calls"],
            variance=settings["variance"],
            eta=settings["eta"],
            clip_x0=learned.clip if settings["clip_x0"] else None,
            autocast=torch.bfloat16 if half else None,
        )
        done.append(made.samples_NKDHW.numpy())
        if run.progress is not None:
            run.progress(
                f"sample {learned.name}",
                min(start + size, len(scan_ids)),
                len(scan_ids),
                float("nan"),
            )
    return np.concatenate(done)


@torch.no_grad()
def _generate(
    run: Run,
    learned: Learned,
    mri_NDHW: np.ndarray,
    scan_ids: Sequence[str],
    settings: dict[str, Any],
    at: int | None,
) -> np.ndarray:
    """One pass of a generator for each sample; noise by person, as in `synthesize`."""
    generator = learned.model(at)
    numbers = range(settings["samples"])
    made = []
    for mri, scan_id in zip(mri_NDHW, scan_ids, strict=True):
        streams = [
            sample_generator(run.profile.seed, person_seed(scan_id), k) for k in numbers
        ]
        z_BZ = draw_noise((len(numbers), NOISE), streams)
        mri_BCDHW = torch.from_numpy(mri).float().expand(len(z_BZ), 1, *mri.shape)
        made.append(learned.pet_scale.to_suvr(generator(z_BZ, mri_BCDHW)[:, 0]))
    return torch.stack(made).numpy()


@torch.no_grad()
def _regression(learned: Learned, mri_NDHW: np.ndarray, at: int | None) -> np.ndarray:
    call = Conditioned(learned.model(at))
    shape = call.network.pet_shape
    out = [
        regress(call, torch.from_numpy(mri)[None, None].float(), (1, 1, *shape))
        for mri in mri_NDHW
    ]
    return learned.pet_scale.to_suvr(torch.cat(out)[:, 0]).numpy()


def control(run: Run, row: str, store: Store, scan_ids: Sequence[str]) -> np.ndarray:
    """PETs, shape (N, d, h, w), that a control without a network shows for some scans.

    ``row`` is mean_template, nearest_subject or random_subject, and knows the run's
    training people; ``store`` has the scans, and may be another one on the run's grids.
    """
    own = cohort(run)
    train = own.ids(part="train")
    pets = own.read("pet", train)
    if row == "mean_template":
        return np.repeat(mean_template(pets)[None], len(scan_ids), axis=0)
    here = list(store.scans["participant_id"].loc[list(scan_ids)])
    there = list(own.scans["participant_id"].loc[train])
    if row == "nearest_subject":
        mris = store.read("mri", scan_ids), own.read("mri", train)
        return pets[nearest_subject(*mris, here, there)]
    return pets[random_subject(here, there, seed=run.profile.seed)]
