"""Which arrays go into which file: the unit that two checkpoints can share.

Arrays of rows are cut, and each part has a file of its own, so that a buffer
rewrites only the parts that it touched. The other arrays of an object share
one file, but those that stood still lately have theirs: a frozen encoder does
not ride along with its head.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from evertrain.checkpoint import cut
from evertrain.checkpoint.plugin import RawArray
from evertrain.checkpoint.tree import Flat
from evertrain.core.fs import Bytes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

STILL: Final = "-still"
_PACK_BYTES: Final = 64 << 20  # of what stands still in one file: what stirs takes no more along
_STEM: Final = 80  # letters; the number behind them must not be cut off
_WORTH_BYTES: Final = 1 << 20  # less than this that stands still gets no file of its own


class PartName(NamedTuple):
    """A whole array (`start` 0), or the part of one that begins at a byte.

    Attributes:
        name: The attached object.
        key: The array.
        start: First byte, within the array.
    """

    name: str
    key: str
    start: int


@dataclass(slots=True, eq=False)
class Item:
    """One array, or one part of it, in a file.

    Attributes:
        part: What it is.
        title: What the file's header calls it.
        raw: Its dtype, shape and bytes. The bytes may belong to the training.
        whole: Shape and bytes of the whole array.
        seen: The digests of its parts as they were when somebody looked. What is written
            is digested anew: a thread of the program may have touched it since.
    """

    part: PartName
    title: str
    raw: RawArray
    whole: tuple[tuple[int, ...], int]
    seen: tuple[str, ...] | None = None

    @property
    def views(self) -> "list[npt.NDArray[np.uint8]]":
        """Its bytes, cut into the parts that have a digest each."""
        step = cut.part_bytes(*self.whole)
        data = self.raw.data
        return [data[low : low + step] for low in range(0, data.nbytes, step)]

    @property
    def part_count(self) -> int:
        """How many those are."""
        return -(-self.raw.data.nbytes // cut.part_bytes(*self.whole))

    def digests(self) -> tuple[str, ...]:
        """Return the digest of each of them, hex."""
        return tuple(digest_of(view.data) for view in self.views)

    @property
    def first_part(self) -> int:
        """Number of the part that it begins with."""
        return self.part.start // cut.part_bytes(*self.whole)


@dataclass(slots=True, eq=False)
class Group:
    """The contents of one file.

    Attributes:
        stem: Name of the file, as far as it is free.
        items: What is in it.
        is_rows: Whether it is a part of an array of rows.
    """

    stem: str
    items: list[Item]
    is_rows: bool

    @property
    def bytes(self) -> int:
        """Bytes of its arrays."""
        return sum(each.raw.data.nbytes for each in self.items)

    @property
    def is_worth_sharing(self) -> bool:
        """Whether it saves enough; small files are written afresh, so that no sector is shared."""
        return self.bytes >= _WORTH_BYTES


def groups_of(flats: Mapping[str, Flat], still: Collection[PartName]) -> Iterator[Group]:
    """Yield the files that a state needs.

    Args:
        flats: The state, taken apart, by name of the attached object.
        still: What did not change between the last two saves.
    """
    for name, flat in flats.items():
        resting: dict[int, list[Item]] = {}
        moving: list[Item] = []
        place = 0
        for key, raw in flat.arrays.items():
            if key in flat.rows and raw.data.nbytes > cut.PART_BYTES:
                yield from _rows(name, key, raw)
            else:
                part = PartName(name, key, 0)
                item = Item(part, key, raw, (raw.shape, raw.data.nbytes))
                # By its place among all of them, which does not depend on what stands still.
                pack = resting.setdefault(place // _PACK_BYTES, [])
                place += raw.data.nbytes
                (pack if part in still else moving).append(item)
        packs = [Group(name + STILL, pack, is_rows=False) for pack in resting.values()]
        moving += [each for pack in packs if not pack.is_worth_sharing for each in pack.items]
        if moving:
            yield Group(name, moving, is_rows=False)
        yield from (pack for pack in packs if pack.is_worth_sharing)


def digest_of(data: Bytes) -> str:
    """Return the BLAKE3 digest of some bytes, hex."""
    from blake3 import blake3

    return blake3(data).hexdigest()


def _rows(name: str, key: str, raw: RawArray) -> Iterator[Group]:
    whole, stem = (raw.shape, raw.data.nbytes), f"{name}.{key}"[:_STEM]
    for index, span in enumerate(cut.spans(*whole)):
        start, end = span
        shape = cut.part_shape(*whole, span)
        item = Item(
            PartName(name, key, start),
            cut.part_key(key, index),
            RawArray(raw.dtype, shape, raw.data[start:end]),
            whole,
        )
        yield Group(f"{stem}.{index:05}", [item], is_rows=True)
