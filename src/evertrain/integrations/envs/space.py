"""Spaces of Gymnasium as plain data, and back: a checkpoint names no classes.

Layer: integrations. Imports checkpoint only.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from gymnasium import spaces

from evertrain.checkpoint.plugin import Tree

_MAX_NUMBERS: Final = 2**24  # of one observation: a picture of 4096 x 4096

# What comes of data that describes no space.
_WRONG: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

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
    """
    try:
        if _numbers_in(tree) > _MAX_NUMBERS:
            raise ValueError("too large to be real")
        with np.errstate(all="ignore"):
            space = _built(tree)
        if described(space) != tree:  # Gymnasium takes numbers that do not fit, and wraps them
            raise ValueError("its numbers do not fit")
    except _WRONG as error:
        raise ValueError(f"no space ({str(error) or type(error).__name__:.120})") from error
    return space


def _built(tree: Tree) -> spaces.Space[Any]:
    ((name, data),) = tree.items()
    return _BUILD[name](data)


def _numbers_in(tree: Tree) -> int:
    """Return how many numbers an element has, before anything is made of it."""
    ((name, data),) = tree.items()
    if name not in _BUILD:
        raise ValueError(f"of the kind {name!r:.60}")
    match name:
        case "tuple":
            return sum(_numbers_in(each) for each in data)
        case "dict":
            return sum(_numbers_in(each) for _, each in data)
        case "multi_binary":
            return math.prod(_shape(data if isinstance(data, list) else [data]))
        case "discrete":
            return 1
    return math.prod(_shape(data["shape"]))


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
    if min(shape, default=0) < 0:
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
    "tuple": lambda data: spaces.Tuple([_built(each) for each in data]),
    "dict": lambda data: spaces.Dict([(key, _built(each)) for key, each in data]),
}
