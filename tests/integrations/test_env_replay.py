"""What is played again is known from its reset on, and compared by what can be seen."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from evertrain import Run, every
from evertrain.core.errors import StateError
from evertrain.integrations.envs import method, replay
from evertrain.integrations.envs.adapter import keep_by
from integrations import liars

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def duel(fate: float) -> Any:
    """Return a game by turns, whose methods return nothing, and in which `fate` is seen."""
    aec_env = pytest.importorskip("pettingzoo.utils.env").AECEnv

    class Duel(aec_env):  # type: ignore[misc,valid-type]
        metadata = {"name": "duel"}  # noqa: RUF012
        possible_agents = ["x", "y"]  # noqa: RUF012

        def observation_space(self, agent: str) -> Any:
            del agent
            return gymnasium.spaces.Box(-9, 9, (1,), np.float64)

        def action_space(self, agent: str) -> Any:
            del agent
            return gymnasium.spaces.Discrete(2)

        def reset(self, seed: int | None = None, options: Any = None) -> None:
            del seed, options
            self.agents, self.agent_selection = list(self.possible_agents), "x"
            nothing = dict.fromkeys(self.agents, 0)
            self.rewards, self._cumulative_rewards = nothing, dict(nothing)
            self.terminations = dict.fromkeys(self.agents, False)
            self.truncations = dict(self.terminations)
            self.infos: dict[str, Any] = {each: {} for each in self.agents}
            self.place = 0.0

        def observe(self, agent: str) -> Any:
            del agent
            return np.array([self.place])

        def step(self, action: int) -> None:
            self.place += action + fate
            self.agent_selection = "y" if self.agent_selection == "x" else "x"

    return Duel()


@pytest.mark.parametrize(("fate", "is_alike"), [(0.0, True), (0.5, False)])
def test_a_game_by_turns_is_compared_by_what_the_next_one_sees(
    fate: float, *, is_alike: bool
) -> None:
    """Its step returns nothing, which is always the same."""
    old, new = duel(0.0), duel(fate)
    replay.record(old)
    old.reset()
    for _ in range(5):
        old.step(1)

    problem = replay.restore(new, replay.capture(old))

    assert (problem is None) is is_alike


class Gusts(liars.Plain):
    """It wavers by turns, whatever the episode."""

    def __init__(self, gusts: Any) -> None:
        super().__init__()
        self.gusts = gusts

    def hidden(self) -> float:
        return float(next(self.gusts))


def test_each_step_that_is_played_again_is_compared() -> None:
    """Not only where it led: two gusts come to the same in another order."""
    old, new = Gusts(iter([1.0, 2.0])), Gusts(iter([2.0, 1.0]))
    replay.record(old)
    old.reset(seed=1)
    for _ in range(2):
        old.step(0)

    problem = replay.restore(new, replay.capture(old))

    assert old.look().tolist() == new.look().tolist()
    assert problem == "after 2 steps that were played again it shows something else"


def test_what_may_have_begun_is_unknown_until_it_is_reset() -> None:
    """Also before anybody steps: where it stands is not the beginning."""
    env = liars.Plain()
    env.reset(seed=1)
    env.step(0)

    replay.record(env)

    tree = method.capture(env, "replay", with_globals=False)
    assert not method.is_complete(tree, "replay")
    assert method.restore(liars.Plain(), "replay", tree) == ["its episode was not known"]
    env.reset()
    assert method.is_complete(method.capture(env, "replay", with_globals=False), "replay")


def test_a_wrapper_may_know_that_it_has_not_begun() -> None:
    """Then there is nothing to be played again, until it has."""
    fresh, begun = (gymnasium.wrappers.OrderEnforcing(liars.Plain()) for _ in range(2))
    begun.reset()

    for env in (fresh, begun):
        replay.record(env)

    assert replay.capture(fresh)["start"] is None
    assert replay.capture(begun) is None


def test_a_loop_that_resets_before_it_attaches_is_refused_by_the_save(tmp_path: Path) -> None:
    """A resume could not tell what it did before."""
    with (
        pytest.raises(StateError, match="and these are not known"),
        Run(tmp_path, total=2, save=every(steps=1)) as run,
    ):
        env = liars.Plain()
        env.reset(seed=1)
        keep_by(env, "replay")
        run.attach(env=env)
        for _ in run:
            pass
