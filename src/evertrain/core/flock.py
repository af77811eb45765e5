"""Holding a file's advisory lock for a moment, safely beside forks.

Layer: core. Imports nothing from evertrain.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(handle: int) -> Iterator[None]:
    """Hold the flock of the open file `handle`, waiting for it; then unlock and close."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        # Closing is not enough: a child forked meanwhile holds the lock through its copy.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Let one process at a time decide on the lease `path`: judging a dead owner is not atomic."""
    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    handle = os.open(path.with_name(f".{path.name}.guard"), flags, 0o644)
    with exclusive(handle):
        yield
