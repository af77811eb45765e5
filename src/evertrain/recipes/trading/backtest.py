"""The examination: what a policy would have earned in a part of the market, and at what risk.

A policy that explores no more follows from what it sees, so it is asked about all
bars at once, for each position that it may hold there.

Layer: recipes. Imports its siblings and core.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import empyrical
import numpy as np
from numpy.typing import NDArray

from evertrain.recipes.table import aligned
from evertrain.recipes.trading.account import FLAT, LONG, Action, growth, position_after
from evertrain.recipes.trading.market import Array, Market, Observation, Span

TRADES: Final = "total_trades"
METRICS: Final = ("total_profit", "sharpe_ratio", "max_drawdown", TRADES)
Policy = Callable[[Observation], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Score:
    """What a policy earned. More of each is better, except trades.

    Attributes:
        total_profit: Money at the end less money at the start.
        sharpe_ratio: Mean return over its standard deviation, per year; 0 for one who never
            held anything.
        max_drawdown: Deepest fall from a peak, as a fraction, 0 or below.
        total_trades: Times that something was bought or sold.
    """

    total_profit: float
    sharpe_ratio: float
    max_drawdown: float
    total_trades: int

    def named(self, prefix: str = "") -> dict[str, float]:
        """Return its numbers as metrics whose names begin with `prefix`."""
        return {f"{prefix}{name}": value for name, value in asdict(self).items()}


def examine(policy: Policy, market: Market, span: Span) -> Score:
    """Return what `policy` earns from a start with money only.

    What is held at the end is counted at its price there. Draws no random number.

    Args:
        policy: Deterministic map of observations (float32, shape (bars, window + 1)) to
            actions, shape (bars,).
        market: Prices, and what is seen of them.
        span: The bars at which it decides.
    """
    returns, trades = trade(policy, market, span)
    sharpe = empyrical.sharpe_ratio(returns, annualization=market.bars_per_year)
    return Score(
        total_profit=market.capital * float(empyrical.cum_returns_final(returns)),
        sharpe_ratio=float(sharpe) if np.isfinite(sharpe) else 0.0,
        max_drawdown=float(empyrical.max_drawdown(returns)),
        total_trades=trades,
    )


def trade(policy: Policy, market: Market, span: Span) -> tuple[Array, int]:
    """Return the return of each bar, shape (bars,), and how often was bought or sold."""
    choices = [
        policy(market.observe(span.first, span.last, position)).tolist()
        for position in (FLAT, LONG)
    ]
    ratios = (market.prices[1:] / market.prices[:-1])[span.first : span.last].tolist()
    position, trades, factors = FLAT, 0, []
    for bar, ratio in enumerate(ratios):
        after = position_after(position, choices[position][bar])
        factors.append(growth(position, after, ratio, market.fee))
        trades += after != position
        position = after
    return np.array(factors) - 1.0, trades


def buy_and_hold(observations: Observation) -> NDArray[np.int64]:
    """Buy at once and never sell: what every policy has to beat."""
    return np.full(len(observations), Action.BUY)


def table(rows: Sequence[tuple[str, str, Score]]) -> str:
    """Return scores as text: a row per part and policy."""
    cells = [
        ("part", "policy", "total_profit", "sharpe_ratio", "max_drawdown", "total_trades"),
        *(
            (
                part,
                who,
                f"{score.total_profit:,.2f}",
                f"{score.sharpe_ratio:.2f}",
                f"{score.max_drawdown:.3f}",
                f"{score.total_trades:,}",
            )
            for part, who, score in rows
        ),
    ]
    return aligned(cells, names=2)
