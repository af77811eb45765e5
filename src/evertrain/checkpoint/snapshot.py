"""The state as it was at one moment, so that training can go on while it is written.

What changed at the last save is copied without asking. What stood still is
compared first, by its digest, and not copied if it stands still again: the new
checkpoint will share it with the last one.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from evertrain.checkpoint.arena import Arena
from evertrain.checkpoint.counts import is_untouched
from evertrain.checkpoint.group import Group, Item, PartName, digest_of, groups_of
from evertrain.checkpoint.plugin import RawArray, Tree, gathering
from evertrain.checkpoint.previous import Base
from evertrain.checkpoint.tree import flatten
from evertrain.checkpoint.tree.kinds import Json
from evertrain.core.disk import Size
from evertrain.core.machine import cores
from evertrain.core.threads import spread

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

T = TypeVar("T")

_BLOCK_BYTES: Final = 4096  # a file takes whole blocks
_ITEM_BYTES: Final = 200  # of a header and the manifest, for each array
_MANIFEST_BYTES: Final = 16_384  # where none is known yet
_OWN_FILES: Final = 3  # directory, manifest, metadata
_FEW_BYTES: Final = 8 << 20  # below this, starting threads costs more than they save
_MAX_THREADS: Final = 4


@dataclass(slots=True, eq=False)
class Snapshot:
    """What one save will write, and what it will share.

    Attributes:
        skeletons: The trees as JSON, by name of the attached object.
        written: Rows given so far, where the owner of an array of rows counts them.
        base: The checkpoint that files are shared with, or None.
        groups: Files to write.
        shared: Files of the base, each with what would have to be written if it were lost.
        claimed: Parts that their owner says it left alone, but that are looked at all the same.
        copied_bytes: How much was copied.
        turn: Of the arena that it was copied to; None if it was not copied.
    """

    skeletons: dict[str, Json]
    written: dict[PartName, int]
    base: Base | None
    groups: list[Group] = field(default_factory=list)
    shared: dict[str, Group] = field(default_factory=dict)
    claimed: list[PartName] = field(default_factory=list)
    copied_bytes: int = 0
    turn: int | None = None

    @property
    def need(self) -> Size:
        """What it will take on the disk: at most that, where there are hard links."""
        known_bytes = self.base.manifest.own_bytes if self.base else _MANIFEST_BYTES
        items = sum(len(each.items) for each in self.groups)
        files = len(self.groups) + _OWN_FILES
        data_bytes = sum(each.bytes for each in self.groups)
        own_bytes = known_bytes + items * _ITEM_BYTES + files * _BLOCK_BYTES
        return Size(data_bytes + own_bytes, files)


def take(
    state: Mapping[str, Tree],
    base: Base | None = None,
    arena: Arena | None = None,
    doubted: Collection[str] = (),
) -> Snapshot:
    """Take a snapshot.

    Args:
        state: Trees by name.
        base: The last checkpoint, to share files with; None shares nothing.
        arena: Where to copy to. None copies nothing, and looks at every byte:
            then the state must not change before the snapshot is written.
        doubted: Names whose owner cannot count the rows of its arrays.

    Raises:
        StateError: Something cannot be stored; the message names its path.
        MemoryError: There is no room for the copy.
    """
    with gathering():
        flats = {name: flatten(tree, name) for name, tree in state.items()}
    written = {
        PartName(name, key, 0): count
        for name, flat in flats.items()
        for key, count in flat.rows.items()
        if count is not None and name not in doubted
    }
    snapshot = Snapshot({name: flat.skeleton for name, flat in flats.items()}, written, base)
    groups = groups_of(flats, base.still if base else ())
    if base is None:
        snapshot.groups += groups
    else:
        _compare(snapshot, base, _sort(snapshot, base, groups, trusts=arena is not None))
    if arena is not None:
        _copy(snapshot, arena)
    return snapshot


def _sort(
    snapshot: Snapshot, base: Base, groups: Iterable[Group], *, trusts: bool
) -> list[tuple[str, Group]]:
    """Sort the files: write, share without a look, or, as is returned, look first."""
    suspects: list[tuple[str, Group]] = []
    for group in groups:
        twin = base.twin(group)
        is_claimed = twin is not None and is_untouched(group, base.written, snapshot.written)
        is_stale = twin in base.stale
        if twin is not None and is_claimed and trusts and not is_stale:
            snapshot.shared[twin] = group
            continue
        if is_claimed:
            snapshot.claimed.append(group.items[0].part)
        is_still = is_claimed or all(each.part in base.still for each in group.items)
        if twin is not None and is_still and not is_stale:
            suspects.append((twin, group))
        else:
            snapshot.groups.append(group)
    return suspects


def _compare(snapshot: Snapshot, base: Base, suspects: Sequence[tuple[str, Group]]) -> None:
    """Share what stands still again."""
    _digest([item for _, group in suspects for item in group.items])
    for twin, group in suspects:
        if base.holds(group):
            snapshot.shared[twin] = group
        else:
            snapshot.groups.append(group)


def _digest(items: Sequence[Item]) -> None:
    """Take the digests of arrays, the parts of a large one by several threads."""
    jobs = [(item, view) for item in items for view in item.views]
    sizes = sum(view.nbytes for _, view in jobs)
    found: dict[int, list[str]] = {id(item): [] for item in items}
    for (item, _), digest in zip(
        jobs, _spread(lambda job: digest_of(job[1].data), jobs, sizes), strict=True
    ):
        found[id(item)].append(digest)
    for item in items:
        item.seen = tuple(found[id(item)])


def _copy(snapshot: Snapshot, arena: Arena) -> None:
    """Copy what will be written; forget where the rest came from."""
    items = [item for group in snapshot.groups for item in group.items if not item.raw.is_own]
    sizes = [item.raw.data.nbytes for item in items]
    arena.start(sizes)
    snapshot.turn = arena.turn
    jobs: list[tuple[Bytes, Bytes]] = []
    for item, size_bytes in zip(items, sizes, strict=True):
        room = arena.take(size_bytes)
        jobs += zip(_strips(room), _strips(item.raw.data), strict=True)
        item.raw = RawArray(item.raw.dtype, item.raw.shape, room, is_own=True)
    snapshot.copied_bytes = sum(sizes)
    for _ in _spread(lambda job: _copyto(*job), jobs, snapshot.copied_bytes):
        pass
    snapshot.shared = {
        file: Group(each.stem, [], each.is_rows) for file, each in snapshot.shared.items()
    }


def _spread(act: Callable[[Any], T], jobs: Sequence[Any], size_bytes: int) -> Iterable[T]:
    """Yield the results in order; use several threads if there are many bytes to go through."""
    threads = min(_MAX_THREADS, cores()) if size_bytes >= _FEW_BYTES else 1
    return spread(act, jobs, threads)


_STRIP_BYTES: Final = 8 << 20


def _strips(data: "Bytes") -> "Iterable[Bytes]":
    """Yield an array in pieces that threads can share out."""
    for low in range(0, max(data.nbytes, 1), _STRIP_BYTES):
        yield data[low : low + _STRIP_BYTES]


def _copyto(room: "Bytes", data: "Bytes") -> None:
    room[...] = data
