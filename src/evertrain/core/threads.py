"""Work shared out among threads; done in line where there are none to be had.

A system may refuse a thread (limits of a container), and Python refuses all of them
once its interpreter ends, when a save may still be on its way to the disk.

Layer: core. Imports its siblings only.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, TypeVar

from evertrain.core.clock import SYSTEM_CLOCK, Clock

T = TypeVar("T")

_spent: Final[ContextVar[list[float] | None]] = ContextVar("spent", default=None)


@contextmanager
def counting() -> Iterator[list[float]]:
    """Collect the processor time, seconds, of what threads do on behalf of the caller."""
    found: list[float] = []
    before = _spent.set(found)
    try:
        yield found
    finally:
        _spent.reset(before)


def spread(act: Callable[[Any], T], jobs: Sequence[Any], threads: int) -> Iterable[T]:
    """Yield what `act` returns for each job, in order.

    Args:
        act: What to do. Where a thread cannot be started, a job may be done twice.
        jobs: What to do it with.
        threads: How many may work at a time; 1 works in line.
    """
    if threads < 2 or len(jobs) < 2:  # noqa: PLR2004
        yield from map(act, jobs)
        return
    with ThreadPoolExecutor(min(threads, len(jobs))) as pool:
        under_way = [start(pool, act, job) for job in jobs]
        for each in under_way:
            yield each.result()


def start(pool: ThreadPoolExecutor, act: Callable[..., T], *args: Any) -> Future[T]:
    """Let a thread of the pool do something; do it now if none can."""
    spent = _spent.get()
    try:
        return pool.submit(act if spent is None else partial(_timed, spent, act), *args)
    except RuntimeError:  # "can't start new thread", or after the interpreter's end
        return _done(act, *args)


def _timed(spent: list[float], act: Callable[..., T], *args: Any, clock: Clock = SYSTEM_CLOCK) -> T:
    began_s = clock.thread_cpu_s()
    try:
        return act(*args)
    finally:
        spent.append(clock.thread_cpu_s() - began_s)


def _done(act: Callable[..., T], *args: Any) -> Future[T]:
    future: Future[T] = Future()
    try:
        future.set_result(act(*args))
    except Exception as error:  # noqa: BLE001  (it belongs to whoever asks for the result)
        future.set_exception(error)
    return future
