"""How one attempt ended, what it had achieved, and what that makes it.

Layer: supervise. Imports core only.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from evertrain.core.errors import EXIT_FORCED, EXIT_STOPPED
from evertrain.supervise.diagnosis.kind import Diagnosis, Kind

# How an attempt was begun after one that died: from an older checkpoint, or with new randomness.
Move = Literal["older", "reseed"]
_SIGINT: Final = 2
# Who stops itself for one of these was asked by nobody who wanted it to end.
_UNWANTED: Final = frozenset({"preemption", "hang"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What one attempt achieved.

    Attributes:
        at_s: Unix time of its end, seconds.
        seconds: How long it ran.
        progress: Whether it committed a checkpoint newer than any before; None is unknown.
        useful_s: Seconds of its work that a checkpoint holds, or None if unknown.
        died_restoring: Whether it died between the restore and the end of a first step.
        move: How it was begun, if otherwise than usual.
    """

    at_s: float = 0.0
    seconds: float = 0.0
    progress: bool | None = None
    useful_s: float | None = None
    died_restoring: bool = False
    move: Move | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How one attempt ended.

    Attributes:
        code: Exit status; negative is the number of the signal that killed it. None if it
            is unknown, because the process that held it was killed.
        is_run: Whether it was a `Run`, which tells the journal what it does.
        is_finished: Whether the journal says that this attempt finished the training.
        is_stopped: Whether the journal says that it stopped on request.
        stop_requested: Whether the supervisor asked it to stop.
        is_forced: Whether the supervisor was made to force that: Ctrl+C once more.
        is_locked: Whether another live process owns the run.
        fatal: Why starting it again cannot help, or None.
        diagnosis: Why it died, or None if it did not.
        gain: What it had achieved.
    """

    code: int | None
    is_run: bool = False
    is_finished: bool = False
    is_stopped: bool = False
    stop_requested: bool = False
    is_forced: bool = False
    is_locked: bool = False
    fatal: str | None = None
    diagnosis: Diagnosis | None = None
    gain: Gain = field(default_factory=Gain)

    @property
    def is_complete(self) -> bool:
        """Whether the training is done: the journal's word, or a foreign command's 0."""
        return self.is_finished if self.is_run else self.code == 0 and not self.stop_requested

    @property
    def was_asked(self) -> bool:
        """Whether somebody wanted it to end before it was done."""
        if self.stop_requested or self.is_forced:
            return True
        by_hand = self.code in {EXIT_STOPPED, EXIT_FORCED, -_SIGINT}
        return (self.is_stopped or by_hand) and self._kind not in _UNWANTED

    @property
    def is_preempted(self) -> bool:
        """Whether it was interrupted from outside: that is not charged to its crashes."""
        return self._kind == "preemption" and not (self.is_complete or self.was_asked)

    @property
    def is_crash(self) -> bool:
        """Whether it counts against the limit."""
        return not (self.is_complete or self.was_asked or self.is_preempted)

    @property
    def _kind(self) -> Kind | None:
        return None if self.diagnosis is None else self.diagnosis.kind
