"""What is known about the death of an environment, in words for people and for the journal.

Layer: integrations. Imports supervise and core.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

from evertrain.supervise.cause import signal_name

Phase = Literal["start", "reset", "step", "call", "idle"]
Cause = Literal["exception", "exit", "signal", "hang"]

RESTARTED: Final = "env_restarted"  # key of an info
FAILURE: Final = "env_failure"  # idem

_DOING: Final[dict[Phase, str]] = {
    "start": "while it was built",
    "reset": "in reset",
    "step": "in step",
    "call": "in a call",
    "idle": "between two steps",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """How a worker failed, as far as the trainer's end of the pipe can tell.

    Attributes:
        phase: What it was asked for.
        cause: "signal" until the exit status says more, where it is just gone.
        message: The exception's line, or what happened; "" if its end is all that is known.
        traceback: As the worker printed it; "" if it could not.
    """

    phase: Phase
    cause: Cause
    message: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a worker's process ended, from its keeper.

    Attributes:
        code: Exit code, or the negated number of a signal; None if nobody knows.
        dump: Stacks of its threads at a deadly signal, or while it hung.
        was_stopped: Whether it hung because somebody had stopped it.
        killed: Processes that had to be killed, as "name (pid 123)".
    """

    code: int | None = None
    dump: str = ""
    was_stopped: bool = False
    killed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvRestart:
    """An environment died, and another one takes its place.

    Attributes:
        index: Of the environment, from 0.
        phase: What it was doing: "start", "reset", "step", "call", "idle".
        cause: "exception", "exit" (also sys.exit), "signal" or "hang".
        summary: One line.
        traceback: Of the exception; of a crash or a hang the stacks of all Python
            threads; "" where nothing could be had.
        code: Exit code of the worker, where it ended by one.
        signal: Name of the signal that ended it, or None.
        restarts: How often this index was restarted over the whole run, this time included.
        is_quarantined: Whether the spare serves the index from now on.
        killed: Processes that it left behind, or that had to be killed with it.
    """

    index: int
    phase: Phase
    cause: Cause
    summary: str
    traceback: str
    code: int | None
    signal: str | None
    restarts: int
    is_quarantined: bool
    killed: tuple[str, ...]

    def about(self) -> dict[str, Any]:
        """Return plain values: for an info, and for the journal."""
        return {
            "index": self.index,
            "phase": self.phase,
            "cause": self.cause,
            "message": self.summary,
            "traceback": self.traceback,
            "code": self.code,
            "signal": self.signal,
            "restarts": self.restarts,
            "quarantined": self.is_quarantined,
            "killed": list(self.killed),
        }


def describe(
    index: int, failure: Failure, ended: Ended, restarts: int, *, is_quarantined: bool
) -> EnvRestart:
    """Put together what both ends know."""
    by_signal = ended.code is not None and ended.code < 0
    cause = failure.cause
    if cause == "signal" and not by_signal:
        cause = "exit"
    name = signal_name(ended.code) if cause == "signal" else None
    return EnvRestart(
        index=index,
        phase=failure.phase,
        cause=cause,
        summary=f"{_how(failure, ended, name)} {_DOING[failure.phase]}",
        traceback=failure.traceback or ended.dump,
        code=ended.code if cause in {"exit", "exception"} and not by_signal else None,
        signal=name,
        restarts=restarts,
        is_quarantined=is_quarantined,
        killed=ended.killed,
    )


def _how(failure: Failure, ended: Ended, name: str | None) -> str:
    if failure.cause == "hang":
        return f"{failure.message}: it was stopped" if ended.was_stopped else failure.message
    if failure.message:
        return failure.message
    if name == "SIGKILL":
        return "killed by SIGKILL (from outside, or by the kernel for its memory)"
    if name is not None:
        return f"killed by {name}"
    return "gone" if ended.code is None else f"ended with exit code {ended.code}"
