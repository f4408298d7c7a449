"""The first five convolutions of VGG19 for grey images, frozen.

The layers carry torchvision's names, so its published weights load from a file. Offline
the weights are random but seeded; Gram matching with random weights is documented in
the literature and always labelled as such.

Shape suffixes: S slices, H W plane, C channel.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checks import as_weights, finite, floating, read_tensors, whole

# torchvision's index of each convolution in vgg19().features, and its channels.
LAYERS = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256)}
POOL_BEFORE = (5, 10)
CONTENT_LAYER = 7
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SD = (0.229, 0.224, 0.225)


class VGG19Features(nn.Module):
    """The first five convolutions of VGG19 for grey images, frozen.

    Simonyan and Zisserman (2015); random weights after Ustyuzhaninov et al. (2016).

    Parameters
    ----------
    weights : path, optional
        A torchvision VGG19 state dictionary (``features.0.weight`` ...). Without it,
        He-normal random weights from ``seed``: random-weight Gram matching, labelled
        as such by ``name``.
    seed : int
        Seed of the random weights.
    sha256 : str, optional
        Expected digest of the file, or its beginning. A name such as
        ``vgg19-dcbb9e9d.pth`` states it already.

    Attributes
    ----------
    name : str
        ``"vgg19"`` or ``"vgg19_random"``.

    Raises
    ------
    ValueError
        A file that is absent, has another digest, is no VGG19 or is not finite; or a
        digest of less than 8 digits.

    Examples
    --------
    >>> features = VGG19Features(seed=1)
    >>> features.name, any(p.requires_grad for p in features.parameters())
    ('vgg19_random', False)
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        seed: int = 0,
        sha256: str | None = None,
    ) -> None:
        super().__init__()
        # skip_init: the default initialisation would draw from the global generator.
        self.features = nn.ModuleDict(
            {
                str(i): nn.utils.skip_init(nn.Conv2d, a, b, 3, padding=1)
                for i, (a, b) in LAYERS.items()
            }
        )
        self.name = "vgg19_random" if weights is None else "vgg19"
        if weights is None:
            generator = torch.Generator().manual_seed(whole("seed", seed))
            for conv in self.features.values():
                nn.init.kaiming_normal_(
                    conv.weight, nonlinearity="relu", generator=generator
                )
                nn.init.zeros_(conv.bias)
        else:
            self.load_state_dict(_read_weights(Path(weights), sha256))
        self.requires_grad_(False)
        self.eval()
        self._fold()

    def _fold(self) -> None:
        """Fold grey-to-colour, normalisation and bias into a two-channel convolution.

        The second channel is a constant one: with zero padding it reproduces what the
        padding of the *normalised* colour image does at the border.
        """
        conv = self.features["0"]
        mean, sd = (
            torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1)
            for v in (IMAGENET_MEAN, IMAGENET_SD)
        )
        weight = conv.weight.double()
        grey = (weight / sd).sum(1)
        one = -(weight * mean / sd).sum(1)
        one[:, 1, 1] += conv.bias.double()
        folded = torch.stack([grey, one], dim=1)
        rotated = torch.linalg.qr(folded.flatten(1)).R.view(-1, 2, 3, 3)
        self.register_buffer("folded", folded.to(conv.weight), persistent=False)
        self.register_buffer("rotated", rotated.to(conv.weight), persistent=False)

    def forward(self, x_SHW: Tensor) -> dict[int, Tensor]:
        """Return the five pre-ReLU maps of grey slices in [0, 1].

        Parameters
        ----------
        x_SHW : Tensor
            Slices, shape (S, H, W).

        Returns
        -------
        dict
            Layer index 0, 2, 5, 7, 10 -> (S, C, H, W) with C = 64, 64, 128, 128, 256;
            the plane is halved before layer 5 and before layer 10.

        Raises
        ------
        ValueError
            Another shape or type, or a plane below 4 x 4.

        Examples
        --------
        >>> maps = VGG19Features()(torch.zeros(2, 16, 16))
        >>> {i: tuple(f.shape) for i, f in maps.items() if i in (0, 10)}
        {0: (2, 64, 16, 16), 10: (2, 256, 4, 4)}
        """
        return self._maps(self._two(x_SHW))

    def _two(self, x_SHW: Tensor) -> Tensor:
        floating("slices", x_SHW)
        if x_SHW.ndim != 3 or x_SHW.numel() == 0 or min(x_SHW.shape[1:]) < 4:
            raise ValueError(
                "slices must have shape (S, H, W), H and W at least 4; "
                f"got {tuple(x_SHW.shape)}"
            )
        as_weights("slices", x_SHW, self.folded)
        two = torch.stack([x_SHW, torch.ones_like(x_SHW)], dim=1)
        return two.contiguous(memory_format=torch.channels_last)

    def _maps(self, two: Tensor) -> dict[int, Tensor]:
        maps = {0: F.conv2d(two, self.folded, padding=1)}
        for i in list(LAYERS)[1:]:
            h = maps[max(maps)]
            # ReLU and max-pool commute; pooling first leaves a quarter to the ReLU.
            h = F.relu(F.max_pool2d(h, 2) if i in POOL_BEFORE else h)
            maps[i] = self.features[str(i)](h)
        return maps

    def gram_maps(self, x_SHW: Tensor) -> tuple[dict[int, Tensor], Tensor]:
        """Return the maps whose Gram distances equal the five layers', and the content.

        As `forward`, but layer 0 has 18 rotated channels instead of 64.

        Parameters
        ----------
        x_SHW : Tensor
            Slices in [0, 1], shape (S, H, W).

        Returns
        -------
        maps : dict of int to Tensor
            Layer index -> (S, C, H, W) with C = 18, 64, 128, 128, 256.
        content : Tensor
            The map of layer 7, conv2_2.

        Raises
        ------
        ValueError
            As `forward`.

        Examples
        --------
        The Gram distance of two slices at layer 0, from 64 channels and from 18:

        >>> features, x = VGG19Features(), torch.linspace(0, 1, 128).view(2, 8, 8)
        >>> for f in (features(x)[0], features.gram_maps(x)[0][0]):
        ...     rows = f.flatten(2)
        ...     gram = rows @ rows.mT
        ...     print(f.shape[1], f"{(gram[0] - gram[1]).norm():.0f}")
        64 5608
        18 5608
        """
        two = self._two(x_SHW)
        maps = self._maps(two)
        maps[0] = F.conv2d(two, self.rotated, padding=1)
        return maps, maps[CONTENT_LAYER]


def _read_weights(path: Path, sha256: str | None) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(
            f"no VGG19 weights at {path}: download torchvision's vgg19-dcbb9e9d.pth, "
            "or leave weights empty for seeded random features"
        )
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{8,64}", sha256):
        raise ValueError(f"sha256 must be 8 to 64 hexadecimal digits; got {sha256!r}")
    if sha256 is None and (stated := re.search(r"-([0-9a-f]{8,})\.pth$", path.name)):
        sha256 = stated.group(1)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 is not None and not digest.startswith(sha256.lower()):
        raise ValueError(f"{path} has sha256 {digest}, expected {sha256}")
    state = read_tensors(path, f"VGG19 weights {path}", "download them again")
    wanted = {
        f"features.{i}.{kind}": (b, a, 3, 3) if kind == "weight" else (b,)
        for i, (a, b) in LAYERS.items()
        for kind in ("weight", "bias")
    }
    missing = sorted(set(wanted) - set(state))
    if missing:
        raise ValueError(f"{path} is no VGG19 state dictionary: {missing} missing")
    for key, shape in wanted.items():
        floating(f"{path}: {key}", state[key])
        if tuple(state[key].shape) != shape:
            raise ValueError(
                f"{path}: {key} has shape {tuple(state[key].shape)}, expected {shape}"
            )
        finite(f"{path}: {key}", state[key])
    return {key: state[key].float() for key in wanted}
