"""A safetensors file that belongs to no checkpoint: its arrays, checked like ours.

Layer: checkpoint. Imports core only.
"""

from pathlib import Path

from evertrain.checkpoint.parts import header_bytes, parse_header
from evertrain.checkpoint.plugin import RawArray


def read_arrays(path: Path) -> dict[str, RawArray]:
    """Return the arrays of the file at `path`; they are read from it when they are used.

    Raises:
        CorruptError: It is no safetensors file, or a damaged one.
        FormatError: An array has an unknown dtype.
        OSError: It cannot be read.
    """
    import numpy as np

    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        head = first + file.read(header_bytes(first, size_bytes, path) - len(first))
    places = parse_header(head, size_bytes, path)
    data = np.memmap(path, np.uint8, mode="r")
    return {
        key: RawArray(each.dtype, each.shape, data[each.offset : each.offset + each.bytes])
        for key, each in places.items()
    }
