"""One piece of work beside the loop, and what became of it.

A thread per save, not one that waits for ever: an interpreter that ends waits
for a save in flight, and for nothing else. Python starts no other thread then: what the
save shares out it must be able to do alone (`core/threads.py`).

Layer: run. Imports core only.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from evertrain.core.clock import Clock
from evertrain.core.threads import counting

T = TypeVar("T")

_NAME: Final = "evertrain-writer"


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What became of the work.

    Attributes:
        value: What it returned; None if it failed.
        error: What it raised, or None.
        ended_s: When it ended, monotonic seconds.
        cpu_s: Processor time that it took, seconds, of all threads that worked for it.
    """

    value: T | None
    error: BaseException | None
    ended_s: float
    cpu_s: float = 0.0


class Background(Generic[T]):
    """At most one piece of work in flight.

    Args:
        clock: Measures what it takes.
    """

    def __init__(self, clock: Clock) -> None:
        """Have nothing to do."""
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._outcome: Outcome[T] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether work is in flight, or done and not yet taken."""
        return self._thread is not None

    def start(self, act: Callable[[], T]) -> bool:
        """Begin `act` in a thread; where no thread is to be had, do it at once.

        Returns:
            Whether it goes on beside the caller.
        """
        if self._thread is not None:
            raise AssertionError("one at a time")
        self._outcome = None
        thread = threading.Thread(target=self._do, args=(act,), name=_NAME)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # the system, or an interpreter that ends, refuses
            self._do(act)
            return False
        return True

    def join(self, limit_s: float) -> None:
        """Wait until nothing is in flight, not longer than `limit_s` seconds."""
        if self._thread is not None:
            self._thread.join(limit_s)

    def take(self, timeout_s: float | None = 0.0) -> Outcome[T] | None:
        """Return the outcome, once; None if there is none (yet).

        Args:
            timeout_s: How long to wait for it; None waits until it is there.
        """
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return None  # a rule of the user's that asks in the work itself
        if self._outcome is None and (timeout_s is None or timeout_s > 0):
            thread.join(timeout_s)
        if self._outcome is None:
            return None
        outcome, self._outcome, self._thread = self._outcome, None, None
        return outcome

    def _do(self, act: Callable[[], T]) -> None:
        began_s = self._clock.thread_cpu_s()
        value: T | None = None
        error: BaseException | None = None
        with counting() as others:
            try:
                value = act()
            except BaseException as failure:  # noqa: BLE001  (the loop raises it again)
                error = failure
        spent_s = self._clock.thread_cpu_s() - began_s + sum(others)
        self._outcome = Outcome(value, error, self._clock.monotonic_s(), spent_s)
