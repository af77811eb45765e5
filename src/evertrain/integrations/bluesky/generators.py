"""A stream of random numbers behind the global generators, lent to code that knows no other.

The simulator and its environments draw from `random` and `numpy.random`. Here
they find a stream of their own there, and the process finds its generators as
they were.

Layer: integrations. Imports nothing from evertrain.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_WORDS = 8  # of 32 bits: what each generator is seeded with


class Stream:
    """The states of both global generators while somebody else uses them."""

    def __init__(self, seed: int) -> None:
        """Begin where `seed` begins; nothing global changes."""
        outer = _states()
        words = np.random.SeedSequence(seed).generate_state(_WORDS)
        random.seed(words.tobytes())
        np.random.seed(words)  # noqa: NPY002  (the one that environments draw from)
        self._own = _states()
        _put(outer)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let the global generators be this stream, for as long as the block lasts."""
        outer = _states()
        _put(self._own)
        try:
            yield
        finally:
            self._own = _states()
            _put(outer)


def _states() -> tuple[Any, Any]:
    return random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002  (idem)


def _put(states: tuple[Any, Any]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002  (idem)
