"""The supervisor's judgement, kept apart from its hands.

`decide` reads how the attempts ended and returns a verdict. It starts nothing, sleeps
nowhere and reads no clock, so every rule in it is one line of a table test.

Layer: supervise. Imports core only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from evertrain.core.errors import (
    EXIT_CONFIG,
    EXIT_DO_NOT_RESTART,
    EXIT_FAILED,
    EXIT_FORCED,
    EXIT_GAVE_UP,
    EXIT_LOCKED,
    EXIT_OK,
    EXIT_STOPPED,
)
from evertrain.supervise.options import SuperviseOptions

RESUMABLE: Final = "stopped on request; it can go on from here"
FORCED: Final = "forced by a second signal; it can go on from the newest whole checkpoint"
_SIGINT: Final = 2
_LAST_WORDS: Final = {
    EXIT_CONFIG: "it reports a configuration error (exit code 78)",
    EXIT_DO_NOT_RESTART: "it asks not to be restarted (exit code 93)",
}


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
    """

    code: int | None
    is_run: bool = False
    is_finished: bool = False
    is_stopped: bool = False
    stop_requested: bool = False
    is_forced: bool = False
    is_locked: bool = False
    fatal: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the training is done: the journal's word, or a foreign command's 0."""
        return self.is_finished if self.is_run else self.code == 0 and not self.stop_requested

    @property
    def was_asked(self) -> bool:
        """Whether somebody wanted it to end before it was done."""
        by_hand = self.code in {EXIT_STOPPED, EXIT_FORCED, -_SIGINT}
        return self.stop_requested or self.is_forced or self.is_stopped or by_hand

    @property
    def is_crash(self) -> bool:
        """Whether it counts against the limit."""
        return not (self.is_complete or self.was_asked)


@dataclass(frozen=True, slots=True)
class Restart:
    """Verdict: start the command again after `wait_s` seconds."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Verdict: do not start it again.

    Attributes:
        kind: "done", "stopped", "gave up" or "locked".
        why: One clause for people.
        exit_code: The supervisor's own.
    """

    kind: Literal["done", "stopped", "gave up", "locked"]
    why: str
    exit_code: int


def decide(ends: Sequence[End], options: SuperviseOptions) -> Restart | Stop:
    """Say what to do after the last of `ends`.

    Args:
        ends: The attempts that this supervisor started, oldest first; at least one.
        options: Limits and pace.
    """
    last = ends[-1]
    if last.is_complete:
        return _done(last)
    if last.was_asked:
        return _asked(last)
    if last.is_locked:
        return Stop("locked", "another live process owns the run", EXIT_LOCKED)
    fatal = last.fatal or _LAST_WORDS.get(last.code or 0)
    if fatal is not None:
        return Stop("gave up", f"starting again cannot help: {fatal}", EXIT_GAVE_UP)
    crash_count = sum(end.is_crash for end in ends)
    if 0 < options.max_crashes <= crash_count:
        return Stop("gave up", f"{crash_count} crashes, the limit", EXIT_GAVE_UP)
    return Restart(options.delay_s)


def _asked(last: End) -> Stop:
    """Tell a clean stop from a forced one; whoever ends with 75 has stopped cleanly after all."""
    if last.is_forced and last.code != EXIT_STOPPED:
        return Stop("stopped", FORCED, EXIT_FORCED)
    return Stop("stopped", RESUMABLE, EXIT_STOPPED)


def _done(last: End) -> Stop:
    """Believe the journal, but do not hide that the program failed after the training."""
    if (last.code or 0) > 0 and not last.was_asked:
        why = f"training finished; afterwards the command failed with exit code {last.code}"
        return Stop("done", why, EXIT_FAILED)
    return Stop("done", "training finished", EXIT_OK)
