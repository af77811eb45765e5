"""The files of a new checkpoint: written, with digests taken meanwhile, or shared.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Final

from evertrain.checkpoint import cut, parts
from evertrain.checkpoint import manifest as manifests
from evertrain.checkpoint.base import Base
from evertrain.checkpoint.group import Group, Item, PartName
from evertrain.checkpoint.manifest import ArrayEntry, Extent, FileEntry
from evertrain.checkpoint.snapshot import Snapshot, digests_of
from evertrain.core.fs import FILE_MODE, Bytes, Fs

Arrays = dict[str, dict[str, ArrayEntry]]
Files = dict[str, FileEntry]

_SMALL_BYTES: Final = 1 << 20  # below this, a second thread costs more than it saves


class LostError(OSError):
    """A file of the base is gone, and its bytes are not at hand."""


def fill_files(tmp: Path, snapshot: Snapshot, fs: Fs) -> tuple[Files, Arrays]:
    """Write or share every file with arrays, durably, and return what lies where.

    Raises:
        OSError: The disk refused.
        LostError: A file to share is gone.
    """
    book = _Book()
    base = snapshot.base
    groups = list(snapshot.groups)
    if base is not None:
        for file, group in snapshot.shared.items():
            if not _share(tmp, base, file, book, fs):
                if not group.items:
                    raise LostError(f"{base.path / file} is gone")
                groups.append(group)
    with ThreadPoolExecutor(1) as digester:
        for group in groups:
            _write_or_share(tmp, snapshot, group, book, digester, fs)
    for file in book.written:
        fs.sync_file(tmp / file)
    return book.files, book.arrays()


class _Book:
    """What lies where, so far."""

    def __init__(self) -> None:
        self.files: Files = {}
        self.written: list[str] = []
        self._parts: dict[tuple[str, str], list[tuple[int, Extent, tuple[str, ...]]]] = {}
        self._kinds: dict[tuple[str, str], tuple[str, tuple[int, ...], int]] = {}

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


def _share(tmp: Path, base: Base, file: str, book: _Book, fs: Fs) -> bool:
    """Give a file of the base a second name here. Say whether it was still there."""
    try:
        is_link = fs.link(base.path / file, tmp / file)
    except FileNotFoundError:
        return False
    if not is_link:  # a copy, where there are no links
        fs.chmod(tmp / file, FILE_MODE)
        book.written.append(file)
    book.files[file] = base.manifest.files[file]
    for content in base.files[file]:
        entry, digests = content.entry, tuple(digest for _, _, digest in content.parts())
        part = PartName(content.name, content.key, content.start)
        book.add(part, (entry.dtype, entry.shape, entry.bytes), content.extent, digests)
    return True


def _write_or_share(
    tmp: Path,
    snapshot: Snapshot,
    group: Group,
    book: _Book,
    digester: ThreadPoolExecutor,
    fs: Fs,
) -> None:
    """Write a file, unless a look at its digests shows that the base has it."""
    base = snapshot.base
    twin = base.twin(group) if base is not None and group.is_rows else None
    if base is not None and twin is not None and twin not in base.stale:
        is_same = all(base.digests(each) == digests_of(each) for each in group.items)
        if is_same and _share(tmp, base, twin, book, fs):
            return
    file = manifests.file_name(group.stem, {**book.files, **dict.fromkeys(snapshot.shared)})
    _write(tmp / file, group, book, digester, fs)


def _write(path: Path, group: Group, book: _Book, digester: ThreadPoolExecutor, fs: Fs) -> None:
    layout = parts.plan({each.title: each.raw for each in group.items})
    items = {each.title: each for each in group.items}
    ordered = [items[title] for title in layout.places]
    digests = [_digests(each, digester) for each in ordered]

    def chunks() -> Iterator[Bytes]:
        yield layout.head
        for each in ordered:
            yield from parts.pieces(each.raw.data)

    size_bytes = fs.write(path, chunks())
    fs.chmod(path, FILE_MODE)
    book.written.append(path.name)
    book.files[path.name] = FileEntry(size_bytes, digest_of(layout.head), len(layout.head))
    for each, found in zip(ordered, digests, strict=True):
        place = layout.places[each.title]
        extent = Extent(path.name, place.offset, cut_count(each))
        digest = found if isinstance(found, tuple) else found.result()
        book.add(each.part, (each.raw.dtype, *each.whole), extent, digest)


def _digests(
    item: Item, digester: ThreadPoolExecutor
) -> "tuple[str, ...] | Future[tuple[str, ...]]":
    """Take the digests of much in a thread beside the writing."""
    if item.raw.data.nbytes < _SMALL_BYTES:
        return digests_of(item)
    return digester.submit(digests_of, item)


def cut_count(item: Item) -> int:
    """Return how many parts an item has."""
    return -(-item.raw.data.nbytes // cut.part_bytes(*item.whole))


def digest_of(data: Bytes) -> str:
    """Return the BLAKE3 digest of some bytes, hex."""
    from blake3 import blake3

    return blake3(data).hexdigest()
