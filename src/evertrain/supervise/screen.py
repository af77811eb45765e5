"""The terminal, written to by a thread: a blocked one blocks nobody else.

Ctrl+S, a suspended `less` or a dead network must not stop a training. What does not fit
into the bounded queue is dropped, and counted on the screen once it moves again.

Layer: supervise. Imports core only.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Mapping
from typing import Final

from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.printable import printable

LIMIT_BYTES: Final = 4 << 20
_COLORS: Final = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "bold": 1, "dim": 2}


class Screen:
    """Where people look.

    Args:
        handle: Descriptor to write to.
        environ: Environment that may say NO_COLOR or TERM=dumb.
        limit_bytes: Size of the queue, bytes.
        clock: Source of the time.

    Attributes:
        is_terminal: Whether `handle` is one.
        has_color: Whether colors are welcome.
        dropped_bytes: What did not fit so far, bytes.
    """

    def __init__(
        self,
        handle: int = 1,
        *,
        environ: Mapping[str, str] = os.environ,
        limit_bytes: int = LIMIT_BYTES,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Start the thread."""
        self.handle = handle
        self.is_terminal = _is_terminal(handle)
        plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        self.has_color = self.is_terminal and not plain
        self.dropped_bytes = 0
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._unsaid_bytes = 0
        self._is_broken = False
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name="evertrain-screen", daemon=True).start()

    def write(self, data: bytes) -> None:
        """Queue `data`, or drop it where the queue is full or the terminal gone. Never waits."""
        with self._changed:
            if self._is_broken:
                return
            if self._queued_bytes + len(data) > self._limit_bytes:
                self.dropped_bytes += len(data)
                self._unsaid_bytes += len(data)
                return
            if self._unsaid_bytes:
                note = f"\r\n[evertrain: {self._unsaid_bytes:,} bytes not shown; see the log]\r\n"
                data = note.encode() + data
                self._unsaid_bytes = 0
            self._queue.append(data)
            self._queued_bytes += len(data)
            self._changed.notify_all()

    def say(self, text: str = "", color: str | None = None) -> None:
        """Show one line."""
        line = self.paint(printable(text, keep="\n\t"), color)
        self.write(line.encode(errors="replace") + b"\n")

    def paint(self, text: str, color: str | None) -> str:
        """Return `text` in `color` where colors are welcome."""
        if color is None or not self.has_color or not text:
            return text
        return f"\x1b[{_COLORS[color]}m{text}\x1b[0m"

    def size(self) -> tuple[int, int]:
        """Return rows and columns of the terminal; 24 and 80 where they are unknown."""
        try:
            found = os.get_terminal_size(self.handle)
        except OSError:
            return 24, 80
        return (found.lines or 24), (found.columns or 80)

    def flush(self, *, patience_s: float = 0.3, limit_s: float = 3.0) -> bool:
        """Wait until all is written. Give up where nothing moves, or after `limit_s` seconds.

        Args:
            patience_s: Longest time without a single byte written, seconds.
            limit_s: Longest time at all, seconds.

        Returns:
            Whether everything queued was written.
        """
        deadline_s = self._clock.monotonic_s() + limit_s
        with self._changed:
            while self._queued_bytes and self._clock.monotonic_s() < deadline_s:
                before = self._queued_bytes
                self._changed.wait(patience_s)
                if self._queued_bytes >= before:
                    return False
            return not self._queued_bytes

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue)
                data = self._queue.popleft()
            while data:
                count = self._write_some(data)
                if count is None:
                    return
                data = data[count:]
                with self._changed:
                    self._queued_bytes -= count
                    self._changed.notify_all()

    def _write_some(self, data: bytes) -> int | None:
        """Write a part of `data`, however long that takes; None if the terminal is gone."""
        try:
            return os.write(self.handle, data[:4096])
        except BlockingIOError:  # somebody made the shared terminal non-blocking
            select.select([], [self.handle], [])
            return 0
        except OSError:
            with self._changed:
                self._is_broken = True
                self._queue.clear()
                self._queued_bytes = 0
                self._changed.notify_all()
            return None


def _is_terminal(handle: int) -> bool:
    try:
        return os.isatty(handle)
    except OSError:
        return False
