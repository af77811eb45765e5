"""`BrowserGameEnv` with a game in Python: episodes, losses, and its state."""

import copy
import math
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from evertrain.checkpoint.tree import flatten, unflatten
from evertrain.core.errors import EnvError, MissingExtraError, StateError
from evertrain.integrations.browser import BrowserGame, BrowserGameEnv, make_env
from integrations.games import FakeGame, settings

TURN = np.array([1, 0])
WAIT = np.array([0, 0])


def stored(tree: Any) -> Any:
    """Take a tree through the checkpoint's own form."""
    flat = copy.deepcopy(flatten(tree))
    return unflatten(flat.skeleton, flat.arrays)


def begun(game: FakeGame | None = None, **changes: Any) -> BrowserGameEnv:
    """Return an environment in the middle of an episode."""
    env = BrowserGameEnv(settings(**changes), game=game or FakeGame())
    env.reset(seed=3)
    for action in (TURN, WAIT, TURN):
        env.step(action)
    return env


def play(env: BrowserGameEnv, steps: int = 30) -> list[Any]:
    """Take steps over the ends of episodes. Return all that comes back, as plain data."""
    seen: list[Any] = []
    for step in range(steps):
        observation, reward, terminated, truncated, _ = env.step((WAIT, TURN)[step % 2])
        seen.append((observation.tolist(), reward, terminated, truncated))
        if truncated:
            seen.append(env.reset()[0].tolist())
    return seen


def test_gymnasium_finds_no_fault() -> None:
    """Spaces, seeds and returned values are what Gymnasium asks for."""
    env = BrowserGameEnv(settings(), game=FakeGame())

    check_env(env, skip_render_check=True)


def test_an_episode_ends_after_its_steps() -> None:
    """It is truncated, not terminated, and another game follows."""
    env = BrowserGameEnv(settings(episode_steps=4), game=FakeGame())
    first, _ = env.reset(seed=1)

    ends = [env.step(WAIT)[2:4] for _ in range(4)]
    with pytest.raises(ResetNeeded):
        env.step(WAIT)
    env.reset()

    assert ends == [(False, False)] * 3 + [(False, True)]
    assert first.shape == env.observation_space.shape


def test_equal_seeds_make_equal_games() -> None:
    """The whole series of episodes follows from one seed."""
    one, same, other = (BrowserGameEnv(settings(), game=FakeGame()) for _ in range(3))
    for env, seed in ((one, 1), (same, 1), (other, 2)):
        env.reset(seed=seed)

    seen = play(one)
    assert seen == play(same)
    assert seen != play(other)


def test_a_game_that_is_lost_truncates_its_episode() -> None:
    """The last observation, reward 0, and why; the next reset begins afresh."""
    game = FakeGame(losses=frozenset({6}))
    env = begun(game)
    last = env.step(WAIT)[0]

    observation, reward, terminated, truncated, info = env.step(TURN)

    assert (observation.tolist(), reward, terminated, truncated) == (
        last.tolist(),
        0.0,
        False,
        True,
    )
    assert (info["is_lost"], info["game_lost"]) == (1.0, "call 6 crashed")
    with pytest.raises(ResetNeeded):
        env.step(TURN)
    env.reset()
    assert env.step(TURN)[3] is False


def test_a_game_that_cannot_be_begun_is_tried_again() -> None:
    """Browsers fail to start now and then; one that never starts ends the training."""
    env = BrowserGameEnv(settings(starts=3), game=FakeGame(losses=frozenset({1, 2})))
    env.reset()

    env = BrowserGameEnv(settings(starts=3), game=FakeGame(losses=frozenset({1, 2, 3})))
    with pytest.raises(EnvError, match="could not be begun: call 3 crashed"):
        env.reset()


def test_the_state_comes_back() -> None:
    """In another environment, the rest of this episode and all that follow are the same."""
    env = begun()
    state = stored(env.get_state())
    expected = play(env)

    other = BrowserGameEnv(settings(), game=FakeGame())
    other.set_state(state)

    assert play(other) == expected
    assert state["episode"]["told"] == ["ONE1 fh 090", "", "ONE1 fh 090"]


def test_an_environment_that_has_not_begun_has_a_state() -> None:
    """Nothing is begun for it, and it begins as it would have."""
    env = BrowserGameEnv(settings(), game=FakeGame())
    state = stored(env.get_state())
    expected = env.reset()[0]

    other = BrowserGameEnv(settings(), game=FakeGame())
    other.set_state(state)

    assert other.reset()[0].tolist() == expected.tolist()


def test_taking_the_state_asks_the_game_nothing() -> None:
    """A game that hangs must not take the checkpoint with it."""
    game = FakeGame()
    env = begun(game)
    calls = game.calls

    env.get_state()

    assert game.calls == calls


def lost_after(state: Any, env: BrowserGameEnv, reason: str) -> None:
    """Assert that the episode ends at its first step, with that reason, and that it goes on."""
    with pytest.warns(RuntimeWarning, match=reason):
        env.set_state(state)
    again = stored(env.get_state())
    observation, reward, _, truncated, info = env.step(TURN)

    assert observation.tolist() == state["observation"].tolist()
    assert (reward, truncated) == (0.0, True)
    assert reason in info["game_lost"]
    assert again["loss"] == info["game_lost"]
    env.reset()
    assert env.step(TURN)[3] is False


def test_a_game_with_chance_of_its_own_is_found_out() -> None:
    """Played again it is another one: its episode ends, and nobody goes on in a wrong world."""
    state = stored(begun(FakeGame(is_leaky=True)).get_state())

    other = BrowserGameEnv(settings(), game=FakeGame(is_leaky=True))

    lost_after(state, other, "it is another game")


def test_another_version_of_the_game_is_named() -> None:
    """An update of the game is the likeliest reason, and not the game's chance."""
    state = stored(begun(FakeGame(version="6.29")).get_state())

    other = BrowserGameEnv(settings(), game=FakeGame(version="6.30"))

    lost_after(state, other, "saved by version '6.29' of the game, and this is '6.30'")


def test_another_timewarp_is_named() -> None:
    """A step down a ladder changes how time passes; that episode cannot be gone on with."""
    state = stored(begun().get_state())

    other = BrowserGameEnv(settings(timewarp=10.0), game=FakeGame())

    lost_after(state, other, "timewarp 20.0 there, 10.0 here")


def test_a_restore_survives_a_crash() -> None:
    """A browser that dies while it plays an episode again is replaced, too."""
    env = begun()
    state = stored(env.get_state())
    expected = play(env)

    other = BrowserGameEnv(settings(), game=FakeGame(losses=frozenset({2, 4})))
    other.set_state(state)

    assert play(other) == expected


def test_a_restore_that_always_crashes_ends_the_episode() -> None:
    """Not the training."""
    state = stored(begun().get_state())

    other = BrowserGameEnv(settings(), game=FakeGame(losses=frozenset({1, 2, 3})))

    lost_after(state, other, "call 3 crashed")


def test_a_loss_that_was_not_told_yet_is_saved() -> None:
    """A checkpoint between the restore and the first step forgets nothing."""
    state = stored(begun(FakeGame(version="6.29")).get_state())
    between = BrowserGameEnv(settings(), game=FakeGame())
    with pytest.warns(RuntimeWarning):
        between.set_state(state)

    last = BrowserGameEnv(settings(), game=FakeGame())
    last.set_state(stored(between.get_state()))

    *_, truncated, info = last.step(TURN)
    assert (truncated, info["game_lost"]) == (True, between.get_state()["loss"])
    assert math.isnan(info["score"])


@pytest.mark.parametrize("strange", [{}, {"rng": 1}, {"x": 1}])
def test_a_strange_state_is_refused(strange: dict[str, Any]) -> None:
    """That of another environment, before anything is changed."""
    with pytest.raises(StateError, match="this state has"):
        begun().set_state(strange)


def test_a_state_of_other_slots_is_refused() -> None:
    """What the policy sees has another shape then."""
    state = stored(begun().get_state())

    with pytest.raises(StateError, match="48 numbers, and this environment 32"):
        BrowserGameEnv(settings(slots=2), game=FakeGame()).set_state(state)


def test_closing_ends_the_game() -> None:
    """No browser outlives its environment."""
    game = FakeGame()
    env = begun(game)

    env.close()

    assert game.is_closed
    with pytest.raises(ResetNeeded):
        env.step(TURN)


def test_without_playwright_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The games' extra is named before anything is started."""
    monkeypatch.setitem(__import__("sys").modules, "playwright", None)

    with pytest.raises(MissingExtraError, match=r"evertrain\[game\]"):
        make_env(settings())
    assert isinstance(BrowserGame(settings(), program=("true",)), BrowserGame)
