"""How long nothing was heard of a training, added up look by look. Pure.

Time counts only while the watcher itself runs: it was suspended, stopped or starved
together with the training if a look comes late.

Layer: supervise. Imports core only.
"""

from dataclasses import dataclass
from typing import Final

from evertrain.core.heartbeat import Beat

# Below this, a tree is idle: housekeeping threads use as much.
IDLE_CPU: Final = 0.02
IDLE_BYTES_S: Final = 10_000.0
# A trainer's own pulse reads a file of the kernel in one go; a short look must not mistake that.
PULSE_BYTES: Final = 4096
# From here on, whoever is waited for is at work: a simulator that loads, a worker that decodes.
HELPING_CPU: Final = 0.3


@dataclass(frozen=True, slots=True)
class Activity:
    """What a tree has done until now.

    Attributes:
        at_s: When, monotonic seconds.
        cpu_s: Processor time of all, seconds.
        own_cpu_s: That of the trainer alone.
        io_bytes: Bytes that all have read and written.
        pids: Who they are.
        is_blocked: Whether one of them waits for a disk.
    """

    at_s: float
    cpu_s: float
    io_bytes: int
    pids: frozenset[int]
    own_cpu_s: float = 0.0
    is_blocked: bool = False

    def is_idle_since(self, before: "Activity") -> bool:
        """Say whether hardly anything was done since `before`."""
        seconds = self.at_s - before.at_s
        return (
            self.pids == before.pids
            and self.cpu_s - before.cpu_s < IDLE_CPU * seconds
            and self.io_bytes - before.io_bytes < IDLE_BYTES_S * seconds + PULSE_BYTES
        )

    def is_helped_since(self, before: "Activity") -> bool:
        """Say whether the trainer has waited since `before`, and others have worked."""
        least_s = HELPING_CPU * (self.at_s - before.at_s)
        own_s = self.own_cpu_s - before.own_cpu_s
        return own_s < least_s <= self.cpu_s - before.cpu_s - own_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What one look saw.

    Attributes:
        beat: Newest beat of the trainer, or None.
        output_bytes: What the training has printed so far.
        activity: What its tree has done, or None where nobody looked.
        has_trainer: Whether whoever gave the beat is alive in the tree.
        is_stopped: Whether it is stopped.
        is_traced: Whether a debugger is attached to it.
        is_frozen: Whether its interpreter runs no thread any more.
    """

    beat: Beat | None = None
    output_bytes: int = 0
    activity: Activity | None = None
    has_trainer: bool = False
    is_stopped: bool = False
    is_traced: bool = False
    is_frozen: bool = False


class Silence:
    """What has not been heard for how long, each in seconds.

    Attributes:
        signs: What the last look saw.
        silent_s: Since the last beat, or the start.
        unheard_s: Since the last output, or the start.
        quiet_s: Since the last sign of any activity.
        stopped_s: Since it was stopped, without a break.
        moves: How often the loop was found in other functions in this silence.
        is_helped: Whether the trainer waits for processes of its own that are at work.
    """

    def __init__(self) -> None:
        """Begin with the start."""
        self.signs = Signs()
        self.silent_s = self.unheard_s = self.quiet_s = self.stopped_s = 0.0
        self.moves = 0
        self.is_helped = False
        self._moves_before = 0
        self._activity: Activity | None = None

    def note(self, signs: Signs, seconds: float) -> None:
        """Take note of a look, `seconds` of time behind the one before it."""
        before, self.signs = self.signs, signs
        if not signs.is_traced:
            self.silent_s += seconds
            self.unheard_s += seconds
            self.quiet_s += seconds
            self.stopped_s = self.stopped_s + seconds if signs.is_stopped else 0.0
        if _has_news(before.beat, signs.beat):
            self.silent_s = self.quiet_s = 0.0
            self._moves_before = signs.beat.moves if signs.beat else 0
        if signs.output_bytes != before.output_bytes:
            self.unheard_s = self.quiet_s = 0.0
        moves = signs.beat.moves - self._moves_before if signs.beat else 0
        if moves != self.moves:
            self.moves, self.quiet_s = moves, 0.0
        if signs.activity is not None:
            self._compare(signs.activity)

    def _compare(self, now: Activity) -> None:
        before, self._activity = self._activity, now
        if before is None:
            return
        if not now.is_idle_since(before):
            self.quiet_s = 0.0
        self.is_helped = now.is_helped_since(before)


def _has_news(before: Beat | None, now: Beat | None) -> bool:
    if before is None or now is None:
        return before is not now
    there = (before.pid, before.start_time, before.count, before.step, before.is_leaving)
    return there != (now.pid, now.start_time, now.count, now.step, now.is_leaving)
