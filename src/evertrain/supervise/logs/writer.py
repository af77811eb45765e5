"""The log of one attempt, while it is written.

Layer: supervise. Imports monitor and core.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.monitor.logs import closed_path, list_pieces, number_of
from evertrain.supervise.logs.collapse import Collapse

PIECE_BYTES: Final = 16 << 20
# How often a drawing that goes on is written down as it is then.
STATE_EVERY_S: Final = 10.0


class LogWriter:
    """Appends what a training writes, collapsed, and cuts the file where it gets large.

    Text is in the file when `write` returns; the newest state of a drawing (a progress bar)
    at most `STATE_EVERY_S` later. It waits for nothing but the disk's append and rename, and
    for `piece_ended`.

    Args:
        path: The last piece, which this one appends to.
        piece_ended: Called behind each cut, and once more behind the end of all.
        piece_bytes: Size at which a piece is closed, at the end of a line; in the middle of
            one at twice that.
        fs: Disk of the log.
        clock: Source of the time.

    Attributes:
        lost_bytes: What the disk refused.
    """

    def __init__(
        self,
        path: Path,
        *,
        piece_ended: Callable[[], None] = lambda: None,
        piece_bytes: int = PIECE_BYTES,
        fs: Fs = LOCAL_FS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Make the file: whoever follows it need not wait for the first word."""
        with suppress(OSError):  # a full disk; each write tries again
            fs.append(path, b"")
        self.lost_bytes = 0
        self._path = path
        self._piece_ended = piece_ended
        self._piece_bytes = piece_bytes
        self._fs = fs
        self._clock = clock
        self._collapse = Collapse()
        self._due_s: float | None = None
        pieces = list_pieces(path.parent, number_of(path) or 0)
        self._closed_count = max((each.number or 0 for each in pieces), default=0)
        self._size_bytes = sum(each.size_bytes for each in pieces if each.number is None)
        self._cut_at_bytes = piece_bytes

    def write(self, data: bytes) -> None:
        """Take what was written. A full disk loses it, counts it, and raises nothing."""
        self._put(self._collapse.feed(data))
        if not self._collapse.is_holding:
            self._due_s = None
        elif self._due_s is None:
            self._due_s = self._clock.monotonic_s() + STATE_EVERY_S
        self.tick()

    def wait_s(self) -> float | None:
        """Return after how many seconds `tick` has something to do; None for nothing."""
        return None if self._due_s is None else max(0.0, self._due_s - self._clock.monotonic_s())

    def tick(self) -> None:
        """Write the state of a drawing down if that is due."""
        if self._due_s is not None and self._clock.monotonic_s() >= self._due_s:
            self._due_s = None
            self._put(self._collapse.state())

    def close(self) -> None:
        """Write what is left."""
        self._due_s = None
        self._put(self._collapse.end())
        self._piece_ended()

    def _put(self, data: bytes) -> None:
        """Append, and cut behind the last line that has its end, once there is enough."""
        after_bytes = self._size_bytes + len(data)
        if after_bytes >= self._cut_at_bytes:
            whole = data.rfind(b"\n") + 1
            whole = whole or (len(data) if after_bytes >= 2 * self._cut_at_bytes else 0)
            if whole:
                self._append(data[:whole])
                self._cut()
                data = data[whole:]
        self._append(data)

    def _append(self, data: bytes) -> None:
        if not data:
            return
        try:
            self._fs.append(self._path, data)
            self._size_bytes += len(data)
        except OSError:  # a full disk must not stop the training
            self.lost_bytes += len(data)

    def _cut(self) -> None:
        """Close the piece by a rename: a reader of it goes on reading, and finds the next."""
        try:
            self._fs.replace(self._path, closed_path(self._path, self._closed_count + 1))
        except OSError:  # it goes on growing, and is tried again later
            self._cut_at_bytes = self._size_bytes + self._piece_bytes
            return
        self._closed_count += 1
        self._size_bytes, self._cut_at_bytes = 0, self._piece_bytes
        with suppress(OSError):  # a full disk; what is dropped now may make room
            self._fs.append(self._path, b"")
        self._piece_ended()
