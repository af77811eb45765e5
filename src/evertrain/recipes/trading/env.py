"""The market as a Gymnasium environment that is saved as a handful of numbers.

An episode is a stretch of the training part from a random bar on. The prices are
the same for ever, so a state says only where the agent stands, and what it holds.

Layer: recipes. Imports its siblings and core.
"""

import math
from hashlib import sha256
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from evertrain.core.errors import ConfigError, StateError
from evertrain.recipes.trading.account import FLAT, Action, growth, position_after
from evertrain.recipes.trading.market import FARTHEST, Market, Observation


class TradingEnv(gymnasium.Env[Observation, np.int64]):
    """Buy, hold or sell at each close of the training part.

    Observation: the last changes of the price (`Market.seen`), then what is held (0 or 1);
    float32, shape (window + 1,).

    Action: `account.Action`, 0 to 2.

    Reward: logarithm of the factor by which money grows until the next close, the fee of a
    trade included, over that of a typical bar: rewards add up to the profit.

    An episode ends with `truncated`, for markets go on.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - gymnasium's own declaration

    def __init__(self, market: Market, episode_bars: int) -> None:
        """Stand nowhere yet; the first episode comes with `reset`.

        Args:
            market: Prices and parts.
            episode_bars: Decisions in an episode.

        Raises:
            ConfigError: The training part is shorter than that.
        """
        self.action_space = gymnasium.spaces.Discrete(len(Action))
        self.observation_space = gymnasium.spaces.Box(
            -FARTHEST, FARTHEST, (market.window + 1,), np.float32
        )
        self._market = market
        self._span = market.parts["train"]
        if episode_bars > self._span.count:
            raise ConfigError(
                f"episode_bars is {episode_bars}, and there are {self._span.count} to train on.",
                "an episode is a stretch of them.",
                f"Give {self._span.count} or less.",
            )
        self._typical = market.volatility
        self._prices = sha256(market.prices[: self._span.last + 1].tobytes()).hexdigest()
        self._length = episode_bars
        self._bar = self._end = 0
        self._position = FLAT

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin at a random bar, with money only; see `gymnasium.Env.reset`.

        Unlike gym-anytrading's own environments it leaves the generator of the action space
        alone: an exploration that begins anew in each episode tries the same actions for ever.
        """
        super().reset(seed=seed, options=options)
        starts = self._span.count - self._length + 1
        self._bar = self._span.first + int(self.np_random.integers(starts))
        self._end = self._bar + self._length
        self._position = FLAT
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Act at this close and wait for the next one; see `gymnasium.Env.step`.

        Raises:
            ResetNeeded: The episode is over, or none has begun.
        """
        if self._bar >= self._end:
            raise ResetNeeded("The episode is over; call reset() for the next one.")
        market, before = self._market, self._position
        self._position = position_after(before, int(action))
        ratio = float(market.prices[self._bar + 1] / market.prices[self._bar])
        factor = growth(before, self._position, ratio, market.fee)
        self._bar += 1
        reward = math.log(factor) / self._typical
        return self._observe(), reward, False, self._bar == self._end, {}

    def get_state(self) -> dict[str, Any]:
        """Return everything that the future depends on, as plain data; of the prices a digest."""
        return {
            "prices": self._prices,
            "rng": self.np_random.bit_generator.state,
            "action_rng": self.action_space.np_random.bit_generator.state,
            "bar": self._bar,
            "end": self._end,
            "position": self._position,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on exactly where `get_state` was called, in this or another process.

        Raises:
            StateError: It is no state of an environment over these prices. Nothing was changed.
        """
        self._refuse_strange(state)
        self.np_random.bit_generator.state = state["rng"]
        self.action_space.np_random.bit_generator.state = state["action_rng"]
        self._bar, self._end = int(state["bar"]), int(state["end"])
        self._position = int(state["position"])

    def _observe(self) -> Observation:
        found: Observation = self._market.observe(self._bar, self._bar + 1, self._position)[0]
        return found

    def _refuse_strange(self, state: dict[str, Any]) -> None:
        faults = sorted(self.get_state().keys() ^ state.keys())
        if not faults and state["prices"] != self._prices:
            faults = ["other prices to train on"]
        elif not faults and not 0 <= state["bar"] <= state["end"] <= self._span.last:
            faults = ["bar", "end"]
        if faults:
            raise StateError(
                f"This environment state does not fit: {', '.join(faults)}.",
                "It was captured with other prices, other parts, or by another version.",
                "Give the market that the run began with, or begin anew: --resume never",
            )
