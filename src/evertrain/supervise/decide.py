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
from evertrain.supervise.end import End, Move
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.policy import ledger
from evertrain.supervise.policy.backoff import wait_s
from evertrain.supervise.policy.retreat import Chances, next_move, same_step

RESUMABLE: Final = "stopped on request; it can go on from here"
FORCED: Final = "forced by a second signal; it can go on from the newest whole checkpoint"
_NOTHING_ELSE: Final = Chances()
_LAST_WORDS: Final = {
    EXIT_CONFIG: "it reports a configuration error (exit code 78)",
    EXIT_DO_NOT_RESTART: "it asks not to be restarted (exit code 93)",
}


@dataclass(frozen=True, slots=True)
class Restart:
    """Verdict: start the command again.

    Attributes:
        wait_s: Pause before it, seconds.
        why: What is otherwise than usual, for people; "" for nothing.
        move: What is tried, if not the same again.
        from_: Checkpoint to begin with, as `resume` takes it; None is the newest.
    """

    wait_s: float
    why: str = ""
    move: Move | None = None
    from_: str | None = None


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


def decide(
    ends: Sequence[End],
    options: SuperviseOptions,
    chances: Chances = _NOTHING_ELSE,
    *,
    luck: float = 0.5,
) -> Restart | Stop:
    """Say what to do after the last of `ends`.

    Args:
        ends: How the attempts ended that count, oldest first; at least one.
        options: Limits and pace.
        chances: What could be tried instead of the same again.
        luck: Jitter of the pause, 0 to 1.
    """
    stop = _settled(ends[-1])
    if stop is not None:
        return stop
    move = None if ends[-1].is_preempted else next_move(ends, chances)
    why = _too_much(ends, options, move)
    if why is not None:
        return Stop("gave up", why, EXIT_GAVE_UP)
    pause_s = wait_s(ends, options, luck)
    if move is None:
        return Restart(pause_s)
    from_ = chances.older if move == "older" else None
    return Restart(pause_s, _told(ends, move, chances), move, from_)


def _settled(last: End) -> Stop | None:
    """Say whether the last end alone decides that nothing is started again."""
    if last.is_complete:
        return _done(last)
    if last.was_asked:
        return _asked(last)
    if last.is_locked:
        return Stop("locked", "another live process owns the run", EXIT_LOCKED)
    fatal = last.fatal or _LAST_WORDS.get(last.code or 0)
    if fatal is None:
        return None
    return Stop("gave up", f"starting again cannot help: {fatal}", EXIT_GAVE_UP)


def _too_much(ends: Sequence[End], options: SuperviseOptions, move: Move | None) -> str | None:
    """Ask the ledgers. An explicit number of crashes leaves only that count, and the floor.

    A move that is left comes before the other counts: it changes what they have counted.
    """
    if ends[-1].is_preempted:
        return ledger.preemptions(ends)
    why = ledger.intensity(ends, options) or ledger.blind(ends, options)
    if move is None and not options.counts_only:
        why = why or same_step(ends) or ledger.no_progress(ends)
    return why or ledger.floor(ends, options)


def _told(ends: Sequence[End], move: Move, chances: Chances) -> str:
    count = len(ledger.same_deaths(ends))
    tries = {
        "older": f"going back to an older checkpoint ({chances.older})",
        "reseed": "going on with other random numbers",
    }
    return f"crashed {count} times in the same way at the same step: {tries[move]}"


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
