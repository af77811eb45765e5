"""An environment may call its time what it likes; only the clocks of known wrappers stay."""

from typing import Any

import gymnasium
import pytest

from evertrain.integrations.envs import attributes, graph
from evertrain.integrations.envs import method as methods
from integrations import liars

NAMES = ("t_start", "episode_times", "episode_start_time", "start_time", "time_queue")


class Timed(liars.Plain):
    """It ends when its own clock says so, later than any trial looks."""

    t = 0.0
    start_time = 0.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        answer = super().reset(seed=seed, options=options)
        self.start_time = self.t
        return answer

    def step(self, action: int) -> Any:
        self.t += 1.0
        place, reward, *_ = super().step(action)
        return place, reward, False, self.t - self.start_time >= 1_000, {}


def ends(env: Timed, steps: int) -> list[int]:
    """Return the steps after which an episode ends."""
    found = []
    for step in range(steps):
        if env.step(1)[3]:
            env.reset()
            found.append(step)
    return found


def test_an_episode_ends_when_its_own_clock_says_so() -> None:
    """Also where a resume lies between, and no trial plays that long."""
    old, new = Timed(), Timed()
    old.t = 500.0
    old.reset(seed=1)
    for _ in range(10):
        old.step(1)
    tree = methods.capture(old, methods.ATTRIBUTES, with_globals=False)
    assert not methods.restore(new, methods.ATTRIBUTES, tree)
    assert ends(new, 2_500) == ends(old, 2_500) == [989, 1_989]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_makes_no_clock(name: str) -> None:
    """What an environment calls its own is its state, and a difference in it is seen."""
    env = liars.Plain()
    setattr(env, name, [1.0])
    stored = graph.take(env).nodes
    assert name in stored[""]["attributes"]
    assert name in attributes.take(env)
    setattr(env, name, [2.0])
    assert graph.differences(graph.take(env), stored)


def test_the_clocks_of_known_wrappers_stay() -> None:
    """By their class, and no other attribute of theirs; also where a program derives its own."""

    class Mine(gymnasium.wrappers.RecordEpisodeStatistics[Any, Any]):
        start_time = 0.0

    env = Mine(gymnasium.make("CartPole-v1"))
    env.start_time = 3.0
    env.reset(seed=1)
    mine = graph.take(env).nodes[""]["attributes"]
    assert not {"episode_start_time", "time_queue"} & mine.keys()
    assert {"start_time", "return_queue", "episode_returns"} <= mine.keys()
    many = gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")
    seen = gymnasium.wrappers.vector.RecordEpisodeStatistics(many)
    seen.reset(seed=1)
    assert "episode_start_times" not in graph.take(seen).nodes[""]["attributes"]
