"""Whether a crash is one that a setting can cause. Pure.

Only those say anything about a rung: a wrong import, a full disk or a preempted machine would
only drive a training down that is fast for good reasons.

Layer: supervise. Imports core only.
"""

import signal
from typing import Final

from evertrain.core.errors import EXIT_CONFIG, EXIT_DO_NOT_RESTART
from evertrain.supervise.diagnosis.kind import Kind
from evertrain.supervise.report import Record

# People and schedulers send them; what a setting breaks ends otherwise.
_SENT: Final = frozenset({-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGQUIT})
_NOT_THE_SETTING: Final = frozenset({0, EXIT_CONFIG, EXIT_DO_NOT_RESTART})
_KINDS: Final[tuple[Kind, ...]] = (
    "exit",
    "signal",
    "native crash",
    "kernel OOM",
    "CUDA OOM",
    "memory error",
    "exception",
    "NaN",
)


def is_of_the_setting(record: Record) -> bool:
    """Say whether the attempt of `record` crashed in a way that a setting can cause.

    An exit status that nobody knows (the shim was killed) is nobody's fault, and the shell's
    128+N is the signal N.
    """
    end, code = record.end, record.outcome.code
    if not end.is_crash or end.is_locked or end.fatal is not None or code is None:
        return False
    if end.diagnosis is not None and end.diagnosis.kind == "hang":
        return True  # its code says how it was ended
    signalled = -(code - 128) if code > 128 else code  # noqa: PLR2004
    if code in _NOT_THE_SETTING or signalled in _SENT:
        return False
    return end.diagnosis is None or end.diagnosis.kind in _KINDS


def is_config_error(record: Record) -> bool:
    """Say whether the attempt of `record` ended with what starting it again cannot help."""
    return record.end.is_crash and (
        record.end.fatal is not None or record.outcome.code == EXIT_CONFIG
    )
