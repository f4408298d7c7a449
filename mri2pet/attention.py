"""Attention: the published linear attention, in two orders, and ordinary attention.

The published block computes, for each head, ``(softmax(K) V')' Q`` and mixes the heads.
K, Q and V are 128 numbers per voxel, made from 8 to 128 channels. Since Q and V are
linear in the input x, the products may be taken in another order: with
``P = softmax(K) x'`` (128 by C) the whole block is **one matrix C by C per volume,
applied to x**. Only K is needed per voxel, and it is made block by block and thrown
away, forwards and backwards. The numbers are the same up to rounding.

Shape suffixes: B batch, N voxels, C channel, I inner channels (heads times head size).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checks import one_of, whole

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
ORDERS = ("released", "reordered")
# Numbers of K held at once: a few MB, so that they stay in a processor's cache.
_HELD = {"cpu": 2**20, "cuda": 2**27}


class LinearAttention(nn.Module):
    """Linear attention over all voxels, as released.

    The softmax is taken over k's voxels only; q is neither normalised nor scaled, and
    there is no norm and **no residual**: the output replaces the input. Maps
    (B, C, ...) to (B, C, ...). After Shen et al. (2021); MRI2PET, section 3.1, names it
    only.

    Parameters
    ----------
    channels : int
        Channels in and out.
    heads, head_dim : int
        Number of heads and channels of each.
    dims : int
        2 or 3.
    order : {"released", "reordered"}
        Order of the matrix products; the same function, the same parameters.

    Raises
    ------
    ValueError
        An unknown ``order``, or any other ``dims``.

    Examples
    --------
    >>> block = LinearAttention(8)
    >>> x = torch.randn(1, 8, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    >>> released = block(x)
    >>> block.order = "reordered"
    >>> torch.allclose(block(x), released, atol=1e-6)
    True
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int = 4,
        head_dim: int = 32,
        dims: int = 3,
        order: str = "released",
    ) -> None:
        super().__init__()
        one_of("order", order, ORDERS)
        one_of("dims", dims, CONV)
        self.heads, self.order = whole("heads", heads, 1), order
        inner = heads * whole("head_dim", head_dim, 1)
        self.to_qkv = CONV[dims](channels, 3 * inner, 1, bias=False)
        self.to_out = CONV[dims](inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, ...) to (B, C, ...)."""
        return self._released(x) if self.order == "released" else self._reordered(x)

    def _released(self, x: Tensor) -> Tensor:
        batch, grid = x.shape[0], x.shape[2:]
        qkv = self.to_qkv(x).reshape(batch, 3, self.heads, -1, grid.numel())
        q, k, v = qkv.unbind(dim=1)
        context = k.softmax(dim=-1) @ v.transpose(-1, -2)
        out = context.transpose(-1, -2) @ q
        return self.to_out(out.reshape(batch, -1, *grid))

    def _reordered(self, x: Tensor) -> Tensor:
        rows_BNC = x.flatten(2).transpose(1, 2)
        to_q, to_k, to_v = self.to_qkv.weight.flatten(1).chunk(3)
        pooled_BIC = _SoftmaxPool.apply(rows_BNC, to_k)
        # The small matrices stay in full precision: they cost nothing.
        with torch.autocast(x.device.type, enabled=False):
            wide = torch.promote_types(to_q.dtype, torch.float32)
            heads = (self.heads, -1)
            pooled = pooled_BIC.to(wide).unflatten(1, heads)
            context = pooled @ to_v.to(wide).unflatten(0, heads).mT
            per_head = context.mT @ to_q.to(wide).unflatten(0, heads)
            mix = self.to_out.weight.flatten(1).to(wide)
            whole_BCC = mix @ per_head.flatten(1, 2)
        out = torch.baddbmm(
            self.to_out.bias.to(rows_BNC.dtype),
            rows_BNC,
            whole_BCC.mT.to(rows_BNC.dtype),
        )
        return out.transpose(1, 2).unflatten(2, x.shape[2:])


class _SoftmaxPool(torch.autograd.Function):
    """``softmax_N(x W')' x``: each inner channel's weighted mean voxel, (B, I, C).

    K = x W' exists for one block of voxels at a time. The backward pass makes it again
    from x and the stored logarithm of the softmax's denominator.
    """

    @staticmethod
    def forward(ctx, x_BNC: Tensor, weight_IC: Tensor) -> Tensor:
        dtype = _compute_dtype(x_BNC)
        wide = torch.promote_types(dtype, torch.float32)
        w_CI = weight_IC.to(dtype).T
        top = total = pooled = None
        for x in _blocks(x_BNC, len(weight_IC)):
            x = x.to(dtype)
            k = (x @ w_CI).to(wide)
            peak = k.amax(1, keepdim=True)
            if top is None:
                top, before = peak, None
            else:
                new = torch.maximum(top, peak)
                before, top = (top - new).exp_(), new
            e = k.sub_(top).exp_()
            part, sums = e.to(dtype).mT @ x, e.sum(1, keepdim=True)
            if before is None:
                total, pooled = sums, part.to(wide)
            else:
                total = total * before + sums
                pooled = pooled * before.mT + part
        pooled = pooled / total.mT
        ctx.save_for_backward(x_BNC, weight_IC, top + total.log(), pooled)
        ctx.dtype = dtype
        return pooled

    @staticmethod
    def backward(ctx, grad_BIC: Tensor) -> tuple[Tensor, Tensor]:
        x_BNC, weight_IC, log_sum, pooled = ctx.saved_tensors
        dtype = ctx.dtype
        wide = pooled.dtype
        w_IC = weight_IC.to(dtype)
        offset = (grad_BIC * pooled).sum(-1)[:, None]  # (B, 1, I)
        g_BIC = grad_BIC.to(dtype)
        grads, grad_w = [], torch.zeros_like(weight_IC, dtype=wide)
        for x in _blocks(x_BNC, len(weight_IC)):
            x = x.to(dtype)
            s = (x @ w_IC.T).to(wide).sub_(log_sum).exp_()
            ds = (x @ g_BIC.mT).to(wide).sub_(offset).mul_(s).to(dtype)
            grads.append((s.to(dtype) @ g_BIC).add_(ds @ w_IC))
            grad_w += (ds.mT @ x).sum(0)
        grad_x = torch.cat(grads, 1) if len(grads) > 1 else grads[0]
        return grad_x.to(x_BNC.dtype), grad_w.to(weight_IC.dtype)


def _compute_dtype(x: Tensor) -> torch.dtype:
    kind = x.device.type
    return (
        torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
    )


def _blocks(x_BNC: Tensor, inner: int) -> tuple[Tensor, ...]:
    held = _HELD.get(x_BNC.device.type, _HELD["cuda"])
    size = max(64, held // (len(x_BNC) * inner))
    return x_BNC.split(size, dim=1)


class SelfAttention(nn.Module):
    """Pre-norm multi-head self-attention over all voxels, with a residual.

    Its last layer starts at zero, so a fresh block is the identity. Maps (B, C, ...) to
    (B, C, ...). After Vaswani et al. (2017).

    Parameters
    ----------
    channels : int
        Channels in and out, a multiple of ``heads``.
    heads : int
        Number of heads.

    Raises
    ------
    ValueError
        Channels that do not split into the heads.

    Examples
    --------
    >>> x = torch.ones(1, 8, 2, 2, 2)
    >>> torch.equal(SelfAttention(8)(x), x)
    True
    """

    def __init__(self, channels: int, *, heads: int = 4) -> None:
        super().__init__()
        if channels % whole("heads", heads, 1):
            raise ValueError(f"{channels} channels do not split into {heads} heads")
        self.heads = heads
        self.norm = nn.GroupNorm(1, channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, ...) to (B, C, ...)."""
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).unbind(2)
        q, k, v = (a.transpose(1, 2) for a in (q, k, v))
        h = F.scaled_dot_product_attention(q, k, v)
        h = self.out(h.transpose(1, 2).flatten(2))
        return x + h.transpose(1, 2).unflatten(2, x.shape[2:])
