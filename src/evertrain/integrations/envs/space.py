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


KindOf = Callable[[Any], type]


def described(space: spaces.Space[Any], kind_of: KindOf = type) -> Tree:
    """Return a space as plain data; its generator is left out.

    Args:
        space: What to describe.
        kind_of: Tells as what class a space counts; by itself its own, and a subclass, which
            may mean anything, is not known. See `nearest`.

    Raises:
        ValueError: It is of a kind that is not known here.
    """
    kind = kind_of(space)
    if kind not in _DESCRIBE:
        raise ValueError(f"a space of the class {type(space).__name__}")
    return {_NAMES[kind]: _DESCRIBE[kind](space, kind_of)}


def nearest(space: spaces.Space[Any]) -> type:
    """Return the known class that a space is of, or derived from; else its own."""
    return next((kind for kind in type(space).__mro__ if kind in _DESCRIBE), type(space))


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


def _box(space: Any, _: KindOf) -> Tree:
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


def _multi_discrete(space: Any, _: KindOf) -> Tree:
    return {
        "shape": list(space.nvec.shape),
        "dtype": str(space.dtype),
        "n": space.nvec.ravel().tolist(),
        "start": space.start.ravel().tolist(),
    }


def _build_multi_discrete(data: Any) -> spaces.Space[Any]:
    shape, dtype = _shape(data["shape"]), np.dtype(data["dtype"])
    if dtype.kind not in "iu":
        raise ValueError(f"counts of {dtype}")
    counts, start = (np.reshape(data[part], shape).astype(dtype) for part in ("n", "start"))
    return spaces.MultiDiscrete(counts, dtype.type, start=start)


def _binary(space: Any, _: KindOf) -> Tree:
    return list(space.n) if isinstance(space.n, tuple) else int(space.n)


def _build_binary(sizes: Any) -> spaces.Space[Any]:
    shape = _shape(sizes if isinstance(sizes, list) else [sizes])
    return spaces.MultiBinary(shape if isinstance(sizes, list) else shape[0])


_NAMES: Final[dict[type, str]] = {
    spaces.Box: "box",
    spaces.Discrete: "discrete",
    spaces.MultiDiscrete: "multi_discrete",
    spaces.MultiBinary: "multi_binary",
    spaces.Tuple: "tuple",
    spaces.Dict: "dict",
}
_DESCRIBE: Final[dict[type, Callable[[Any, KindOf], Tree]]] = {
    spaces.Box: _box,
    spaces.Discrete: lambda space, _: {"n": int(space.n), "start": int(space.start)},
    spaces.MultiDiscrete: _multi_discrete,
    spaces.MultiBinary: _binary,
    spaces.Tuple: lambda space, kind_of: [described(each, kind_of) for each in space.spaces],
    # In their order, which need not be that of the names: networks read them in it.
    spaces.Dict: lambda space, kind_of: [
        [key, described(each, kind_of)] for key, each in space.spaces.items()
    ],
}
_BUILD: Final[dict[str, Callable[[Any], spaces.Space[Any]]]] = {
    "box": _build_box,
    "discrete": lambda data: spaces.Discrete(int(data["n"]), start=int(data["start"])),
    "multi_discrete": _build_multi_discrete,
    "multi_binary": _build_binary,
    "tuple": lambda data: spaces.Tuple([built(each) for each in data]),
    "dict": lambda data: spaces.Dict([(str(key), built(each)) for key, each in data]),
}
