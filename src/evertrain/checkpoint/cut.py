"""Where arrays are cut into parts. The same shape is always cut at the same places.

A part is the unit that has a digest, and that two checkpoints can share.

Layer: checkpoint. Imports nothing from evertrain.
"""

from collections.abc import Iterator
from typing import Final

# Small enough that one touched row costs little, large enough that the names are few.
PART_BYTES: Final = 2 << 20


def part_bytes(shape: tuple[int, ...], size_bytes: int) -> int:
    """Return the bytes of each part of an array but the last: whole rows, if a row is small.

    Args:
        shape: Sizes of its dimensions; the first one counts rows.
        size_bytes: Bytes of all of it.
    """
    if size_bytes <= PART_BYTES:
        return max(size_bytes, 1)
    row_bytes = size_bytes // shape[0]
    if row_bytes > PART_BYTES:
        return PART_BYTES
    return PART_BYTES // row_bytes * row_bytes


def part_count(shape: tuple[int, ...], size_bytes: int) -> int:
    """Return how many parts an array has; 0 if it has no bytes."""
    return -(-size_bytes // part_bytes(shape, size_bytes))


def spans(shape: tuple[int, ...], size_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last byte (exclusive) of each part, in order."""
    step = part_bytes(shape, size_bytes)
    for start in range(0, size_bytes, step):
        yield start, min(start + step, size_bytes)


def part_shape(shape: tuple[int, ...], size_bytes: int, span: tuple[int, int]) -> tuple[int, ...]:
    """Return the shape of one part: rows, or items in a line where a row was cut through."""
    length = span[1] - span[0]
    if length == size_bytes:
        return shape
    row_bytes = size_bytes // shape[0]
    if length % row_bytes == 0:
        return (length // row_bytes, *shape[1:])
    count = 1
    for size in shape:
        count *= size
    return (length // (size_bytes // count),)


def part_key(key: str, index: int) -> str:
    """Return what part `index` of the array `key` is called in a file of its own."""
    return f"{key}#{index}"
