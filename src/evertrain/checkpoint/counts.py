"""Rows that their owner counts: which parts it says it left alone, and whether that was true.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Iterable, Mapping

from evertrain.checkpoint.group import Group, PartName
from evertrain.checkpoint.manifest import Manifest

# Rows given to each array so far, by an owner who writes them in order, round and round.
Counts = Mapping[PartName, int]


def of_array(part: PartName) -> PartName:
    """Return the array that a part belongs to."""
    return PartName(part.name, part.key, 0)


def is_untouched(group: Group, before: Counts, now: Counts) -> bool:
    """Say whether a part of an array of rows stood still, by what its owner counts.

    Args:
        group: One file.
        before: What had been written at the last save.
        now: What has been written by now.
    """
    if not group.is_rows:
        return False
    item = group.items[0]
    name = of_array(item.part)
    if name not in before or name not in now or now[name] < before[name]:
        return False
    shape, size_bytes = item.whole
    row_bytes = size_bytes // shape[0]
    first, last = item.part.start, item.part.start + item.raw.data.nbytes
    return not _is_hit(
        before[name], now[name], shape[0], (first // row_bytes, -(-last // row_bytes))
    )


def _is_hit(before: int, now: int, rows: int, part: tuple[int, int]) -> bool:
    """Say whether the rows written between two counts fall into a part of the ring."""
    if now - before >= rows:
        return True
    low = before % rows
    high = low + now - before
    return any(start < part[1] and part[0] < end for start, end in _rounds(low, high, rows))


def _rounds(low: int, high: int, rows: int) -> Iterable[tuple[int, int]]:
    """Yield a stretch of rows, and once more what of it runs over the end."""
    if low < high:
        yield low, min(high, rows)
    if high > rows:
        yield 0, high - rows


def lies(claimed: Iterable[PartName], before: Manifest, now: Manifest) -> set[str]:
    """Return the attached objects of which a part changed, although it was said not to have.

    Args:
        claimed: Parts said to be untouched that were looked at all the same.
        before: The checkpoint before.
        now: The one just written.
    """
    return {
        part.name
        for part in claimed
        if before.digest_at(part.name, part.key, part.start)
        != now.digest_at(part.name, part.key, part.start)
    }
