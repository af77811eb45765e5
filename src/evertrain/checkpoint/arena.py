"""Memory that saves copy into: taken once, used again by each save.

Fresh memory costs two to four times the copy itself, for the system must
clear every page of it first.

Layer: checkpoint. Imports core only.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

_ALIGNMENT: Final = 64
_PATIENCE: Final = 3  # saves in a row that need far less, before memory is given back
_FAR_LESS: Final = 4


class Arena:
    """One stretch of memory, handed out from its start, and again from its start.

    Attributes:
        capacity_bytes: How much it holds now.
    """

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._memory: Bytes | None = None
        self._used = 0
        self._idle = 0

    @property
    def capacity_bytes(self) -> int:
        """How much it holds now."""
        return 0 if self._memory is None else self._memory.nbytes

    def start(self, sizes: "list[int]") -> None:
        """Take back all that was handed out, and make room for pieces of these bytes.

        Raises:
            MemoryError: There is no room.
        """
        import numpy as np

        need = sum(map(_rounded, sizes))
        self._used = 0
        self._idle = self._idle + 1 if need * _FAR_LESS < self.capacity_bytes else 0
        if self._memory is None or need > self.capacity_bytes or self._idle >= _PATIENCE:
            self._memory = None  # first: two of them at once would be one too many
            self._memory = np.empty(need, np.uint8)
            self._idle = 0

    def take(self, size_bytes: int) -> "Bytes":
        """Return the next `size_bytes`; their contents are whatever was there."""
        if self._memory is None:
            raise AssertionError("start first")
        view = self._memory[self._used : self._used + size_bytes]
        self._used += _rounded(size_bytes)
        return view

    def release(self) -> None:
        """Give all memory back."""
        self._memory = None
        self._used = self._idle = 0


def _rounded(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGNMENT) * _ALIGNMENT
