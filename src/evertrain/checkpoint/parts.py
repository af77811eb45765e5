"""Safetensors files: streamed out without a copy, read with every bound checked.

The format: eight bytes of length, a JSON header of that length, the arrays
back to back. Larger items come first, so that each array starts aligned.

Layer: checkpoint. Imports core only.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from evertrain.checkpoint.plugin import RawArray
from evertrain.checkpoint.strict import Fields, corrupt, dumps, loads
from evertrain.core.document import MAX_VALUES, count_values
from evertrain.core.errors import FormatError, StateError
from evertrain.core.fs import Bytes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

ITEM_BYTES: Final[Mapping[str, int]] = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "F8_E4M3FNUZ": 1,
    "F8_E5M2FNUZ": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
    "C64": 8,
}
MAX_HEADER_BYTES: Final = 100_000_000  # the limit of the safetensors library, length included
MAX_DIMS: Final = 64  # numpy's
CHUNK_BYTES: Final = 1 << 20
_LARGE_BYTES: Final = 1 << 16  # from here on, a write of its own is cheaper than a copy
_LENGTH: Final = struct.Struct("<Q")
_METADATA: Final = "__metadata__"


@dataclass(frozen=True, slots=True)
class Placed:
    """Where one array lies in a file.

    Attributes:
        dtype: Name of safetensors.
        shape: Sizes of its dimensions.
        offset: First byte, from the start of the file.
        bytes: Length.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A file to be: its first bytes, and where each array goes, in file order."""

    head: bytes
    places: dict[str, Placed]


def plan(arrays: Mapping[str, RawArray]) -> Layout:
    """Return where everything goes. The same arrays always give the same bytes.

    Raises:
        StateError: An array is not what its dtype and shape say, or there are too many.
    """
    begin = 0
    sizes: dict[str, tuple[int, int]] = {}
    for key in sorted(arrays, key=lambda key: -ITEM_BYTES.get(arrays[key].dtype, 0)):
        _check(key, arrays[key])
        sizes[key] = (begin, begin + arrays[key].data.nbytes)
        begin = sizes[key][1]
    text = dumps(
        {
            key: {
                "dtype": arrays[key].dtype,
                "shape": list(arrays[key].shape),
                "data_offsets": list(sizes[key]),
            }
            for key in sizes
        }
    ).encode()
    text += b" " * (-len(text) % 8)
    if _LENGTH.size + len(text) > MAX_HEADER_BYTES or count_values(text) > MAX_VALUES:
        raise StateError(
            f"{len(arrays)} arrays need a header of {len(text)} bytes.",
            f"safetensors allows {MAX_HEADER_BYTES}, and a reader {MAX_VALUES} values.",
            "Store fewer, larger arrays: stack them.",
        )
    start = _LENGTH.size + len(text)
    places = {
        key: Placed(arrays[key].dtype, tuple(arrays[key].shape), start + lo, hi - lo)
        for key, (lo, hi) in sizes.items()
    }
    return Layout(_LENGTH.pack(len(text)) + text, places)


def pieces(data: "npt.NDArray[np.uint8]") -> Iterator[memoryview]:
    """Yield the bytes of an array without copying them, a mebibyte at a time."""
    view = data.data
    for start in range(0, len(view), CHUNK_BYTES):
        yield view[start : start + CHUNK_BYTES]


def joined(head: bytes, pieces: Iterable[memoryview]) -> Iterator[Bytes]:
    """Yield a file's bytes; many small pieces are gathered, for each write costs the same."""
    gathered = bytearray(head)
    for piece in pieces:
        if len(gathered) + len(piece) > CHUNK_BYTES:
            if gathered:
                yield gathered
            gathered = bytearray()
        if len(piece) >= _LARGE_BYTES:
            if gathered:
                yield gathered
                gathered = bytearray()
            yield piece
        else:
            gathered += piece
    if gathered:
        yield gathered


def header_bytes(first: bytes, size_bytes: int, path: Path) -> int:
    """Return how many bytes come before the arrays.

    Args:
        first: The first eight bytes of the file.
        size_bytes: Size of the file.
        path: The file, for messages.

    Raises:
        CorruptError: The file cannot hold such a header.
    """
    if len(first) != _LENGTH.size:
        raise corrupt(path, f"it has only {size_bytes} bytes")
    (length,) = _LENGTH.unpack(first)
    head = _LENGTH.size + int(length)
    if head > min(MAX_HEADER_BYTES, size_bytes):
        raise corrupt(path, f"it says its header has {length} bytes")
    return head


def parse_header(head: bytes, size_bytes: int, path: Path) -> dict[str, Placed]:
    """Return where each array lies.

    Args:
        head: The bytes before the arrays, their length first.
        size_bytes: Size of the file.
        path: The file, for messages.

    Raises:
        CorruptError: The header is not JSON of the format or of another length than
            it says, or the arrays overlap, leave holes, or do not end where the file ends.
        FormatError: A dtype is unknown.
    """
    if header_bytes(head[: _LENGTH.size], size_bytes, path) != len(head):
        raise corrupt(path, f"its header has {len(head)} bytes, and says otherwise")
    top = Fields(loads(head[_LENGTH.size :], path), path)
    places = {key: _place(top.inner(key), len(head)) for key in top.names() if key != _METADATA}
    end = len(head)
    for each in sorted(places.values(), key=lambda each: (each.offset, each.bytes)):
        if each.offset != end:
            raise corrupt(path, f"an array starts at byte {each.offset} instead of {end}")
        end += each.bytes
    if end != size_bytes:
        raise corrupt(path, f"it has {size_bytes} bytes, its arrays end at {end}")
    return places


def size_of(dtype: str, shape: tuple[int, ...]) -> int:
    """Return the bytes of an array.

    Raises:
        FormatError: The dtype is unknown.
    """
    if dtype not in ITEM_BYTES:
        raise FormatError(
            f"an array has the dtype {dtype[:40]!r}.",
            f"this evertrain knows {', '.join(ITEM_BYTES)}.",
            "Upgrade evertrain (pip install -U evertrain), or use the version that wrote it.",
        )
    count = ITEM_BYTES[dtype]
    for size in shape:
        count *= size
    return count


def _place(fields: Fields, start: int) -> Placed:
    dtype, shape = fields.take("dtype", str), take_shape(fields)
    offsets = fields.take("data_offsets", list)
    if [type(each) for each in offsets] != [int, int] or not 0 <= offsets[0] <= offsets[1]:
        fields.fail(f"data_offsets are {offsets!r:.60}")
    if offsets[1] - offsets[0] != size_of(dtype, shape):
        fields.fail(f"data_offsets {offsets!r:.60} do not fit {dtype} of shape {shape!s:.60}")
    return Placed(dtype, shape, start + offsets[0], offsets[1] - offsets[0])


def take_shape(fields: Fields) -> tuple[int, ...]:
    """Return the shape that a file says.

    Raises:
        CorruptError: It is none.
    """
    shape = fields.take("shape", list)
    if len(shape) > MAX_DIMS or any(type(each) is not int or each < 0 for each in shape):
        fields.fail(f"shape is {shape!r:.60}")
    if any(each >= 2**62 for each in shape):
        fields.fail(f"shape is {shape!r:.60}")
    return tuple(shape)


def _check(key: str, raw: RawArray) -> None:
    import numpy as np

    is_flat = raw.data.dtype == np.uint8 and raw.data.ndim == 1 and raw.data.flags.c_contiguous
    if raw.dtype in ITEM_BYTES and is_flat and size_of(raw.dtype, raw.shape) == raw.data.nbytes:
        return
    raise StateError(
        f"{key!r} is {raw.data.nbytes} bytes of {raw.data.dtype}, said to be"
        f" {raw.dtype} of shape {raw.shape}.",
        "a RawArray holds contiguous uint8, as many as dtype and shape need.",
        "Fix the plugin or the to_tree function that made it.",
    )
