"""Memory that saves copy into: taken once, used again by each save.

Fresh memory costs two to four times the copy itself, for the system must
clear every page of it first. Forked workers get zeros in its place: a page that
is shared with one would have to be copied at the next save. Its place must stay
taken there: whoever frees it in a worker would free what was put there since.

Layer: checkpoint. Imports core only.
"""

import mmap
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from evertrain.core.machine import available_bytes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

_WIPE_ON_FORK: Final = 18  # <asm-generic/mman-common.h>; Python has no name for it

_ALIGNMENT: Final = 64
_PATIENCE: Final = 3  # saves in a row that need far less, before memory is given back
_FAR_LESS: Final = 4
_SPARE: Final = 8  # an eighth more than is needed, for a state that grows
_SHARE: Final = 0.9  # of the free memory that may be taken: the training will want some, too
# What Linux should know of the memory: no copies for forks, large pages.
_ADVICE: Final = (_WIPE_ON_FORK, mmap.MADV_HUGEPAGE) if sys.platform == "linux" else ()


class Arena:
    """One stretch of memory, handed out from its start, and again from its start.

    Args:
        available: Returns the bytes of memory that may still be taken.

    Attributes:
        capacity_bytes: How much it holds now.
        turn: How often it was handed out. What an earlier turn got is overwritten.
    """

    def __init__(self, available: Callable[[], int] = available_bytes) -> None:
        """Hold nothing yet."""
        self._available = available
        self._memory: Bytes | None = None
        self._owner = 0
        self._used = 0
        self._idle = 0
        self.turn = 0

    @property
    def capacity_bytes(self) -> int:
        """How much it holds now."""
        return 0 if self._memory is None else self._memory.nbytes

    def start(self, sizes: "list[int]") -> None:
        """Take back all that was handed out, and make room for pieces of these bytes.

        Raises:
            MemoryError: There is no room.
        """
        need = sum(map(_rounded, sizes))
        self._used = 0
        self.turn += 1
        if self._owner != os.getpid():
            self._memory = None  # a fork has none of it
        self._idle = self._idle + 1 if need * _FAR_LESS < self.capacity_bytes else 0
        if self._memory is None or need > self.capacity_bytes or self._idle >= _PATIENCE:
            self._renew(need)

    def take(self, size_bytes: int) -> "Bytes":
        """Return the next `size_bytes`; their contents are whatever was there."""
        if self._memory is None:
            raise AssertionError("start first")
        view = self._memory[self._used : self._used + size_bytes]
        self._used += _rounded(size_bytes)
        return view

    def is_current(self, turn: int) -> bool:
        """Say whether what was handed out in that turn is still as it was filled."""
        return turn == self.turn and self._owner == os.getpid()

    def _renew(self, need: int) -> None:
        """Take other memory in place of what there is.

        Raises:
            MemoryError: There is no room. Linux would say so much later, and by a kill.
        """
        had, self._memory = self.capacity_bytes, None  # first: two would be one too many
        self._idle, self._owner = 0, os.getpid()
        spare = need + need // _SPARE
        room = (self._available() + had) * _SHARE if spare > had else spare
        if need > room:
            raise MemoryError(f"{need} bytes for a copy, of {int(room)}")
        self._memory = _fresh(spare if spare <= room else need)


def _fresh(size_bytes: int) -> "Bytes":
    import numpy as np

    if not size_bytes:
        return np.empty(0, np.uint8)
    private = (
        {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    )
    try:
        memory = mmap.mmap(-1, size_bytes, **private)
    except OSError as error:
        raise MemoryError(str(error)) from error
    for each in _ADVICE:
        with suppress(OSError):  # a kernel without it
            memory.madvise(each)
    return np.frombuffer(memory, np.uint8)


def _rounded(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGNMENT) * _ALIGNMENT
