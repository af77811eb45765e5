"""Killed processes and lost power, for tests of anything that must be durable.

Public on purpose: whoever writes a new store can test it with the same plug.
A `PowerDisk` writes down what a program does to a real directory. Afterwards it
tells everything that a death at any moment of it may have left: the process
killed before each operation, or in the middle of it; the power cut there, in
each world that a disk with unsynced names and data may legally show.

    disk = PowerDisk(root)
    Store(root, fs=disk).save(...)
    for left in disk.deaths():
        left.plant(fresh_dir)
        ... whatever is in fresh_dir must do

Layer: testing. Imports core only.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from evertrain.core.fs import Bytes, Fs, LocalFs
from evertrain.testing.medium import Medium, Operation
from evertrain.testing.tree import Tree, plant, scan
from evertrain.testing.worlds import (
    EXHAUSTIVE,
    IsUnread,
    World,
    is_litter,
    losses,
    seen,
    survived,
    tree_of,
    worlds,
)

KILLED: Final = "killed"
TORN: Final = "killed halfway"
UNPOWERED: Final = "without power"


@dataclass(frozen=True, slots=True)
class Remains:
    """What a death left on the disk.

    Attributes:
        how: "killed", "killed halfway" or "without power".
        done: Operations that were done before.
        before: The one that would have come next, or did so halfway; None after the last.
        lost: What of the operations before it is lost, in words.
        tree: What is there.
    """

    how: str
    done: int
    before: Operation | None
    lost: tuple[str, ...]
    tree: Tree

    def __str__(self) -> str:
        """Return one line, for the message of a failing test."""
        lost = f"; lost: {', '.join(self.lost)}" if self.lost else ""
        return f"{self.how} after {self.done} operations, before {self.before or 'nothing'}{lost}"

    def plant(self, into: Path) -> None:
        """Build it in the new directory `into`."""
        plant(self.tree, into)


class PowerDisk:
    """An `Fs` on a real directory that also knows what a death at any moment would leave.

    Threads may share it, as far as they do not touch the same names.

    Args:
        root: The directory, with everything in it durable. All operations stay inside.
        fs: Disk that really carries them out; None is the machine's own.
        is_unread: Says of a path, relative to `root`, that nobody reads what is there after
            a death. That is chosen at random instead of in every combination.

    Attributes:
        operations: What was done so far.
    """

    def __init__(
        self, root: Path, fs: Fs | None = None, *, is_unread: IsUnread = is_litter
    ) -> None:
        """Take what is in `root` as safe on the medium."""
        self._root = root
        self._fs: Fs = LocalFs() if fs is None else fs
        self._is_unread = is_unread
        self._start = scan(root)
        self.operations: list[Operation] = []

    def worlds(self, *, limit: int = EXHAUSTIVE, seed: int = 0) -> Iterator[World]:
        """Yield what may be left if the power fails now.

        Args:
            limit: All of it, if there are no more worlds than that; else about as many:
                the extremes, what a disk that keeps the order may leave, and a random choice.
            seed: Of that choice.
        """
        return worlds(self._medium(), self._is_unread, limit, seed)

    def reboot(self, into: Path, world: World) -> None:
        """Build, in the new directory `into`, what is left in `world`."""
        plant(tree_of(self._medium(), world), into)

    def deaths(self, *, limit: int = EXHAUSTIVE, seed: int = 0) -> Iterator[Remains]:
        """Yield what each possible death until now would have left, each thing once.

        Args:
            limit: As in `worlds`, for each moment.
            seed: As in `worlds`.
        """
        known: set[object] = set()
        for left in self._all_deaths(limit, seed):
            what = seen(left.tree, self._is_unread)
            if what not in known:
                known.add(what)
                yield left

    def _all_deaths(self, limit: int, seed: int) -> Iterator[Remains]:
        medium = Medium(self._start)
        for done, before in enumerate((*self.operations, None)):
            yield Remains(KILLED, done, before, (), tree_of(medium, survived(medium)))
            for world in worlds(medium, self._is_unread, limit, seed + done):
                lost = tuple(losses(medium, world))
                yield Remains(UNPOWERED, done, before, lost, tree_of(medium, world))
            if before is not None:
                torn = self._medium(done)
                torn.tear(before)
                yield Remains(TORN, done, before, (), tree_of(torn, survived(torn)))
                medium.apply(before)

    def _medium(self, done: int | None = None) -> Medium:
        """Return the medium after so many operations; None is all."""
        medium = Medium(self._start)
        for operation in self.operations[:done]:
            medium.apply(operation)
        return medium

    def mkdir(self, path: Path) -> None:
        """See `Fs.mkdir`."""
        self._fs.mkdir(path)
        self._did("mkdir", path)

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """See `Fs.write`."""
        data = b"".join(bytes(chunk) for chunk in chunks)
        count = self._fs.write(path, (data,))
        self._did("write", path, data)
        return count

    def append(self, path: Path, data: bytes) -> None:
        """See `Fs.append`."""
        self._fs.append(path, data)
        self._did("append", path, data)

    def sync_file(self, path: Path) -> None:
        """See `Fs.sync_file`."""
        self._fs.sync_file(path)
        self._did("sync_file", path)

    def sync_dir(self, path: Path) -> None:
        """See `Fs.sync_dir`."""
        self._fs.sync_dir(path)
        if path.is_relative_to(self._root):  # the one above is not ours to lose
            self._did("sync_dir", path)

    def replace(self, src: Path, dst: Path) -> None:
        """See `Fs.replace`."""
        self._fs.replace(src, dst)
        self._did("replace", src, dst)

    def link(self, src: Path, dst: Path) -> bool:
        """See `Fs.link`."""
        is_link = self._fs.link(src, dst)
        self._did("link" if is_link else "copy", src, dst)
        return is_link

    def symlink(self, target: str, path: Path) -> None:
        """See `Fs.symlink`."""
        self._fs.symlink(target, path)
        self._did("symlink", target, path)

    def chmod(self, path: Path, mode: int) -> None:
        """See `Fs.chmod`. The model ignores permissions."""
        self._fs.chmod(path, mode)
        self._did("chmod", path, mode)

    def unlink(self, path: Path) -> None:
        """See `Fs.unlink`."""
        self._fs.unlink(path)
        self._did("unlink", path)

    def rmtree(self, path: Path) -> None:
        """See `Fs.rmtree`."""
        self._fs.rmtree(path)
        self._did("rmtree", path)

    def _did(self, name: str, *args: Any) -> None:
        inside = (
            PurePath(each.relative_to(self._root)) if isinstance(each, Path) else each
            for each in args
        )
        self.operations.append(Operation(name, tuple(inside)))
