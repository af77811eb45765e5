"""Unpacking an archive into a run, which is there whole and verified, or not at all.

Layer: checkpoint. Imports core only.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from evertrain.checkpoint.care import zstd
from evertrain.checkpoint.care.listing import Listing, bad_archive
from evertrain.checkpoint.care.tar import Reader
from evertrain.checkpoint.catalog import Catalog, step_names
from evertrain.checkpoint.commit import Tools, sweep
from evertrain.checkpoint.verify import Memory, faults_of
from evertrain.core import proc
from evertrain.core.errors import EvertrainError, UsageError
from evertrain.core.fs import DIR_MODE, FILE_MODE, make_dir
from evertrain.core.rundir import RunDir, read_identity

_TOOLS: Final = Tools()
_WRITABLE: Final = 0o644


def unarchive(path: Path, to: Path | None = None, *, tools: Tools = _TOOLS) -> RunDir:
    """Unpack an archive, verify every checkpoint, and return the run.

    Args:
        path: The archive. Whoever made it need not be trusted.
        to: Directory of the run, which must not exist; None is the run's
            name under `runs`, or here where there is no `runs`.
        tools: Disk and clock.

    Raises:
        UsageError: `to` exists; or there is none, and the archive has a hidden name for it.
        CorruptError: The archive is damaged, hostile, or none; nothing of it is left.
        FormatError: A newer version wrote it.
        MissingExtraError: Nothing here uncompresses it.
        EvertrainError: The disk has no room for what it declares.
        OSError: The disk refused.

    Durability:
        After return the run survives a power cut. Killed before that, it is not
        there, and what is left is hidden and swept by the next one.
    """
    with zstd.unpacked(path) as (read, failures):
        reader = Reader(read, failures, path)
        listing = reader.listing()
        target = _target(listing, to)
        make_dir(target.parent, fs=tools.fs)
        sweep(target.parent, tools.fs, prefix=f".tmp-{target.name}-")
        _check_room(listing, target.parent)
        pid = os.getpid()
        tmp = target.parent / f".tmp-{target.name}-{pid}-{proc.start_time(pid) or 0}"
        try:
            tools.fs.rmtree(tmp)
            _make_dirs(tmp, listing, tools)
            reader.pour(listing, _Disk(tmp, tools))
            _check(path, RunDir(tmp), tools)
            _sync(tmp, listing, tools)
            tools.fs.replace(tmp, target)
        except Exception:
            with suppress(OSError):  # the first failure is the one to report
                tools.fs.rmtree(tmp)
            raise
        tools.fs.sync_dir(target.parent)
    return RunDir(target)


class _Disk:
    """Writes what an archive holds below one directory."""

    def __init__(self, root: Path, tools: Tools) -> None:
        """Touch nothing yet."""
        self._root = root
        self._fs = tools.fs

    def file(self, path: str, chunks: Iterator[bytes], *, is_read_only: bool) -> None:
        """See `Sink.file`."""
        target = self._root / path
        self._fs.write(target, chunks)
        self._fs.chmod(target, FILE_MODE if is_read_only else _WRITABLE)
        self._fs.sync_file(target)

    def link(self, path: str, target: str) -> None:
        """See `Sink.link`."""
        first, other = self._root / target, self._root / path
        if not self._fs.link(first, other):  # a copy, which is like any other new file
            self._fs.chmod(other, first.stat().st_mode & 0o777)
            self._fs.sync_file(other)


def _target(listing: Listing, to: Path | None) -> Path:
    if to is None and listing.name[0] in ".-~":  # ".git" would be obeyed by others
        raise UsageError(
            f"the archive holds a run called {listing.name!r:.80}.",
            "a name that begins like that may mean something to other programs.",
            "Give it another: --to DIR",
        )
    target = to or (Path("runs") if Path("runs").is_dir() else Path()) / listing.name
    if target.exists() or target.is_symlink():
        raise UsageError(
            f"{target} exists.", "a run is never overwritten.", "Give another place: --to DIR"
        )
    return target.absolute()


def _check_room(listing: Listing, place: Path) -> None:
    wanted = listing.bytes
    disk = os.statvfs(place)
    free = disk.f_bavail * disk.f_frsize
    if wanted > free:
        raise EvertrainError(
            f"the archive declares {wanted} bytes, and {place} has room for {free}.",
            "nothing was unpacked.",
            f"Make room (df -h {place}), or choose another disk: --to DIR",
        )


def _make_dirs(tmp: Path, listing: Listing, tools: Tools) -> None:
    for each in (tmp, *(tmp / path for path in _dirs(listing))):
        tools.fs.mkdir(each)
        tools.fs.chmod(each, DIR_MODE)


def _dirs(listing: Listing) -> list[str]:
    """Return the directories that the files need, parents first."""
    parents = (parent for path in listing.files for parent in Path(path).parents)
    return sorted({str(each) for each in parents} - {"."})


def _check(path: Path, run_dir: RunDir, tools: Tools) -> None:
    """Read every checkpoint back, and make links and index anew.

    Raises:
        CorruptError: It is no run, or a checkpoint is damaged.
        FormatError: A newer version wrote it.
    """
    if read_identity(run_dir) is None and not run_dir.journal.is_file():
        raise bad_archive(path, "it holds no run")
    memory: Memory = {}
    for name in step_names(run_dir.checkpoints):
        faults = faults_of(run_dir.checkpoints / name, int(name), memory)
        if faults:
            raise bad_archive(path, f"checkpoint {int(name)}: {faults[0].problem}")
    Catalog(run_dir.checkpoints).refresh(tools)


def _sync(tmp: Path, listing: Listing, tools: Tools) -> None:
    for each in reversed(_dirs(listing)):
        tools.fs.sync_dir(tmp / each)
    tools.fs.sync_dir(tmp)
