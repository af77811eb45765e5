"""What supervisor and shim say to each other: JSON lines over a socket pair.

From the supervisor: one `Order`, then `{"do": "stop" | "force" | "kill"}` and
`{"do": "resize", "rows", "columns"}`. From the shim: `{"event": "started" | "failed" |
"signalled" | "hang" | "unwatched" | "unread" | "ended", ...}`. The end of the stream means that the
other side is dead.

Layer: supervise. Imports core only.
"""

import socket
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

from evertrain.core.journal import encode_line, parse_lines
from evertrain.core.kinds import (
    MAX_COUNT,
    is_count,
    is_text,
    is_words,
    misfit,
    or_none,
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the shim has to start.

    Attributes:
        command: Program and arguments.
        env: Its environment.
        run: Absolute path of the run directory.
        attempt: Its number.
        grace_s: Longest graceful stop, seconds.
        size: Rows and columns of the terminal to give it, or None for a pipe.
        resumed_from: Foreign checkpoint handed to it, or None.
        hang: "act" ends what hangs, "observe" only tells of it.
        hang_timeout_s: Longest silence that a person allows, seconds; None learns it.
        progress: Regular expression that finds its step in its output, or None.
        progress_file: Glob of files that grow as it gets on, or None.
    """

    command: list[str]
    env: dict[str, str]
    run: str
    attempt: int
    grace_s: float
    size: tuple[int, int] | None
    resumed_from: str | None = None
    hang: str = "act"
    hang_timeout_s: float | None = None
    progress: str | None = None
    progress_file: str | None = None


def encode_order(order: Order) -> Row:
    """Return `order` as a row."""
    return asdict(order)


def decode_order(row: Row) -> Order | None:
    """Return the order that `row` describes, or None if it is none."""
    wrong = misfit(row, _KINDS)
    if wrong is not None or not _KINDS.keys() - _OPTIONAL <= row.keys() <= _KINDS.keys():
        return None
    size = row["size"]
    return Order(**{**row, "size": None if size is None else (size[0], size[1])})


def is_length(value: object) -> bool:
    """Say whether it is a number of rows or columns that a terminal can have."""
    return isinstance(value, int) and is_count(value) and value < _MAX_LENGTH


def _is_size(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(is_length, value))  # noqa: PLR2004


def _is_environment(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _is_seconds(value: object) -> bool:
    return type(value) in {int, float} and 0 <= cast("float", value) < MAX_COUNT


_MAX_LENGTH: Final = 1 << 16
_MAX_BYTES: Final = 16 << 20
_KINDS: Final = {
    "command": is_words,
    "env": _is_environment,
    "run": is_text,
    "attempt": is_count,
    "grace_s": _is_seconds,
    "size": or_none(_is_size),
    "resumed_from": or_none(is_text),
    "hang": is_text,
    "hang_timeout_s": or_none(_is_seconds),
    "progress": or_none(is_text),
    "progress_file": or_none(is_text),
}
_OPTIONAL: Final = {"resumed_from", "hang", "hang_timeout_s", "progress", "progress_file"}


class Wire:
    """One end of the conversation.

    Args:
        end: Connected stream socket; this object owns it.
    """

    def __init__(self, end: socket.socket) -> None:
        """Take over `end`."""
        self._end = end
        self._rest = b""

    def fileno(self) -> int:
        """Return the descriptor, for polling."""
        return self._end.fileno()

    def tell(self, row: Row) -> bool:
        """Send one row. Say whether the other side could still take it."""
        try:
            self._end.sendall(encode_line(row))
        except OSError:
            return False
        return True

    def hear(self) -> list[Row] | None:
        """Return the rows that came, oldest first, waiting for bytes; None at the end.

        A line that never ends is an end, too.
        """
        try:
            data = self._end.recv(65536)
        except OSError:
            data = b""
        if not data or len(self._rest) > _MAX_BYTES:
            return None
        whole, _, self._rest = (self._rest + data).rpartition(b"\n")
        return list(parse_lines(whole).rows)

    def hear_first(self) -> tuple[Row, list[Row]] | None:
        """Wait for the first row. Return it and what already came after it; None at the end."""
        while (rows := self.hear()) is not None:
            if rows:
                return rows[0], rows[1:]
        return None

    def close(self) -> None:
        """Hang up."""
        self._end.close()
