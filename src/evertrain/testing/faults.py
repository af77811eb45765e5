"""A disk that refuses: full, broken, read-only, for tests of whatever must survive it.

Public on purpose: a training of your own can be tried on it.

    disk = FaultyFs(fail_at=17, error=errno.ENOSPC, is_sticky=True)
    with Run("runs/demo", total=100, fs=disk) as run:
        ...
    disk.heal()

Layer: testing. Imports core only.
"""

import os
import threading
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from evertrain.core.fs import LOCAL_FS, Bytes, Fs

# What a disk without room refuses; it still deletes, and changes permissions.
ALLOCATING: Final = frozenset(
    {"mkdir", "write", "append", "sync_file", "sync_dir", "replace", "link", "symlink"}
)
ALL: Final = ALLOCATING | {"chmod", "unlink", "rmtree"}


class FaultyFs:
    """An `Fs` that refuses one of its operations, or all from one on, until it is healed.

    Safe to use from several threads.

    Args:
        fs: Disk that carries out the rest.
        fail_at: Number of the operation to refuse, from 0. None refuses nothing.
        error: What it says: a number of `errno`.
        is_sticky: Whether everything after that is refused, too.
        kinds: The operations that count, by name; the others always work.
        is_short: Whether the first write or append that is refused, and the first
            deletion of a directory, gets halfway before.

    Attributes:
        operations: How many were asked for that count, refused ones too.
        refused: Each that was refused, as "write manifest.json".
    """

    def __init__(  # noqa: PLR0913  (each is one way to fail)
        self,
        fs: Fs = LOCAL_FS,
        *,
        fail_at: int | None = None,
        error: int,
        is_sticky: bool = False,
        kinds: Collection[str] = ALL,
        is_short: bool = False,
    ) -> None:
        """Start with none."""
        self._fs = fs
        self._fail_at = fail_at
        self._error = error
        self._is_sticky = is_sticky
        self._kinds = frozenset(kinds)
        self._is_short = is_short
        self._guard = threading.Lock()
        self.operations = 0
        self.refused: list[str] = []

    def heal(self) -> None:
        """Refuse nothing any more."""
        with self._guard:
            self._fail_at = None

    def fail(self, *, after: int = 0) -> None:
        """Begin to refuse, once `after` more operations have worked."""
        with self._guard:
            self._fail_at = self.operations + after

    def mkdir(self, path: Path) -> None:
        """See `Fs.mkdir`."""
        self._ask("mkdir", path)
        self._fs.mkdir(path)

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """See `Fs.write`. Short: half of the bytes arrive."""
        refused = self._refusal("write", path)
        if refused is None:
            return self._fs.write(path, chunks)
        if self._is_first_short:
            data = b"".join(bytes(chunk) for chunk in chunks)
            self._fs.write(path, (data[: len(data) // 2],))
        raise refused

    def append(self, path: Path, data: bytes) -> None:
        """See `Fs.append`. Short: half of the bytes arrive, and are not taken back."""
        refused = self._refusal("append", path)
        if refused is None:
            return self._fs.append(path, data)
        if self._is_first_short:
            self._fs.append(path, data[: len(data) // 2])
        raise refused

    def sync_file(self, path: Path) -> None:
        """See `Fs.sync_file`."""
        self._ask("sync_file", path)
        self._fs.sync_file(path)

    def sync_dir(self, path: Path) -> None:
        """See `Fs.sync_dir`."""
        self._ask("sync_dir", path)
        self._fs.sync_dir(path)

    def replace(self, src: Path, dst: Path) -> None:
        """See `Fs.replace`."""
        self._ask("replace", dst)
        self._fs.replace(src, dst)

    def link(self, src: Path, dst: Path) -> bool:
        """See `Fs.link`."""
        self._ask("link", dst)
        return self._fs.link(src, dst)

    def symlink(self, target: str, path: Path) -> None:
        """See `Fs.symlink`."""
        self._ask("symlink", path)
        self._fs.symlink(target, path)

    def chmod(self, path: Path, mode: int) -> None:
        """See `Fs.chmod`."""
        self._ask("chmod", path)
        self._fs.chmod(path, mode)

    def unlink(self, path: Path) -> None:
        """See `Fs.unlink`."""
        self._ask("unlink", path)
        self._fs.unlink(path)

    def rmtree(self, path: Path) -> None:
        """See `Fs.rmtree`. Short: half of the files are gone."""
        refused = self._refusal("rmtree", path)
        if refused is None:
            return self._fs.rmtree(path)
        if self._is_first_short and path.is_dir():
            files = sorted(each for each in path.rglob("*") if not each.is_dir())
            for each in files[: (len(files) + 1) // 2]:
                self._fs.unlink(each)
        raise refused

    @property
    def _is_first_short(self) -> bool:
        return self._is_short and len(self.refused) == 1

    def _ask(self, kind: str, path: Path) -> None:
        refused = self._refusal(kind, path)
        if refused is not None:
            raise refused

    def _refusal(self, kind: str, path: Path) -> OSError | None:
        """Count an operation; return the error if it is to be refused."""
        if kind not in self._kinds:
            return None
        with self._guard:
            number, at = self.operations, self._fail_at
            self.operations += 1
            if at is None or number < at or (number > at and not self._is_sticky):
                return None
            self.refused.append(f"{kind} {path.name}")
        return OSError(self._error, os.strerror(self._error), str(path))
