"""The files of a run held still while they are packed, or only looked at.

Layer: checkpoint. Imports core only.
"""

import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from evertrain.core.fs import Fs

# Where a run takes no second names: read-only, another's, or full.
UNHELD: Final = frozenset(
    {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EMLINK}
)


@dataclass(frozen=True, slots=True)
class Still:
    """One file of a snapshot.

    Attributes:
        path: Where its bytes are.
        bytes: How many of them count: a file that grows is cut.
        mtime_s: When it was last written.
        is_read_only: Whether nobody may write to it.
        inode: What tells it from others, whatever it is called.
    """

    path: Path
    bytes: int
    mtime_s: int
    is_read_only: bool
    inode: tuple[int, int]

    def is_there(self) -> bool:
        """Say whether it is the same file still, which at most grew."""
        try:
            now = still(self.path)
        except OSError:
            return False
        if self.is_read_only:  # as all files of a checkpoint
            return now == self
        return now.inode == self.inode and now.bytes >= self.bytes


def still(path: Path, length: int | None = None) -> Still:
    """Return the file at `path` as it is now, cut to `length` bytes.

    Raises:
        OSError: It is gone.
    """
    found = path.stat()
    return Still(
        path,
        found.st_size if length is None else length,
        int(found.st_mtime),
        not found.st_mode & 0o222,
        (found.st_dev, found.st_ino),
    )


class Holder(Protocol):
    """Remembers files by path inside the run."""

    @property
    def files(self) -> dict[str, Still]:
        """What it holds."""

    def hold(self, path: Path, at: Path) -> None:
        """Take the file `path` as what lies at `at` in the run.

        Raises:
            FileNotFoundError: It is gone.
        """

    def drop(self, at: Path) -> None:
        """Forget what lies at `at` and below."""


@dataclass(frozen=True, slots=True)
class Held:
    """Gives files second names below `place`, on the run's own disk: they stay whatever comes.

    Attributes:
        place: A directory of its own.
        fs: The disk.
        files: See `Holder.files`.
    """

    place: Path
    fs: Fs
    files: dict[str, Still] = field(default_factory=dict)

    def hold(self, path: Path, at: Path) -> None:
        """See `Holder.hold`."""
        target = self.place / at
        self.fs.mkdir(target.parent)
        self.fs.link(path, target)
        _note(self.files, target, at)

    def drop(self, at: Path) -> None:
        """See `Holder.drop`."""
        self.fs.rmtree(self.place / at)
        _forget(self.files, at)


@dataclass(frozen=True, slots=True)
class Seen:
    """Only looks where files are: for a run in which nothing can be written.

    Attributes:
        files: See `Holder.files`.
    """

    files: dict[str, Still] = field(default_factory=dict)

    def hold(self, path: Path, at: Path) -> None:
        """See `Holder.hold`."""
        _note(self.files, path, at)

    def drop(self, at: Path) -> None:
        """See `Holder.drop`."""
        _forget(self.files, at)


def _note(files: dict[str, Still], path: Path, at: Path) -> None:
    if path.is_file() or not path.exists():  # a pipe holds no bytes, and would be waited for
        files[str(at)] = still(path)


def _forget(files: dict[str, Still], at: Path) -> None:
    for each in [each for each in files if Path(each).is_relative_to(at)]:
        del files[each]
