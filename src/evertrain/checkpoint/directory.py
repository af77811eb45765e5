"""A checkpoint's directory, held open while it is read.

Its files are opened relative to it, so that a checkpoint that is pruned
meanwhile is read whole or reported as gone.

Layer: checkpoint. Imports core only.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from evertrain.checkpoint.strict import corrupt

_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Opened:
    """A checkpoint's directory, held open.

    Attributes:
        path: Where it was.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            FileNotFoundError: There is no such directory.
        """
        self.path = path
        self._handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let it go."""
        os.close(self._handle)

    def names(self) -> list[str]:
        """Return the names in it."""
        return sorted(os.listdir(self._handle))  # noqa: PTH208  (a descriptor, no path)

    @contextmanager
    def file(self, name: str) -> Iterator[tuple[Any, int]]:
        """Open a regular file of it: the file, unbuffered, and its size in bytes.

        Raises:
            CorruptError: It is missing, no regular file, or cannot be read.
            FileNotFoundError: The whole checkpoint is gone.
        """
        path = self.path / name
        try:
            handle = os.open(name, _FLAGS, dir_fd=self._handle)
        except FileNotFoundError:
            if not self._is_in_place():
                raise
            raise corrupt(path, "it is missing") from None
        except OSError as error:
            if error.errno not in {errno.ELOOP, errno.ENXIO, errno.EIO}:
                error.filename = str(path)  # the system knows it by its bare name only
                raise
            raise corrupt(path, f"it cannot be opened ({error})") from error
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            os.close(handle)
            raise corrupt(path, "it is no regular file")
        with os.fdopen(handle, "rb", buffering=0) as file:
            yield file, found.st_size

    def _is_in_place(self) -> bool:
        """Say whether the directory still has its name: pruning takes it away first."""
        try:
            there, here = self.path.stat(), os.fstat(self._handle)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open the checkpoint in the directory `path`.

    Raises:
        FileNotFoundError: There is no such directory.
    """
    directory = Opened(path)
    try:
        yield directory
    finally:
        directory.close()
