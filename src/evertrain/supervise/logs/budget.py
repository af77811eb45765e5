"""Which pieces of logs go first where all of them take too much. Pure.

Layer: supervise. Imports monitor only.
"""

from collections.abc import Sequence
from typing import Final

from evertrain.monitor.logs import Piece

BLOCK_BYTES: Final = 4096


def superfluous(pieces: Sequence[Piece], limit_bytes: int) -> list[Piece]:
    """Return the pieces to drop so that the rest takes at most `limit_bytes`.

    How an attempt began, how it ended, and what was last: those stay longest. So first goes
    the middle of an attempt, oldest attempt first, oldest piece first; then whole attempts,
    oldest first; of the newest attempt the last two pieces stay, whatever they take.

    Args:
        pieces: All there are, oldest first.
        limit_bytes: What they may take together.
    """
    left_bytes = sum(_taken_bytes(piece) for piece in pieces)
    found: list[Piece] = []
    for piece in _in_order_of_going(pieces):
        if left_bytes <= limit_bytes:
            break
        found.append(piece)
        left_bytes -= _taken_bytes(piece)
    return found


def _taken_bytes(piece: Piece) -> int:
    """Return what a piece takes at least: a crash loop leaves thousands of tiny ones."""
    return max(piece.size_bytes, BLOCK_BYTES)


def _in_order_of_going(pieces: Sequence[Piece]) -> list[Piece]:
    newest = max((piece.attempt for piece in pieces), default=0)
    by_attempt: dict[int, list[Piece]] = {}
    for piece in pieces:
        by_attempt.setdefault(piece.attempt, []).append(piece)
    # The last piece may have just begun: the end of an attempt is in the last two.
    middles = [piece for each in by_attempt.values() for piece in each[1:-2]]
    untouchable = {*middles, *by_attempt.get(newest, [])[-2:]}
    return middles + [piece for piece in pieces if piece not in untouchable]
