"""Reading files that may be no files.

Whoever opens a FIFO waits until somebody else opens it too, and a device may
wait for ever: a command that only looks must not hang on what stands there.

Layer: core. Imports nothing from evertrain.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_KINDS: Final = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path) -> BinaryIO:
    """Open the regular file `path` for reading. Never waits for another process.

    Raises:
        IsADirectoryError: It is a directory.
        OSError: It is a FIFO, a socket or a device (ENXIO), or the system refuses.
    """
    return os.fdopen(regular_handle(path), "rb")


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Return all bytes of the regular file `path`. Never waits for another process.

    Args:
        path: The file.
        max_bytes: The most that it may have: a sparse file of a tebibyte costs nobody a block.

    Raises:
        IsADirectoryError: It is a directory.
        OSError: It is a FIFO, a socket or a device (ENXIO), too large (EFBIG), or the
            system refuses.
    """
    with open_regular(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > max_bytes:
            what = f"it has {size_bytes} bytes, at most {max_bytes} are read"
            raise OSError(errno.EFBIG, what, str(path))
        return file.read(size_bytes)  # so much is allocated at once


def regular_handle(path: Path) -> int:
    """Return a descriptor of the regular file `path`, as `open_regular` opens it."""
    _require_regular(path, os.stat(path).st_mode)  # noqa: PTH116  (opening a device may act on it)
    handle = os.open(path, _FLAGS)
    try:
        _require_regular(path, os.fstat(handle).st_mode)
    except OSError:
        os.close(handle)
        raise
    return handle


def _require_regular(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    what = _KINDS.get(stat.S_IFMT(mode), "something else")
    raise OSError(errno.ENXIO, f"it is {what}, and no regular file", str(path))
