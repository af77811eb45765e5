"""A part of a checkpoint as a file that `torch.load(weights_only=True)` reads.

Layer: integrations. Imports checkpoint and core.
"""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from evertrain.checkpoint.care.export import write_new
from evertrain.checkpoint.plugin import Tree
from evertrain.core.errors import StateError
from evertrain.core.fs import LOCAL_FS, Fs


def write_pt(tree: Tree, out: Path, *, fs: Fs = LOCAL_FS) -> int:
    """Write a tree of tensors, arrays and plain values; return its bytes.

    Arrays become tensors. The file is loaded once, as a stranger would, before it counts.

    Raises:
        StateError: Something in it would need code to be loaded.
        UsageError: `out` exists.
        OSError: The disk refused.

    Durability:
        As `write_new`.
    """
    buffer = io.BytesIO()
    torch.save(_plain(tree, ""), buffer)
    buffer.seek(0)
    torch.load(buffer, map_location="cpu", weights_only=True)
    return write_new(out, (buffer.getbuffer(),), fs=fs)


def _plain(tree: Tree, at: str) -> object:
    if isinstance(tree, torch.Tensor):
        return tree.detach()
    if tree is None or type(tree) in {bool, int, float, str, bytes}:
        return tree
    if isinstance(tree, np.generic):
        return tree.item()
    if isinstance(tree, np.ndarray) and tree.dtype.kind in "biufc":
        return torch.from_numpy(np.array(tree, dtype=tree.dtype.newbyteorder("=")))
    if isinstance(tree, Mapping) and type(tree).__name__ in {"dict", "OrderedDict"}:
        return {key: _plain(each, f"{at}.{key}") for key, each in tree.items()}
    if type(tree) in {list, tuple}:
        return type(tree)(_plain(each, f"{at}.{i}") for i, each in enumerate(tree))
    raise StateError(
        f"{at.lstrip('.') or 'it'} is a {type(tree).__name__}.",
        "torch.load(weights_only=True) reads tensors and plain values only.",
        "Export a part: --name agent, or --name model.policy",
    )
