"""The only module that changes files.

Everything durable is built from the operations of `Fs`. One file writes, so
there is one place to review and one seam where a test can pull the plug.

Layer: core. Imports nothing from evertrain.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

Bytes = bytes | bytearray | memoryview

# A file system that has no hard links says so with one of these: then copy.
NO_LINK: Final = frozenset({errno.EPERM, errno.EMLINK, errno.EXDEV, errno.ENOTSUP, errno.ENOSYS})
# Directories of some file systems cannot be synced; they say so with one of these.
NO_DIR_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})

# Without O_NONBLOCK, opening a FIFO that stands in the way would wait for its reader; without
# O_NOFOLLOW, a link that somebody has put there would lead what is written out of the run.
_CREATE: Final = os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW

FILE_MODE: Final = 0o444
DIR_MODE: Final = 0o755


class Fs(Protocol):
    """The disk operations evertrain needs, and no others.

    Paths may be relative; every operation raises `OSError` as the system does.
    """

    def mkdir(self, path: Path) -> None:
        """Create `path` and its parents; an existing directory is fine."""

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """Create or truncate `path`, fill it, return its bytes. Not yet durable."""

    def append(self, path: Path, data: bytes) -> None:
        """Add `data` at the end of `path` in one write. Not yet durable.

        One caller at a time: what the disk refuses halfway is taken back.
        """

    def sync_file(self, path: Path) -> None:
        """Return once the bytes of `path` are on the medium."""

    def sync_dir(self, path: Path) -> None:
        """Return once the names inside `path` are on the medium."""

    def replace(self, src: Path, dst: Path) -> None:
        """Rename `src` to `dst`, over it if it is a file, in one step."""

    def link(self, src: Path, dst: Path) -> bool:
        """Give the file `src` a second name `dst`.

        Returns:
            False if links are refused here, and `dst` is a copy that is not yet durable.
        """

    def symlink(self, target: str, path: Path) -> None:
        """Make `path` a symbolic link that says `target`."""

    def chmod(self, path: Path, mode: int) -> None:
        """Set the permission bits of `path`."""

    def unlink(self, path: Path) -> None:
        """Remove the name `path`; a missing one is fine."""

    def rmtree(self, path: Path) -> None:
        """Remove the directory `path` and all below it; a missing one is fine."""


class LocalFs:
    """The machine's own disk (POSIX)."""

    def mkdir(self, path: Path) -> None:
        """See `Fs.mkdir`."""
        path.mkdir(parents=True, exist_ok=True)

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """See `Fs.write`."""
        total_bytes = 0
        handle = os.open(path, os.O_WRONLY | os.O_TRUNC | _CREATE, 0o666)
        try:
            with _naming(path):
                for chunk in chunks:
                    total_bytes += _write_all(handle, chunk)
        finally:
            os.close(handle)
        return total_bytes

    def append(self, path: Path, data: bytes) -> None:
        """See `Fs.append`."""
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | _CREATE, 0o644)
        try:
            with _naming(path), _all_or_nothing(handle):
                _write_all(handle, data)
        finally:
            os.close(handle)

    def sync_file(self, path: Path) -> None:
        """See `Fs.sync_file`."""
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            with _naming(path):
                os.fsync(handle)
        finally:
            os.close(handle)

    def sync_dir(self, path: Path) -> None:
        """See `Fs.sync_dir`."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with _naming(path):
                os.fsync(handle)
        except OSError as error:
            if error.errno not in NO_DIR_SYNC:
                raise
        finally:
            os.close(handle)

    def replace(self, src: Path, dst: Path) -> None:
        """See `Fs.replace`."""
        os.replace(src, dst)  # noqa: PTH105  (Path.replace returns a new Path, unused here)

    def link(self, src: Path, dst: Path) -> bool:
        """See `Fs.link`."""
        try:
            os.link(src, dst)
        except OSError as error:
            if error.errno not in NO_LINK:
                raise
            import shutil  # slow to import, and rarely needed

            shutil.copyfile(src, dst)
            with suppress(OSError):  # its age, as a second name would have had it
                found = src.stat()
                os.utime(dst, ns=(found.st_atime_ns, found.st_mtime_ns))
            return False
        return True

    def symlink(self, target: str, path: Path) -> None:
        """See `Fs.symlink`."""
        path.symlink_to(target)

    def chmod(self, path: Path, mode: int) -> None:
        """See `Fs.chmod`."""
        path.chmod(mode)

    def unlink(self, path: Path) -> None:
        """See `Fs.unlink`."""
        path.unlink(missing_ok=True)

    def rmtree(self, path: Path) -> None:
        """See `Fs.rmtree`."""
        if path.is_dir() and not path.is_symlink():
            import shutil

            shutil.rmtree(path)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in an error of its descriptor: the system does not."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def _all_or_nothing(handle: int) -> Iterator[None]:
    """Take back what a full disk took of an append: each new try would leave another piece."""
    size_bytes = os.fstat(handle).st_size
    try:
        yield
    except OSError:
        with suppress(OSError):
            os.ftruncate(handle, size_bytes)
        raise


def _write_all(handle: int, data: Bytes) -> int:
    """Write every byte: one `write` may take less than it is given."""
    view = memoryview(data).cast("B")
    left = view
    while left.nbytes:
        left = left[os.write(handle, left) :]
    return view.nbytes


LOCAL_FS: Final = LocalFs()


def make_dir(path: Path, *, fs: Fs = LOCAL_FS) -> None:
    """Create a directory and its parents, unless they are there.

    Durability:
        After return, the names of all that were missing survive a power cut.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    if not missing:
        return
    fs.mkdir(path)
    for each in missing:
        with suppress(PermissionError):  # may be written but not read: then it cannot be synced
            fs.sync_dir(each.parent)


def sync_names(path: Path, *, fs: Fs = LOCAL_FS) -> None:
    """Make the name of a directory, and those in it, survive a power cut.

    For what `make_dir` found there: whoever made it may have died before it was synced.
    """
    for each in (path, path.parent):
        with suppress(PermissionError):  # may be written but not read: then it cannot be synced
            fs.sync_dir(each)


def write_atomic(path: Path, data: bytes, *, fs: Fs = LOCAL_FS) -> None:
    """Replace the contents of `path` so that nobody ever sees half of it.

    Args:
        path: File to create or replace. Its directory must exist.
        data: The complete new contents.
        fs: Disk to write to. Tests pass one that loses power.

    Raises:
        OSError: The disk refused: full, read-only or gone.

    Durability:
        After return, `data` survives a power cut. At any moment before that,
        `path` holds its old bytes or its new bytes, never a mix. A crash can
        leave `.<name>.tmp-<pid>` behind; the run's next attempt sweeps it.
        A disk that refuses leaves nothing behind, as far as it still deletes.

    Source:
        POSIX rename(2) and fsync(2): file first, then the name, then the
        directory that holds the name.
    """
    tmp = _tmp_beside(path)
    try:
        fs.write(tmp, (data,))
        fs.sync_file(tmp)
        fs.replace(tmp, path)
    except OSError:
        with suppress(OSError):  # the first failure is the one to report
            fs.unlink(tmp)
        raise
    fs.sync_dir(path.parent)


def symlink_atomic(target: str, path: Path, *, fs: Fs = LOCAL_FS) -> None:
    """Point the link `path` at `target` in one step; it is never missing.

    Durability:
        As `write_atomic`.
    """
    tmp = _tmp_beside(path)
    fs.unlink(tmp)
    try:
        fs.symlink(target, tmp)
        fs.replace(tmp, path)
    except OSError:
        with suppress(OSError):  # the first failure is the one to report
            fs.unlink(tmp)
        raise
    fs.sync_dir(path.parent)


def _tmp_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp-{os.getpid()}")
