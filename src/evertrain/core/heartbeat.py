"""A sign of life in shared memory: writing one costs no system call.

The trainer writes (step, phase, time); a supervisor reads. Both sides map the
same small file, so a frozen reader never blocks the writer.

Layer: core. Imports core only.
"""

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.core.regular import read_regular

# sequence, pid, step, monotonic seconds, phase (UTF-8, zero padded)
_LAYOUT: Final = struct.Struct("<QQqd32s")
_MAGIC: Final = b"evertrain-hb-1\n\0"
_SIZE_BYTES: Final = len(_MAGIC) + _LAYOUT.size


@dataclass(frozen=True, slots=True)
class Beat:
    """The newest sign of life.

    Attributes:
        pid: Process that gave it.
        step: Last finished step.
        phase: What it was doing: "start", "step", "save", "eval", ...
        at_s: When, in seconds of the machine's monotonic clock.
    """

    pid: int
    step: int
    phase: str
    at_s: float


class Heart:
    """The writing end. One process, any thread; the last write wins.

    Args:
        path: File to map; created if missing.
        pid: Process that beats.
        fs: Disk to create the file on.
        clock: Source of the monotonic time.
    """

    def __init__(
        self, path: Path, pid: int, *, fs: Fs = LOCAL_FS, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """Create the file at its full size and map it."""
        self._clock = clock
        self._pid = pid
        self._count = 0
        fs.write(path, (_MAGIC, bytes(_LAYOUT.size)))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SIZE_BYTES)

    def beat(self, step: int, phase: str) -> None:
        """Say that `step` is finished and `phase` has begun."""
        self._count += 2  # odd while being written: a reader then looks again
        name = phase.encode()[:32]
        row = (self._count - 1, self._pid, step, self._clock.monotonic_s(), name)
        _LAYOUT.pack_into(self._map, len(_MAGIC), *row)
        struct.pack_into("<Q", self._map, len(_MAGIC), self._count)

    def close(self) -> None:
        """Unmap the file; it stays."""
        self._map.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def read_beat(path: Path) -> Beat | None:
    """Return the newest beat, or None before the first one or where no file can be read."""
    for _ in range(100):
        try:
            data = read_regular(path, _SIZE_BYTES)
        except OSError:  # nobody beats, or nobody can hear it
            return None
        if len(data) != _SIZE_BYTES or not data.startswith(_MAGIC):
            return None
        count, pid, step, at_s, name = _LAYOUT.unpack_from(data, len(_MAGIC))
        if count == 0:
            return None
        if count % 2 == 0:
            phase = name.rstrip(b"\0").decode(errors="replace")
            return Beat(pid, step, phase, at_s) if math.isfinite(at_s) else None
    return None
