"""A clock that stands still until a test turns it.

Layer: testing. Imports core only.
"""

import threading


class FakeClock:
    """A `Clock` whose time passes only when it is told to, or waited on.

    Args:
        now_s: Time of day at the start, Unix seconds.
        monotonic_s: Monotonic time at the start, seconds.
    """

    def __init__(self, now_s: float = 1_700_000_000.0, monotonic_s: float = 1_000.0) -> None:
        """Stand still."""
        self._now_s = now_s
        self._monotonic_s = monotonic_s
        self._guard = threading.Lock()

    def now_s(self) -> float:
        """See `Clock.now_s`."""
        return self._now_s

    def monotonic_s(self) -> float:
        """See `Clock.monotonic_s`."""
        return self._monotonic_s

    def thread_cpu_s(self) -> float:
        """See `Clock.thread_cpu_s`. Nothing costs anything unless a test lets time pass."""
        return self._monotonic_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """See `Clock.wait`. The whole timeout passes at once, unless `event` is set."""
        if not event.is_set():
            self.advance(max(0.0, timeout_s))
        return event.is_set()

    def advance(self, duration_s: float) -> None:
        """Let `duration_s` seconds pass on both clocks.

        Raises:
            ValueError: It is negative: only the time of day goes back (`jump`).
        """
        if duration_s < 0:
            raise ValueError(f"time does not go back by {-duration_s} s; use jump()")
        with self._guard:
            self._now_s += duration_s
            self._monotonic_s += duration_s

    def jump(self, duration_s: float) -> None:
        """Set the time of day forward, or back; the monotonic clock does not notice."""
        with self._guard:
            self._now_s += duration_s
