"""Checkpoints: plain tensors in one file, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def save_tensors(content: dict[str, Any], path: Path) -> None:
    """`torch.save` under a temporary name, then rename.

    A process that is killed leaves the old file or the new one, never half of one.

    Parameters
    ----------
    content : dict
        Tensors, numbers, strings, and lists and dictionaries of them.
    path : Path
        The file; its folder is made.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save_tensors({"step": 3}, Path(folder) / "run" / "state.pt")
    ...     [path.name for path in Path(folder, "run").iterdir()]
    ['state.pt']
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    torch.save(content, temporary)
    os.replace(temporary, path)


def load_tensors(path: Path) -> dict[str, Any]:
    """Read a checkpoint as plain tensors only; anything else is refused.

    Parameters
    ----------
    path : Path
        A file of `save_tensors`.

    Returns
    -------
    dict
        Its content, tensors on the CPU.

    Raises
    ------
    ValueError
        No such file, a damaged one, or one that would run code when read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "state.pt"
    ...     save_tensors({"step": 3, "weight": torch.ones(2)}, path)
    ...     load_tensors(path)
    {'step': 3, 'weight': tensor([1., 1.])}
    """
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
    """`load_state_dict`, with a message that names the file.

    Parameters
    ----------
    model : Module
        Receives the weights.
    weights : dict of str to Tensor
        Its state dictionary.
    path : Path
        Where they come from, for the message.

    Raises
    ------
    ValueError
        Weights of another network.

    Examples
    --------
    >>> weights = nn.Linear(3, 1).state_dict()
    >>> load_weights(nn.Linear(2, 1), weights, Path("state.pt"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: checkpoint state.pt: made for another network (size mismatch ...)
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:3]]
        raise ValueError(
            f"checkpoint {path}: made for another network ({'; '.join(lines)[:160]})"
        ) from None
