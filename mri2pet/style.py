"""Style transfer: give an MRI the Gram statistics of a PET, slice by slice.

The image is optimised so that its VGG19 features keep the MRI's content (conv2_2) and
take on the Gram matrices of the PET (conv1_1 .. conv3_1), all before the ReLU (Gatys et
al., 2016). What is fast here, with the published loss unchanged:

- the grey image is one channel: the repetition to three, the normalisation and the bias
  are folded into the first convolution;
- the weights are frozen, all slices of several volumes are one batch, and the network
  ends at conv3_1;
- a Gram loss has a closed gradient, and ``||A A' - T T'||^2`` is computed on the
  smaller side: ``||A'A||^2 - 2 ||A'T||^2 + ||T'T||^2``;
- conv1_1 sees 3x3 patches of one channel (and of the image border), so its 64 features
  span at most 18 dimensions; 18 rotated ones have the same Gram distance.

Shape suffixes: B volume, D slice, H W plane, S slices of all volumes, C channel, P
pixels of a slice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import HALF, finite, floating, number, one_of, unit_range, whole
from .vgg import CONTENT_LAYER, LAYERS, VGG19Features

CONTENT_WEIGHT = 1.0
PUBLISHED_STYLE_WEIGHT = 1000.0
# A volume's Gram loss is about D^2 smaller than a slice's: 1e5 * 16^2 at 16 slices.
STYLE_WEIGHT = {"slice": 1e5, "volume": 2.5e7}
LEARNING_RATE = {"adam": 0.02, "lbfgs": 1.0}
MOVED = 1e-3


# -- Gram matrices -------------------------------------------------------------------


def gram_matrix_slice(f_SCHW: Tensor) -> Tensor:
    """Gram matrix of each slice: how its channels go together, wherever that is.

    Gatys et al. (2016).

    Parameters
    ----------
    f_SCHW : Tensor
        Feature maps, shape (S, C, H, W).

    Returns
    -------
    Tensor
        Shape (S, C, C), divided by C H W.

    Raises
    ------
    ValueError
        Another number of axes, or none of floating-point numbers.

    Examples
    --------
    Two channels of opposite sign:

    >>> f = torch.tensor([1.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    >>> gram_matrix_slice(f)
    tensor([[[ 0.5000, -0.5000],
             [-0.5000,  0.5000]]])
    """
    _check_maps(f_SCHW)
    f = f_SCHW.flatten(2)
    return f @ f.transpose(1, 2) / f[0].numel()


def gram_matrix_volume(f_SCHW: Tensor) -> Tensor:
    """One Gram matrix of a whole volume, as released.

    Slices and channels are rows of one matrix, so it holds cross-slice correlations.
    MRI2PET, section 3.2, says one slice at a time, which is `gram_matrix_slice`.

    Parameters
    ----------
    f_SCHW : Tensor
        Feature maps of one volume's slices, shape (S, C, H, W).

    Returns
    -------
    Tensor
        Shape (S C, S C), divided by S C H W.

    Raises
    ------
    ValueError
        As `gram_matrix_slice`.

    Examples
    --------
    >>> gram_matrix_volume(torch.ones(3, 2, 4, 4)).shape
    torch.Size([6, 6])
    """
    _check_maps(f_SCHW)
    f = f_SCHW.flatten(0, 1).flatten(1)
    return f @ f.T / f.numel()


def _check_maps(f_SCHW: Tensor) -> None:
    floating("maps", f_SCHW)
    if f_SCHW.ndim != 4 or f_SCHW.numel() == 0:
        raise ValueError(
            f"maps must have shape (S, C, H, W); got {tuple(f_SCHW.shape)}"
        )


class _GramDistance(torch.autograd.Function):
    """``||A A' - T T'||^2`` per matrix and its closed gradient, on the smaller side."""

    @staticmethod
    def forward(ctx, a: Tensor, t: Tensor, fixed: Tensor) -> Tensor:
        if a.shape[-2] <= a.shape[-1]:
            d = a @ a.mT - fixed
            ctx.save_for_backward(d @ a)
            return _energy(d)
        inner, cross = a.mT @ a, t.mT @ a
        ctx.save_for_backward(a @ inner - t @ cross)
        return _energy(inner) - 2 * _energy(cross) + fixed

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        (half,) = ctx.saved_tensors
        return half * (4 * grad)[..., None, None].to(half), None, None


def _energy(x: Tensor) -> Tensor:
    # Summed in float64: on the smaller side three large numbers nearly cancel.
    return x.double().square().sum((-2, -1))


class StyleTarget:
    """The style side of the loss, computed once.

    Parameters
    ----------
    features : VGG19Features
        The network.
    style_BDHW : Tensor
        Style volumes in [0, 1], (B, D, H, W), or one for all, (1, D, H, W).
    gram : {"slice", "volume"}
        One Gram matrix per slice, or one per volume as released.

    Raises
    ------
    ValueError
        An unknown ``gram``, or no volumes in [0, 1].

    Examples
    --------
    The style's own features cost nothing, those of an empty image do:

    >>> features = VGG19Features()
    >>> style = torch.linspace(0, 1, 128).view(1, 2, 8, 8)
    >>> target = StyleTarget(features, style, "slice")
    >>> for volume in (style, torch.zeros_like(style)):
    ...     maps, _ = features.gram_maps(volume.flatten(0, 1))
    ...     print((target.loss(maps) > 1e-6).tolist())
    [False]
    [True]
    """

    def __init__(self, features: VGG19Features, style_BDHW: Tensor, gram: str) -> None:
        _check_volumes("style", style_BDHW)
        one_of("gram", gram, STYLE_WEIGHT)
        self.features, self.gram = features, gram
        self.count, self.depth = style_BDHW.shape[:2]
        self.shapes: dict[int, tuple[int, ...]] = {}
        self.rows: dict[int, Tensor] = {}
        self.fixed: dict[int, Tensor] = {}
        with torch.no_grad():
            maps, _ = features.gram_maps(style_BDHW.flatten(0, 1))
            for i, f in maps.items():
                self.shapes[i] = tuple(f.shape[1:])
                t = self._matrix(f)
                small = t.shape[-2] <= t.shape[-1]
                self.rows[i] = t[..., :0] if small else t
                self.fixed[i] = t @ t.mT if small else _energy(t.mT @ t)

    def _matrix(self, f_SCHW: Tensor) -> Tensor:
        """Rows of the Gram matrix: (B, D, C, P) per slice or (B, D C, P) per volume."""
        f = f_SCHW.flatten(2).unflatten(0, (-1, self.depth))
        return f if self.gram == "slice" else f.flatten(1, 2)

    def _check(self, layer: int, f_SCHW: Tensor) -> None:
        """Refuse the maps of content on another grid than the style image's."""
        count, rest = divmod(f_SCHW.shape[0], self.depth)
        if (
            tuple(f_SCHW.shape[1:]) != self.shapes.get(layer)
            or rest
            or self.count not in (1, count)
        ):
            raise ValueError(
                f"layer {layer}: maps of shape {tuple(f_SCHW.shape)} do not fit the "
                f"style image: {self.count} x {self.depth} slices of "
                f"{self.shapes.get(layer)}"
            )

    def loss(self, maps: dict[int, Tensor]) -> Tensor:
        """Style loss per volume: sum over layers of the MSE of Gram matrices.

        Parameters
        ----------
        maps : dict of int to Tensor
            From `VGG19Features.gram_maps` of the volumes' slices, (B D, C, H, W).

        Returns
        -------
        Tensor
            float64, shape (B,), without its weight.

        Raises
        ------
        ValueError
            Maps of volumes on another grid than the style image's, or of another
            number of them.
        """
        total = 0.0
        for i, f in maps.items():
            self._check(i, f)
            a = self._matrix(f)
            distance = _GramDistance.apply(a, self.rows[i], self.fixed[i])
            rows, pixels = a.shape[-2] // f.shape[1] * LAYERS[i][1], a.shape[-1]
            mse = distance / (float(rows) ** 2 * (float(rows) * pixels) ** 2)
            total = total + (mse.mean(1) if self.gram == "slice" else mse)
        return total


# -- the transfer ----------------------------------------------------------------------


@dataclass(frozen=True)
class StyleResult:
    """Styled volumes and what happened to each.

    Attributes
    ----------
    styled_BDHW : Tensor
        Volumes in [0, 1].
    report : list of dict
        One per volume: ``content_loss_before``, ``content_loss_after``,
        ``style_loss_before``, ``style_loss_after`` (unweighted), ``max_gradient`` (of
        the weighted loss at the start), ``distance_moved`` (RMS over voxels) and
        ``moved``: whether that reaches 1e-3 and the style loss fell. A volume that has
        not moved is an MRI, not a styled one.

    Examples
    --------
    >>> report = [{"moved": True}, {"moved": False}]
    >>> result = StyleResult(torch.zeros(2, 4, 8, 8), report)
    >>> [b for b, row in enumerate(result.report) if not row["moved"]]
    [1]
    """

    styled_BDHW: Tensor
    report: list[dict[str, float | bool]]


def style_transfer(
    content_BDHW: Tensor,
    style_BDHW: Tensor,
    features: VGG19Features,
    *,
    gram: str = "slice",
    steps: int = 25,
    optimizer: str = "adam",
    style_weight: float | None = None,
    content_weight: float = CONTENT_WEIGHT,
    lr: float | None = None,
    batch_size: int = 4,
    autocast: torch.dtype | None = None,
) -> StyleResult:
    """Optimise the pixels of MRIs towards the Gram statistics of PETs.

    MRI2PET, section 3.2; the layers, weights and steps are in the released code only.

    Parameters
    ----------
    content_BDHW : Tensor
        MRIs on the PET's grid, in [0, 1], shape (B, D, H, W). Also the start image.
    style_BDHW : Tensor
        PETs in [0, 1], same shape, or one template (1, D, H, W).
    features : VGG19Features
        The network.
    gram : {"slice", "volume"}
        Gram matrix per slice, or per volume as released.
    steps : int
        Adam steps, or outer L-BFGS steps of 20 inner iterations (released: 100).
    optimizer : {"adam", "lbfgs"}
        Adam by default; L-BFGS with PyTorch's defaults as released.
    style_weight : float, optional
        Weight of the style loss. The released 1000 belongs to ``gram="volume"`` and
        real VGG19 weights; the default, `STYLE_WEIGHT`, moves the image with random
        features too.
    content_weight : float
        Weight of the content loss; released: 1.
    lr : float, optional
        Step size; default 0.02 (Adam) or 1 (L-BFGS).
    batch_size : int
        Volumes at once; changes speed and memory only.
    autocast : torch.dtype, optional
        Precision of the steps, e.g. ``torch.bfloat16``. Targets, the first step and
        every reported number stay in the precision of the volumes.

    Returns
    -------
    StyleResult
        Styled volumes, shape (B, D, H, W), and a report on each.

    Raises
    ------
    ValueError
        Volumes of other shapes or outside of [0, 1], an unknown choice, or ``steps``
        or ``batch_size`` below 1.

    Examples
    --------
    >>> dark, bright = torch.full((1, 2, 8, 8), 0.2), torch.full((1, 2, 8, 8), 0.8)
    >>> result = style_transfer(dark, bright, VGG19Features(), steps=3)
    >>> row = result.report[0]
    >>> row["style_loss_after"] < row["style_loss_before"], row["moved"]
    (True, True)
    """
    _check_volumes("content", content_BDHW)
    _check_volumes("style", style_BDHW)
    count = content_BDHW.shape[0]
    if style_BDHW.shape[1:] != content_BDHW.shape[1:] or style_BDHW.shape[0] not in (
        1,
        count,
    ):
        raise ValueError(
            f"style must have shape {tuple(content_BDHW.shape)}, or one volume of it; "
            f"got {tuple(style_BDHW.shape)}"
        )
    one_of("gram", gram, STYLE_WEIGHT)
    one_of("optimizer", optimizer, LEARNING_RATE)
    one_of("autocast", autocast, HALF)
    steps, batch_size = whole("steps", steps, 1), whole("batch_size", batch_size, 1)
    style_weight = STYLE_WEIGHT[gram] if style_weight is None else style_weight
    weights = (
        number("content_weight", content_weight, 0),
        number("style_weight", style_weight, 0),
    )
    # One L-BFGS state for several volumes would couple them; Adam is per pixel.
    size = 1 if optimizer == "lbfgs" else batch_size
    lr = LEARNING_RATE[optimizer] if lr is None else lr
    lr = number("lr", lr, 0, inside=True)
    shared = style_BDHW.shape[0] == 1 and count > 1
    target = StyleTarget(features, style_BDHW, gram) if shared else None
    styled, report = [], []
    for at in range(0, count, size):
        chunk = slice(at, at + size)
        side = target or StyleTarget(features, style_BDHW[chunk], gram)
        volumes, rows = _transfer(
            content_BDHW[chunk], side, features, optimizer, steps, weights, lr, autocast
        )
        styled.append(volumes)
        report += rows
    return StyleResult(torch.cat(styled), report)


def _check_volumes(name: str, x: Tensor) -> None:
    floating(name, x)
    if x.ndim != 4 or x.numel() == 0:
        raise ValueError(f"{name} must have shape (B, D, H, W); got {tuple(x.shape)}")
    unit_range(name, x)


def _transfer(
    content: Tensor,
    target: StyleTarget,
    features: VGG19Features,
    optimizer: str,
    steps: int,
    weights: tuple[float, float],
    lr: float,
    autocast: torch.dtype | None,
) -> tuple[Tensor, list[dict[str, float | bool]]]:
    content = content.detach()
    with torch.no_grad():
        wanted = features(content.flatten(0, 1))[CONTENT_LAYER]
    x = content.clone().requires_grad_()
    trace: list[tuple[Tensor, Tensor, Tensor]] = []

    def losses() -> tuple[Tensor, Tensor]:
        maps, kept = features.gram_maps(x.flatten(0, 1))
        error = (kept - wanted).unflatten(0, content.shape[:2])
        return error.square().flatten(1).mean(1), target.loss(maps)

    def closure() -> Tensor:
        with torch.no_grad():
            x.clamp_(0, 1)
        x.grad = None
        # The first step is reported, so it is exact.
        half = autocast if trace else None
        with torch.autocast(x.device.type, dtype=half, enabled=half is not None):
            content_B, style_B = losses()
        total = (weights[0] * content_B + weights[1] * style_B).sum()
        total.backward()
        if not trace:
            gradient = x.grad.abs().amax((1, 2, 3))
            trace.append((content_B.detach(), style_B.detach(), gradient))
        return total.detach()

    # Adam's default eps, 1e-8, would swallow the gradients of a mean over all voxels.
    engine = (
        torch.optim.Adam([x], lr=lr, eps=1e-16)
        if optimizer == "adam"
        else torch.optim.LBFGS([x], lr=lr)
    )
    for _ in range(steps):
        engine.step(closure)
    with torch.no_grad():
        x.clamp_(0, 1)
        content_B, style_B = losses()
    distance = (x.detach() - content).square().mean((1, 2, 3)).sqrt()
    return x.detach(), list(_rows(trace[0], content_B, style_B, distance))


def _rows(
    before: tuple[Tensor, Tensor, Tensor], content: Tensor, style: Tensor, moved: Tensor
) -> Iterator[dict[str, float | bool]]:
    for b in range(content.shape[0]):
        yield {
            "content_loss_before": float(before[0][b]),
            "content_loss_after": float(content[b]),
            "style_loss_before": float(before[1][b]),
            "style_loss_after": float(style[b]),
            "max_gradient": float(before[2][b]),
            "distance_moved": float(moved[b]),
            "moved": bool(moved[b] >= MOVED and style[b] < before[1][b]),
        }


def histogram_match(content: Tensor, reference: Tensor) -> Tensor:
    """Map content values so that their distribution is the reference's.

    The free alternative to style transfer: one monotone map of grey values per volume.

    Parameters
    ----------
    content, reference : Tensor
        Any shapes; ranks of the content become quantiles of the reference. Equal
        content values stay equal.

    Returns
    -------
    Tensor
        The shape and dtype of ``content``.

    Raises
    ------
    ValueError
        No floating-point numbers, values that are not finite, an empty reference.

    Examples
    --------
    >>> histogram_match(torch.tensor([3.0, 1.0, 2.0]), torch.tensor([10.0, 20.0, 30.0]))
    tensor([30., 10., 20.])
    """
    for name, values in (("content", content), ("reference", reference)):
        floating(name, values)
        finite(name, values)
    if reference.numel() == 0:
        raise ValueError(f"reference is empty: {tuple(reference.shape)}")
    _, inverse, counts = torch.unique(content, return_inverse=True, return_counts=True)
    ends = counts.cumsum(0)
    middle = (ends - (counts + 1) / 2).double() / max(content.numel() - 1, 1)
    ordered = reference.flatten().double().sort().values
    place = middle * (ordered.numel() - 1)
    low = place.floor().long()
    high = (low + 1).clamp(max=ordered.numel() - 1)
    values = torch.lerp(ordered[low], ordered[high], place - low)
    return values.to(content.dtype)[inverse]
