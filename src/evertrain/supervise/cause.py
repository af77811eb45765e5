"""Why an attempt ended, from its exit status and the end of its log.

Layer: supervise. Imports monitor and core.
"""

import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evertrain.monitor.logs import end_of

TAIL_BYTES: Final = 256 * 1024
LAST_LINES: Final = 50
# A program that ends this fast with a usage message never began to train, seconds.
START_S: Final = 30.0

_ESCAPE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_TRACEBACK: Final = "Traceback (most recent call last):"
_FATAL_ERROR: Final = re.compile(r"^(Fatal Python error: .+)$", re.MULTILINE)
_EXCEPTION: Final = re.compile(r"^[A-Za-z_][\w.]*(?::.*)?$")
# SyntaxError shows the line of the source between the last frame and itself.
_CODE_ERRORS: Final = frozenset(
    {"ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError", "TabError"}
    # Ours, where a program lets them pass: its call, its state or its directory does not fit.
    | {"UsageError", "ConfigError", "StateError", "FormatError", "NotFoundError"}
)
# A call or an operator that can never work, whatever the data are. None may come from a simulator
# that did not answer, so an error about None is no proof.
_NEVER_WORKS: Final = re.compile(
    r"^TypeError: (?!.*NoneType)(?:"
    r"unsupported operand type\(s\) for .*'(?:function|method|type|module|builtin_\w+)'"
    r"|.*\(\) (?:missing \d+ required \S+ argument|got an unexpected keyword argument"
    r"|got multiple values for|takes (?:from )?\d+ .*positional argument|takes no arguments))"
)
# Errors of an import that say more about the machine than about the program.
_PASSING: Final = re.compile(
    r"Cannot allocate memory|Input/output error|Stale file handle|Too many open files"
    r"|Transport endpoint|Resource temporarily unavailable|No space left|static TLS",
    re.IGNORECASE,
)
# Only a traceback at the very end of the output is the cause of the end.
_END_LINES: Final = 5
# A worker's traceback that stands this close before its leader's came first, lines.
_CASCADE_LINES: Final = 200
_USAGE: Final = re.compile(r"^usage: |^Usage: |can't open file|No module named", re.MULTILINE)
_NO_PROGRAM: Final = re.compile(r"not found|No such file|Permission denied|cannot execute")


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of an attempt's output, made readable.

    Attributes:
        lines: Its last lines, without escape codes and overwritten progress bars.
        exception: Last line of the last traceback, or None.
        traceback: That traceback, or None.
        is_last_word: Whether the output ends with it.
        earlier: Tracebacks shortly before that one, oldest first: of workers, and of causes.
        native: What `faulthandler` wrote of a crash below Python, or None.
    """

    lines: tuple[str, ...] = ()
    exception: str | None = None
    traceback: str | None = None
    is_last_word: bool = False
    earlier: tuple[str, ...] = ()
    native: str | None = None


def read_tail(path: Path, *, limit_bytes: int = TAIL_BYTES) -> Tail:
    """Return what the last `limit_bytes` of the log at `path` say; nothing if there is none."""
    data = end_of(path, limit_bytes)
    return parse_tail(data) if data else Tail()


def parse_tail(data: bytes) -> Tail:
    """Return what `data`, the end of some output, says."""
    text = _ESCAPE.sub("", data.decode("utf-8", errors="replace")).replace("\r\n", "\n")
    lines = [_last_drawn(line) for line in text.split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    start, end = _find_traceback(lines)
    kept = tuple(lines[-LAST_LINES:])
    if start is None:
        return _crashed_natively(lines, kept)
    exception = lines[end].strip() if end > start else None
    # What is indented may still belong to the message: a tensor is many lines.
    rest = [line for line in lines[end + 1 :] if line.strip() and not line[0].isspace()]
    native = next((at for at, line in enumerate(rest) if _FATAL_ERROR.match(line)), len(rest))
    crashed = _crashed_natively(lines, kept)
    return Tail(
        kept,
        exception,
        _shown(lines, start, end),
        native < _END_LINES,
        _earlier(lines[max(0, start - _CASCADE_LINES) : start]),
        crashed.native,
    )


def _shown(lines: list[str], start: int, end: int) -> str:
    """Return a traceback without what stands before it in its first line."""
    first = lines[start][lines[start].index(_TRACEBACK) :]
    return "\n".join([first, *lines[start + 1 : end + 1]])


def _earlier(lines: list[str]) -> tuple[str, ...]:
    """Return the whole tracebacks in `lines`, oldest first."""
    found: list[str] = []
    while lines:
        start, end = _find_traceback(lines)
        if start is None:
            break
        if end > start:
            found.insert(0, _shown(lines, start, end))
        lines = lines[:start]
    return tuple(found)


def _last_drawn(line: str) -> str:
    """Return what a terminal would show of a line that a progress bar drew again and again."""
    return line.rstrip("\r").rpartition("\r")[2]


def _find_traceback(lines: list[str]) -> tuple[int | None, int]:
    """Return the indices of the first and the last line of the last traceback."""
    starts = [index for index, line in enumerate(lines) if _TRACEBACK in line]
    if not starts:
        return None, 0
    start = starts[-1]
    for index in range(start + 1, len(lines)):
        line = lines[index]
        if line and not line[0].isspace():
            return start, index if _EXCEPTION.match(line) else index - 1
    return start, len(lines) - 1


def _crashed_natively(lines: list[str], kept: tuple[str, ...]) -> Tail:
    """Read what `faulthandler` leaves of a crash below Python."""
    text = "\n".join(lines)
    found = _FATAL_ERROR.search(text)
    if found is None:
        return Tail(kept)
    block = text[found.start() :]
    return Tail(kept, found[1], block, is_last_word=True, native=block)


def name_of(code: int | None) -> str:
    """Return an exit status as people say it: "exit code 1", "SIGSEGV"."""
    if code is None:
        return "exit status unknown"
    return signal_name(code) or f"exit code {code}"


def signal_name(code: int | None) -> str | None:
    """Return the name of the signal that ended a process, or None if none did."""
    if code is None or code >= 0:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def why_fatal(code: int | None, tail: Tail, seconds: float) -> str | None:
    """Return why the same command would fail the same way again, or None if it may not.

    Only what is certain counts: a wrong "yes" here loses a night.
    """
    if code == 1 and tail.is_last_word and is_code_error(tail.exception or ""):
        return tail.exception
    if seconds >= START_S:
        return None
    text = "\n".join(tail.lines)
    if code in {1, 2} and tail.traceback is None and _USAGE.search(text):
        return f"the command line is wrong ({_last_line(tail)})"
    if code in {126, 127} and _NO_PROGRAM.search(text):
        return f"a program is missing ({_last_line(tail)})"
    return None


def is_code_error(exception: str) -> bool:
    """Say whether the last line of a traceback names a fault of the program or its settings."""
    kind = exception.partition(":")[0].rpartition(".")[2]
    if _NEVER_WORKS.match(exception):
        return True
    return kind in _CODE_ERRORS and _PASSING.search(exception) is None


def _last_line(tail: Tail) -> str:
    return next((line.strip() for line in reversed(tail.lines) if line.strip()), "no output")
