"""A disk on which the process dies, before one of its operations or in the middle of it.

Layer: testing. Imports core only.
"""

from collections.abc import Iterable
from pathlib import Path

from evertrain.core.fs import Bytes, Fs, LocalFs


class PowerCut(BaseException):
    """The simulated process or machine died. A BaseException: no handler may absorb it."""


class CutFs:
    """An `Fs` on which the process dies before one of its operations, and stays dead.

    Args:
        fs: Disk that the operations reach until then; None is the machine's own.
        cut_before: Number of operations that succeed. None never dies.
        is_torn: Whether the fatal operation, if it writes or deletes much, gets halfway.

    Attributes:
        operations: How many operations have succeeded so far.
    """

    def __init__(
        self, fs: Fs | None = None, *, cut_before: int | None = None, is_torn: bool = False
    ) -> None:
        """Start with none."""
        self._fs = LocalFs() if fs is None else fs
        self._cut_before = cut_before
        self._is_torn = is_torn
        self.operations = 0

    def mkdir(self, path: Path) -> None:
        """See `Fs.mkdir`."""
        self._tick()
        self._fs.mkdir(path)

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """See `Fs.write`. Torn: half of the bytes arrive."""
        if self._is_last:
            data = b"".join(bytes(chunk) for chunk in chunks)
            self._fs.write(path, (data[: len(data) // 2],))
        self._tick()
        return self._fs.write(path, chunks)

    def append(self, path: Path, data: bytes) -> None:
        """See `Fs.append`. Torn: half of the bytes arrive."""
        if self._is_last:
            self._fs.append(path, data[: len(data) // 2])
        self._tick()
        self._fs.append(path, data)

    def sync_file(self, path: Path) -> None:
        """See `Fs.sync_file`."""
        self._tick()
        self._fs.sync_file(path)

    def sync_dir(self, path: Path) -> None:
        """See `Fs.sync_dir`."""
        self._tick()
        self._fs.sync_dir(path)

    def replace(self, src: Path, dst: Path) -> None:
        """See `Fs.replace`."""
        self._tick()
        self._fs.replace(src, dst)

    def link(self, src: Path, dst: Path) -> bool:
        """See `Fs.link`."""
        self._tick()
        return self._fs.link(src, dst)

    def symlink(self, target: str, path: Path) -> None:
        """See `Fs.symlink`."""
        self._tick()
        self._fs.symlink(target, path)

    def chmod(self, path: Path, mode: int) -> None:
        """See `Fs.chmod`."""
        self._tick()
        self._fs.chmod(path, mode)

    def unlink(self, path: Path) -> None:
        """See `Fs.unlink`."""
        self._tick()
        self._fs.unlink(path)

    def rmtree(self, path: Path) -> None:
        """See `Fs.rmtree`. Torn: half of the files are gone."""
        if self._is_last and path.is_dir():
            files = sorted(each for each in path.rglob("*") if not each.is_dir())
            for each in files[: (len(files) + 1) // 2]:
                self._fs.unlink(each)
        self._tick()
        self._fs.rmtree(path)

    @property
    def _is_last(self) -> bool:
        return self._is_torn and self.operations == self._cut_before

    def _tick(self) -> None:
        if self._cut_before is not None and self.operations >= self._cut_before:
            self._is_torn = False
            raise PowerCut
        self.operations += 1
