"""A part of a checkpoint as a file that `torch.load(weights_only=True)` reads.

Layer: integrations. Imports checkpoint and core.
"""

import io
import pickle
import random
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from evertrain.checkpoint.care.export import write_new
from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.tree.generators import generator_to_tree, is_numpy_generator
from evertrain.core.errors import StateError
from evertrain.core.fs import LOCAL_FS, Fs

# Those of numpy that torch has, in either order of bytes.
_DTYPES: Final = frozenset(
    np.dtype(f"{order}{code}")
    for order in "<>"
    for code in ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16")
)
_KEYS: Final = frozenset({str, int, float, bool, bytes, type(None)})
_NAMED: Final = 5  # parts in a message


class _NotPlainError(Exception):
    """Something in a tree has no plain form."""


def write_pt(tree: Tree, out: Path, name: str | None = None, *, fs: Fs = LOCAL_FS) -> int:
    """Write `pt_bytes` as a new file; return how many they are.

    Raises:
        StateError: Something in it would need code to be loaded.
        UsageError: `out` exists.
        OSError: The disk refused.

    Durability:
        As `write_new`.
    """
    return write_new(out, (pt_bytes(tree, name),), fs=fs)


def pt_bytes(tree: Tree, name: str | None = None) -> bytes:
    """Return a tree of tensors, arrays and plain values as torch saves it.

    Arrays become tensors, queues and sets lists, and random generators the numbers that
    they consist of. It is loaded once, as a stranger would, before it counts.

    Args:
        tree: A part of a checkpoint, or all of it.
        name: What that part is called, for a message; None is all of it.

    Raises:
        StateError: Something in it would need code to be loaded.
    """
    try:
        return _saved(tree)
    except _NotPlainError as error:
        raise StateError(
            f"{error}.",
            "torch.load(weights_only=True) reads tensors and plain values only.",
            _advice(tree, name),
        ) from error


def _saved(tree: Tree) -> bytes:
    buffer = io.BytesIO()
    torch.save(_plain(tree, ""), buffer)
    buffer.seek(0)
    try:
        torch.load(buffer, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        msg = f"it holds what would need code to be loaded ({error!s:.120})"
        raise _NotPlainError(msg) from error
    return buffer.getvalue()


def _plain(tree: Tree, at: str) -> object:  # noqa: PLR0911  (one line per kind)
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
    simpler = _simpler(tree)
    if simpler is None:
        raise _NotPlainError(f"{_place(at)} is a {type(tree).__name__}")
    return _plain(simpler, at)


def _simpler(tree: Any) -> object | None:
    """Return what says the same in kinds that need no code, or None."""
    if type(tree) is deque:
        return list(tree)
    if type(tree) in {set, frozenset}:
        return sorted(tree, key=repr)  # the same file every time
    if type(tree) is bytearray:
        return bytes(tree)
    if is_numpy_generator(tree):
        return generator_to_tree(tree)
    if type(tree) is random.Random:
        return tree.getstate()
    return tree.get_state() if type(tree) is torch.Generator else None


def _place(at: str) -> str:
    return at.lstrip(".") or "it"


def _said(key: object) -> str:
    """Return what a message calls a key; not every number can be written out."""
    return key[:60] if isinstance(key, str) else f"a {type(key).__name__}"


def _key(key: object, at: str) -> object:
    if type(key) in _KEYS:
        return key
    raise _NotPlainError(f"{_place(at)} has a {type(key).__name__} as a key")


def _advice(tree: Tree, name: str | None) -> str:
    """Return a line that names parts which can be written: those of this checkpoint."""
    found = list(islice(_writable(tree, name or ""), _NAMED))
    if not found:
        return "Nothing in it can be written so: see --format safetensors, which takes its arrays."
    return f"Export a part that can be: --name {', --name '.join(found)}"


def _writable(tree: Tree, name: str) -> Iterator[str]:
    """Yield the parts at most two levels below `name` that hold numbers, and no code."""
    named = tree.items() if type(tree) is dict else ()
    for key, each in ((key, each) for key, each in named if isinstance(key, str)):
        way = f"{name}.{key}" if name else key
        if _is_plain(each):
            yield way
        elif not name.count("."):
            yield from _writable(each, way)


def _is_plain(tree: Tree) -> bool:
    if type(tree) is not dict or not tree:  # a part of its own is a dict
        return False
    try:
        _plain(tree, "")
    except _NotPlainError:
        return False
    return True
