"""What an attempt itself left of its death, and where the machine stands: read, never believed.

Layer: supervise. Imports monitor and core.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from evertrain.core.document import CARD_BYTES
from evertrain.core.fs import LOCAL_FS
from evertrain.core.journal import Row, parse_lines
from evertrain.core.kinds import MAX_COUNT
from evertrain.core.regular import open_regular
from evertrain.core.rundir import RunDir
from evertrain.monitor.attempt import unix_s
from evertrain.supervise.diagnosis.raised import Raised, frames_of, project_frame

_MAX_FAULT: Final = 256 * 1024
_WAY_OUT_S: Final = 600.0
_BY: Final = frozenset({"run", "main", "thread", "child"})
ERRORS: Final = ".errors.jsonl"
FAULT: Final = ".fault.txt"


def read_raised(run_dir: RunDir, attempt: int) -> tuple[Raised, ...]:
    """Return the exceptions that the process of an attempt wrote down, oldest first."""
    rows = parse_lines(_read(_beside(run_dir, attempt, ERRORS), CARD_BYTES)).rows
    return tuple(_raised_of(row) for row in rows if isinstance(row.get("type"), str))


def until_death(raised: Sequence[Raised], died_at_s: float) -> tuple[Raised, ...]:
    """Return those without what a program has left behind it: an exception that it caught.

    One that left the run's block counts if the process died within some minutes of it:
    what is saved and closed on the way out takes time.
    """
    return tuple(
        each
        for each in raised
        if each.by != "run" or each.at_s is None or abs(died_at_s - each.at_s) <= _WAY_OUT_S
    )


def read_fault(run_dir: RunDir, attempt: int) -> str:
    """Return what `faulthandler` wrote of an attempt; "" if it wrote nothing."""
    return _read(_beside(run_dir, attempt, FAULT), _MAX_FAULT).decode(errors="replace")


def clear(run_dir: RunDir, attempt: int) -> None:
    """Remove what an attempt left: its post-mortem has it now, or it did not die."""
    for suffix in (ERRORS, FAULT):
        with suppress(OSError):
            LOCAL_FS.unlink(_beside(run_dir, attempt, suffix))


def _beside(run_dir: RunDir, attempt: int, suffix: str) -> Path:
    words = run_dir.words(attempt)
    return words.with_name(words.name + suffix)


def _raised_of(row: Row) -> Raised:
    traceback, by, step = _text(row, "traceback"), _text(row, "by"), row.get("step")
    return Raised(
        type=row["type"],
        message=_text(row, "message"),
        frame=project_frame(frames_of(traceback)),
        traceback=traceback,
        by=by if by in _BY else "main",
        step=step if type(step) is int and 0 <= step < MAX_COUNT else None,
        at_s=unix_s(row.get("time")),
    )


def _text(row: Row, key: str) -> str:
    value: Any = row.get(key)
    return value if isinstance(value, str) else ""


def _read(path: Path, limit_bytes: int) -> bytes:
    """Return the beginning of a file; nothing if it cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read(limit_bytes)
    except OSError:
        return b""
