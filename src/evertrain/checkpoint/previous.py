"""The last checkpoint, as the next one sees it: what it can share, and what stood still.

Layer: checkpoint. Imports core only.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from evertrain.checkpoint.contents import Content, contents_of
from evertrain.checkpoint.group import Group, Item, PartName
from evertrain.checkpoint.manifest import ArrayEntry, Extent, Manifest
from evertrain.checkpoint.refresh import Shared, due

# Tells a file from any that was put in its place: inode, time of its last change (ns), bytes.
Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """A committed checkpoint that the next one may share files with.

    Attributes:
        path: Its directory.
        manifest: What it holds.
        still: What did not change between it and the checkpoint before.
        stale: Files that shall be written afresh next time.
        written: Rows that each array of rows had been given, where its owner counts them.
        credit_bytes: What the refresh of shared files may write, saved up so far.
        stamps: Its files, as the system knows them. A file of another stamp is not shared.
        is_ours: Whether this process wrote it. The files of others may not be durable yet.
        files: What each of its files holds.
    """

    path: Path
    manifest: Manifest
    still: frozenset[PartName] = frozenset()
    stale: frozenset[str] = frozenset()
    written: Mapping[PartName, int] = field(default_factory=dict)
    credit_bytes: int = 0
    stamps: Mapping[str, Stamp | None] = field(default_factory=dict)
    is_ours: bool = True
    files: Mapping[str, list[Content]] = field(init=False)
    _home: dict[PartName, Extent] = field(init=False)

    def __post_init__(self) -> None:
        """Look up which file holds what."""
        files = contents_of(self.manifest)
        home = {
            PartName(each.name, each.key, each.start): each.extent
            for contents in files.values()
            for each in contents
        }
        object.__setattr__(self, "files", files)  # frozen, but not born yet
        object.__setattr__(self, "_home", home)

    def twin(self, group: Group) -> str | None:
        """Return the file that could be shared: it holds the same arrays, if not the same bytes."""
        home = self._home.get(group.items[0].part) if group.is_worth_sharing else None
        if home is None or len(self.files[home.file]) != len(group.items):
            return None
        return home.file if all(self._fits(each, home.file) for each in group.items) else None

    def digests(self, item: Item) -> tuple[str, ...] | None:
        """Return the digests of an item's parts; None if it was not there, or of another shape."""
        entry = self._entry(item)
        if entry is None:
            return None
        first = item.first_part
        return entry.blake3[first : first + item.part_count]

    def holds(self, group: Group) -> bool:
        """Say whether every byte of a file is here, by its digests."""
        return all(self.digests(each) == (each.seen or each.digests()) for each in group.items)

    def _fits(self, item: Item, file: str) -> bool:
        home = self._home.get(item.part)
        if home is None or (home.file, home.parts) != (file, item.part_count):
            return False
        return self._entry(item) is not None

    def _entry(self, item: Item) -> ArrayEntry | None:
        """Return the array that an item is of, if it was of the same shape then."""
        entry = self.manifest.arrays.get(item.part.name, {}).get(item.part.key)
        if entry is None or (entry.shape, entry.bytes) != item.whole:
            return None
        return entry if entry.dtype == item.raw.dtype else None


def after(
    path: Path, manifest: Manifest, before: Base | None, written: Mapping[PartName, int]
) -> Base:
    """Return a checkpoint just committed as the base of the next one.

    Args:
        path: Its directory.
        manifest: What it holds.
        before: The base that it was itself saved on, or None.
        written: Rows that its arrays of rows had been given.
    """
    files = contents_of(manifest)
    known = _stat_all(path, files)
    stamps = {name: stamp_of(each) for name, each in known.items()}
    if before is None:
        return Base(path, manifest, written=dict(written), stamps=stamps)
    shared = [
        Shared(name, manifest.files[name].bytes, known[name].st_mtime if name in known else 0.0)
        for name, contents in files.items()
        if _digests_in(contents) == _digests_in(before.files.get(name, []))
    ]
    stale, credit_bytes = due(shared, before.credit_bytes)
    return Base(
        path,
        manifest,
        still=_still(before.manifest, manifest),
        stale=stale,
        written=dict(written),
        credit_bytes=credit_bytes,
        stamps=stamps,
    )


def found(path: Path, manifest: Manifest) -> Base:
    """Return a checkpoint of an earlier process as a base. What is cut up may stand still.

    It brings the credit for one file: a run that never lives for many saves has its
    shared files written afresh all the same.
    """
    still = frozenset(
        PartName(name, key, start)
        for name, arrays in manifest.arrays.items()
        for key, entry in arrays.items()
        for extent, start, _ in entry.spans()
        if len(entry.extents) > 1
    )
    known = _stat_all(path, contents_of(manifest))
    return Base(
        path,
        manifest,
        still,
        credit_bytes=max((each.st_size for each in known.values()), default=0),
        stamps={name: stamp_of(each) for name, each in known.items()},
        is_ours=False,
    )


def stamp_of(found: os.stat_result) -> Stamp | None:
    """Return what tells a regular file from others; None for what is none."""
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _stat_all(path: Path, files: Iterable[str]) -> dict[str, os.stat_result]:
    """Return what the system says of the files; the times of their other names do not count."""
    found = {}
    for name in files:
        with suppress(OSError):  # gone already: it will not be shared
            found[name] = (path / name).lstat()
    return found


def _still(before: Manifest, now: Manifest) -> frozenset[PartName]:
    """Return what has the same bytes in two checkpoints."""
    found: list[PartName] = []
    for name, arrays in now.arrays.items():
        for key, entry in arrays.items():
            old = before.arrays.get(name, {}).get(key)
            if old is None or (old.dtype, old.shape) != (entry.dtype, entry.shape):
                continue
            first = 0
            for extent, start, _ in entry.spans():
                last = first + extent.parts
                if old.blake3[first:last] == entry.blake3[first:last]:
                    found.append(PartName(name, key, start))
                first = last
    return frozenset(found)


def _digests_in(contents: list[Content]) -> list[tuple[str, str, int, str]]:
    """Return what tells a file from one of the same name: its arrays and their bytes."""
    return [
        (each.name, each.key, offset, digest)
        for each in contents
        for offset, _, digest in each.parts()
    ]
