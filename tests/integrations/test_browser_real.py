"""The stub game in a real Chromium: `$EVERTRAIN_CHROMIUM`, or one on the PATH."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from evertrain.core import proc
from evertrain.integrations.browser import BrowserGame, BrowserGameEnv, GameLostError
from evertrain.integrations.browser.settings import find_chromium
from integrations.games import served, settings

pytest.importorskip("playwright")
CHROMIUM = find_chromium(None, os.environ)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: set EVERTRAIN_CHROMIUM"),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve the stub game."""
    with served() as address:
        yield address


def below(game: BrowserGame) -> list[proc.Proc]:
    """Return the processes of a game: its host, and all below that."""
    assert game._host is not None
    host = game._host.process
    return [host, *proc.descendants(host.pid)]


def renderers(game: BrowserGame) -> list[proc.Proc]:
    """Return the processes that run pages."""
    found = []
    for each in below(game):
        with open(f"/proc/{each.pid}/cmdline", "rb") as file:  # noqa: PTH123
            found += [each] if b"--type=renderer" in file.read() else []
    return found


def test_two_browsers_play_the_same_game(url: str) -> None:
    """Equal seeds and commands, equal digests over sixty actions; another seed, another game."""
    one, same = (BrowserGame(settings(url=url)) for _ in range(2))
    begun = one.begin(5)
    first, second, *_ = (each.callsign for each in begun.aircraft)
    commands = ["", f"{first} fh 090", f"{second} a 30", "fail", *[""] * 56]

    seen = [begun, *map(one.act, commands)]
    again = [same.begin(5), *map(same.act, commands)]
    other = same.begin(6)
    for game in (one, same):
        game.close()

    assert seen == again
    assert seen[-1].errors == 1
    assert len({each.digest for each in seen}) == len(seen)
    assert other.digest != seen[0].digest


def test_the_state_comes_back_in_another_browser(url: str) -> None:
    """The rest of the episode, and the next one, are the same."""
    env, other = (BrowserGameEnv(settings(url=url)) for _ in range(2))
    env.reset(seed=3)
    for step in range(7):
        env.step(np.array([1 + step % 3, step % 4]))
    state = env.get_state()

    other.set_state(state)
    seen = [list(_steps(each)) for each in (env, other)]
    for each in (env, other):
        each.close()

    assert seen[0] == seen[1]


def _steps(env: BrowserGameEnv) -> Iterator[Any]:
    for step in range(12):
        observation, reward, _, truncated, _ = env.step(np.array([step % 4, step % 3]))
        yield observation.tolist(), reward, truncated
        if truncated:
            yield env.reset()[0].tolist()


@pytest.mark.parametrize(
    ("victim", "number"),
    [
        ("renderer", signal.SIGSTOP),
        ("renderer", signal.SIGKILL),
        ("browser", signal.SIGKILL),
        ("all", signal.SIGSTOP),
    ],
)
def test_a_browser_that_crashes_or_hangs(url: str, victim: str, number: signal.Signals) -> None:
    """The episode is truncated in time, nothing is left running, and another game begins."""
    env = BrowserGameEnv(settings(url=url, step_s=4.0))
    env.reset(seed=1)
    game: Any = env._game
    processes = below(game)
    targets = {
        "renderer": renderers(game),
        "browser": [each for each in processes if "headless" in proc.executable(each.pid)
                    or "chrom" in proc.executable(each.pid)],
        "all": processes,
    }[victim]  # fmt: skip
    assert targets
    for each in targets:
        proc.send(each, number)

    *_, truncated, info = env.step(np.array([0, 0]))

    assert truncated
    assert info["game_lost"]
    assert proc.wait_gone(processes, 10.0)
    env.reset()
    assert env.step(np.array([0, 0]))[3] is False
    last = below(game)
    env.close()
    assert proc.wait_gone(last, 10.0)


def test_a_page_that_never_comes_back(url: str) -> None:
    """A script that loops takes nobody with it."""
    game = BrowserGame(settings(url=url, step_s=4.0))
    game.begin(1)
    processes = below(game)

    with pytest.raises(GameLostError, match=r"no answer for 4\.0 s"):
        game.act("hang")

    assert proc.wait_gone(processes, 10.0)


def test_a_page_that_is_no_game(url: str) -> None:
    """It is told as what it is."""
    game = BrowserGame(settings(url=f"{url}assets/airports/klas.json"))

    with pytest.raises(GameLostError, match="is it openScope"):
        game.begin(1)
    game.close()


def test_a_server_that_is_not_there() -> None:
    """The browser's own words."""
    game = BrowserGame(settings())

    with pytest.raises(GameLostError, match="ERR_"):
        game.begin(1)
    game.close()
