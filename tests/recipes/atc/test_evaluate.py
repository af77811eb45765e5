"""The examination: each controller in the same episodes, and what the table says of them."""

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from evertrain.recipes.atc.evaluate import direct, fly, straight, table
from evertrain.recipes.atc.world import TOLD


class Numbered(gymnasium.Env[Any, Any]):
    """An episode whose length and reward follow from its seed and the turns taken."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed: int | None = None, **_: Any) -> Any:
        """Begin the episode of `seed`; those after it do not count."""
        self.seed, self.left = seed or 0, 1 + (seed or 0) % 3
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        """Pay the turn."""
        self.left -= 1
        info = {"intrusions": self.seed, "conflicts": 2 * self.seed, "drift_deg": 0.5}
        return np.zeros(2, np.float32), float(action[0]), False, self.left == 0, info


def venv(count: int) -> DummyVecEnv:
    """Return `count` environments that tell what the real ones tell."""
    return DummyVecEnv([partial(Monitor, Numbered(), info_keywords=TOLD) for _ in range(count)])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_episodes_are_those_of_their_seeds(count: int) -> None:
    """Whatever the number of environments, and however long others take."""

    def turn(observations: Any) -> Any:
        return np.ones((len(observations), 2), np.float32)

    flights = fly(turn, venv(count), episodes=5, seed=10)

    assert [each["intrusions"] for each in flights] == [10, 11, 12, 13, 14]
    assert [each["actions"] for each in flights] == [2, 3, 1, 2, 3]
    assert [each["reward"] for each in flights] == [2, 3, 1, 2, 3]


def test_the_references() -> None:
    """One touches nothing; the other turns to the waypoint, as far as an action turns."""
    observed = ("airspeed", "cos(drift)", "sin(drift)")
    angles = np.radians([0.0, 9.0, -9.0, 90.0])
    seen = np.stack([np.zeros(4), np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    assert straight(seen).tolist() == [[0, 0]] * 4
    turns = direct(observed, "sector")(seen)
    assert turns[:, 0] == pytest.approx([0, -0.4, 0.4, -1], abs=1e-6)
    assert not turns[:, 1].any()


def test_the_table_judges_by_the_first_row() -> None:
    """Means with standard errors, and in how many episodes a controller was better."""
    flights = [
        {"reward": reward, "intrusions": 1.0, "conflicts": 2.0, "drift_deg": 3.0, "actions": 4.0}
        for reward in (-2.0, -4.0)
    ]
    better = [each | {"reward": -3.0} for each in flights]

    lines = table({"straight on": flights, "policy": better}).splitlines()

    assert lines[0] == "2 episodes; mean +- standard error"
    assert lines[2].split()[:4] == ["straight", "on", "-3.00", "+-1.00"]
    assert lines[2].endswith("-")
    assert lines[3].split()[:3] == ["policy", "-3.00", "+-0.00"]
    assert lines[3].endswith("1/2")
