"""The environment: Gymnasium's rules, fees, exploration, and exact capture."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from evertrain.core.errors import ConfigError, StateError
from evertrain.recipes.trading.account import Action
from evertrain.recipes.trading.config import MarketConfig
from evertrain.recipes.trading.env import TradingEnv
from evertrain.recipes.trading.market import Market
from recipes.trading.worlds import market_of

MARKET = Market.of(MarketConfig(source="random_walk"), 5)
LENGTH = 30


def play(env: TradingEnv, steps: int) -> list[Any]:
    """Return all that somebody sees who explores at random, episode after episode."""
    seen: list[Any] = []
    for _ in range(steps):
        action = env.action_space.sample()
        observation, reward, _, is_over, _ = env.step(action)
        seen.append((action, observation.tobytes(), reward, is_over))
        if is_over:
            seen.append(env.reset()[0].tobytes())
    return seen


def test_gymnasium_accepts_it() -> None:
    """Both checkers pass without a warning."""
    check_env(TradingEnv(MARKET, LENGTH), skip_render_check=True)
    check_env_sb3(TradingEnv(MARKET, LENGTH))


def test_an_episode_is_a_stretch_of_the_training_part() -> None:
    """So many bars from a random one on, cut off, for a market has no end; all starts occur."""
    market = Market.of(MarketConfig(source="random_walk"), 5)
    span = market.parts["train"]
    env = TradingEnv(market, span.count - 1)
    env.reset(seed=0)

    starts = {env.reset()[0].tobytes() for _ in range(40)}

    assert starts == {
        market.observe(at, at + 1, 0)[0].tobytes() for at in (span.first, span.first + 1)
    }
    ends = [env.step(np.int64(0))[2:4] for _ in range(span.count - 1)]
    assert set(ends[:-1]) == {(False, False)}
    assert ends[-1] == (False, True)
    with pytest.raises(ResetNeeded):
        env.step(np.int64(0))


def test_it_needs_a_reset_first() -> None:
    """No episode has begun before."""
    with pytest.raises(ResetNeeded):
        TradingEnv(MARKET, LENGTH).step(np.int64(0))


def test_an_episode_longer_than_the_market_is_refused(tmp_path: Path) -> None:
    """With the longest that there is."""
    with pytest.raises(ConfigError, match="Give 69 or less"):
        TradingEnv(market_of(tmp_path, [100.0, 110.0] * 50), 70)


def test_a_trade_costs_its_fee_at_once() -> None:
    """Buying and selling at the next close loses two fees but for the move between."""
    env = TradingEnv(MARKET, LENGTH)
    env.reset(seed=3)
    bar = env.get_state()["bar"]
    move = math.log(MARKET.prices[bar + 1] / MARKET.prices[bar])

    rewards = [env.step(np.int64(action))[1] for action in (Action.BUY, Action.SELL, Action.SELL)]

    paid = math.log(1 - MARKET.fee)
    assert rewards == pytest.approx(
        [(move + paid) / MARKET.volatility, paid / MARKET.volatility, 0.0]
    )


def test_exploration_goes_on_over_a_reset() -> None:
    """gym-anytrading seeds the action space in each reset, so all episodes try the same actions."""
    env, same = TradingEnv(MARKET, LENGTH), TradingEnv(MARKET, LENGTH)
    for each in (env, same):
        each.action_space.seed(5)
        each.reset(seed=1)
    samples = [int(same.action_space.sample()) for _ in range(80)]

    found = []
    for _ in range(4):
        found += [int(env.action_space.sample()) for _ in range(20)]
        env.reset()

    assert found == samples
    assert found[:20] != found[20:40]


@pytest.mark.parametrize("steps", [0, 13, LENGTH - 1, LENGTH])
def test_a_state_goes_on_exactly(steps: int) -> None:
    """In another environment, over the end of the episode and into the next ones."""
    env = TradingEnv(MARKET, LENGTH)
    env.reset(seed=2)
    env.action_space.seed(3)
    play(env, steps)
    state = env.get_state()
    other = TradingEnv(MARKET, LENGTH)
    other.reset(seed=99)

    other.set_state(state)

    assert play(other, 3 * LENGTH) == play(env, 3 * LENGTH)


def test_a_state_is_a_handful_of_numbers() -> None:
    """The prices are not in it."""
    env = TradingEnv(MARKET, LENGTH)
    env.reset(seed=2)

    assert len(json.dumps(env.get_state())) < 1000


@pytest.mark.parametrize(
    "change",
    [
        {"bar": None},
        {"more": 1},
        {"prices": "0"},
        {"end": 10**6},
        {"bar": -1},
        {"bar": 50, "end": 49},
    ],
    ids=str,
)
def test_a_strange_state_changes_nothing(change: dict[str, Any]) -> None:
    """Captured with other prices, or by another version."""
    env = TradingEnv(MARKET, LENGTH)
    env.reset(seed=2)
    before = env.get_state()
    state = {key: value for key, value in {**before, **change}.items() if value is not None}

    with pytest.raises(StateError, match="does not fit"):
        env.set_state(state)

    assert env.get_state() == before
