"""What an action does to a position, and a position to money: the only place that says so.

One is either flat (all in money) or long (all in the asset). Training and
examination go through the same two functions.

Layer: recipes. Imports nothing.
"""

from enum import IntEnum
from typing import Final

FLAT: Final = 0
LONG: Final = 1


class Action(IntEnum):
    """What an agent may do at each bar. Buying twice is holding."""

    HOLD = 0
    BUY = 1
    SELL = 2


def position_after(position: int, action: int) -> int:
    """Return the position after an action at a position, FLAT or LONG."""
    if action == Action.HOLD:
        return position
    return LONG if action == Action.BUY else FLAT


def growth(before: int, after: int, price_ratio: float, fee: float) -> float:
    """Return the factor by which money grows over a bar.

    Args:
        before: Position until now.
        after: Position during the bar. If it is another one, a trade is paid for.
        price_ratio: Price at the end of the bar over that at its beginning.
        fee: Cost of a trade, as a fraction of what is traded.
    """
    kept = 1.0 if before == after else 1.0 - fee
    return kept * price_ratio if after == LONG else kept
