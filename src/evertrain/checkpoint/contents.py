"""What lies in each file of a checkpoint, as its manifest says.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from evertrain.checkpoint import cut
from evertrain.checkpoint.manifest import ArrayEntry, Extent, Manifest
from evertrain.checkpoint.parts import Placed


@dataclass(frozen=True, slots=True)
class Content:
    """One array, or one part of it, in one file.

    Attributes:
        name: The attached object.
        key: Name of the array.
        entry: The array.
        extent: Where in the file.
        start: First byte, within the array.
        end: Last byte (exclusive), within the array.
    """

    name: str
    key: str
    entry: ArrayEntry
    extent: Extent
    start: int
    end: int

    @property
    def title(self) -> str:
        """What the file's own header calls it."""
        if self.end - self.start == self.entry.bytes:
            return self.key
        return cut.part_key(self.key, self._first)

    @property
    def placed(self) -> Placed:
        """Where the file's own header says that it lies, and what it is."""
        whole, span = self.entry, (self.start, self.end)
        shape = cut.part_shape(whole.shape, whole.bytes, span) if whole.bytes else whole.shape
        return Placed(whole.dtype, shape, self.extent.offset, self.end - self.start)

    def parts(self) -> Iterator[tuple[int, int, str]]:
        """Yield offset in the file, length, and digest of each part."""
        step = cut.part_bytes(self.entry.shape, self.entry.bytes)
        for index in range(self.extent.parts):
            low = self.start + index * step
            length = min(step, self.end - low)
            offset = self.extent.offset + low - self.start
            yield offset, length, self.entry.blake3[self._first + index]

    @property
    def _first(self) -> int:
        return self.start // cut.part_bytes(self.entry.shape, self.entry.bytes)


def contents_of(manifest: Manifest, names: list[str] | None = None) -> dict[str, list[Content]]:
    """Return what each file holds, in the order of its bytes.

    Args:
        manifest: Of the checkpoint.
        names: Attached objects whose files are wanted; None means all.
    """
    found: dict[str, list[Content]] = {}
    for name, entries in manifest.arrays.items():
        if names is not None and name not in names:
            continue
        for key, entry in entries.items():
            for extent, start, end in entry.spans():
                found.setdefault(extent.file, []).append(
                    Content(name, key, entry, extent, start, end)
                )
    for each in found.values():
        each.sort(key=lambda content: (content.extent.offset, content.end - content.start))
    return found
