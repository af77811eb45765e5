"""Putting a disk of the test's under everything that a program does, `Run` included.

Layer: testing. Imports core only.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final
from unittest.mock import patch

from evertrain.core.fs import LOCAL_FS, Fs

_OPERATIONS: Final = (
    "mkdir",
    "write",
    "append",
    "sync_file",
    "sync_dir",
    "replace",
    "link",
    "symlink",
    "chmod",
    "unlink",
    "rmtree",
)


@contextmanager
def everything_on(fs: Fs) -> Iterator[None]:
    """Let whatever in this process writes to the machine's own disk write to `fs` instead.

    Args:
        fs: The disk. It must not end at `LOCAL_FS` itself: give it a `LocalFs()` of its own.
    """
    with ExitStack() as stack:
        for name in _OPERATIONS:
            stack.enter_context(patch.object(LOCAL_FS, name, getattr(fs, name)))
        yield
