"""A thread that shows a watcher that this interpreter runs, and where its loop is.

A heartbeat of a thread alone would be worthless: it goes on beside a loop that hangs. Beside
the loop's own beats it tells a frozen interpreter (a library that holds the lock of the
interpreter) from a loop that only takes long.

Layer: run. Imports core only.
"""

import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.fs import Fs
from evertrain.core.heartbeat import Heart
from evertrain.run import stacks
from evertrain.run.opening import ENV_HEARTBEAT, ENV_SUPERVISED

PERIOD_S: Final = 1.0
# A loop that has been silent for so long is looked at, seconds.
SILENT_S: Final = 5.0
_MAX_DEPTH: Final = 64


class Pulse:
    """Looks after one heart, in a daemon thread.

    Args:
        heart: What to show it in.
        clock: Source of the time.

    Attributes:
        is_over: Whether another one has taken over; the thread then ends.
    """

    def __init__(self, heart: Heart, *, clock: Clock = SYSTEM_CLOCK) -> None:
        """Start no thread yet."""
        self.is_over = False
        self._heart = heart
        self._clock = clock
        self._moves = 0
        self._seen: tuple[float, tuple[CodeType, ...]] | None = None
        self._stacks = stacks.install()
        if self._stacks is not None:
            heart.offer_stacks(*self._stacks)

    def run(self) -> None:
        """Look once a second, until it is over or the process ends."""
        never = threading.Event()
        while not self.is_over:
            self.look()
            self._clock.wait(never, PERIOD_S)

    def look(self) -> None:
        """Show what can be seen now."""
        if self._stacks is not None and not stacks.is_ours(self._stacks[0]):
            self._stacks = None
            self._heart.offer_stacks(0, 0)
        if not threading.main_thread().is_alive():
            self._heart.leave()
        self._moves += self._has_moved()
        self._heart.pulse(self._moves)

    def _has_moved(self) -> bool:
        """Say whether a silent loop is in other functions than at the last look."""
        began_s = self._heart.at_s
        if self._clock.monotonic_s() - began_s < SILENT_S:
            self._seen = None
            return False
        now, before = (began_s, _functions(self._heart.thread)), self._seen
        self._seen = now
        return before is not None and before[0] == now[0] and before[1] != now[1]


def start_heart(path: Path, environ: Mapping[str, str], *, fs: Fs, clock: Clock) -> Heart | None:
    """Begin to beat where the supervisor listens, with a pulse if there is one.

    Returns:
        None where that is impossible: a full disk must not keep a run from starting.
    """
    try:
        heart = Heart(Path(environ.get(ENV_HEARTBEAT) or path), os.getpid(), fs=fs, clock=clock)
    except OSError:
        return None
    if ENV_SUPERVISED in environ:
        _follow(Pulse(heart))
    return heart


def is_followed(heart: Heart) -> bool:
    """Say whether a pulse writes to `heart`: it must stay mapped until the process ends."""
    return any(each._heart is heart for each in _FOLLOWED)  # noqa: SLF001


_FOLLOWED: Final[list[Pulse]] = []


def _follow(pulse: Pulse) -> None:
    for each in _FOLLOWED:
        each.is_over = True
    _FOLLOWED[:] = [pulse]
    try:
        threading.Thread(target=pulse.run, name="evertrain-pulse", daemon=True).start()
    except RuntimeError:  # the system refuses: then the beats have to do
        _FOLLOWED.clear()


def _functions(thread: int) -> tuple[CodeType, ...]:
    """Return the functions in which a thread is: its lines change in an endless loop, too."""
    frame: FrameType | None = sys._current_frames().get(thread)  # noqa: SLF001
    found: list[CodeType] = []
    while frame is not None and len(found) < _MAX_DEPTH:
        found.append(frame.f_code)
        frame = frame.f_back
    return tuple(found)
