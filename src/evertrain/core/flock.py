"""Holding a file's advisory lock for a moment, safely beside forks.

Layer: core. Imports its sibling.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from evertrain.core.clock import SYSTEM_CLOCK

_TRY_AGAIN_S: Final = 0.01


@contextmanager
def exclusive(handle: int, *, patience_s: float | None = None) -> Iterator[None]:
    """Hold the flock of the open file `handle`, waiting for it; then unlock and close.

    Args:
        handle: The open file.
        patience_s: Longest wait, seconds; None waits for as long as it takes.

    Raises:
        TimeoutError: Somebody else held it all the time.
    """
    try:
        if patience_s is None:
            fcntl.flock(handle, fcntl.LOCK_EX)
        else:
            _lock_within(handle, patience_s)
        yield
    finally:
        # Closing is not enough: a child forked meanwhile holds the lock through its copy.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def try_lock(handle: int) -> bool:
    """Take the flock of the open file `handle` if nobody has it. Say whether it is taken."""
    with suppress(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _lock_within(handle: int, patience_s: float) -> None:
    until_s, never = SYSTEM_CLOCK.monotonic_s() + patience_s, threading.Event()
    while not try_lock(handle):
        if SYSTEM_CLOCK.monotonic_s() >= until_s:
            said = f"somebody else has held its lock for {patience_s:g} s"
            raise TimeoutError(errno.ETIMEDOUT, said)
        SYSTEM_CLOCK.wait(never, _TRY_AGAIN_S)


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Let one process at a time decide on the lease `path`: judging a dead owner is not atomic."""
    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    handle = os.open(path.with_name(f".{path.name}.guard"), flags, 0o644)
    with exclusive(handle):
        yield
