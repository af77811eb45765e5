"""Whether a silence is a hang. Pure.

What a phase has shown before limits it; of what nobody has seen to end, only complete
silence tells. A wrong "yes" costs what was not saved, a wrong "no" some minutes more.

Layer: supervise. Imports core only.
"""

from dataclasses import dataclass
from typing import Final, Literal

from evertrain.core.heartbeat import FIRST, PROGRESS
from evertrain.supervise.hang.limits import START_FLOOR_S, Limits
from evertrain.supervise.hang.silence import Silence

Kind = Literal["hang", "exit_hang"]
Evidence = Literal["stopped", "frozen", "idle", "busy"]

# A process that is stopped does nothing, whatever its phase may take.
STOPPED_S: Final = 60.0
# A loop that was found in other functions so often is at work, not in a dead end.
MOVES: Final = 5
# In doubt a hang is none for so long.
DOUBT_S: Final = 600.0
# A phase that was never seen to end, and a tree that does nothing at all.
UNKNOWN_QUIET_S: Final = 600.0
START_QUIET_S: Final = 1800.0
# The same, but it is busy, or its interpreter is held by a library.
UNKNOWN_BUSY_S: Final = 12 * 3600.0
UNKNOWN_FROZEN_S: Final = 3600.0
# A process whose main thread is through has only to end; a thread may still be at work.
EXIT_QUIET_S: Final = 60.0
EXIT_BUSY_S: Final = 3600.0

# A command whose step stands still while it works: an evaluation looks like that, and may
# take fifty times as long as a step. So many times its limit, and at least so long, seconds.
PROGRESS_TIMES: Final = 20.0
PROGRESS_BUSY_S: Final = 3600.0

LAUNCH: Final = "launch"
SILENCE: Final = "silence"
# Where nothing tells what is going on: an evaluation may be as silent as a hang.
_MUTE: Final = frozenset({SILENCE, PROGRESS})
_WAIT: Final = "wait"
_OVER: Final = frozenset({"failed", "stopped"})
_ENDED: Final = _OVER | {"finished"}
_STARTING: Final = frozenset({LAUNCH, "setup"})
_BEGINNING: Final = _STARTING | {"restore", FIRST}

# How long something was, and how long it may be, seconds.
_Bound = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """It hangs.

    Attributes:
        kind: "exit_hang" if the training was over, and the process still there.
        phase: What it was doing: that of the beat, "launch" before the first one, "silence"
            where none is to be expected.
        silent_s: How long, seconds.
        limit_s: How long it might have been, seconds.
        evidence: "stopped" by a signal, "frozen" interpreter, "idle" or "busy".
        is_sure: Whether this phase was known, nothing moved, and it is not the step at which
            an earlier attempt was ended: else the next attempt gets more time.
    """

    kind: Kind
    phase: str
    silent_s: float
    limit_s: float
    evidence: Evidence
    is_sure: bool


def judge(
    silence: Silence,
    limits: Limits,
    timeout_s: float | None = None,
    *,
    hung_at: int | None = None,
) -> Verdict | None:
    """Return the verdict on a silence; None if it is no hang, or not yet.

    Args:
        silence: What was not heard for how long.
        limits: What is known about the phases.
        timeout_s: What a person allows in place of that, or None.
        hung_at: Last finished step when an earlier attempt was ended for a hang, or None.
    """
    signs = silence.signs
    if signs.is_traced:
        return None
    phase = phase_of(silence, limits)
    stopped = (silence.stopped_s, min(STOPPED_S, timeout_s or STOPPED_S))
    is_again = hung_at is not None and signs.beat is not None and signs.beat.step == hung_at
    if timeout_s is None:
        own = _bounds(silence, limits, phase, is_again=is_again)
    else:
        own = _told(silence, phase, timeout_s)
    over = next((bound for bound in (stopped, *own) if bound[0] >= bound[1]), None)
    if over is None:
        return None
    evidence = _evidence(silence)
    return Verdict(
        kind="exit_hang" if _is_over(silence) else "hang",
        phase=phase,
        silent_s=over[0],
        limit_s=over[1],
        evidence=evidence,
        is_sure=_is_over(silence)
        or evidence == "stopped"
        or (
            limits.limit_s(phase) is not None
            and phase not in _MUTE
            and evidence != "busy"
            and not is_again
        ),
    )


def phase_of(silence: Silence, limits: Limits) -> str:
    """Return what the training is doing, as far as it says so."""
    if silence.signs.beat is not None:
        return silence.signs.beat.phase if silence.signs.has_trainer else SILENCE
    return LAUNCH if limits.limit_s(LAUNCH) is not None else SILENCE


def _is_over(silence: Silence) -> bool:
    beat = silence.signs.beat
    if beat is None:
        return False
    return beat.is_leaving or beat.phase in _ENDED or not silence.signs.has_trainer


def _has_work_left(silence: Silence, phase: str) -> bool:
    """Say whether a program goes on behind a finished training: nobody would repeat that."""
    return phase == "finished" and not (silence.signs.beat and silence.signs.beat.is_leaving)


def _told(silence: Silence, phase: str, timeout_s: float) -> tuple[_Bound, ...]:
    """Return what a person allows: a busy start or exit has more, declared waiting no bound."""
    if phase.startswith(_WAIT):
        return ()
    quiet = (silence.quiet_s, timeout_s)
    if _has_work_left(silence, phase):
        return (quiet,)
    is_mute = phase in {SILENCE, LAUNCH}
    is_starting = silence.signs.output_bytes == 0 if is_mute else phase in _BEGINNING
    has_more = is_starting or (_is_over(silence) and not is_mute)
    limit_s = max(timeout_s, START_FLOOR_S) if has_more else timeout_s
    return (quiet, (silence.unheard_s if is_mute else silence.silent_s, limit_s))


def _bounds(silence: Silence, limits: Limits, phase: str, *, is_again: bool) -> tuple[_Bound, ...]:
    silent_s, quiet_s = silence.silent_s, silence.quiet_s
    frozen = (silent_s if silence.signs.is_frozen else 0.0, UNKNOWN_FROZEN_S)
    if phase in _MUTE:
        return _bounds_of_mute(silence, phase, limits.limit_s(phase))
    if phase.startswith(_WAIT):
        return (frozen,)
    if _has_work_left(silence, phase):
        return ((quiet_s, UNKNOWN_QUIET_S),)
    if _is_over(silence):
        return ((quiet_s, EXIT_QUIET_S), (silent_s, EXIT_BUSY_S))
    known_s = limits.limit_s(phase)
    if known_s is None:
        patience_s = START_QUIET_S if phase in _STARTING else UNKNOWN_QUIET_S
        return ((quiet_s, patience_s), frozen, (silent_s, UNKNOWN_BUSY_S))
    if _is_doubtful(silence, phase):
        known_s = max(2 * known_s, DOUBT_S)
    elif is_again:  # no chance: what waits there may be an evaluation, and no deadlock
        known_s = max(known_s, DOUBT_S)
    return ((silent_s, known_s),)


def _bounds_of_mute(silence: Silence, phase: str, known_s: float | None) -> tuple[_Bound, ...]:
    """Return what a command may take of which nothing is known, or only the step."""
    if phase == SILENCE or known_s is None:
        return ((silence.quiet_s, max(START_QUIET_S, known_s or 0.0)),)
    busy_s = max(known_s, min(UNKNOWN_BUSY_S, max(PROGRESS_TIMES * known_s, PROGRESS_BUSY_S)))
    activity = silence.signs.activity
    is_blocked = activity is not None and activity.is_blocked
    idle_s = max(2 * known_s, DOUBT_S) if is_blocked else known_s
    return ((silence.quiet_s, idle_s), (silence.silent_s, busy_s))


def _is_doubtful(silence: Silence, phase: str) -> bool:
    """Say whether something speaks for work: an evaluation of which nobody was told.

    An endless loop in a step uses the processor, too; but it stays in its function.
    """
    signs = silence.signs
    if signs.activity is not None and signs.activity.is_blocked:  # a kill would have to wait, too
        return True
    if signs.is_frozen and phase == "step":
        return False
    if silence.moves >= MOVES or silence.is_helped:
        return True
    return phase != "step" and not _is_idle(silence)


def _evidence(silence: Silence) -> Evidence:
    if silence.stopped_s > 0:
        return "stopped"
    if silence.signs.is_frozen:
        return "frozen"
    return "idle" if _is_idle(silence) else "busy"


def _is_idle(silence: Silence) -> bool:
    """Say whether nothing was done for most of the silence: the last words may have cost work."""
    return silence.quiet_s >= silence.silent_s / 2
