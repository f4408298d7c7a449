"""A profile: every number of a run, as frozen models that refuse unknown keys.

A profile is one YAML file. It may `extends:` another and then states only what
differs. The two designs, `published` and `corrected`, are presets of switches
that a profile may change one by one under `designs:`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mri2pet import paths

DesignName = Literal["published", "corrected"]

# Diffusion rows, with the pre-training each one starts from and whether the
# Laplacian pyramid term is part of its fine-tuning (audit, sections 5 and 6.8).
PRETRAINING: dict[str, str] = {
    "mri2pet": "style",
    "no_style": "noisy",
    "self_pretrained": "self",
    "no_pretraining": "",
    "no_loss": "style",
    "vanilla": "",
    "mri2pet_published": "style",
    "ddpm_pa": "self",  # in design published: noisy, as released
}
WITH_LAPLACIAN = {
    "mri2pet",
    "no_style",
    "self_pretrained",
    "no_pretraining",
    "mri2pet_published",
}
CONTROLS = ("mean_template", "nearest_subject", "random_subject", "regression_unet")


def pretraining_kind(row: str, design: str) -> str:
    """Pre-training that a diffusion row starts from; empty for none."""
    released_noise = (row, design) == ("ddpm_pa", "published")
    return "noisy" if released_noise else PRETRAINING[row]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Grids(_Frozen):
    """Voxels of the common box, (z, y, x)."""

    mri: tuple[int, int, int]
    pet: tuple[int, int, int]

    @model_validator(mode="after")
    def _poolings(self) -> Grids:
        for name, shape in (("mri", self.mri), ("pet", self.pet)):
            if any(n % 16 for n in shape):
                raise ValueError(
                    f"grids.{name} is {shape}: each side must be a multiple of 16, "
                    "since the published network pools four times"
                )
        return self


class CohortConfig(_Frozen):
    """How many people the phantom cohort has, and of which kind."""

    unpaired: int = Field(ge=1)  # people with an MRI only
    labelled: int = Field(ge=0)  # of these, with diagnosis and MMSE known
    train: int = Field(ge=2)
    val: int = Field(ge=1)
    test: int = Field(ge=2)
    train_two_visits: int = Field(ge=0)
    test_two_visits: int = Field(ge=0)
    rho: float = Field(0.67, ge=0.0, lt=1.0)  # the link amyloid - neurodegeneration
    work_mm: float = Field(3.0, gt=0)  # grid on which people are warped
    anatomies: str | None = None  # a folder of segmented T1s; None = MNI152
    select_test: bool = False  # draw test people until all kinds occur
    workers: int = Field(2, ge=1)


class PrepareConfig(_Frozen):
    """How raw scans become a store (`mri2pet prepare`)."""

    fractions: tuple[float, float, float] | None = None  # train, val, test; None = as
    # the numbers of people in `cohort`
    pairing: Literal["optimal", "greedy"] = "optimal"
    alignment: Literal["rigid", "affine"] = "rigid"
    published: bool = False  # min-max, N4 on PET, affine PET: as released
    tracer: str = "AV45"
    workers: int = Field(2, ge=1)
    scheduler: str | None = None  # address of a Dask scheduler; None = here


class RawConfig(_Frozen):
    """Raw phantoms that chapter 2 prepares."""

    raw_people: int = Field(2, ge=1)
    t1_mm: float = Field(2.0, ge=0.8, le=6)  # voxels of the scanners
    pet_mm: float = Field(2.5, ge=0.8, le=6)
    frames: int = Field(4, ge=2, le=30)


class BodyConfig(_Frozen):
    """The fast denoiser, `SpatialUNet`."""

    width: int = 32
    channel_mults: tuple[int, ...] = (1, 2, 2)
    patch: int = 2


class StyleConfig(_Frozen):
    """Style transfer of MRIs towards PET (audit, section 4)."""

    volumes: int = Field(ge=1)  # MRIs that are styled and used in pre-training
    steps: int = Field(ge=1)
    optimizer: Literal["adam", "lbfgs"] = "adam"
    weights: str | None = None  # VGG19 state dictionary; None = seeded random
    sha256: str | None = None
    batch_size: int = Field(4, ge=1)


class TrainingConfig(_Frozen):
    """Budgets are in optimiser steps of `batch_size` samples, never in seconds."""

    batch_size: int = Field(ge=1)
    pretrain_steps: int = Field(ge=1)
    finetune_steps: int = Field(ge=1)
    published_net_batch_size: int = Field(ge=1)
    published_net_steps: int = Field(ge=1)  # per stage, row mri2pet_published
    gan_batch_size: int = Field(8, ge=1)
    gan_steps: int = Field(400, ge=1)
    gan_source_steps: int = Field(200, ge=1)
    gan_learning_rate: float = Field(1e-3, gt=0)  # released: 1e-4
    learning_rate: float = Field(1e-3, gt=0)
    learning_rate_schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = Field(0, ge=0)
    accumulation_steps: int = Field(2, ge=1)  # micro-batches of the published design
    micro_batch_size: int = Field(0, ge=0)  # most samples at once; 0 = the whole batch
    clip_norm: float = Field(0.5, gt=0)  # as released
    ema_decay: float = Field(0.99, ge=0, lt=1)  # where the design has an EMA
    laplacian: float = Field(0.25, ge=0)  # lambda of equation (4)
    laplacian_levels: int = Field(5, ge=1)
    flip: bool = True  # mirror left-right at random; the release has none
    checkpoint_every: int = Field(100, ge=1)
    seeds: int = Field(1, ge=1)  # trainings of the main rows
    snapshots: tuple[int, ...] = ()  # samples seen at which fine-tuning keeps weights
    activation_checkpointing: bool = False  # less memory, a third more time

    def micro_batches(self, batch_size: int) -> int:
        """Parts in which a batch is computed; its gradient is the same."""
        if self.micro_batch_size == 0:
            return 1
        return max(1, batch_size // self.micro_batch_size)

    @model_validator(mode="after")
    def _people_to_compare(self) -> TrainingConfig:
        micro = self.gan_batch_size // self.accumulation_steps
        if micro < 3:
            raise ValueError(
                f"gan_batch_size is {self.gan_batch_size} in "
                f"{self.accumulation_steps} micro-batches: each needs at least 3 "
                "people, since few-shot methods compare people with each other"
            )
        return self


class SamplingConfig(_Frozen):
    """Network calls and samples per person."""

    calls: int = Field(10, ge=1, le=999)
    published_calls: int = Field(50, ge=1, le=999)
    samples: int = Field(1, ge=1)  # K, of the main row
    batch_size: int = Field(8, ge=1)
    check_people: int = Field(4, ge=0)  # people sampled with all 999 calls


class EvaluationConfig(_Frozen):
    """Resampling and Frechet features."""

    bootstrap: int = Field(1000, ge=10)
    coverage: float = Field(0.8, gt=0, lt=1)  # of conformal intervals
    frechet_dims: int = Field(32, ge=2, le=32)
    curve_people: int = Field(64, ge=2)  # test scans of a learning curve
    ceiling_people: int = Field(20_000, ge=100)  # drawn for the limits of Tables 2, 3


class DownstreamConfig(_Frozen):
    """Diagnosis and MMSE from images, Tables 2 and 3 (audit, section 8)."""

    network: Literal["light", "published"] = "light"
    grid: tuple[int, int, int] = (16, 24, 24)  # voxels that the light one sees at most
    dropout: Literal["correct", "released"] = "correct"  # released: never any
    seeds: int = Field(3, ge=2)  # trainings of each setting; published: 25
    epochs: int = Field(30, ge=1)
    patience: int = Field(5, ge=1)  # epochs without a better validation loss
    batch_size: int = Field(16, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    validation: float = Field(0.2, gt=0, lt=1)  # share of people, drawn with the seed
    label: Literal["nearest_visit", "last_row"] = "nearest_visit"
    mmse_from: int = Field(20, ge=0, le=30)  # Table 3 takes scores from here on
    mmse_filter: Literal["nearest", "released"] = "nearest"  # released: filter first
    folds: int = Field(2, ge=2)  # of cross-fitting
    fold_pretraining: bool = False  # leave a fold's MRIs out of pre-training, too
    designs: tuple[DesignName, ...] = ("corrected",)  # generators of synthetic PETs
    fractions: tuple[float, ...] = (0.25, 0.5)  # of the labelled people; and all
    workers: int = Field(2, ge=1)  # processes
    scheduler: str | None = None  # address of a Dask scheduler; None = here


class AtrophyConfig(_Frozen):
    """Interventions on phantoms, Appendix C."""

    people: int = Field(8, ge=2)  # test people who are made again
    levels: int = Field(5, ge=3)  # values of atrophy, and of amyloid, for each


class Design(_Frozen):
    """The switches of section 7 of the design, one preset per column."""

    prediction: Literal["x0", "v", "eps"]
    conditioning: Literal["spatial", "global"]
    laplacian_weight: Literal["alpha_bar", "x0", "eps"]
    image_loss: Literal["pyramid", "mse"] = "pyramid"
    gram: Literal["slice", "volume"]
    style_image: Literal["random", "template"]
    accumulation: Literal["correct", "released"]
    ema: bool
    sampler: Literal["ddpm", "ddim", "dpmpp_2m"]
    variance: Literal["beta", "posterior"]
    eta: float = Field(0.0, ge=0, le=1)  # of ddim: 0 deterministic, 1 as noisy as ddpm
    clip_x0: bool


DESIGNS: dict[str, dict[str, Any]] = {
    "published": {
        "prediction": "eps",
        "conditioning": "global",
        "laplacian_weight": "x0",
        "gram": "volume",
        "style_image": "template",
        "accumulation": "released",
        "ema": False,
        "sampler": "ddpm",
        "variance": "beta",
        "clip_x0": False,
    },
    "corrected": {
        "prediction": "x0",
        "conditioning": "spatial",
        "laplacian_weight": "alpha_bar",
        "gram": "slice",
        "style_image": "random",
        "accumulation": "correct",
        "ema": True,
        "sampler": "ddim",
        "variance": "posterior",
        "clip_x0": True,
    },
}


class Profile(_Frozen):
    """Everything that decides the numbers of a run."""

    name: str
    description: str
    illustrative: bool = False  # too small to judge anything; pages say so
    seed: int = Field(4, ge=0)  # the released seed
    threads: int = Field(2, ge=1)
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    store: str | None = None  # a prepared store; None = phantoms inside the run
    grids: Grids
    cohort: CohortConfig
    prepare: PrepareConfig = PrepareConfig()
    raw: RawConfig = RawConfig()
    split: Literal["patient", "pair"] = "patient"
    body: BodyConfig = BodyConfig()
    style: StyleConfig
    training: TrainingConfig
    sampling: SamplingConfig = SamplingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    downstream: DownstreamConfig = DownstreamConfig()
    atrophy: AtrophyConfig = AtrophyConfig()
    rhos: tuple[float, ...] = (0.0,)  # other links amyloid - MRI, to compare with
    designs: dict[DesignName, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _check(self) -> Profile:
        for name in ("published", "corrected"):
            self.design(name)
        if self.style.volumes > self.cohort.unpaired:
            raise ValueError(
                f"style.volumes is {self.style.volumes}, but there are only "
                f"{self.cohort.unpaired} people in cohort.unpaired"
            )
        if self.cohort.labelled > self.cohort.unpaired:
            raise ValueError(
                f"cohort.labelled is {self.cohort.labelled}, more than "
                f"cohort.unpaired = {self.cohort.unpaired}"
            )
        return self

    def design(self, name: str) -> Design:
        """Switches of one design, with this profile's changes applied."""
        if name not in DESIGNS:
            raise ValueError(f"design {name!r}: expected one of {sorted(DESIGNS)}")
        return Design(**{**DESIGNS[name], **self.designs.get(name, {})})


def profile_path(name: str | Path) -> Path:
    """File of a profile given by name (`smoke`) or by path (`my.yaml`)."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ValueError(f"profile {path}: there is no such file")
        return path
    path = paths.profiles_dir() / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in paths.profiles_dir().glob("*.yaml")))
        raise ValueError(f"profile {name!r}: expected a YAML file or one of {known}")
    return path


def load_profile(name: str | Path = "smoke", **overrides: Any) -> Profile:
    """Read a profile; keyword arguments replace single values.

    Parameters
    ----------
    name : str or Path
        A profile's name (`smoke`, `tutorial`...) or a YAML file.
    **overrides
        Leaf keys, `finetune_steps=20`; None means "as in the profile".

    Raises
    ------
    ValueError
        Unknown or wrong key, with the file and the value.
    """
    path = profile_path(name)
    return _built(_read_with_parents(path), path, overrides)


def changed_profile(profile: Profile, **overrides: Any) -> Profile:
    """Return a profile with single values replaced, as in `load_profile`.

    Raises
    ------
    ValueError
        Unknown or wrong key.
    """
    raw = profile.model_dump(mode="json")
    return _built(raw, Path(profile.name), overrides)


def _built(raw: dict[str, Any], path: Path, overrides: dict[str, Any]) -> Profile:
    for key, value in overrides.items():
        if value is not None:
            _set_leaf(raw, key, value, path)
    try:
        return Profile(**raw)
    except ValidationError as error:
        raise ValueError(_one_line(error, path)) from None


def _read_with_parents(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    if path.resolve() in seen:
        raise ValueError(f"profile {path}: `extends:` goes round in a circle")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise ValueError(f"profile {path}: not plain YAML: {line}") from None
    if not isinstance(raw, dict):
        raise ValueError(  # noqa: TRY004 - a user's mistake
            f"profile {path}: expected keys and values, got {raw!r}"
        )
    parent = raw.pop("extends", None)
    if parent is None:
        return raw
    sibling = path.parent / f"{parent}.yaml"
    parent_path = sibling if sibling.is_file() else profile_path(parent)
    return _merge(_read_with_parents(parent_path, (*seen, path.resolve())), raw)


def _merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _set_leaf(raw: dict[str, Any], key: str, value: Any, path: Path) -> None:
    """Put `value` at the one place of the schema where a leaf is called `key`."""
    places = [s for s, k in _leaves() if k == key]
    if len(places) != 1:
        names = ", ".join(sorted({k for _, k in _leaves()}))
        raise ValueError(f"profile {path}: no single key {key!r}; keys are {names}")
    section = places[0]
    if section:
        raw[section] = {**raw.get(section, {}), key: value}
    else:
        raw[key] = value


def _leaves() -> list[tuple[str, str]]:
    found = []
    for key, field in Profile.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += [(key, leaf) for leaf in kind.model_fields]
        else:
            found.append(("", key))
    return found


def _one_line(error: ValidationError, path: Path) -> str:
    parts = []
    for item in error.errors():
        where = ".".join(str(p) for p in item["loc"]) or "profile"
        got = "" if item["type"] == "missing" else f" (got {item['input']!r})"
        if item["type"] == "extra_forbidden":
            parts.append(f"unknown key {where}")
        else:
            text = item["msg"].removeprefix("Value error, ")
            short = got if len(got) < 80 else ""
            parts.append(f"{where}: {text}{short}")
    return f"profile {path}: " + "; ".join(parts)
