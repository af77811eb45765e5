"""The pieces in which the output of an attempt lies on the disk, and reading across them.

`attempt-0001.log` is the piece that is written, or was written last; those before it are
`attempt-0001.log.0001`, `.0002` and so on, packed a while later (`.gz`, `.zst`).

Layer: monitor. Imports core only.
"""

import io
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from evertrain.core.regular import open_regular
from evertrain.core.zstd import find_zstd

Reading = tuple[Callable[[int], bytes], tuple[type[Exception], ...]]

# A piece is never longer than this, unpacked: what is longer, we have not written.
MAX_PIECE_BYTES: Final = 64 << 20

_BLOCK_BYTES: Final = 65_536
_MAX_WINDOW_BYTES: Final = 1 << 27
_NAME: Final = re.compile(
    r"attempt-(?P<attempt>[0-9]{4,18})\.log(?:\.(?P<number>[0-9]{4,18})(?P<packed>\.gz|\.zst)?)?"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of the output of an attempt.

    Attributes:
        path: Where it lies.
        attempt: Whose output it is.
        number: From 1, oldest first; None is the last piece, which may still grow.
        packed: How it is packed: "", ".gz" or ".zst".
        size_bytes: Of the file.
    """

    path: Path
    attempt: int
    number: int | None
    packed: str
    size_bytes: int


def list_pieces(logs: Path, attempt: int | None = None) -> list[Piece]:
    """Return the pieces of one attempt, or of all, oldest first.

    A piece that lies there both plain and packed is named once, as the plain one.
    """
    found: dict[tuple[int, float], Piece] = {}
    for name in _names(logs):
        is_wanted = attempt is None or number_of(Path(name)) == attempt
        piece = piece_at(logs / name) if is_wanted else None
        if piece is None:
            continue
        at = (piece.attempt, float("inf") if piece.number is None else piece.number)
        if at not in found or not piece.packed:
            found[at] = piece
    return [found[at] for at in sorted(found)]


def piece_at(path: Path) -> Piece | None:
    """Return the piece that lies at `path`, or None if that is none or is gone."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    try:
        size_bytes = path.lstat().st_size
    except OSError:
        return None
    number = int(match["number"]) if match["number"] else None
    return Piece(path, int(match["attempt"]), number, match["packed"] or "", size_bytes)


def number_of(path: Path) -> int | None:
    """Return whose output the piece called so is, or None if that is no such name."""
    match = _NAME.fullmatch(path.name)
    return int(match["attempt"]) if match else None


def newest_attempt(logs: Path) -> int:
    """Return the number of the newest attempt with a log, or 0."""
    return max(_attempts(logs), default=0)


def next_attempt(logs: Path, attempt: int) -> int | None:
    """Return the first attempt behind `attempt` that has a log, or None."""
    return min((each for each in _attempts(logs) if each > attempt), default=None)


def closed_path(last: Path, number: int) -> Path:
    """Return the name that the piece at `last` gets when it is closed."""
    return last.with_name(f"{last.name}.{number:04d}")


def end_of(last: Path, limit_bytes: int) -> bytes:
    """Return the last bytes of an attempt's output, at most so many.

    Of the pieces before the last one, those that are not packed yet are read: the
    newest of them never is.

    Args:
        last: Path of the last piece.
        limit_bytes: How many.
    """
    attempt, data = number_of(last), b""
    if attempt is None:
        return _last_bytes(last, limit_bytes)
    for piece in reversed(list_pieces(last.parent, attempt)):
        if piece.packed or len(data) >= limit_bytes:
            break
        data = _last_bytes(piece.path, limit_bytes - len(data)) + data
    return data


def read_piece(piece: Piece) -> Iterator[bytes]:
    """Yield what was written into a piece, block by block.

    What cannot be read any further, because it is damaged or gone, ends there; so does
    what is packed and holds more than `MAX_PIECE_BYTES`.
    """
    left = MAX_PIECE_BYTES if piece.packed else piece.size_bytes
    try:
        with _opened(piece) as (read, failures):
            try:
                while left > 0 and (block := read(min(left, _BLOCK_BYTES))):
                    left -= len(block)
                    yield block
            except failures:
                return
    except OSError:
        return


@contextmanager
def _opened(piece: Piece) -> Iterator[Reading]:
    """Open a piece: what reads at most so many of its bytes, and how that fails."""
    with open_regular(piece.path) as file:
        if piece.packed == ".gz":
            import gzip

            yield gzip.GzipFile(fileobj=file).read, (OSError, EOFError, zlib.error)
        elif piece.packed == ".zst":
            yield _unpacked_zstd(file, piece.path.name)
        else:
            yield file.read, ()


def _unpacked_zstd(file: BinaryIO, name: str) -> Reading:
    found = find_zstd()
    if found is None:
        note = f"[evertrain: {name} is packed with zstd: pip install 'evertrain[archive]']\n"
        return io.BytesIO(note.encode()).read, ()
    library, module = found
    stream: Any
    if library == "zstandard":
        engine = module.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        stream = engine.stream_reader(file, closefd=False)
    else:
        stream = module.ZstdFile(file)
    return stream.read, (module.ZstdError, EOFError, OSError)


def _last_bytes(path: Path, limit_bytes: int) -> bytes:
    try:
        with open_regular(path) as file:
            size_bytes = file.seek(0, os.SEEK_END)
            file.seek(max(0, size_bytes - limit_bytes))
            return file.read(limit_bytes)
    except OSError:
        return b""


def _attempts(logs: Path) -> list[int]:
    found = (_NAME.fullmatch(name) for name in _names(logs))
    return [int(match["attempt"]) for match in found if match is not None]


def _names(logs: Path) -> list[str]:
    try:
        return os.listdir(logs)  # noqa: PTH208  (names only, perhaps thousands of them)
    except OSError:
        return []
