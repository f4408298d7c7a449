"""Peaks of this machine: what no network can exceed."""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F


def _best(call, repeats: int = 8) -> float:
    call()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def matmul(dtype: str, size: int = 2048) -> dict[str, float]:
    """GFLOP/s of a square matrix product."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(size, size, generator=generator) for _ in range(2))
    a, b = a.to(getattr(torch, dtype)), b.to(getattr(torch, dtype))
    return {"value": 2 * size**3 / _best(lambda: a @ b) / 1e9}


def convolution(dtype: str, channels: int = 64) -> dict[str, float]:
    """GFLOP/s of a 3-D convolution in channels-last memory."""
    generator = torch.Generator().manual_seed(0)
    kind = {"dtype": getattr(torch, dtype), "memory_format": torch.channels_last_3d}
    x = torch.randn(8, channels, 8, 24, 24, generator=generator).to(**kind)
    w = torch.randn(channels, channels, 3, 3, 3, generator=generator).to(**kind)
    flop = 2 * 27 * channels * x.numel()
    return {"value": flop / _best(lambda: F.conv3d(x, w, padding=1)) / 1e9}


def stream(mb: int = 512) -> dict[str, float]:
    """GB/s, read and written, of a sum of two large arrays."""
    n = mb * 2**20 // 4
    a, b = torch.zeros(n), torch.ones(n)
    return {"value": 3 * 4 * n / _best(lambda: torch.add(a, b, out=a)) / 1e9}
