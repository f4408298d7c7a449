"""Checkpoints: plain tensors in one file, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def save_tensors(content: dict[str, Any], path: Path) -> None:
    """`torch.save` under a temporary name, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    torch.save(content, temporary)
    os.replace(temporary, path)


def load_tensors(path: Path) -> dict[str, Any]:
    """Read a checkpoint as plain tensors only; anything else is refused."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"checkpoint {path}: there is no such file") from None
    except Exception as error:  # noqa: BLE001 - any failure means: not usable
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"checkpoint {path}: damaged or not plain tensors ({reason}); "
            "delete it to train again"
        ) from None


def load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """`load_state_dict`, with a message that names the file."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:3]]
        raise ValueError(
            f"checkpoint {path}: made for another network ({'; '.join(lines)[:160]})"
        ) from None
