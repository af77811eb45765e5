"""Spaces as plain data: what an episode, and a policy without its environment, need of them.

RLlib's own description of a space holds pickled arrays; this one holds none.

Layer: integrations. Imports checkpoint and core.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium

from evertrain.checkpoint.plugin import Tree
from evertrain.core.errors import StateError
from evertrain.integrations.envs.space import built, described, nearest

Space = gymnasium.Space[Any]


def describe(space: Space) -> Tree:
    """Return a space as plain data, without its generator; one of a subclass as its base's.

    Raises:
        StateError: It is of a class that is not known here.
    """
    try:
        return described(space, nearest)
    except ValueError as error:
        raise StateError(
            f"{error} cannot be stored.",
            "only Box, Discrete, MultiDiscrete, MultiBinary, Tuple and Dict can be.",
            "Put the environment into a wrapper that has one of these spaces.",
        ) from error


def build(tree: Tree) -> Space:
    """Return the space that `describe` described.

    Raises:
        StateError: It describes none, or one that is too large to be real.
    """
    try:
        return built(tree)
    except ValueError as error:
        raise StateError(
            f"the checkpoint describes {error}.",
            "spaces are described by their kind, and none is as large as this machine.",
            "Resume from an older checkpoint (evertrain ls RUN; --resume STEP).",
        ) from error


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
