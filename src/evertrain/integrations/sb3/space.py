"""Spaces of Gymnasium as plain data, and back: a checkpoint names no classes.

Layer: integrations. Imports checkpoint only.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from gymnasium import spaces

from evertrain.checkpoint.plugin import Tree

_MAX_NUMBERS: Final = 2**24  # of one observation: a picture of 4096 x 4096


def described(space: spaces.Space[Any]) -> Tree:
    """Return a space as plain data; its generator is left out.

    Raises:
        ValueError: It is of a kind that is not known here.
    """
    kind = type(space)
    if kind not in _DESCRIBE:
        raise ValueError(f"a space of the class {kind.__name__}")
    return {_NAMES[kind]: _DESCRIBE[kind](space)}


def built(tree: Tree) -> spaces.Space[Any]:
    """Return the space that `described` described. The data may come from anybody.

    Raises:
        ValueError: It describes no space, or one that is too large to be real.
        LookupError: It lacks a part.
        TypeError: A part of it is of the wrong kind.
    """
    if not isinstance(tree, Mapping) or len(tree) != 1:
        raise ValueError("no space is described")
    ((name, data),) = tree.items()
    return _BUILD[name](data)


def _box(space: Any) -> Tree:
    return {
        "shape": list(space.shape),
        "dtype": str(space.dtype),
        "low": _bound(space.low),
        "high": _bound(space.high),
    }


def _bound(limits: np.ndarray[Any, Any]) -> Tree:
    """Return one number where all are equal, as they are in every picture."""
    is_uniform = limits.size > 0 and bool((limits == limits.flat[0]).all())
    return limits.flat[0].item() if is_uniform else limits.ravel().tolist()


def _build_box(data: Any) -> spaces.Space[Any]:
    shape, dtype = _shape(data["shape"]), np.dtype(data["dtype"])
    if dtype.kind not in "iufb":
        raise ValueError(f"a box of {dtype}")
    low, high = (
        np.full(shape, limit, dtype) if np.ndim(limit) == 0 else np.reshape(limit, shape)
        for limit in (data["low"], data["high"])
    )
    return spaces.Box(low.astype(dtype), high.astype(dtype), shape, dtype.type)


def _shape(sizes: Any) -> tuple[int, ...]:
    shape = tuple(int(size) for size in sizes)
    if min(shape, default=0) < 0 or math.prod(shape) > _MAX_NUMBERS:
        raise ValueError(f"a space of shape {shape!s:.60}")
    return shape


def _build_multi_discrete(data: Any) -> spaces.Space[Any]:
    shape = _shape(data["shape"])
    counts, start = (np.reshape(data[part], shape).astype(np.int64) for part in ("n", "start"))
    return spaces.MultiDiscrete(counts, start=start)


def _build_binary(sizes: Any) -> spaces.Space[Any]:
    shape = _shape(sizes if isinstance(sizes, list) else [sizes])
    return spaces.MultiBinary(shape if isinstance(sizes, list) else shape[0])


_NAMES: Final[dict[type, str]] = {
    spaces.Box: "box",
    spaces.Discrete: "discrete",
    spaces.MultiDiscrete: "multi_discrete",
    spaces.MultiBinary: "multi_binary",
    spaces.Dict: "dict",
}
_DESCRIBE: Final[dict[type, Callable[[Any], Tree]]] = {
    spaces.Box: _box,
    spaces.Discrete: lambda space: {"n": int(space.n), "start": int(space.start)},
    spaces.MultiDiscrete: lambda space: {
        "shape": list(space.nvec.shape),
        "n": space.nvec.ravel().tolist(),
        "start": space.start.ravel().tolist(),
    },
    spaces.MultiBinary: lambda space: list(space.n) if isinstance(space.n, tuple) else int(space.n),
    # In their order, which need not be that of the names: networks read them in it.
    spaces.Dict: lambda space: [[key, described(each)] for key, each in space.spaces.items()],
}
_BUILD: Final[dict[str, Callable[[Any], spaces.Space[Any]]]] = {
    "box": _build_box,
    "discrete": lambda data: spaces.Discrete(int(data["n"]), start=int(data["start"])),
    "multi_discrete": _build_multi_discrete,
    "multi_binary": _build_binary,
    "dict": lambda data: spaces.Dict([(str(key), built(each)) for key, each in data]),
}
