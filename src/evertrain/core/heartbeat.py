"""A sign of life in shared memory: writing one costs no system call.

The trainer writes (step, phase, time), how long each phase took at most, and
how it can be asked for its stacks; a supervisor reads. A frozen reader never
blocks the writer.

Layer: core. Imports core only.
"""

import math
import mmap
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import get_ident
from typing import Final, Self

from evertrain.core import proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.core.proc import Proc
from evertrain.core.regular import read_regular

_MAGIC: Final = b"evertrain-hb-2\n\0"
# sequence, step, monotonic seconds, phase (UTF-8, zero padded)
_BEAT: Final = struct.Struct("=Qqd32s")
# pid, its start time
_OWNER: Final = struct.Struct("=QQ")
# monotonic seconds of the last pulse, moves, signal and descriptor for stacks, leaving
_PULSE: Final = struct.Struct("=dQQQQ")
# longest seconds, phase
_SPAN: Final = struct.Struct("=d32s")
_SPANS: Final = 32

_OWNER_AT: Final = len(_MAGIC) + _BEAT.size
_PULSE_AT: Final = _OWNER_AT + _OWNER.size
_SPANS_AT: Final = _PULSE_AT + _PULSE.size
_SIZE_BYTES: Final = _SPANS_AT + _SPANS * _SPAN.size

_OPEN: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

# Words of eight bytes, which a processor writes in one go: cheaper to store than to pack.
_SEQUENCE: Final = len(_MAGIC) // 8
_STEP: Final = _SEQUENCE + 1
_AT: Final = _SEQUENCE + 2
_PHASE_AT: Final = len(_MAGIC) + 24
_PULSED: Final = _PULSE_AT // 8
_MOVES: Final = _PULSED + 1
_SIGNAL: Final = _PULSED + 2
_HANDLE: Final = _PULSED + 3
_LEAVING: Final = _PULSED + 4

# The first steps of an attempt: they compile, fill caches, and last as long as they like.
FIRST: Final = "first"
# How long the newest of them took: what a step is like here, before one has been seen.
WARM: Final = "(warm)"
# The phase of a command that gives no beats of its own: its supervisor does, as it gets on.
PROGRESS: Final = "progress"
# What the file that stacks are written to is called: /proc/PID/fd shows it.
STACKS: Final = "evertrain-stacks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The newest sign of life.

    Attributes:
        pid: Process that gave it.
        step: Last finished step.
        phase: What it was doing: "start", "step", "save", "eval", ...
        at_s: When, in seconds of the machine's monotonic clock.
        count: How many there were before it.
        start_time: Start of the process, in clock ticks since boot; 0 unknown.
        pulse_s: When its interpreter last ran a thread beside the loop, monotonic seconds;
            None if there is no such thread.
        moves: How often that thread found a silent loop in other functions than before.
        stacks: Signal that writes the stacks of all threads, and the descriptor that it
            writes to; None where nobody may ask.
        is_leaving: Whether the main thread has ended.
        longest_s: Longest time between two beats, by phase, seconds.
    """

    pid: int
    step: int
    phase: str
    at_s: float
    count: int = 1
    start_time: int = 0
    pulse_s: float | None = None
    moves: int = 0
    stacks: tuple[int, int] | None = None
    is_leaving: bool = False
    longest_s: Mapping[str, float] = field(default_factory=dict)


class Heart:
    """The writing end. One process, any thread; the last write wins.

    Args:
        path: File to map; created if missing.
        pid: Process that beats.
        fs: Disk to create the file on.
        clock: Source of the monotonic time.

    Attributes:
        phase: That of the newest beat.
        at_s: When it was, monotonic seconds.
        thread: Identifier of the thread that gave it.

    Raises:
        OSError: The file can be neither created nor mapped.
    """

    def __init__(
        self, path: Path, pid: int, *, fs: Fs = LOCAL_FS, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """Map the file at its full size, and forget what was in it."""
        self._now_s = clock.monotonic_s
        self._count = 0
        self._longest: dict[str, float] = {}
        self._most_s = math.inf  # of the phase that runs: nothing to learn below it
        self.phase, self.at_s, self.thread = "", self._now_s(), get_ident()
        self._map = _mapped(path, fs)
        self._map[len(_MAGIC) :] = bytes(_SIZE_BYTES - len(_MAGIC))
        _OWNER.pack_into(self._map, _OWNER_AT, pid, proc.start_time(pid) or 0)
        raw = memoryview(self._map)
        self._views = raw, raw.cast("q"), raw.cast("d")
        self._words, self._times = self._views[1:]

    def beat(self, step: int, phase: str) -> None:
        """Say that `step` is finished and `phase` has begun."""
        words, now_s = self._words, self._now_s()
        self._count = count = self._count + 2
        words[_SEQUENCE] = count - 1  # odd while being written: a reader then looks again
        if phase != self.phase or now_s - self.at_s > self._most_s:
            self._turn(phase, now_s - self.at_s)
        self.at_s = self._times[_AT] = now_s
        words[_STEP] = step
        words[_SEQUENCE] = count

    def pass_step(self, step: int) -> None:
        """Say that `step` is finished, and no more: for steps that follow in microseconds."""
        self._words[_STEP] = step

    def pulse(self, moves: int) -> None:
        """Say that the interpreter runs, and how often a silent loop was found elsewhere."""
        self._times[_PULSED], self._words[_MOVES] = self._now_s(), moves

    def offer_stacks(self, number: int, handle: int) -> None:
        """Say that the signal `number` writes all stacks to the descriptor `handle`; 0: none."""
        self._words[_HANDLE], self._words[_SIGNAL] = handle, number

    def leave(self) -> None:
        """Say that the main thread has ended."""
        self._words[_LEAVING] = 1

    def take_back(self) -> None:
        """Leave as little as before the first beat: nobody shall wait for another one."""
        self._words[_SEQUENCE] = 0

    def close(self) -> None:
        """Unmap the file; it stays."""
        for view in reversed(self._views):
            view.release()
        self._map.close()

    def _turn(self, phase: str, took_s: float) -> None:
        """Remember how long the phase that ends has taken, and begin another one."""
        if self.phase == FIRST:
            self._learn(WARM, took_s)
        if self.phase and took_s > self._longest.get(self.phase, -1.0):
            self._learn(self.phase, took_s)
        if phase != self.phase:
            self.phase, self.thread = phase, get_ident()
            struct.pack_into("32s", self._map, _PHASE_AT, phase.encode()[:32])
        self._most_s = -1.0 if phase == FIRST else self._longest.get(phase, -1.0)

    def _learn(self, phase: str, took_s: float) -> None:
        if phase not in self._longest and len(self._longest) == _SPANS:
            return
        self._longest[phase] = took_s
        at = _SPANS_AT + list(self._longest).index(phase) * _SPAN.size
        _SPAN.pack_into(self._map, at, took_s, phase.encode()[:32])

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
        count, step, at_s, name = _BEAT.unpack_from(data, len(_MAGIC))
        if count == 0:
            return None
        if count % 2 == 0:
            return _beat(data, count // 2, step, at_s, name) if math.isfinite(at_s) else None
    return None


def forget_beat(path: Path) -> None:
    """Take back what a dead process has beaten, so that nobody takes it for a later one's.

    The file stays, emptied in place: on a full disk there may be no room for another one.
    What a live process beats is left alone, and so is what is no heartbeat, or closed to us.
    """
    beat = read_beat(path)
    if beat is None or Proc(beat.pid, beat.start_time).is_alive:
        return
    with suppress(OSError):
        handle = os.open(path, os.O_WRONLY | _OPEN)
        try:
            os.pwrite(handle, bytes(_SIZE_BYTES - len(_MAGIC)), len(_MAGIC))
        finally:
            os.close(handle)


def _beat(data: bytes, count: int, step: int, at_s: float, name: bytes) -> Beat:
    pid, start_time = _OWNER.unpack_from(data, _OWNER_AT)
    pulse_s, moves, number, handle, leaving = _PULSE.unpack_from(data, _PULSE_AT)
    return Beat(
        pid=pid,
        step=step,
        phase=_text(name),
        at_s=at_s,
        count=count,
        start_time=start_time,
        pulse_s=pulse_s if math.isfinite(pulse_s) and pulse_s else None,
        moves=moves,
        stacks=(number, handle) if number else None,
        is_leaving=leaving != 0,
        longest_s={
            _text(phase): longest_s
            for longest_s, phase in _SPAN.iter_unpack(data[_SPANS_AT:])
            if phase.strip(b"\0") and math.isfinite(longest_s) and longest_s >= 0
        },
    )


def _text(name: bytes) -> str:
    return name.rstrip(b"\0").decode(errors="replace")


def _mapped(path: Path, fs: Fs) -> mmap.mmap:
    """Map the file; a new one only where there is none of ours.

    Another process, or another run of this one, may have it mapped: to truncate it would
    kill whoever writes to it at that moment.
    """
    with suppress(OSError):
        return _map(path)
    fs.write(path, (_MAGIC, bytes(_SIZE_BYTES - len(_MAGIC))))
    return _map(path)


def _map(path: Path) -> mmap.mmap:
    handle = os.open(path, os.O_RDWR | _OPEN)
    try:
        if os.fstat(handle).st_size != _SIZE_BYTES or os.pread(handle, 16, 0) != _MAGIC:
            raise OSError("it is no heartbeat of this version")
        return mmap.mmap(handle, _SIZE_BYTES)
    finally:
        os.close(handle)
