"""The only module that reads time or sleeps.

Layer: core. Imports nothing from evertrain.
"""

import threading
import time
from datetime import UTC, datetime
from typing import Final, Protocol


class Clock(Protocol):
    """Time as evertrain needs it. Tests pass one that they turn by hand."""

    def now_s(self) -> float:
        """Return the time of day, Unix seconds. It may jump."""

    def monotonic_s(self) -> float:
        """Return seconds since some start. It never goes back."""

    def thread_cpu_s(self) -> float:
        """Return the processor time of the calling thread, seconds."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Sleep until `event` is set or `timeout_s` passed. Say whether it is set."""


class SystemClock:
    """The machine's own clock."""

    def now_s(self) -> float:
        """See `Clock.now_s`."""
        return time.time()

    def monotonic_s(self) -> float:
        """See `Clock.monotonic_s`."""
        return time.monotonic()

    def thread_cpu_s(self) -> float:
        """See `Clock.thread_cpu_s`."""
        return time.thread_time()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """See `Clock.wait`."""
        return event.wait(max(0.0, timeout_s))


SYSTEM_CLOCK: Final = SystemClock()

# In the year 9892: any calendar can say it, in any zone.
_LATEST_S: Final = 250_000_000_000.0


def is_time(at_s: float) -> bool:
    """Say whether Unix seconds are a time that a calendar can say, from 1970 on."""
    return 0 <= at_s < _LATEST_S


def iso_utc(at_s: float) -> str:
    """Return Unix seconds `at_s` as RFC 3339 in UTC, to the millisecond."""
    stamp = datetime.fromtimestamp(at_s, tz=UTC)
    return stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339(at_s: float | None) -> str | None:
    """Return a Unix time as JSON carries it; None for what no calendar can say."""
    return iso_utc(at_s) if at_s is not None and is_time(at_s) else None


def human_duration(duration_s: float) -> str:
    """Return a length of time as people say it: `0.4 s`, `12 s`, `3 m 10 s`, `2 h 05 m`."""
    if duration_s < 9.95:  # noqa: PLR2004
        return f"{max(0.0, duration_s):.1f} s"
    whole = round(duration_s)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours:02d} h"
    if hours:
        return f"{hours} h {minutes:02d} m"
    if minutes:
        return f"{minutes} m {seconds:02d} s"
    return f"{seconds} s"
