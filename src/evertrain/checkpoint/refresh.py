"""Which shared files are written afresh at the next save.

Checkpoints that share a file share its sector on the disk. A slow rotation
makes sure that none is shared for ever, and that rot in memory or on the disk
does not outlive it. Pure rules.

Layer: checkpoint. Imports nothing from evertrain.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

SAVES: Final = 200  # that it takes to get round: half a per cent at each


class Shared(NamedTuple):
    """A file that a checkpoint shares with the one before.

    Attributes:
        name: Its name.
        bytes: Its size.
        written_at_s: When it was written, Unix seconds.
    """

    name: str
    bytes: int
    written_at_s: float


def due(shared: Sequence[Shared], credit_bytes: int) -> tuple[frozenset[str], int]:
    """Return the files to write afresh, oldest first, and the credit that is left.

    Each save adds half a per cent of the shared bytes to the credit, rounded up; a
    file that is larger waits until there is enough for it.

    Args:
        shared: The shared files.
        credit_bytes: What earlier saves did not use.
    """
    credit_bytes += -(-sum(each.bytes for each in shared) // SAVES)
    chosen: list[str] = []
    for each in sorted(shared, key=lambda each: (each.written_at_s, each.name)):
        if each.bytes > credit_bytes:
            break
        credit_bytes -= each.bytes
        chosen.append(each.name)
    return frozenset(chosen), credit_bytes if shared else 0
