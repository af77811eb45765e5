"""The last checkpoint, as the next one sees it: what it can share, and what stood still.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evertrain.checkpoint.contents import Content, contents_of
from evertrain.checkpoint.group import Group, Item, PartName
from evertrain.checkpoint.manifest import Manifest
from evertrain.checkpoint.refresh import Shared, due


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
        files: What each of its files holds.
    """

    path: Path
    manifest: Manifest
    still: frozenset[PartName] = frozenset()
    stale: frozenset[str] = frozenset()
    written: Mapping[PartName, int] = field(default_factory=dict)
    credit_bytes: int = 0
    files: Mapping[str, list[Content]] = field(default_factory=dict)
    _home: dict[PartName, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look up which file holds what."""
        object.__setattr__(self, "files", contents_of(self.manifest))
        for name, arrays in self.manifest.arrays.items():
            for key, entry in arrays.items():
                for extent, start, _ in entry.spans():
                    self._home[PartName(name, key, start)] = extent.file

    def twin(self, group: Group) -> str | None:
        """Return the file that holds the same arrays, be their bytes the same or not."""
        file = self._home.get(group.items[0].part)
        if file is None or len(self.files[file]) != len(group.items):
            return None
        return file if all(self._fits(each, file) for each in group.items) else None

    def digests(self, item: Item) -> tuple[str, ...] | None:
        """Return the digests of an item's parts; None if it was not there, or of another shape."""
        entry = self.manifest.arrays.get(item.part.name, {}).get(item.part.key)
        if entry is None:
            return None
        if (entry.dtype, (entry.shape, entry.bytes)) != (item.raw.dtype, item.whole):
            return None
        first = item.first_part
        return entry.blake3[first : first + len(item.views)]

    def _fits(self, item: Item, file: str) -> bool:
        return self._home.get(item.part) == file and self.digests(item) is not None


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
    old = before.files if before is not None else {}
    shared = [
        Shared(name, entry.bytes, _age_s(path / name))
        for name, entry in manifest.files.items()
        if name in old and before is not None and before.manifest.files.get(name) == entry
    ]
    stale, credit_bytes = due(shared, before.credit_bytes if before else 0)
    still = _still(before.manifest, manifest) if before is not None else frozenset()
    return Base(path, manifest, still, stale, dict(written), credit_bytes)


def found(path: Path, manifest: Manifest) -> Base:
    """Return a checkpoint of an earlier process as a base: what is cut into parts may stand still."""
    still = frozenset(
        PartName(name, key, start)
        for name, arrays in manifest.arrays.items()
        for key, entry in arrays.items()
        for extent, start, _ in entry.spans()
        if len(entry.extents) > 1
    )
    return Base(path, manifest, still)


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


def _age_s(path: Path) -> float:
    """Return when a file was written, Unix seconds; its other names do not count."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
