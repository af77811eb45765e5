"""Reading an attempt's output while it is written: its last lines, and what comes then.

A follower holds the file that it reads. Where that is cut by a rename it reads on to its
end and takes the next piece, so nothing is missed and nothing is read twice, however long
it slept.

Layer: monitor. Imports core only.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from evertrain.core.regular import open_regular
from evertrain.monitor.logs import Piece, list_pieces, read_piece

_BLOCK_BYTES: Final = 65_536
_READ_BYTES: Final = 1 << 20
_MAX_TAIL_BYTES: Final = 16 << 20  # of lines that never end, the end must do
_TRIES: Final = 100


class Follower:
    """The output of one attempt, from some point on.

    Args:
        logs: Directory of the logs.
        attempt: Whose output.
        last: Path of its last piece.
    """

    def __init__(self, logs: Path, attempt: int, last: Path) -> None:
        """Stand before the first byte that there is."""
        self.attempt = attempt
        self._logs = logs
        self._last = last
        self._file: BinaryIO | None = None
        self._number = 0  # of the piece that is open; the last one has that which it will get
        self._is_closed = True

    def tail(self, count: int) -> list[bytes]:
        """Return the last `count` lines there are, and stand behind them."""
        for _ in range(_TRIES):  # a cut in between: look again
            closed = self._closed()
            self._number = max((each.number or 0 for each in closed), default=0)
            if self._open_last():
                break
        if self._file is None:
            return last_lines(backward(closed), count)
        end_bytes = self._file.seek(0, io.SEEK_END)
        found = last_lines(_chained(self._file, closed), count)
        self._file.seek(end_bytes)
        return found

    def read(self) -> bytes:
        """Return what is there and was not returned yet; nothing for now is empty."""
        while True:
            data = self._file.read(_READ_BYTES) if self._file else b""
            if data:
                return data
            is_cut = self._is_closed or bool(self._closed(self._number - 1))
            # What was written between the last read and the cut.
            data = self._file.read(_READ_BYTES) if self._file and is_cut else b""
            if data:
                return data
            if not is_cut:
                return b""
            missing = self._go_on()
            if missing is None:
                return b""
            if missing:
                return missing

    def close(self) -> None:
        """Close what is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _go_on(self) -> bytes | None:
        """Open the next piece. Return a note of what is missing before it; None if none is."""
        for _ in range(_TRIES):
            closed = self._closed(self._number)
            if not closed:
                if self._open_last():
                    return b""
                if not self._closed(self._number):
                    return None
                continue
            piece = closed[0]
            file = _open(piece)
            if file is not None:
                self.close()
                note = gap(self._number, piece.number or 0)
                self._file, self._number, self._is_closed = file, piece.number or 0, True
                return note
        return None

    def _open_last(self) -> bool:
        """Open the last piece, which is going to be the next. Say whether it was that."""
        try:
            file = open_regular(self._last)
        except OSError:
            return False
        if self._closed(self._number):  # cut meanwhile: which of the two it is, is not known
            file.close()
            return False
        self.close()
        self._file, self._number, self._is_closed = file, self._number + 1, False
        return True

    def _closed(self, after: int = 0) -> list[Piece]:
        """Return the closed pieces behind that of a number, oldest first."""
        pieces = list_pieces(self._logs, self.attempt)
        return [each for each in pieces if each.number is not None and each.number > after]


def last_lines(newest_first: Iterable[bytes], count: int) -> list[bytes]:
    """Return the last `count` lines of blocks that come from the end on backwards."""
    blocks: list[bytes] = []
    ends = size_bytes = 0
    for block in newest_first if count else ():
        blocks.append(block)
        ends += block.count(b"\n")
        size_bytes += len(block)
        if ends > count or size_bytes >= _MAX_TAIL_BYTES:
            break
    lines = b"".join(reversed(blocks)).split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return lines[len(lines) - min(count, len(lines)) :]


def backward(pieces: Sequence[Piece]) -> Iterator[bytes]:
    """Yield what pieces hold, block by block, from the end of the last one on backwards."""
    after: int | None = None
    for piece in reversed(pieces):
        if after is not None and piece.number is not None and (note := gap(piece.number, after)):
            yield note
        if piece.packed:
            yield b"".join(read_piece(piece))[-_MAX_TAIL_BYTES:]
        else:
            yield from _backward(piece.path)
        after = piece.number if piece.number is not None else _one_more(pieces)
    if after is not None and (note := gap(0, after)):
        yield note


def gap(before: int, number: int) -> bytes:
    """Return a line that says which pieces are missing between two, empty if none is."""
    if number - before <= 1:
        return b""
    which = str(before + 1) if number - before == 2 else f"{before + 1} to {number - 1}"  # noqa: PLR2004
    return f"[evertrain: piece {which} of this log was dropped to save room]\n".encode()


def _one_more(pieces: Sequence[Piece]) -> int:
    return max((each.number or 0 for each in pieces), default=0) + 1


def _chained(last: BinaryIO, closed: Sequence[Piece]) -> Iterator[bytes]:
    yield from _blocks(last)
    yield from backward(closed)


def _backward(path: Path) -> Iterator[bytes]:
    try:
        with open_regular(path) as file:
            yield from _blocks(file)
    except OSError:
        return


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    start = file.seek(0, io.SEEK_END)
    while start > 0:
        size_bytes = min(start, _BLOCK_BYTES)
        start -= size_bytes
        file.seek(start)
        yield file.read(size_bytes)


def _open(piece: Piece) -> BinaryIO | None:
    if piece.packed:
        return io.BytesIO(b"".join(read_piece(piece)))
    try:
        return open_regular(piece.path)
    except OSError:  # packed in this very moment: look again
        return None
