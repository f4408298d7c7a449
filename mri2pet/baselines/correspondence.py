"""Samples should resemble one another in the target domain as they did in the source.

Ojha et al. (2021) keep a generator that learns from few images diverse in this way;
Zhu et al. (2022) do the same with a diffusion model.

Shape suffixes: B batch, N numbers of a sample, O the others of a batch, B - 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

DIVERGENCES = ("correct", "released")


def correspondence(
    source: Tensor, target: Tensor, *, temperature: float = 1.0, kl: str = "correct"
) -> Tensor:
    """Divergence between the resemblances in source and target.

    For sample i, the softmax of its cosine similarities to the others of the batch is
    a distribution over them: p_i in the source, q_i in the target. The term is the
    mean over i of KL(p_i || q_i) (Ojha et al., 2021, section 3.1).

    Parameters
    ----------
    source, target : Tensor
        Images or activations of the same B samples, shape (B, ...); flattened here.
        The source is a fixed reference: no gradient reaches it.
    temperature : float
        Similarities are divided by it.
    kl : {"correct", "released"}
        The released code gives PyTorch's `kl_div` the probability q where it expects
        log q, and takes its mean over the entries too: p (log p - q) (audit, 6.4). This
        is no divergence. It is negative for equal distributions, and lowest where q has
        all its weight at the likeliest other of p.

    Returns
    -------
    Tensor
        Scalar, float32.

    Raises
    ------
    ValueError
        With fewer than three samples: a softmax over one other sample is constant.

    Examples
    --------
    >>> x = torch.eye(3)
    >>> print(f"{correspondence(x, x).abs():.4f}")
    0.0000
    >>> round(correspondence(x, x, kl="released").item(), 4)  # (log(1/2) - 1/2) / 2
    -0.5966
    """
    if kl not in DIVERGENCES:
        raise ValueError(f"kl must be one of {', '.join(DIVERGENCES)}; got {kl!r}")
    if len(source) != len(target):
        raise ValueError(
            f"{len(source)} samples of the source and {len(target)} of the target: "
            "expected the same ones"
        )
    if len(source) < 3:
        raise ValueError(
            "a correspondence compares each sample with two others or more, so a "
            f"micro-batch needs at least 3 samples; got {len(source)}"
        )
    log_p_BO = _log_resemblance(source.detach(), temperature)
    log_q_BO = _log_resemblance(target, temperature)
    if kl == "released":
        return (log_p_BO.exp() * (log_p_BO - log_q_BO.exp())).mean()
    return (log_p_BO.exp() * (log_p_BO - log_q_BO)).sum(dim=1).mean()


def _log_resemblance(x: Tensor, temperature: float) -> Tensor:
    """Log-softmax over the cosine similarities to the others, shape (B, B - 1)."""
    n = len(x)
    with torch.autocast(x.device.type, enabled=False):  # differences are small
        unit_BN = F.normalize(x.flatten(1).float(), dim=1)
        cosine_BB = unit_BN @ unit_BN.T
    others = ~torch.eye(n, dtype=torch.bool, device=x.device)
    return (cosine_BB[others].view(n, n - 1) / temperature).log_softmax(dim=1)
