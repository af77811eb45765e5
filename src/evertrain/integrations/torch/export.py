"""A part of a checkpoint as a file that `torch.load(weights_only=True)` reads.

Layer: integrations. Imports checkpoint and core.
"""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch

from evertrain.checkpoint.care.export import write_new
from evertrain.checkpoint.plugin import Tree
from evertrain.core.errors import StateError
from evertrain.core.fs import LOCAL_FS, Fs

# Those of numpy that torch has, in either order of bytes.
_DTYPES: Final = frozenset(
    np.dtype(f"{order}{code}")
    for order in "<>"
    for code in ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16")
)
_KEYS: Final = frozenset({str, int, float, bool, bytes, type(None)})


def write_pt(tree: Tree, out: Path, *, fs: Fs = LOCAL_FS) -> int:
    """Write `pt_bytes` as a new file; return how many they are.

    Raises:
        StateError: Something in it would need code to be loaded.
        UsageError: `out` exists.
        OSError: The disk refused.

    Durability:
        As `write_new`.
    """
    return write_new(out, (pt_bytes(tree),), fs=fs)


def pt_bytes(tree: Tree) -> bytes:
    """Return a tree of tensors, arrays and plain values as torch saves it.

    Arrays become tensors. It is loaded once, as a stranger would, before it counts.

    Raises:
        StateError: Something in it would need code to be loaded.
    """
    buffer = io.BytesIO()
    torch.save(_plain(tree, ""), buffer)
    buffer.seek(0)
    try:
        torch.load(buffer, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(f"it holds what would need code to be loaded ({error!s:.120})") from error
    return buffer.getvalue()


def _plain(tree: Tree, at: str) -> object:
    if isinstance(tree, torch.Tensor):
        return tree.detach()
    if tree is None or type(tree) in {bool, int, float, str, bytes}:
        return tree
    if isinstance(tree, np.generic):
        return tree.item()
    if isinstance(tree, np.ndarray) and tree.dtype in _DTYPES:
        return torch.from_numpy(np.array(tree, dtype=tree.dtype.newbyteorder("=")))
    if isinstance(tree, Mapping) and type(tree).__name__ in {"dict", "OrderedDict"}:
        return {_key(key, at): _plain(each, f"{at}.{_said(key)}") for key, each in tree.items()}
    if type(tree) in {list, tuple}:
        return type(tree)(_plain(each, f"{at}.{i}") for i, each in enumerate(tree))
    raise _refused(f"{at.lstrip('.') or 'it'} is a {type(tree).__name__}")


def _said(key: object) -> str:
    """Return what a message calls a key; not every number can be written out."""
    return key[:60] if isinstance(key, str) else f"a {type(key).__name__}"


def _key(key: object, at: str) -> object:
    if type(key) in _KEYS:
        return key
    raise _refused(f"{at.lstrip('.') or 'it'} has a {type(key).__name__} as a key")


def _refused(problem: str) -> StateError:
    return StateError(
        f"{problem}.",
        "torch.load(weights_only=True) reads tensors and plain values only.",
        "Export a part: --name agent, or --name model.policy",
    )
