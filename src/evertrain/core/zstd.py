"""Which library compresses with zstd here: Python has one from 3.14 on.

Layer: core. Imports nothing from evertrain.
"""

from importlib import import_module
from typing import Any, Final

MAGIC: Final = b"\x28\xb5\x2f\xfd"


def find_zstd() -> tuple[str, Any] | None:
    """Return the name of the library and its module, or None where there is none."""
    for name in ("compression.zstd", "zstandard"):
        try:
            return name, import_module(name)
        except ModuleNotFoundError:
            continue
    return None


def compressor(level: int) -> Any | None:
    """Return what has `compress` and `flush`, or None where there is no library."""
    found = find_zstd()
    if found is None:
        return None
    name, library = found
    if name == "zstandard":
        return library.ZstdCompressor(level=level, write_checksum=True).compressobj()
    return library.ZstdCompressor(level=level)
