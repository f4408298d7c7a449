"""Checkpoints: plain tensors in one file, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mri2pet.checks import finite, read_tensors


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
    path = Path(path)
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
    return read_tensors(path, f"checkpoint {path}", "delete it to train again")


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
        Weights of another network, or with values that are not finite.

    Examples
    --------
    >>> weights = nn.Linear(3, 1).state_dict()
    >>> load_weights(nn.Linear(2, 1), weights, Path("state.pt"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: checkpoint state.pt: made for another network (size mismatch ...)
    """
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        reason = "; ".join(lines[1:3] or lines)[:160]
        raise ValueError(
            f"checkpoint {path}: made for another network ({reason})"
        ) from None
    for name, value in weights.items():
        finite(f"checkpoint {path}: {name}", value)
