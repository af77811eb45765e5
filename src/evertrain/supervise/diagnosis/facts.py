"""All that is known about the end of an attempt, before anybody judges it.

Layer: supervise. Imports core only.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from evertrain.core.disk import Room
from evertrain.supervise.cause import Tail, signal_name
from evertrain.supervise.diagnosis.memory import Kills
from evertrain.supervise.diagnosis.raised import Raised
from evertrain.supervise.hang.record import Hang

_SHELL: Final = 128  # a shell reports a command that signal N ended as 128+N
# Those that end programs; other codes above 128 are a program's own.
_DEADLY: Final = frozenset({1, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 15, 24, 25, 31})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known about the end of an attempt.

    Attributes:
        code: Exit status of the leader; negative is the signal that killed it; None unknown.
        seconds: How long it ran; infinite where that does not matter.
        tail: End of its output.
        raised: Exceptions that the hook in the program wrote down, oldest first.
        fault: What `faulthandler` wrote into its own file.
        hang: The hang that it was ended for, or None.
        kills: What the kernel killed meanwhile.
        peak_bytes: Largest resident set of one of its processes, or None.
        room: Room on the run's disk now, or None.
        is_run: Whether it was a `Run`.
        was_terminated: Whether it stopped itself for a SIGTERM that the supervisor did not send.
        step: Last finished step, or None.
        phase: What it was doing at the last sign of life, or "".
        save_error: Why its last save failed, or None.
        knobs: Settings by name, from the run's configuration and the command line.
        not_finite: Metrics of its last row that are NaN or infinite.
        unstarted: Why the system did not start it, or None if it did.
    """

    code: int | None
    seconds: float = math.inf
    tail: Tail = field(default_factory=Tail)
    raised: tuple[Raised, ...] = ()
    fault: str = ""
    hang: Hang | None = None
    kills: Kills = field(default_factory=Kills)
    peak_bytes: int | None = None
    room: Room | None = None
    is_run: bool = False
    was_terminated: bool = False
    step: int | None = None
    phase: str = ""
    save_error: str | None = None
    knobs: Mapping[str, Any] = field(default_factory=dict)
    not_finite: tuple[str, ...] = ()
    unstarted: str | None = None

    @property
    def signal(self) -> str | None:
        """Name of the signal that ended the training, also behind a shell; None if none did."""
        if self.code is not None and self.code - _SHELL in _DEADLY:
            return signal_name(_SHELL - self.code)
        return signal_name(self.code)

    @property
    def is_behind_shell(self) -> bool:
        """Whether somebody else reports that signal, and may be mistaken."""
        return self.signal is not None and (self.code or 0) > 0
