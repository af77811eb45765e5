"""Spaces as plain data: what an episode, and a policy without its environment, need of them.

RLlib's own description of a space holds pickled arrays; this one holds none, and what
it names is one of the classes below.

Layer: integrations. Imports checkpoint and core.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces

from evertrain.checkpoint.plugin import Tree
from evertrain.core.errors import StateError

_MAX_NUMBERS: Final = 2**24  # of one observation: a picture of 4096 x 4096

Space = gymnasium.Space[Any]


def describe(space: Space) -> Tree:
    """Return a space as plain data, without its generator.

    Raises:
        StateError: It is of a class that is not known here.
    """
    match space:
        case spaces.Box():
            return {"kind": "box", "low": space.low, "high": space.high}
        case spaces.Discrete():
            return {"kind": "discrete", "n": int(space.n), "start": int(space.start)}
        case spaces.MultiDiscrete():
            return {"kind": "multi_discrete", "nvec": space.nvec, "start": space.start}
        case spaces.MultiBinary():
            return {"kind": "multi_binary", "shape": list(space.shape)}
        case spaces.Tuple():
            return {"kind": "tuple", "parts": [describe(each) for each in space.spaces]}
        case spaces.Dict():
            parts = [[key, describe(each)] for key, each in space.spaces.items()]
            return {"kind": "dict", "parts": parts}
    raise StateError(
        f"a space is a {type(space).__name__}.",
        "only Box, Discrete, MultiDiscrete, MultiBinary, Tuple and Dict can be stored.",
        "Put the environment into a wrapper that has one of these spaces.",
    )


def build(tree: Tree) -> Space:
    """Return the space that `describe` described.

    Raises:
        StateError: It describes none, or one that is too large to be real.
    """
    kind = tree.get("kind") if isinstance(tree, dict) else None
    match kind:
        case "box":
            low, high = np.asarray(tree["low"]), np.asarray(tree["high"])
            return spaces.Box(low, high, dtype=low.dtype.type)
        case "discrete":
            return spaces.Discrete(tree["n"], start=tree["start"])
        case "multi_discrete":
            nvec = np.asarray(tree["nvec"])
            return spaces.MultiDiscrete(nvec, dtype=nvec.dtype.type, start=tree["start"])
        case "multi_binary":
            shape = [int(size) for size in tree["shape"]]
            if min(shape, default=0) < 0 or math.prod(shape) > _MAX_NUMBERS:
                raise _no_space(f"shape {shape}")
            return spaces.MultiBinary(shape[0] if len(shape) == 1 else shape)
        case "tuple":
            return spaces.Tuple([build(each) for each in tree["parts"]])
        case "dict":
            return spaces.Dict([(key, build(each)) for key, each in tree["parts"]])
    raise _no_space(repr(kind))


def _no_space(what: str) -> StateError:
    return StateError(
        f"{what:.80} is no space.",
        "the checkpoint describes spaces by their kind, and none as large as this machine.",
        "Resume from an older checkpoint (evertrain ls RUN; --resume STEP).",
    )


class Table:
    """The spaces of many episodes, each of them once.

    Args:
        known: The spaces that are there already.
    """

    def __init__(self, known: Sequence[Space] = ()) -> None:
        """Keep them in order."""
        self._spaces = list(known)

    def index(self, space: Space | None) -> int | None:
        """Return the place of a space, a new one if it has none; None for no space."""
        if space is None:
            return None
        for place, each in enumerate(self._spaces):
            if each is space or each == space:
                return place
        self._spaces.append(space)
        return len(self._spaces) - 1

    def at(self, place: int | None) -> Space | None:
        """Return the space of a place."""
        return None if place is None else self._spaces[place]

    def trees(self) -> list[Tree]:
        """Return all of them as plain data."""
        return [describe(each) for each in self._spaces]


def table(trees: Sequence[Tree]) -> Table:
    """Return the table that was stored."""
    return Table([build(each) for each in trees])
