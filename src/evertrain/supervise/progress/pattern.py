"""A step in a line of output, found by a regular expression that somebody else wrote.

An expression can backtrack for ever. The search is interrupted then, by an alarm that
`re` heeds while it works; so whoever reads the output is never held up.

Layer: supervise. Imports core only.
"""

import re
import signal
import threading
from collections.abc import Iterable
from typing import Any, Final

from evertrain.core.clock import SYSTEM_CLOCK

# What is looked at of a line, and how long one search may take: seconds of the processor,
# for on a machine that swaps any search may take a while.
LINE_CHARS: Final = 2000
LIMIT_S: Final = 0.25
_COLOR: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_SEPARATORS: Final = str.maketrans("", "", ",_' ")
_MAX_DIGITS: Final = 18
# Expressions that backtrack without end do so on runs of one kind that end otherwise. Not
# longer than real lines: three wildcards in a row are slow on any line of 2,000, and common.
_PROBE_CHARS: Final = 250
_PROBES: Final = tuple(
    (each * _PROBE_CHARS)[:_PROBE_CHARS] + "!" for each in ("a", "0", " ", "a0 ", "0,", "=-")
)


class TooSlowError(Exception):
    """One line took longer than all together may."""


class _RingError(Exception):
    """The time of a search is over."""


def problem_of(text: str) -> str | None:
    """Return what is wrong with an expression, or None if it can find steps."""
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression ({error})"
    if not pattern.groups:
        return r"has no group for the number, as in 'step (\d+)'"
    if threading.current_thread() is not threading.main_thread():
        return None  # only there can a search be interrupted
    try:
        for each in _PROBES:
            search(pattern, [each])
    except TooSlowError:
        return f"takes more than {LIMIT_S:g} s for a line: it backtracks without end"
    return None


def search(pattern: re.Pattern[str], lines: Iterable[str], limit_s: float = LIMIT_S) -> int | None:
    """Return the step in the first of `lines` that has one; None if none has.

    The group `step` holds it, else the first group. Call it in the main thread only.

    Args:
        pattern: What to look for.
        lines: Where; colors are left out, and what is behind `LINE_CHARS`. What is not
            reached in time is left out, too.
        limit_s: How long that may take, seconds of the processor.

    Raises:
        TooSlowError: One line takes most of that time: the expression backtracks.
    """
    before = signal.signal(signal.SIGVTALRM, _ring)
    began_s = SYSTEM_CLOCK.thread_cpu_s()
    try:
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
            for line in lines:
                began_s = SYSTEM_CLOCK.thread_cpu_s()
                step = _step(pattern, line)
                if step is not None:
                    return step
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except _RingError:
        if SYSTEM_CLOCK.thread_cpu_s() - began_s > limit_s / 2:
            raise TooSlowError from None
    finally:
        signal.signal(signal.SIGVTALRM, before)
    return None


def number_of(text: str) -> int | None:
    """Return the whole number that `text` shows, with or without separators: "1,200"."""
    digits = text.translate(_SEPARATORS)
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS
    return int(digits) if is_number else None


def _step(pattern: re.Pattern[str], line: str) -> int | None:
    found = pattern.search(_COLOR.sub("", line)[:LINE_CHARS])
    if found is None:
        return None
    text = found["step"] if "step" in pattern.groupindex else found[1]
    return None if text is None else number_of(text)


def _ring(*_: Any) -> None:
    raise _RingError
