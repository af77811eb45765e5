"""Compression of archives: Python's own zstd where it has one, else the package zstandard.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from evertrain.core.errors import MissingExtraError, UsageError
from evertrain.core.zstd import MAGIC, compressor, find_zstd

Read = Callable[[int], bytes]

SUFFIX: Final = ".tar.zst"
PLAIN: Final = ".tar"
_LEVEL: Final = 3
_MAX_WINDOW_BYTES: Final = 1 << 27


def check_name(path: Path) -> None:
    """Return if an archive may have that name, and this machine can write it.

    Raises:
        UsageError: It ends neither with `.tar.zst` nor with `.tar`.
        MissingExtraError: It is to be compressed, and nothing here does that.
    """
    if path.name.endswith(SUFFIX):
        _library()
    elif not path.name.endswith(PLAIN):
        raise UsageError(
            f"{path} is no name for an archive.",
            f"it says how it is packed: {SUFFIX} (zstd) or {PLAIN} (as it is).",
            f"Write: --out {path.name}{SUFFIX}",
        )


def packed(path: Path, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield `chunks` as a file of that name holds them."""
    if not path.name.endswith(SUFFIX):
        yield from chunks
        return
    _library()
    engine: Any = compressor(_LEVEL)
    for chunk in chunks:
        yield engine.compress(chunk)
    yield engine.flush()


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[Read, tuple[type[Exception], ...]]]:
    """Open an archive, packed or not: what reads at most so many bytes, and how it fails.

    Raises:
        MissingExtraError: It is compressed, and nothing here reads that.
        OSError: It cannot be opened.
    """
    with path.open("rb") as file:
        is_packed = file.read(len(MAGIC)) == MAGIC
        file.seek(0)
        if not is_packed:
            yield file.read, ()
            return
        name, library = _library()
        stream: Any
        if name == "zstandard":
            engine = library.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
            stream = engine.stream_reader(file, read_across_frames=True, closefd=False)
        else:
            stream = library.ZstdFile(file)
        yield stream.read, (library.ZstdError, EOFError)


def _library() -> tuple[str, Any]:
    found = find_zstd()
    if found is None:
        raise MissingExtraError(
            "nothing here compresses with zstd.",
            "Python has it from 3.14 on; before that the package 'zstandard' is needed.",
            "pip install 'evertrain[archive]', or write a plain one: --out NAME.tar",
        )
    return found
