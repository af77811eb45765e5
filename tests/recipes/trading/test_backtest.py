"""The examination: hand-made prices, and the same money as in the environment."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evertrain.recipes.trading.account import FLAT, LONG, Action, growth, position_after
from evertrain.recipes.trading.backtest import Policy, buy_and_hold, examine, table, trade
from evertrain.recipes.trading.config import MarketConfig
from evertrain.recipes.trading.env import TradingEnv
from evertrain.recipes.trading.market import Market, Observation, Span
from recipes.trading.worlds import market_of

H, B, S = Action.HOLD, Action.BUY, Action.SELL


def fixed(*actions: Action) -> Policy:
    """Return a policy that does these things, whatever it sees."""
    return lambda observations: np.array(actions[: len(observations)])


def stubborn(observations: Observation) -> NDArray[np.int64]:
    """Buy after a fall and sell after a rise, with a reluctance that depends on the position."""
    falls = observations[:, -2] < -0.5 * observations[:, -1]
    return np.where(falls, B, np.where(observations[:, -2] > 1.0, S, H))


@pytest.mark.parametrize(
    ("position", "action", "after"),
    [(FLAT, H, FLAT), (FLAT, B, LONG), (FLAT, S, FLAT), (LONG, H, LONG), (LONG, B, LONG),
     (LONG, S, FLAT)],
)  # fmt: skip
def test_three_actions_and_two_positions(position: int, action: Action, after: int) -> None:
    """To buy what one has is to hold; to sell what one has not is to do nothing."""
    assert position_after(position, action) == after


def test_only_a_trade_is_paid_for() -> None:
    """Whoever is long earns what the price does; whoever changes pays the fee first."""
    assert growth(LONG, LONG, 1.1, 0.01) == pytest.approx(1.1)
    assert growth(FLAT, LONG, 1.1, 0.01) == pytest.approx(1.1 * 0.99)
    assert growth(LONG, FLAT, 1.1, 0.01) == pytest.approx(0.99)
    assert growth(FLAT, FLAT, 1.1, 0.01) == 1.0


def test_profit_drawdown_and_trades_by_hand(tmp_path: Path) -> None:
    """Bought at 100, up to 120, down to 90, sold there: -10 %, less a fee twice."""
    rest = [60.0, 61.0] * 40
    market = market_of(tmp_path, [50.0, 100.0, 120.0, 90.0, *rest], fee=0.01, capital=1000.0)

    score = examine(fixed(B, H, S), market, Span(1, 4))

    assert score.total_profit == pytest.approx(1000 * (0.99 * 0.9 * 0.99 - 1))
    assert score.max_drawdown == pytest.approx(0.9 * 0.99 / 1.2 - 1)
    assert score.total_trades == 2


def test_the_sharpe_ratio_is_per_year(tmp_path: Path) -> None:
    """Mean over standard deviation of the returns, times the root of the bars in a year."""
    rng = np.random.default_rng(1)
    prices = list(100 * np.exp(np.cumsum(rng.normal(0.001, 0.01, 100))))
    market = market_of(tmp_path, prices, fee=0.0, bars_per_year=400)
    returns = np.array(prices[41:61]) / np.array(prices[40:60]) - 1

    score = examine(buy_and_hold, market, Span(40, 60))

    assert score.sharpe_ratio == pytest.approx(returns.mean() / returns.std(ddof=1) * 20)


def test_whoever_never_trades_has_nothing(tmp_path: Path) -> None:
    """No profit, no risk, and a ratio of the two that can be logged: 0, not NaN."""
    market = market_of(tmp_path, [100.0, 110.0] * 40)

    score = examine(fixed(*[H] * 80), market, Span(1, 40))

    assert score.named("x/") == {
        "x/total_profit": 0.0,
        "x/sharpe_ratio": 0.0,
        "x/max_drawdown": 0.0,
        "x/total_trades": 0,
    }


def test_the_environment_pays_what_the_examination_counts() -> None:
    """A policy that looks at its position earns the same, bar for bar, in both."""
    market = Market.of(MarketConfig(source="random_walk", fee=0.002), 4)
    train = market.parts["train"]
    env = TradingEnv(market, train.count)
    observation, _ = env.reset(seed=0)
    rewards = []
    is_over = False
    while not is_over:
        observation, reward, _, is_over, _ = env.step(stubborn(observation[None])[0])
        rewards.append(reward)

    returns, trades = trade(stubborn, market, train)

    assert trades > 100
    np.testing.assert_allclose(np.array(rewards) * market.volatility, np.log1p(returns), atol=1e-12)


def test_the_table_has_a_row_for_each_score(tmp_path: Path) -> None:
    """Names to the left, numbers to the right."""
    market = market_of(tmp_path, [100.0, 110.0] * 40)
    score: Any = examine(buy_and_hold, market, Span(1, 40))

    lines = table([("test", "buy and hold", score), ("test", "last", score)]).splitlines()

    assert len(lines) == 3
    assert lines[1].startswith("test  buy and hold")
    assert len({len(line) for line in lines}) == 1
