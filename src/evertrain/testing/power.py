"""Killed processes and lost power, for tests of anything that must be durable.

Public on purpose: whoever writes a new store can test it with the same plug.
`CutFs` is a SIGKILL: what was done stays done. `PowerDisk` remembers what was
synced, and builds each of the worlds that a disk may legally show afterwards.

    disk = PowerDisk(root)
    with suppress(PowerCut):
        Store(root, fs=CutFs(disk, cut_before=17)).save(...)
    for world in disk.worlds():
        disk.reboot(fresh_dir, world)
        ... whatever is in fresh_dir must do

Layer: testing. Imports core only.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from evertrain.core.fs import LOCAL_FS, Bytes, Fs

Data = Literal["full", "empty", "partial", "garbage"]
DATA: Final[tuple[Data, ...]] = ("full", "empty", "partial", "garbage")


class PowerCut(BaseException):
    """The simulated process or machine died. A BaseException: no handler may absorb it."""


class CutFs:
    """An `Fs` on which the process dies before one of its operations, and stays dead.

    Args:
        fs: Disk that the operations reach until then.
        cut_before: Number of operations that succeed. None never dies.
        is_torn: Whether the fatal operation, if it writes or deletes much, gets halfway.

    Attributes:
        operations: How many operations have succeeded so far.
    """

    def __init__(
        self, fs: Fs = LOCAL_FS, *, cut_before: int | None = None, is_torn: bool = False
    ) -> None:
        """Start with none."""
        self._fs = fs
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


@dataclass(frozen=True, slots=True)
class World:
    """One thing that the medium may hold after the power failed.

    Attributes:
        flushed: Directories whose latest names had reached the medium by
            themselves; those of all others are as of their last sync.
        data: What is in a file that was never synced since it was written.
    """

    flushed: frozenset[str]
    data: Data


@dataclass(slots=True, eq=False)
class _File:
    cached: bytes
    durable: bytes | None = None  # None: nothing was ever synced


@dataclass(slots=True, eq=False)
class _Link:
    target: str


@dataclass(slots=True, eq=False)
class _Dir:
    name: str
    live: "dict[str, _Node]" = field(default_factory=dict)
    durable: "dict[str, _Node]" = field(default_factory=dict)


_Node = _File | _Link | _Dir


@dataclass(frozen=True, slots=True, eq=False)
class _Move:
    """A rename into another directory that is not durable there yet."""

    source: _Dir
    name: str
    node: _Node
    target: _Dir


class PowerDisk:
    """An `Fs` on a real directory that also remembers what a power cut would leave of it.

    The model is stricter than most file systems: names and data reach the
    medium in any order, and a name moved to another directory may show in
    both. It may not show in neither: a rename is one step on all of them.

    Args:
        root: The directory, with everything in it durable. All operations stay inside.
        fs: Disk that really carries them out.
    """

    def __init__(self, root: Path, fs: Fs = LOCAL_FS) -> None:
        """Take what is in `root` as safe on the medium."""
        self._root_path = root
        self._fs = fs
        self._dirs: list[_Dir] = []
        self._moves: list[_Move] = []
        self._root = self._scan(root, ".")

    def worlds(self) -> Iterator[World]:
        """Yield what may be left: every choice of data, and of names all the extremes.

        All names flushed, none, each changed directory alone, and all but each one.
        """
        names = [each.name for each in self._dirs if each.live != each.durable]
        choices = {frozenset(names), frozenset[str]()}
        choices |= {frozenset({name}) for name in names}
        choices |= {frozenset(names) - {name} for name in names}
        for flushed, data in itertools.product(sorted(choices, key=sorted), DATA):
            yield World(flushed, data)

    def reboot(self, into: Path, world: World) -> None:
        """Build, in the new directory `into`, what is left in `world`."""
        self._build(self._root, into, world)

    def mkdir(self, path: Path) -> None:
        """See `Fs.mkdir`."""
        self._fs.mkdir(path)
        for each in (*reversed(path.relative_to(self._root_path).parents), self._inside(path)):
            if each != Path():
                parent = self._dir(each.parent)
                if each.name not in parent.live:
                    parent.live[each.name] = self._new_dir(str(each))

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """See `Fs.write`."""
        data = b"".join(bytes(chunk) for chunk in chunks)
        count = self._fs.write(path, (data,))
        parent = self._dir(self._inside(path).parent)
        node = parent.live.get(path.name)
        if isinstance(node, _File):
            node.cached, node.durable = data, None
        else:
            parent.live[path.name] = _File(data)
        return count

    def append(self, path: Path, data: bytes) -> None:
        """See `Fs.append`."""
        self._fs.append(path, data)
        node = self._dir(self._inside(path).parent).live.setdefault(path.name, _File(b""))
        if isinstance(node, _File):
            node.cached += data

    def sync_file(self, path: Path) -> None:
        """See `Fs.sync_file`."""
        self._fs.sync_file(path)
        node = self._dir(self._inside(path).parent).live[path.name]
        if isinstance(node, _File):
            node.durable = node.cached

    def sync_dir(self, path: Path) -> None:
        """See `Fs.sync_dir`."""
        self._fs.sync_dir(path)
        if path.is_relative_to(self._root_path):  # the one above is not ours to lose
            node = self._dir(self._inside(path))
            node.durable = dict(node.live)
            self._moves = [move for move in self._moves if move.target is not node]

    def replace(self, src: Path, dst: Path) -> None:
        """See `Fs.replace`."""
        self._fs.replace(src, dst)
        source, target = self._dir(self._inside(src).parent), self._dir(self._inside(dst).parent)
        node = target.live[dst.name] = source.live.pop(src.name)
        if source is not target:
            self._moves.append(_Move(source, src.name, node, target))

    def link(self, src: Path, dst: Path) -> bool:
        """See `Fs.link`."""
        is_link = self._fs.link(src, dst)
        node = self._dir(self._inside(src).parent).live[src.name]
        if isinstance(node, _File) and not is_link:
            node = _File(node.cached)
        self._dir(self._inside(dst).parent).live[dst.name] = node
        return is_link

    def symlink(self, target: str, path: Path) -> None:
        """See `Fs.symlink`."""
        self._fs.symlink(target, path)
        self._dir(self._inside(path).parent).live[path.name] = _Link(target)

    def chmod(self, path: Path, mode: int) -> None:
        """See `Fs.chmod`. The model ignores permissions."""
        self._fs.chmod(path, mode)

    def unlink(self, path: Path) -> None:
        """See `Fs.unlink`."""
        self._fs.unlink(path)
        self._dir(self._inside(path).parent).live.pop(path.name, None)

    def rmtree(self, path: Path) -> None:
        """See `Fs.rmtree`."""
        self._fs.rmtree(path)
        parent = self._dir(self._inside(path).parent)
        node = parent.live.get(path.name)
        if isinstance(node, _Dir):
            _empty(node)
            del parent.live[path.name]

    def _inside(self, path: Path) -> Path:
        return path.relative_to(self._root_path)

    def _dir(self, inside: Path) -> _Dir:
        node: _Node = self._root
        for part in inside.parts:
            if not isinstance(node, _Dir):
                raise NotADirectoryError(str(inside))
            node = node.live[part]
        if not isinstance(node, _Dir):
            raise NotADirectoryError(str(inside))
        return node

    def _new_dir(self, name: str) -> _Dir:
        """Return a directory with a name of its own, wherever it will be renamed to."""
        node = _Dir(f"{name}#{len(self._dirs)}")
        self._dirs.append(node)
        return node

    def _scan(self, path: Path, name: str) -> _Dir:
        node = self._new_dir(name)
        for each in sorted(path.iterdir()):
            if each.is_symlink():
                node.live[each.name] = _Link(str(each.readlink()))
            elif each.is_dir():
                node.live[each.name] = self._scan(each, each.name)
            else:
                data = each.read_bytes()
                node.live[each.name] = _File(data, data)
        node.durable = dict(node.live)
        return node

    def _build(self, node: _Dir, into: Path, world: World) -> None:
        into.mkdir()
        names = dict(_names(node, world))
        for move in self._moves:
            if move.source is node and move.node not in _names(move.target, world).values():
                names.setdefault(move.name, move.node)
        for name, each in names.items():
            if isinstance(each, _Dir):
                self._build(each, into / name, world)
            elif isinstance(each, _Link):
                (into / name).symlink_to(each.target)
            else:
                (into / name).write_bytes(_contents(each, world.data))


def _names(node: _Dir, world: World) -> "dict[str, _Node]":
    return node.live if node.name in world.flushed else node.durable


def _contents(file: _File, data: Data) -> bytes:
    """Return what is in a file: what was synced, or what the world makes of the rest."""
    if file.durable is not None and data != "full":
        return file.durable
    if data == "full":
        return file.cached
    if data == "empty":
        return b""
    half = len(file.cached) // 2
    return file.cached[:half] if data == "partial" else file.cached[:half] + b"\xa5" * half


def _empty(node: _Dir) -> None:
    for each in node.live.values():
        if isinstance(each, _Dir):
            _empty(each)
    node.live = {}
