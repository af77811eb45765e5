"""What supervisor and shim say to each other: JSON lines over a socket pair.

From the supervisor: one `Order`, then `{"do": "stop" | "force" | "kill"}` and
`{"do": "resize", "rows", "columns"}`. From the shim: `{"event": "started" | "failed" |
"signalled" | "ended", ...}`. The end of the stream means that the other side is dead.

Layer: supervise. Imports core only.
"""

import socket
from dataclasses import asdict, dataclass
from typing import Any

from evertrain.core.journal import encode_line, parse_lines

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the shim has to start.

    Attributes:
        command: Program and arguments.
        run: Absolute path of the run directory.
        attempt: Its number.
        grace_s: Longest graceful stop, seconds.
        size: Rows and columns of the terminal to give it, or None for a pipe.
        resumed_from: Foreign checkpoint handed to it, or None.
    """

    command: list[str]
    run: str
    attempt: int
    grace_s: float
    size: tuple[int, int] | None
    resumed_from: str | None = None


def encode_order(order: Order) -> Row:
    """Return `order` as a row."""
    return asdict(order)


def decode_order(row: Row) -> Order:
    """Return the order that `row` describes."""
    size = row["size"]
    return Order(**{**row, "size": None if size is None else (int(size[0]), int(size[1]))})


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
        """Return the rows that came, oldest first, waiting for bytes; None at the end."""
        try:
            data = self._end.recv(65536)
        except OSError:
            data = b""
        if not data:
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
