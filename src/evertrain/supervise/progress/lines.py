"""The newest step in a stream of output, at a bounded cost.

Of each piece that arrives the newest line with a step counts, of the first one with any also
the oldest: there the attempt began. Looking for it takes at most a fiftieth of a processor;
what comes faster is passed on unread, but for its end, and counted.

Layer: supervise. Imports core only.
"""

import re
from typing import Final

from evertrain.core.clock import Clock
from evertrain.supervise.progress.pattern import LINE_CHARS, TooSlowError, search
from evertrain.supervise.progress.trail import Trail

_SHARE: Final = 0.02
_CREDIT_S: Final = 0.1
_ENDS: Final = re.compile(rb"[\r\n]+")
# A character has up to four bytes, and may have colors around it.
_LINE_BYTES: Final = 8 * LINE_CHARS
_QUIET_LOOKS: Final = 2  # without a word in between, after which a line is whole
_UNREAD_LINES: Final = 16  # after which silence may follow, and the newest step be among them


class StepReader:
    """Reads steps from what a training prints.

    Args:
        pattern: Regular expression, see `pattern.search`.
        clock: Source of the time.

    Attributes:
        trail: The steps so far; one that is printed twice is one.
        lost_lines: How many lines came too fast, and were left unread.
        problem: Why it reads no more, or None.
    """

    def __init__(self, pattern: str, *, clock: Clock) -> None:
        """Compile `pattern`."""
        self.trail = Trail()
        self.lost_lines = 0
        self.problem: str | None = None
        self._pattern = re.compile(pattern)
        self._clock = clock
        self._began_s = clock.monotonic_s()
        self._spent_s = 0.0
        self._rest = b""
        self._quiet_looks = 0
        self._is_ending = False
        self._unread: list[bytes] = []

    def hear(self, data: bytes) -> None:
        """Read the next piece of output."""
        *whole, rest = _ENDS.split(self._rest + data)
        self._rest = rest[:_LINE_BYTES]
        self._quiet_looks = 0
        if whole:
            self._search(whole)

    def settle(self) -> None:
        """Take what has no end yet for a line, if nothing was added since the last call.

        A progress bar ends a line with the beginning of the next one. A line without a step
        may still get one: unbuffered programs write it piece by piece.
        """
        self._quiet_looks += 1
        if self._unread:
            self._search([])
        if self._rest and self._quiet_looks == _QUIET_LOOKS and self._search([self._rest]):
            self._rest = b""

    def end(self) -> None:
        """Take what has no end for a line, and read what came too fast: no more will come."""
        self._quiet_looks, self._is_ending = _QUIET_LOOKS - 1, True
        self.settle()

    def _search(self, lines: list[bytes]) -> bool:
        """Take over the newest step in lines. Say whether there is one."""
        if self.problem:
            return False
        lines, self._unread = [*self._unread, *lines], []
        if self._is_too_much:
            self._unread = [each[:_LINE_BYTES] for each in lines[-_UNREAD_LINES:]]
            self._lose(len(lines) - len(self._unread))
            return False
        began_s = self._clock.thread_cpu_s()  # who only waits for a processor spends nothing
        newest: int | None = None
        try:
            if self.trail.first is None and len(lines) > 1:  # a whole epoch in one piece
                self._move_to(search(self._pattern, map(_text, lines)))
            newest = search(self._pattern, map(_text, reversed(lines)))
        except TooSlowError:
            self.problem = "--progress takes too long for a line of the output"
        self._spent_s += self._clock.thread_cpu_s() - began_s
        self._move_to(newest)
        return newest is not None

    def _lose(self, count: int) -> None:
        if count > 0:
            self.lost_lines += count
            self.trail = self.trail.left_behind()

    @property
    def _is_too_much(self) -> bool:
        """Whether searching has taken more than its share."""
        passed_s = self._clock.monotonic_s() - self._began_s
        return not self._is_ending and self._spent_s > _CREDIT_S + _SHARE * passed_s

    def _move_to(self, step: int | None) -> None:
        if step is not None:
            is_same = step == self.trail.last
            self.trail = self.trail.caught_up() if is_same else self.trail.moved(step)


def _text(line: bytes) -> str:
    return line[:_LINE_BYTES].decode(errors="replace")
