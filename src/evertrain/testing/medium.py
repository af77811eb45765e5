"""A disk that forgets: what programs see of it, and what of that is on the medium.

The model is stricter than most file systems. Each change of a name and each
file's data reach the medium in any order, with three exceptions that every
journalling file system keeps to:

- changes of one name in one directory reach it in order;
- a rename inside a directory is one step;
- a name moved to another directory may show in both, never in neither.

Layer: testing. Imports testing only.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final, Literal

from evertrain.testing.tree import Tree

Data = Literal["old", "empty", "partial", "garbage", "full"]
DATA: Final[tuple[Data, ...]] = ("old", "empty", "partial", "garbage", "full")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on a disk, as it was asked for.

    Attributes:
        name: Its name in `Fs`, or `copy` for a link that was refused.
        args: Paths from the root, and what was written.
    """

    name: str
    args: tuple[Any, ...]

    def __str__(self) -> str:
        """Return e.g. `replace .a.tmp a`."""
        return " ".join([self.name, *(str(each) for each in self.args if type(each) is not bytes)])


@dataclass(slots=True, eq=False)
class File:
    """A file.

    Attributes:
        number: What tells it from all other nodes.
        cached: What programs read in it.
        durable: What was synced last; None is nothing.
        is_rewritten: Whether even that may be gone.
    """

    number: int
    cached: bytes
    durable: bytes | None = None
    is_rewritten: bool = False

    def states(self) -> dict[Data, bytes]:
        """Return what it may hold without power, each thing once."""
        kept = self.durable
        if kept == self.cached and not self.is_rewritten:
            return {"full": self.cached}
        is_longer = kept is not None and not self.is_rewritten and self.cached.startswith(kept)
        start = kept if kept is not None and is_longer else b""
        half = self.cached[: len(start) + (len(self.cached) - len(start)) // 2]
        junk = b"\xa5" * (len(self.cached) - len(half))
        found: dict[Data, bytes] = {"full": self.cached, "partial": half, "garbage": half + junk}
        if kept is not None:
            found["old"] = kept
        if not is_longer:
            found["empty"] = b""
        first = {data: name for name, data in reversed(found.items())}
        return {name: data for data, name in first.items()}


@dataclass(slots=True, eq=False)
class Link:
    """A symbolic link."""

    number: int
    target: str


@dataclass(slots=True, eq=False)
class Dir:
    """A directory: the names that programs see, and those on the medium."""

    number: int
    live: "dict[str, Node]" = field(default_factory=dict)
    durable: "dict[str, Node]" = field(default_factory=dict)


Node = File | Link | Dir
Slot = tuple[Dir, str, Node | None]


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """Names that changed in one step, and are not durable yet.

    Attributes:
        number: Its place in the order of all changes.
        slots: Directory, name, and what is there now.
        needs: Changes that reach the medium before it.
        what: It in words.
    """

    number: int
    slots: tuple[Slot, ...]
    needs: frozenset[int]
    what: str

    def is_in(self, directory: Dir) -> bool:
        """Say whether it changes a name there."""
        return any(each is directory for each, _, _ in self.slots)

    def clashes(self, slots: Iterable[Slot]) -> bool:
        """Say whether it changes one of these names."""
        mine = {(directory.number, name) for directory, name, _ in self.slots}
        return any((directory.number, name) in mine for directory, name, _ in slots)


class Medium:
    """A disk, and what of it is on the medium.

    Args:
        start: What is on it, all of it durable.

    Attributes:
        root: Its top directory.
        pending: Changes of names that are not durable, oldest first.
    """

    def __init__(self, start: Tree) -> None:
        """Begin with nothing pending."""
        self._count = itertools.count()
        self.root = Dir(next(self._count))
        self.pending: list[Change] = []
        files: dict[int, File] = {}
        for path, held in sorted(start.items()):
            number = next(self._count)
            node: Node
            if held is None:
                node = Dir(number)
            elif isinstance(held, str):
                node = Link(number, held)
            else:
                node = files.setdefault(held.inode, File(number, held.data, held.data))
            parent = self._dir(PurePath(path).parent)
            name = PurePath(path).name
            parent.live[name] = parent.durable[name] = node

    def apply(self, operation: Operation) -> None:
        """Carry out an operation."""
        getattr(self, f"_{operation.name}")(*operation.args)

    def tear(self, operation: Operation) -> None:
        """Carry out half of an operation, if it writes or deletes much."""
        if operation.name in {"write", "append"}:
            path, data = operation.args
            self.apply(Operation(operation.name, (path, data[: len(data) // 2])))
        elif operation.name == "rmtree":
            found = self._below(operation.args[0])
            for each in found[: (len(found) + 1) // 2]:
                self._unlink(each)

    def _mkdir(self, path: PurePath) -> None:
        for each in (*reversed(path.parents), path):
            if each.name and self._node(each) is None:
                self._create("mkdir", each, Dir(next(self._count)))

    def _write(self, path: PurePath, data: bytes) -> None:
        node = self._node(path)
        if isinstance(node, File):
            node.cached, node.is_rewritten = data, True
        else:
            self._create("create", path, File(next(self._count), data))

    def _append(self, path: PurePath, data: bytes) -> None:
        node = self._node(path)
        if isinstance(node, File):
            node.cached += data
        else:
            self._create("create", path, File(next(self._count), data))

    def _sync_file(self, path: PurePath) -> None:
        node = self._node(path)
        if isinstance(node, File):
            node.durable, node.is_rewritten = node.cached, False

    def _sync_dir(self, path: PurePath) -> None:
        """Make the names there durable, and what reaches the medium before them."""
        node, known = self._dir(path), {each.number: each for each in self.pending}
        # The removal of a name that moved elsewhere waits for its arrival there.
        wanted = [
            each
            for each in self.pending
            if each.is_in(node)
            and all(known[need].is_in(node) for need in each.needs if need in known)
        ]
        safe: set[int] = set()
        while wanted:
            each = wanted.pop()
            safe.add(each.number)
            wanted += [known[need] for need in each.needs - safe if need in known]
        for each in self.pending:
            if each.number in safe:
                for directory, name, found in each.slots:
                    put(directory.durable, name, found)
        self.pending = [each for each in self.pending if each.number not in safe]

    def _replace(self, src: PurePath, dst: PurePath) -> None:
        source, target = self._dir(src.parent), self._dir(dst.parent)
        node, what = source.live[src.name], f"rename {src} to {dst}"
        if source is target:
            self._change(what, (source, src.name, None), (source, dst.name, node))
        else:
            arrival = self._change(what, (target, dst.name, node))
            self._change(f"{what} (the old name)", (source, src.name, None), needs={arrival})

    def _link(self, src: PurePath, dst: PurePath) -> None:
        self._create("link", dst, self._file(src))

    def _copy(self, src: PurePath, dst: PurePath) -> None:
        self._create("copy", dst, File(next(self._count), self._file(src).cached))

    def _symlink(self, target: str, path: PurePath) -> None:
        self._create("symlink", path, Link(next(self._count), target))

    def _chmod(self, path: PurePath, mode: int) -> None:
        """Do nothing: the model ignores permissions."""

    def _unlink(self, path: PurePath) -> None:
        if self._node(path) is not None:
            self._change(f"unlink {path}", (self._dir(path.parent), path.name, None))

    def _rmtree(self, path: PurePath) -> None:
        node = self._node(path)
        if isinstance(node, Dir):
            for name in sorted(node.live):
                self._rmtree(path / name)
                self._unlink(path / name)
            self._unlink(path)

    def _below(self, path: PurePath) -> list[PurePath]:
        """Return the files and links below a directory."""
        node = self._node(path)
        if not isinstance(node, Dir):
            return [path] if node is not None else []
        return [each for name in sorted(node.live) for each in self._below(path / name)]

    def _create(self, how: str, path: PurePath, node: Node) -> None:
        self._change(f"{how} {path}", (self._dir(path.parent), path.name, node))

    def _change(self, what: str, *slots: Slot, needs: Iterable[int] = ()) -> int:
        before = {each.number for each in self.pending if each.clashes(slots)}
        change = Change(next(self._count), slots, frozenset(before | set(needs)), what)
        self.pending.append(change)
        for directory, name, node in slots:
            put(directory.live, name, node)
        return change.number

    def _node(self, path: PurePath) -> Node | None:
        node: Node | None = self.root
        for part in path.parts:
            node = node.live.get(part) if isinstance(node, Dir) else None
        return node

    def _file(self, path: PurePath) -> File:
        node = self._node(path)
        if not isinstance(node, File):
            raise FileNotFoundError(str(path))
        return node

    def _dir(self, path: PurePath) -> Dir:
        node = self._node(path)
        if not isinstance(node, Dir):
            raise NotADirectoryError(str(path))
        return node


def put(names: dict[str, Node], name: str, node: Node | None) -> None:
    """Give a name to a node, or take it away."""
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node
