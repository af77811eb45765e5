"""The global random number generators: seeded together, saved together, restored last.

Layer: run. Imports checkpoint and core.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from evertrain.checkpoint.plugin import RngSource, Tree, active, wake
from evertrain.checkpoint.tree.generators import check_position
from evertrain.core.errors import StateError

MAX_SEED: Final = 2**32 - 1

# What a generator raises that is given something else than its state.
_REFUSALS: Final = (
    LookupError,
    ValueError,
    TypeError,
    RuntimeError,
    AttributeError,
    ArithmeticError,
)


class PythonRng:
    """The generator behind the functions of `random`."""

    name = "python"

    def capture(self) -> Tree:
        """See `RngSource.capture`."""
        return random.getstate()

    def restore(self, tree: Tree) -> None:
        """See `RngSource.restore`."""
        version, words, gauss = tree
        random.setstate((version, tuple(words), gauss))

    def seed(self, seed: int) -> None:
        """See `RngSource.seed`."""
        random.seed(seed)


class NumpyRng:
    """The legacy generator behind the functions of `numpy.random`."""

    name = "numpy"

    def capture(self) -> Tree:
        """See `RngSource.capture`."""
        return _numpy_random().get_state(legacy=False)

    def restore(self, tree: Tree) -> None:
        """See `RngSource.restore`."""
        check_position(tree)
        _numpy_random().set_state(tree)

    def seed(self, seed: int) -> None:
        """See `RngSource.seed`."""
        _numpy_random().seed(seed)


def _numpy_random() -> Any:
    import numpy as np

    return np.random


def sources() -> list[RngSource]:
    """Return every global generator of this process, in a fixed order.

    numpy always counts, since a save imports it; torch and others come from plugins.
    """
    found: list[RngSource] = [PythonRng(), NumpyRng()]
    return found + [each for plugin in active() for each in plugin.rngs]


def capture() -> dict[str, Tree]:
    """Return the state of every global generator, by name."""
    return {each.name: each.capture() for each in sources()}


def restore(trees: Tree, where: str) -> None:
    """Set every global generator that `trees` names; the others stay as they are.

    A framework that the program imports within its loop is imported here: its generator
    would otherwise start over.

    Args:
        trees: States by name.
        where: Name of what holds them, for the message.

    Raises:
        StateError: One of them is no state of its generator. Others may be set already.
    """
    if not isinstance(trees, dict):  # a file may hold anything
        raise _no_state(f"{where} holds no states of generators, but a {type(trees).__name__}.")
    for name in trees:
        wake(name)
    for each in sources():
        try:
            if each.name in trees:
                each.restore(trees[each.name])
        except _REFUSALS as error:
            problem = f"{type(error).__name__}: {error!s:.200}"
            raise _no_state(
                f"{where} holds no state of the generator {each.name!r}: {problem}"
            ) from error


def _no_state(what: str) -> StateError:
    return StateError(
        what,
        "numbers drawn from here on would be others than without the interruption.",
        "Resume from another checkpoint: --resume STEP",
    )


class Seeder:
    """Seeds each generator once, also those that appear between start and first step.

    Args:
        seed: 0 to 2**32 - 1; None leaves the generators as the program set them.
    """

    def __init__(self, seed: int | None) -> None:
        """Seed nothing yet."""
        self._seed = seed
        self._done: set[str] = set()

    def seed_new(self) -> None:
        """Seed the generators that have appeared since the last call."""
        if self._seed is None:
            return
        for each in sources():
            if each.name not in self._done:
                each.seed(self._seed)
                self._done.add(each.name)


@contextmanager
def isolated() -> Iterator[None]:
    """Shield the generators: whatever the block draws, they are as before after it."""
    before = capture()
    try:
        yield
    finally:
        restore(before, "memory")
