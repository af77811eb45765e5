"""The game: agents in order, a length, and a state that goes on exactly."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray")
pytest.importorskip("mpe2")

from evertrain.recipes.hideseek.config import GameConfig
from evertrain.recipes.hideseek.env import HIDER, SEEKER, HideAndSeek, policy_of

SETTINGS = GameConfig(episode_steps=7).model_dump()
NAMES = ["adversary_0", "adversary_1", "adversary_2", "agent_0"]


class OfRunner(dict[str, Any]):
    """Settings as an env runner hands them out."""

    worker_index = 2


def played(env: HideAndSeek, moves: np.random.Generator, steps: int) -> Iterator[Any]:
    """Play on, one game after another, and yield all that is seen and won."""
    for _ in range(steps):
        if not env.agents:
            yield env.reset()[0]
        yield env.step({name: int(moves.integers(5)) for name in NAMES})


def test_three_seek_and_one_hides() -> None:
    """In this order everywhere, each with the policy of its role."""
    env = HideAndSeek(SETTINGS)
    seen, _ = env.reset(seed=0)
    after, rewards, terminated, truncated, _ = env.step(dict.fromkeys(NAMES, 0))

    assert [list(each) for each in (seen, after, rewards)] == [NAMES] * 3
    assert [list(each) for each in (terminated, truncated)] == [[*NAMES, "__all__"]] * 2
    assert [policy_of(name) for name in NAMES] == [SEEKER] * 3 + [HIDER]
    assert [len(seen[name]) for name in NAMES] == [16, 16, 16, 14]


def test_a_game_has_its_length() -> None:
    """It is truncated behind its last step, for all at once, and never terminated."""
    env = HideAndSeek(SETTINGS)
    env.reset(seed=0)
    ends = [env.step(dict.fromkeys(NAMES, 0))[2:4] for _ in range(7)]

    assert [truncated["__all__"] for _, truncated in ends] == [False] * 6 + [True]
    assert not any(terminated["__all__"] for terminated, _ in ends)


def test_env_runners_play_different_games() -> None:
    """RLlib's seeds are the runner's number plus the game's, so those of two runners overlap."""
    starts = [HideAndSeek(each).reset(seed=3)[0] for each in (SETTINGS, OfRunner(SETTINGS))]

    assert not np.array_equal(starts[0]["agent_0"], starts[1]["agent_0"])


@pytest.mark.parametrize("steps", [0, 4, 7, 10])
def test_a_state_goes_on_exactly(steps: int) -> None:
    """At a start, within a game, at its end and in the next one: 30 further steps are equal."""
    env, other = HideAndSeek(SETTINGS), HideAndSeek(SETTINGS)
    env.reset(seed=1)
    list(played(env, np.random.default_rng(0), steps))

    other.set_state(env.get_state())
    both = [list(played(each, np.random.default_rng(9), 30)) for each in (env, other)]

    np.testing.assert_equal(both[1], both[0])


def test_the_field_can_be_drawn() -> None:
    """Without a screen, too."""
    env = HideAndSeek({**SETTINGS, "render_mode": "rgb_array"})
    env.reset(seed=0)
    picture = env.render()

    assert picture.shape == (700, 700, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) >= 4, "field, seekers, hider, obstacles"
