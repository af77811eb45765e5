"""The files of a new checkpoint: written, with digests taken meanwhile, or shared.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from evertrain.checkpoint import manifest as manifests
from evertrain.checkpoint import parts
from evertrain.checkpoint.group import Group, Item, PartName, digest_of
from evertrain.checkpoint.manifest import ArrayEntry, Extent, FileEntry
from evertrain.checkpoint.previous import Base, stamp_of
from evertrain.checkpoint.snapshot import Snapshot
from evertrain.core.fs import FILE_MODE, Fs
from evertrain.core.threads import start

Arrays = dict[str, dict[str, ArrayEntry]]
Files = dict[str, FileEntry]

_SMALL_BYTES: Final = 1 << 20  # below this, a second thread costs more than it saves


class LostError(OSError):
    """A file of the base is gone, and its bytes are not at hand."""


def fill_files(tmp: Path, snapshot: Snapshot, fs: Fs) -> tuple[Files, Arrays]:
    """Write or share every file with arrays, durably, and return what lies where.

    Raises:
        OSError: The disk refused.
        LostError: A file to share is gone, or cut short.
    """
    book = _Book()
    with ThreadPoolExecutor(1) as digester:  # left before the memory that it reads is used again
        filling = _Filling(tmp, snapshot.base, fs, book, digester)
        if snapshot.base is None:
            for group in snapshot.groups:
                filling.write(group, None)
        else:
            filling.share_or_write(snapshot, snapshot.base)
    for file in book.fresh:
        fs.sync_file(tmp / file)
    return book.files, book.arrays()


class _Book:
    """What lies where, so far."""

    def __init__(self) -> None:
        self.files: Files = {}
        self.fresh: list[str] = []
        self._taken: set[str] = set()
        self._parts: dict[tuple[str, str], list[tuple[int, Extent, tuple[str, ...]]]] = {}
        self._kinds: dict[tuple[str, str], tuple[str, tuple[int, ...], int]] = {}

    def reserve(self, names: Iterable[str]) -> None:
        """Keep the names of files that may yet be shared from being given away."""
        self._taken |= {name.casefold() for name in names}

    def name(self, stem: str, own: str | None) -> str:
        """Return the name of a new file: like no other; its own if it replaces one."""
        self._taken.discard((own or "").casefold())
        found = manifests.file_name(stem, self._taken)
        self._taken.add(found.casefold())
        return found

    def add(
        self,
        part: PartName,
        kind: tuple[str, tuple[int, ...], int],
        at: Extent,
        digests: tuple[str, ...],
    ) -> None:
        """Note where an array, or a part of it, lies."""
        name = (part.name, part.key)
        self._kinds[name] = kind
        self._parts.setdefault(name, []).append((part.start, at, digests))

    def arrays(self) -> Arrays:
        """Return the arrays, put together."""
        found: Arrays = {}
        for (name, key), placed in self._parts.items():
            placed.sort(key=lambda each: each[0])
            extents = tuple(at for _, at, _ in placed)
            digests = tuple(chain.from_iterable(each for _, _, each in placed))
            entry = ArrayEntry(*self._kinds[name, key], extents, digests)
            found.setdefault(name, {})[key] = entry
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Filling:
    """The files of one checkpoint, under way."""

    tmp: Path
    base: Base | None
    fs: Fs
    book: _Book
    digester: ThreadPoolExecutor

    def share_or_write(self, snapshot: Snapshot, base: Base) -> None:
        """Share what the base has as well; write the rest."""
        groups = list(snapshot.groups)
        self.book.reserve(snapshot.shared)
        self.book.reserve(filter(None, map(base.twin, groups)))
        for file, group in snapshot.shared.items():
            if self._share(base, file):
                continue
            if not group.items:
                raise LostError(f"{base.path / file} is gone, or cut short")
            groups.append(group)
        for group in groups:
            twin = base.twin(group)
            if twin is None or not self._is_in(base, twin, group) or not self._share(base, twin):
                self.write(group, twin)

    def write(self, group: Group, twin: str | None) -> None:
        """Write a file, perhaps in place of one of the base; take its digests meanwhile."""
        name = self.book.name(group.stem, twin)
        layout = parts.plan({each.title: each.raw for each in group.items})
        items = {each.title: each for each in group.items}
        ordered = [items[title] for title in layout.places]
        digests = [self._digests(each) for each in ordered]

        pieces = chain.from_iterable(parts.pieces(each.raw.data) for each in ordered)
        size_bytes = self.fs.write(self.tmp / name, parts.joined(layout.head, pieces))
        self.fs.chmod(self.tmp / name, FILE_MODE)
        self.book.fresh.append(name)
        self.book.files[name] = FileEntry(size_bytes, digest_of(layout.head), len(layout.head))
        for each, taken in zip(ordered, digests, strict=True):
            extent = Extent(name, layout.places[each.title].offset, len(each.views))
            kind = (each.raw.dtype, *each.whole)
            found = taken if isinstance(taken, tuple) else taken.result()
            self.book.add(each.part, kind, extent, found)

    def _share(self, base: Base, file: str) -> bool:
        """Give a file of the base a second name here. Say whether it was there, and whole."""
        entry = base.manifest.files[file]
        try:
            found = (base.path / file).lstat()
            if stamp_of(found) != base.stamps.get(file):
                return False
            is_link = self.fs.link(base.path / file, self.tmp / file)
        except FileNotFoundError:
            return False
        if not is_link:  # a copy, where there are no links
            self.fs.chmod(self.tmp / file, FILE_MODE)
        if not is_link or not base.is_ours:
            self.book.fresh.append(file)
        self.book.files[file] = entry
        for content in base.files[file]:
            array, digests = content.entry, tuple(digest for _, _, digest in content.parts())
            part = PartName(content.name, content.key, content.start)
            self.book.add(part, (array.dtype, array.shape, array.bytes), content.extent, digests)
        return True

    def _is_in(self, base: Base, twin: str, group: Group) -> bool:
        """Look whether a part of an array of rows stands still, before it is written."""
        if not group.is_rows or twin in base.stale:
            return False
        return base.holds(group)

    def _digests(self, item: Item) -> Future[tuple[str, ...]] | tuple[str, ...]:
        """Take the digests of much in a thread beside the writing."""
        if item.raw.data.nbytes >= _SMALL_BYTES:
            return start(self.digester, item.digests)
        return item.digests()
