"""Building blocks of the denoisers, in two or three dimensions.

The first part holds the blocks of the published network, restated from its released
code: double convolutions and an MRI encoder that ends in one vector. The second part
holds the blocks of `SpatialUNet`. Attention has a file of its own.

Every block takes ``dims`` (2 or 3). Shape suffixes: B batch, C channel, E embedding,
N voxels, D H W depth, height, width; a 2-D block has no D axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import CONV
from .checks import number, one_of, whole, wholes

LINEAR_MODE = {2: "bilinear", 3: "trilinear"}
MAX_POOL = {2: F.max_pool2d, 3: F.max_pool3d}


def conv_nd(dims: int, *args, **kwargs) -> nn.Module:
    """Build ``nn.Conv2d`` or ``nn.Conv3d`` by the number of dimensions.

    Parameters
    ----------
    dims : int
        2 or 3.
    *args, **kwargs : object
        As for ``nn.Conv2d``.

    Returns
    -------
    Module

    Raises
    ------
    ValueError
        Any other ``dims``.

    Examples
    --------
    >>> conv_nd(3, 1, 8, 1)
    Conv3d(1, 8, kernel_size=(1, 1, 1), stride=(1, 1, 1))
    """
    one_of("dims", dims, CONV)
    return CONV[dims](*args, **kwargs)


def time_code(t_B: Tensor, size: int = 256, period: float = 1000.0) -> Tensor:
    """Sinusoidal code of the integer step, as released.

    For i = 0 .. size/2 - 1 the frequency is ``period ** (-2 i / size)``; the code is
    all sines, then all cosines (Vaswani et al., 2017, with period 10000).

    Parameters
    ----------
    t_B : Tensor
        Steps, shape (B,).
    size : int
        Length of the code, even.
    period : float
        Base of the frequencies.

    Returns
    -------
    Tensor
        float32, shape (B, size).

    Raises
    ------
    ValueError
        An odd ``size``, a ``period`` that is not positive, or another shape.

    Examples
    --------
    >>> time_code(torch.tensor([0]), size=4)
    tensor([[0., 0., 1., 1.]])
    """
    if whole("size", size, 2) % 2:
        raise ValueError(f"size of the time code must be even; got {size}")
    if t_B.ndim != 1:
        raise ValueError(f"t_B must have shape (B,); got {tuple(t_B.shape)}")
    number("period", period, 0, inside=True)
    i = torch.arange(size // 2, device=t_B.device, dtype=torch.float32)
    angle = t_B[:, None].float() * period ** (-2 * i / size)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


# -- blocks of the published network ---------------------------------------------


class DoubleConv(nn.Module):
    """Conv, GroupNorm(1), GELU, conv, GroupNorm(1); no activation at the end.

    With ``residual=True`` (in == out channels) it returns ``GELU(x + block(x))``. Maps
    (B, in, D, H, W) to (B, out, D, H, W).

    Parameters
    ----------
    in_channels, out_channels : int
        Channels in and out.
    mid_channels : int, optional
        Channels between the two convolutions; ``out_channels`` by default.
    residual : bool
        Add the input and apply GELU.
    dims : int
        2 or 3.

    Raises
    ------
    ValueError
        ``residual`` with different channels in and out.

    Examples
    --------
    It ends in a norm, so its output has mean 0 and SD 1 over a whole volume:

    >>> y = DoubleConv(1, 8)(torch.arange(64.0).view(1, 1, 4, 4, 4))
    >>> tuple(y.shape), round(y.std().item(), 2)
    ((1, 8, 4, 4, 4), 1.0)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int | None = None,
        *,
        residual: bool = False,
        dims: int = 3,
    ) -> None:
        super().__init__()
        if residual and in_channels != out_channels:
            raise ValueError(
                "a residual DoubleConv keeps its channels; "
                f"got {in_channels} -> {out_channels}"
            )
        mid = out_channels if mid_channels is None else mid_channels
        self.residual = residual
        self.block = nn.Sequential(
            conv_nd(dims, in_channels, mid, 3, padding=1, bias=False),
            nn.GroupNorm(1, mid),
            nn.GELU(),
            conv_nd(dims, mid, out_channels, 3, padding=1, bias=False),
            nn.GroupNorm(1, out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in, ...) to (B, out, ...)."""
        return F.gelu(x + self.block(x)) if self.residual else self.block(x)


class _Embed(nn.Module):
    """One additive constant per channel from the embedding: Linear(SiLU(e))."""

    def __init__(self, embed_dim: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embed_dim, channels)

    def forward(self, x: Tensor, e_BE: Tensor) -> Tensor:
        shift = self.linear(F.silu(e_BE))
        return x + shift.view(*shift.shape, *(1,) * (x.ndim - 2))


class Down(nn.Module):
    """Max-pool 2, residual double conv, double conv, plus the embedding.

    Maps x (B, in, D, H, W) and the embedding (B, E) to (B, out, D/2, H/2, W/2).

    Parameters
    ----------
    in_channels, out_channels : int
        Channels in and out.
    embed_dim : int
        Length of the embedding, E.
    dims : int
        2 or 3.

    Examples
    --------
    >>> down = Down(8, 16, embed_dim=4)
    >>> down(torch.zeros(1, 8, 6, 6, 6), torch.zeros(1, 4)).shape
    torch.Size([1, 16, 3, 3, 3])
    """

    def __init__(
        self, in_channels: int, out_channels: int, embed_dim: int, *, dims: int = 3
    ) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            DoubleConv(in_channels, in_channels, residual=True, dims=dims),
            DoubleConv(in_channels, out_channels, dims=dims),
        )
        self.pool = MAX_POOL[dims]
        self.embed = _Embed(embed_dim, out_channels)

    def forward(self, x: Tensor, e_BE: Tensor) -> Tensor:
        """Map (B, in, D, H, W) to (B, out, D/2, H/2, W/2)."""
        return self.embed(self.convs(self.pool(x, 2)), e_BE)


class Up(nn.Module):
    """Linear upsampling (corners aligned), concatenation, two double convs, embedding.

    Maps x (B, c, D, H, W), the skip (B, s, 2D, 2H, 2W) and the embedding (B, E) to
    (B, out, 2D, 2H, 2W).

    Parameters
    ----------
    in_channels : int
        Channels of the skip and of the upsampled map together, s + c.
    out_channels : int
        Channels out.
    embed_dim : int
        Length of the embedding, E.
    dims : int
        2 or 3.

    Examples
    --------
    >>> up = Up(16 + 8, 8, embed_dim=4)
    >>> x, skip = torch.zeros(1, 16, 3, 3, 3), torch.zeros(1, 8, 6, 6, 6)
    >>> up(x, skip, torch.zeros(1, 4)).shape
    torch.Size([1, 8, 6, 6, 6])
    """

    def __init__(
        self, in_channels: int, out_channels: int, embed_dim: int, *, dims: int = 3
    ) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            DoubleConv(in_channels, in_channels, residual=True, dims=dims),
            DoubleConv(in_channels, out_channels, in_channels // 2, dims=dims),
        )
        self.mode = LINEAR_MODE[dims]
        self.embed = _Embed(embed_dim, out_channels)

    def forward(self, x: Tensor, skip: Tensor, e_BE: Tensor) -> Tensor:
        """Map x (B, c, D, H, W) and skip (B, s, 2D, 2H, 2W) to (B, out, 2D, 2H, 2W)."""
        x = F.interpolate(x, scale_factor=2, mode=self.mode, align_corners=True)
        return self.embed(self.convs(torch.cat([skip, x], dim=1)), e_BE)


class MRIEncoder(nn.Module):
    """The published MRI encoder: four conv stages and two linear layers to one vector.

    Each stage is conv 3, ReLU, max-pool 2. ReLU and max-pool commute, so the pooling
    comes first here: the same numbers from an eighth of the ReLU's work. Maps
    (B, 1, D, H, W) to (B, E).

    Parameters
    ----------
    mri_shape : sequence of int
        Grid of the MRI, each axis at least 16.
    embed_dim : int
        Length of the vector, E.

    Raises
    ------
    ValueError
        An axis below 16.

    Examples
    --------
    At the paper's size nearly all parameters lie in the first linear layer:

    >>> with torch.device("meta"):
    ...     encoder = MRIEncoder((64, 144, 144))
    >>> sum(p.numel() for p in encoder.parameters())
    5447376
    >>> encoder.linears[0].weight.numel()
    5308416
    """

    CHANNELS = (1, 8, 16, 32, 64)

    def __init__(self, mri_shape: Sequence[int], embed_dim: int = 256) -> None:
        super().__init__()
        mri_shape = wholes("mri_shape", mri_shape, 1)
        dims = len(mri_shape)
        if min(mri_shape) < 16:
            raise ValueError(
                f"mri_shape needs at least 16 per axis (four poolings); got {mri_shape}"
            )
        voxels = 1
        for n in mri_shape:
            voxels *= n // 16
        self.convs = nn.ModuleList(
            conv_nd(dims, a, b, 3, padding=1)
            for a, b in zip(self.CHANNELS[:-1], self.CHANNELS[1:], strict=True)
        )
        self.pool = MAX_POOL[dims]
        self.linears = nn.Sequential(
            nn.Linear(self.CHANNELS[-1] * voxels, embed_dim),
            nn.ReLU(),
            nn.Linear(embed_dim, embed_dim),
        )

    def forward(self, mri: Tensor) -> Tensor:
        """Map (B, 1, D, H, W) to (B, E)."""
        for conv in self.convs:
            mri = F.relu(self.pool(conv(mri), 2))
        return self.linears(mri.flatten(1))


# -- blocks of SpatialUNet -------------------------------------------------------


def space_to_depth(x: Tensor, factors: Sequence[int]) -> Tensor:
    """Fold blocks of voxels into channels; nothing is lost (Shi et al., 2016).

    Parameters
    ----------
    x : Tensor
        Shape (B, C, ...), each axis divisible by its factor.
    factors : sequence of int
        One per spatial axis.

    Returns
    -------
    Tensor
        Shape (B, C * prod(factors), ...); `depth_to_space` is its inverse.

    Raises
    ------
    ValueError
        A grid that is not divisible, or a factor too many or too few.

    Examples
    --------
    >>> space_to_depth(torch.zeros(1, 1, 4, 6, 6), (1, 2, 2)).shape
    torch.Size([1, 4, 4, 3, 3])
    """
    factors = wholes("factors", factors, 1)
    grid, dims = x.shape[2:], len(factors)
    if len(grid) != dims or any(n % f for n, f in zip(grid, factors, strict=True)):
        raise ValueError(f"grid {tuple(grid)} is not divisible by {tuple(factors)}")
    split = [m for n, f in zip(grid, factors, strict=True) for m in (n // f, f)]
    x = x.reshape(*x.shape[:2], *split)
    order = [0, 1, *range(3, 3 + 2 * dims, 2), *range(2, 2 + 2 * dims, 2)]
    x = x.permute(order)
    return x.flatten(1, 1 + dims)


def depth_to_space(x: Tensor, factors: Sequence[int]) -> Tensor:
    """Unfold channels into blocks of voxels: the inverse of `space_to_depth`.

    Parameters
    ----------
    x : Tensor
        Shape (B, C * prod(factors), ...).
    factors : sequence of int
        One per spatial axis.

    Returns
    -------
    Tensor
        Shape (B, C, ...), each axis longer by its factor.

    Raises
    ------
    ValueError
        Channels or axes that do not fit the factors.

    Examples
    --------
    >>> x = torch.arange(16.0).view(1, 1, 4, 4)
    >>> torch.equal(depth_to_space(space_to_depth(x, (2, 2)), (2, 2)), x)
    True
    """
    factors = wholes("factors", factors, 1)
    dims = len(factors)
    if x.ndim != dims + 2 or x.shape[1] % math.prod(factors):
        raise ValueError(
            f"x must have shape (B, C * {math.prod(factors)}, ...) with {dims} spatial "
            f"axes for factors {factors}; got {tuple(x.shape)}"
        )
    x = x.unflatten(1, (-1, *factors))
    order = [0, 1]
    for axis in range(dims):
        order += [2 + dims + axis, 2 + axis]
    x = x.permute(order)
    for axis in range(dims):
        x = x.flatten(2 + axis, 3 + axis)
    return x


class ResBlock(nn.Module):
    """Pre-norm residual block with FiLM: the embedding scales and shifts its last norm.

    Norm, SiLU, conv 3, once or twice. GroupNorm has one group, as in the published
    network: it is the variant that stays fast in channels-last memory. The last
    convolution starts at zero, so a fresh block is the identity. Maps (B, C, ...) and
    the activated embedding (B, E) to (B, C, ...). After He et al. (2016) and Perez et
    al. (2018, FiLM).

    Parameters
    ----------
    channels : int
        Channels in and out.
    embed_dim : int
        Length of the embedding, E.
    convs : int
        Number of convolutions.
    dims : int
        2 or 3.

    Raises
    ------
    ValueError
        No convolution, or any other ``dims``.

    Examples
    --------
    >>> x = torch.ones(1, 8, 4, 4)
    >>> torch.equal(ResBlock(8, embed_dim=16, dims=2)(x, torch.zeros(1, 16)), x)
    True
    """

    def __init__(
        self, channels: int, embed_dim: int, *, convs: int = 2, dims: int = 3
    ) -> None:
        super().__init__()
        convs = whole("convs", convs, 1)
        self.norms = nn.ModuleList(nn.GroupNorm(1, channels) for _ in range(convs))
        self.convs = nn.ModuleList(
            conv_nd(dims, channels, channels, 3, padding=1) for _ in range(convs)
        )
        self.film = nn.Linear(embed_dim, 2 * channels)
        nn.init.zeros_(self.convs[-1].weight)
        nn.init.zeros_(self.convs[-1].bias)

    def forward(self, x: Tensor, e_BE: Tensor) -> Tensor:
        """Map (B, C, ...) to (B, C, ...); ``e_BE`` is the activated embedding."""
        h = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            h = norm(h)
            if conv is self.convs[-1]:
                film = self.film(e_BE).to(h.dtype)
                scale, shift = film.view(*film.shape, *(1,) * (x.ndim - 2)).chunk(2, 1)
                h = torch.addcmul(shift, h, 1 + scale)
            h = conv(F.silu(h))
        return x + h
