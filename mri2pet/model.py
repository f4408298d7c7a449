"""The two denoisers: the published network, exactly, and ours.

Both follow one protocol: ``cond = model.encode(mri)`` once per sample, then
``model(x_t, t, cond)`` as often as the sampler asks, with an output of the shape of
``x_t``. What the output means (noise, clean volume, velocity) is the caller's choice.

Shape suffixes: B batch, C channel, E embedding, D H W depth, height, width (z, y, x).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import LinearAttention, SelfAttention
from .blocks import (
    LINEAR_MODE,
    DoubleConv,
    Down,
    MRIEncoder,
    ResBlock,
    Up,
    conv_nd,
    depth_to_space,
    space_to_depth,
    time_code,
)
from .checks import one_of, whole, wholes
from .denoiser import Denoiser

CONDITIONINGS = ("spatial", "global")
CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}


class PublishedUNet(Denoiser):
    """The network of the released MRI2PET code: 13,085,945 parameters at its sizes.

    A four-level U-Net with linear attention after each level. The MRI enters as **one
    256-number vector**, added to the time code, and reaches a voxel only as an
    additive constant per channel. MRI2PET, section 3.1, names the parts; the sizes are
    in the released code only.

    Parameters
    ----------
    pet_shape : (D, H, W)
        Grid of the PET; each axis a multiple of 16.
    mri_shape : (D, H, W)
        Grid of the MRI; each axis at least 16.
    attention : {"released", "reordered"}
        Order of the attention's matrix products (`mri2pet.attention`): the same
        function and weights; "reordered" is faster and needs less memory.

    Raises
    ------
    ValueError
        A grid without three axes or with an axis that does not fit, or an unknown
        ``attention``.

    Examples
    --------
    On the meta device a network has shapes but no memory:

    >>> with torch.device("meta"):
    ...     model = PublishedUNet()
    >>> sum(p.numel() for p in model.parameters())
    13085945
    """

    EMBED = 256

    def __init__(
        self,
        pet_shape: Sequence[int] = (32, 128, 128),
        mri_shape: Sequence[int] = (64, 144, 144),
        *,
        attention: str = "released",
    ) -> None:
        super().__init__()
        self.pet_shape = wholes("pet_shape", pet_shape, 1)
        self.mri_shape = wholes("mri_shape", mri_shape, 1)
        if len(self.pet_shape) != 3 or any(n < 16 or n % 16 for n in self.pet_shape):
            raise ValueError(
                "pet_shape needs three axes, multiples of 16 (four poolings); "
                f"got {self.pet_shape}"
            )
        if len(self.mri_shape) != 3:
            raise ValueError(f"mri_shape needs three axes; got {self.mri_shape}")
        self.cond_shape = (self.EMBED,)
        self.mri_encoder = MRIEncoder(self.mri_shape, self.EMBED)
        widths = (8, 16, 32, 64, 128)
        self.inc = DoubleConv(1, 8)
        self.downs = nn.ModuleList(
            Down(a, b, self.EMBED) for a, b in itertools.pairwise(widths)
        )
        self.down_attention = nn.ModuleList(
            LinearAttention(w, order=attention) for w in widths[1:]
        )
        self.bottom = nn.Sequential(*(DoubleConv(128, 128) for _ in range(3)))
        outs = (64, 32, 16, 8)
        ins = (128 + 64, 64 + 32, 32 + 16, 16 + 8)
        self.ups = nn.ModuleList(
            Up(a, b, self.EMBED) for a, b in zip(ins, outs, strict=True)
        )
        self.up_attention = nn.ModuleList(
            LinearAttention(w, order=attention) for w in outs
        )
        self.out = conv_nd(3, 8, 1, 1)

    def encode(self, mri_BCDHW: Tensor) -> Tensor:
        """Encode the MRI once; the result serves every step of the sampler.

        Parameters
        ----------
        mri_BCDHW : Tensor
            MRI in [0, 1], shape (B, 1, D, H, W).

        Returns
        -------
        Tensor
            The condition, shape (B, 256).

        Raises
        ------
        ValueError
            Another shape, or no floating-point type.

        Examples
        --------
        >>> model = PublishedUNet((16, 16, 16), (32, 16, 16))
        >>> model.encode(torch.zeros(2, 1, 32, 16, 16)).shape
        torch.Size([2, 256])
        """
        self.check_mri(mri_BCDHW)
        return self.through(self.mri_encoder, mri_BCDHW)

    def forward(self, x_BCDHW: Tensor, t_B: Tensor, cond: Tensor) -> Tensor:
        """Denoise.

        Parameters
        ----------
        x_BCDHW : Tensor
            Noisy PET in network units, shape (B, 1, D, H, W).
        t_B : Tensor
            Integer steps, shape (B,).
        cond : Tensor
            Output of `encode`, shape (B, 256).

        Returns
        -------
        Tensor
            Shape (B, 1, D, H, W); the released code trains it to be the noise.

        Raises
        ------
        ValueError
            Shapes, types or batch sizes that do not fit.

        Examples
        --------
        Each item has a step of its own:

        >>> model = PublishedUNet((16, 16, 16), (32, 16, 16))
        >>> cond = model.encode(torch.zeros(2, 1, 32, 16, 16))
        >>> model(torch.zeros(2, 1, 16, 16, 16), torch.tensor([1, 999]), cond).shape
        torch.Size([2, 1, 16, 16, 16])
        """
        self.check_noisy(x_BCDHW, t_B, cond)
        e = time_code(t_B, self.EMBED).to(cond.dtype) + cond
        x = self.through(self.inc, x_BCDHW)
        skips = []
        for down, attention in zip(self.downs, self.down_attention, strict=True):
            skips.append(x)
            x = self.through(attention, self.through(down, x, e))
        x = self.through(self.bottom, x)
        for up, attention in zip(self.ups, self.up_attention, strict=True):
            x = self.through(attention, self.through(up, x, skips.pop(), e))
        return self.out(x)


class SpatialUNet(Denoiser):
    """A U-Net on folded voxels, with the MRI in place.

    The body is a residual U-Net (Ronneberger et al., 2015; Ho et al., 2020). Folding
    (Shi et al., 2016) moves voxels into channels, where a convolution is cheap.

    Parameters
    ----------
    pet_shape : (D, H, W) or (H, W)
        Grid of the PET.
    mri_shape : (D, H, W) or (H, W)
        Grid of the MRI. Twice the PET's grid along each axis is used as it is; any
        other is first resampled to that.
    width : int
        Channels of the first level, a multiple of 8.
    channel_mults : sequence of int
        Channels of each level as multiples of ``width``; its length is the number of
        levels.
    patch : int
        In-plane block of PET voxels folded into channels.
    conditioning : {"spatial", "global"}
        Concatenate the folded MRI to the input, or add the published MRI encoder's
        vector to the time embedding.
    attention : bool
        Self-attention at the lowest level.

    Raises
    ------
    ValueError
        Grids, ``width``, ``patch`` or ``channel_mults`` that do not fit each other, or
        an unknown ``conditioning``.

    Examples
    --------
    A fresh network says zero, because its last convolution starts there:

    >>> net = SpatialUNet((8, 16, 16), (16, 32, 32), width=8)
    >>> cond = net.encode(torch.ones(1, 1, 16, 32, 32))
    >>> net(torch.ones(1, 1, 8, 16, 16), torch.tensor([500]), cond).abs().max().item()
    0.0
    """

    def __init__(
        self,
        pet_shape: Sequence[int],
        mri_shape: Sequence[int],
        *,
        width: int = 32,
        channel_mults: Sequence[int] = (1, 2, 2),
        patch: int = 2,
        conditioning: str = "spatial",
        attention: bool = True,
    ) -> None:
        super().__init__()
        self.pet_shape = wholes("pet_shape", pet_shape, 1)
        self.mri_shape = wholes("mri_shape", mri_shape, 1)
        dims = self.dims = len(self.pet_shape)
        if dims not in (2, 3) or len(self.mri_shape) != dims:
            raise ValueError(
                "pet_shape and mri_shape need two or three axes, as many as each "
                f"other; got {self.pet_shape} and {self.mri_shape}"
            )
        one_of("conditioning", conditioning, CONDITIONINGS)
        if whole("width", width, 8) % 8:
            raise ValueError(f"width must be a multiple of 8; got {width}")
        patch = whole("patch", patch, 1)
        channel_mults = wholes("channel_mults", channel_mults, 1)
        self.factors = (patch,) * dims if dims == 2 else (1, patch, patch)
        halvings = 2 ** (len(channel_mults) - 1)
        for n, f in zip(self.pet_shape, self.factors, strict=True):
            if n % (f * halvings):
                raise ValueError(
                    f"each axis of pet_shape {self.pet_shape} must be divisible by "
                    f"{tuple(f * halvings for f in self.factors)}"
                )
        self.conditioning = conditioning
        self.mri_factors = tuple(2 * f for f in self.factors)
        self.fine_shape = tuple(2 * n for n in self.pet_shape)
        embed = 4 * width
        widths = [width * m for m in channel_mults]
        folded = patch**2

        if conditioning == "spatial":
            folds = zip(self.pet_shape, self.factors, strict=True)
            self.cond_shape = (width, *(n // f for n, f in folds))
            self.mri_stem = conv_nd(dims, folded * 2**dims, width, 1, bias=False)
        else:
            self.cond_shape = (embed,)
            self.mri_encoder = MRIEncoder(self.mri_shape, 256)
            self.mri_to_embed = nn.Linear(256, embed)
        self.time = nn.Sequential(
            nn.Linear(256, embed), nn.SiLU(), nn.Linear(embed, embed)
        )
        self.stem = conv_nd(dims, folded, width, 3, padding=1)
        self.down_blocks, self.downs = nn.ModuleList(), nn.ModuleList()
        self.up_blocks, self.ups = nn.ModuleList(), nn.ModuleList()
        for level, (a, b) in enumerate(itertools.pairwise(widths)):
            # Folded voxels at full resolution dominate the cost, and the stem and head
            # convolve there too: one convolution a block is enough at this level.
            convs = 1 if level == 0 else 2
            self.down_blocks.append(ResBlock(a, embed, convs=convs, dims=dims))
            self.downs.append(conv_nd(dims, a, b, 2, stride=2))
            # Upsampling repeats voxels: mixing channels before it is 2**dims cheaper.
            self.ups.insert(0, conv_nd(dims, b, a, 1))
            self.up_blocks.insert(0, ResBlock(a, embed, convs=convs, dims=dims))
        bottom = widths[-1]
        self.bottom1 = ResBlock(bottom, embed, dims=dims)
        self.attention = SelfAttention(bottom) if attention else nn.Identity()
        self.bottom2 = ResBlock(bottom, embed, dims=dims)
        self.norm = nn.GroupNorm(1, width)
        self.head = conv_nd(dims, width, folded, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.to(memory_format=CHANNELS_LAST[dims])

    def encode(self, mri: Tensor) -> Tensor:
        """Encode the MRI once; the result serves every step of the sampler.

        Parameters
        ----------
        mri : Tensor
            MRI in [0, 1], shape (B, 1, D, H, W), or (B, 1, H, W) in two dimensions.

        Returns
        -------
        Tensor
            Spatial: (B, width, D, H/patch, W/patch), the MRI's share of the first
            convolution of the concatenation [x, MRI], which is the sum of a
            convolution of x and one of the MRI. Global: (B, 4 width).

        Raises
        ------
        ValueError
            Another shape, or no floating-point type.

        Examples
        --------
        >>> mri = torch.zeros(1, 1, 16, 16, 16)
        >>> for how in CONDITIONINGS:
        ...     net = SpatialUNet(
        ...         (8, 8, 8), (16, 16, 16), width=8, conditioning=how
        ...     )
        ...     print(how, tuple(net.encode(mri).shape))
        spatial (1, 8, 8, 4, 4)
        global (1, 32)
        """
        self.check_mri(mri)
        if self.conditioning == "global":
            return self.mri_to_embed(self.through(self.mri_encoder, mri))
        if self.mri_shape != self.fine_shape:
            mri = F.interpolate(
                mri,
                size=self.fine_shape,
                mode=LINEAR_MODE[self.dims],
                align_corners=False,
            )
        return self.mri_stem(space_to_depth(mri, self.mri_factors))

    def forward(self, x: Tensor, t_B: Tensor, cond: Tensor) -> Tensor:
        """Denoise.

        Parameters
        ----------
        x : Tensor
            Noisy PET in network units, shape (B, 1, D, H, W) or (B, 1, H, W).
        t_B : Tensor
            Integer steps, shape (B,).
        cond : Tensor
            Output of `encode`.

        Returns
        -------
        Tensor
            The shape of ``x``.

        Raises
        ------
        ValueError
            Shapes, types or batch sizes that do not fit.

        Examples
        --------
        The same class is a network for slices when the grids have two axes:

        >>> net = SpatialUNet((16, 16), (32, 32), width=8)
        >>> cond = net.encode(torch.zeros(3, 1, 32, 32))
        >>> net(torch.zeros(3, 1, 16, 16), torch.tensor([1, 500, 999]), cond).shape
        torch.Size([3, 1, 16, 16])
        """
        self.check_noisy(x, t_B, cond)
        e = self.time(time_code(t_B, 256).to(x.dtype))
        h = self.stem(space_to_depth(x, self.factors))
        if self.conditioning == "spatial":
            h = h + cond
        else:
            e = e + cond
        e = F.silu(e)
        skips = []
        for block, down in zip(self.down_blocks, self.downs, strict=True):
            h = self.through(block, h, e)
            skips.append(h)
            h = down(h)
        h = self.attention(self.through(self.bottom1, h, e))
        h = self.through(self.bottom2, h, e)
        for up, block in zip(self.ups, self.up_blocks, strict=True):
            h = F.interpolate(up(h), scale_factor=2, mode="nearest") + skips.pop()
            h = self.through(block, h, e)
        return depth_to_space(self.head(F.silu(self.norm(h))), self.factors)
