"""Diagnosis and MMSE from images: the networks of the paper, and a light one.

The published networks are those of the release: three convolutions with pooling, two
dense layers an image, two (classes) or three (MMSE) on top (audit, 8.1). The light one
has the same shape on averaged voxels; a fit takes seconds and not minutes.

Shape suffixes: N people, C classes or covariates, D, H, W voxels of one image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

CLASSES = ("CN", "MCI", "AD")
IMAGES = ("mri", "pet")
_PET_TOP = 2.5  # SUVR that becomes 1, as in the data range of SSIM


class Encoder(nn.Module):
    """Three convolutions with max-pooling, then two dense layers.

    Parameters
    ----------
    shape : tuple of int
        Grid (z, y, x) of the image.
    width : int
        Of the dense layers; 256 in the paper.
    dropout : float
    """

    def __init__(
        self, shape: tuple[int, int, int], width: int = 256, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if any(n < 8 for n in shape):
            raise ValueError(f"image grid {shape}: three poolings need 8 voxels a side")
        channels = (1, 8, 16, 32)
        self.convolutions = nn.ModuleList(
            nn.Conv3d(a, b, 3, padding=1) for a, b in pairwise(channels)
        )
        left = [n // 8 for n in shape]
        self.first = nn.Linear(channels[-1] * left[0] * left[1] * left[2], width)
        self.second = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, image_NDHW: torch.Tensor) -> torch.Tensor:
        """Return features, shape (N, width)."""
        x = image_NDHW[:, None]
        for convolution in self.convolutions:
            x = F.max_pool3d(F.relu(convolution(x)), 2)
        return self.second(self.dropout(F.relu(self.first(x.flatten(1)))))


class Predictor(nn.Module):
    """Encoders of the images, joined with covariates, and a head.

    Parameters
    ----------
    shapes : mapping "mri" or "pet" -> grid
    outputs : int
        3 for the classes, 1 for MMSE.
    covariates : int
        Numbers that join the features of the images.
    width : int
    dropout : float
        Before the second dense layer of encoders and head.

    Notes
    -----
    The head for MMSE has a dense layer more than that for the classes (audit, 8.1).
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int, int]],
        outputs: int,
        covariates: int = 0,
        width: int = 256,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not shapes:
            raise ValueError("a predictor needs one image at least")
        self.encoders = nn.ModuleDict(
            {name: Encoder(shape, width, dropout) for name, shape in shapes.items()}
        )
        layers = [nn.Linear(width * len(shapes) + covariates, width)]
        if outputs == 1:
            layers.append(nn.Linear(width, width))
        self.hidden = nn.ModuleList(layers)
        self.last = nn.Linear(width, outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        images: Mapping[str, torch.Tensor],
        covariates_NC: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return logits (N, 3) or scaled scores (N, 1)."""
        parts = [encode(images[name]) for name, encode in self.encoders.items()]
        if covariates_NC is not None:
            parts.append(covariates_NC)
        x = torch.cat(parts, dim=1)
        for layer in self.hidden:
            x = self.dropout(F.relu(layer(x)))
        return self.last(x)


@dataclass(frozen=True)
class Sample:
    """People with what is known of them; images are read-only and may be shared.

    Attributes
    ----------
    images : mapping "mri" or "pet" -> ndarray, shape (N, D, H, W)
        MRI in [0, 1], PET in SUVR.
    covariates_NC : ndarray or None
    target_N : ndarray
        Class numbers (int) or MMSE (float).
    people : sequence of length N
        The person of each scan.
    """

    images: Mapping[str, np.ndarray]
    covariates_NC: np.ndarray | None
    target_N: np.ndarray
    people: Sequence[str]

    def __len__(self) -> int:
        return len(self.target_N)

    def take(self, which: np.ndarray) -> Sample:
        """Return some of the scans, by a mask or by their places."""
        places = np.flatnonzero(which) if which.dtype == bool else which
        covariates = None if self.covariates_NC is None else self.covariates_NC[places]
        return Sample(
            {name: volume[places] for name, volume in self.images.items()},
            covariates,
            self.target_N[places],
            [self.people[i] for i in places],
        )


def seen(
    images_NDHW: np.ndarray,
    kind: str,
    network: str,
    grid: tuple[int, int, int] = (16, 24, 24),
) -> np.ndarray:
    """Images as a network takes them.

    Parameters
    ----------
    images_NDHW : ndarray
        MRI in [0, 1] or PET in SUVR.
    kind : {"mri", "pet"}
    network : {"light", "published"}
    grid : tuple of int
        The light one sees averages over so many voxels at most.

    Returns
    -------
    ndarray, float32
        About 0 to 1.
    """
    if kind not in IMAGES:
        raise ValueError(f"kind {kind!r}: expected one of {IMAGES}")
    scale = _PET_TOP if kind == "pet" else 1.0
    if network == "published":
        return np.asarray(images_NDHW, np.float32) / scale
    sides = zip(images_NDHW.shape[1:], grid, strict=True)
    grid = tuple(min(n, most) for n, most in sides)
    pooled = [
        F.adaptive_avg_pool3d(torch.from_numpy(one)[None].float(), grid)[0].numpy()
        for one in np.asarray(images_NDHW)
    ]
    return np.stack(pooled) / np.float32(scale)


@dataclass(frozen=True)
class Plan:
    """How a predictor is trained (see `mri2pet.config.DownstreamConfig`)."""

    network: str = "light"
    dropout: str = "correct"
    epochs: int = 30
    patience: int = 5
    batch_size: int = 16
    learning_rate: float = 1e-3
    validation: float = 0.2
    device: str = "cpu"


def split(sample: Sample, classes_N: Sequence, share: float, seed: int) -> np.ndarray:
    """Choose validation people by the seed, the same ones in whichever setting.

    Every person has a number drawn with the seed; of each class, the share with the
    lowest numbers goes to validation, but a class of one person stays in training.

    Parameters
    ----------
    sample : Sample
    classes_N : sequence
        What is stratified by; a person's first scan counts.
    share : float
    seed : int

    Returns
    -------
    ndarray of bool, shape (N,)
        Scans for validation. No person stands on both sides.
    """
    first: dict[str, object] = {}
    for person, label in zip(sample.people, classes_N, strict=True):
        first.setdefault(person, label)
    chosen: set[str] = set()
    for label in sorted(set(first.values()), key=str):
        own = sorted(
            (p for p in first if first[p] == label),
            key=lambda p: person_number(p, seed),
        )
        if len(own) > 1:
            chosen.update(own[: min(max(1, round(share * len(own))), len(own) - 1)])
    if not chosen:
        raise ValueError(
            f"{len(first)} people in {len(set(first.values()))} classes: too few to "
            "hold any back for validation"
        )
    return np.array([p in chosen for p in sample.people])


def person_number(person: str, seed: int = 0) -> float:
    """Return a number in [0, 1) that depends on the person and the seed alone."""
    return float(np.random.default_rng([seed, *person.encode()]).random())


def fit(
    sample: Sample,
    tests: Mapping[str, Sample],
    classes_N: Sequence,
    plan: Plan,
    seed: int,
) -> dict[str, np.ndarray]:
    """Train on a sample with early stopping, and predict others.

    Parameters
    ----------
    sample : Sample
        Integer targets are classes, others are regressed.
    tests : mapping name -> Sample
        With the same kinds of image; targets are not looked at.
    classes_N : sequence
        What validation is stratified by.
    plan : Plan
    seed : int
        Of the validation people, the first weights and the order.

    Returns
    -------
    dict name -> ndarray
        Probabilities (N, 3), or predicted values (N,).

    Raises
    ------
    ValueError
        A loss that is no number; nobody to hold back.
    """
    held = split(sample, classes_N, plan.validation, seed)
    train, validation = sample.take(~held), sample.take(held)
    classify = np.issubdtype(sample.target_N.dtype, np.integer)
    if not sample.images:
        return _fit_covariates(train, tests, classify)
    scaler = _Scaler.of(train, plan.network, classify)
    with torch.random.fork_rng(devices=[]):
        # First weights and dropout are all that PyTorch draws by itself.
        torch.manual_seed(seed)
        return _train(train, validation, tests, scaler, plan, classify, seed)


@dataclass(frozen=True)
class _Scaler:
    """Statistics of the training part, and of nothing else."""

    image: Mapping[str, tuple[np.ndarray | float, float]]
    covariates: tuple[np.ndarray, np.ndarray] | None
    target: tuple[float, float]

    @classmethod
    def of(cls, train: Sample, network: str, classify: bool) -> _Scaler:
        image = {}
        for name, volume in train.images.items():
            # What all brains share is taken away from what the light network sees;
            # the published one takes images in 0..1 as they are.
            light = network == "light"
            mean = volume.mean(0) if light else 0.0
            image[name] = (mean, float((volume - mean).std()) or 1.0 if light else 1.0)
        covariates = None
        if train.covariates_NC is not None:
            spread = train.covariates_NC.std(0)
            covariates = train.covariates_NC.mean(0), np.where(spread > 0, spread, 1.0)
        target = (0.0, 1.0)
        if not classify:
            spread = float(train.target_N.std())
            target = (float(train.target_N.mean()), spread if spread > 0 else 1.0)
        return cls(image, covariates, target)

    def tensors(self, sample: Sample) -> tuple[dict, torch.Tensor | None]:
        images = {
            name: torch.from_numpy(
                ((volume - self.image[name][0]) / self.image[name][1]).astype("f4")
            )
            for name, volume in sample.images.items()
        }
        if self.covariates is None:
            return images, None
        scaled = (sample.covariates_NC - self.covariates[0]) / self.covariates[1]
        return images, torch.from_numpy(scaled.astype("f4"))


def _train(train, validation, tests, scaler, plan, classify, seed):
    shapes = {name: tuple(v.shape[1:]) for name, v in train.images.items()}
    covariates = 0 if train.covariates_NC is None else train.covariates_NC.shape[1]
    network = Predictor(
        shapes,
        len(CLASSES) if classify else 1,
        covariates,
        width=256 if plan.network == "published" else 64,
        dropout=0.5 if plan.dropout == "correct" else 0.0,
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=plan.learning_rate)
    network.to(plan.device)
    y = _target(train, scaler, classify).to(plan.device)
    y_held = _target(validation, scaler, classify)
    learn_from = scaler.tensors(train)
    order = np.random.default_rng(seed)
    best, kept, waited = float("inf"), None, 0
    for _ in range(plan.epochs):
        network.train()
        shuffled = torch.from_numpy(order.permutation(len(train)))
        for some in shuffled.split(plan.batch_size):
            loss = _loss(_forward(network, learn_from, some, plan), y[some], classify)
            if not torch.isfinite(loss):
                raise ValueError(
                    f"the loss is {loss.item()} at learning rate {plan.learning_rate}"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        now = _loss(_predict(network, scaler, validation, plan), y_held, classify)
        if now < best:
            best, waited = now.item(), 0
            kept = {k: v.clone() for k, v in network.state_dict().items()}
        else:
            waited += 1
            if waited >= plan.patience:
                break
    if kept is not None:
        network.load_state_dict(kept)
    shift, scale = scaler.target
    found = {}
    for name, test in tests.items():
        out = _predict(network, scaler, test, plan)
        found[name] = (
            out.softmax(1).numpy() if classify else out[:, 0].numpy() * scale + shift
        )
    return found


def _target(sample: Sample, scaler: _Scaler, classify: bool) -> torch.Tensor:
    if classify:
        return torch.from_numpy(sample.target_N.astype("i8"))
    shift, scale = scaler.target
    return torch.from_numpy(((sample.target_N - shift) / scale).astype("f4"))


def _forward(network, tensors, some, plan) -> torch.Tensor:
    images, covariates = tensors
    own = None if covariates is None else covariates[some].to(plan.device)
    return network({k: v[some].to(plan.device) for k, v in images.items()}, own)


@torch.no_grad()
def _predict(network, scaler, sample, plan) -> torch.Tensor:
    network.eval()
    tensors = scaler.tensors(sample)
    parts = torch.arange(len(sample)).split(plan.batch_size)
    return torch.cat([_forward(network, tensors, p, plan).cpu() for p in parts])


def _loss(out_NC, target_N, classify) -> torch.Tensor:
    if classify:
        return F.cross_entropy(out_NC, target_N)
    return F.mse_loss(out_NC[:, 0], target_N)


def _fit_covariates(train, tests, classify):
    """Logistic regression, or ridge, on covariates alone (scikit-learn)."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if classify and len(set(train.target_N.tolist())) == 1:
        only = np.eye(len(CLASSES))[train.target_N[0]]
        return {name: np.tile(only, (len(test), 1)) for name, test in tests.items()}
    model = LogisticRegression(max_iter=1000) if classify else Ridge()
    model = make_pipeline(StandardScaler(), model)
    model.fit(train.covariates_NC, train.target_N)
    found = {}
    for name, test in tests.items():
        if not classify:
            found[name] = model.predict(test.covariates_NC)
            continue
        probability = np.zeros((len(test), len(CLASSES)))
        probability[:, model.classes_] = model.predict_proba(test.covariates_NC)
        found[name] = probability
    return found
