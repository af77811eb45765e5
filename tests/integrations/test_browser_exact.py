"""The scripts that a page gets, and the stub game with them, in Node: equal seeds, equal games."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain.core.errors import EnvError
from evertrain.integrations.browser import script
from integrations.games import HERE, node, node_env, node_game, settings
from integrations.worlds import ROLLOUT, build, digest, train
from support import resumed_from

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(node() is None, reason="no Node: install evertrain[game]"),
]


def test_virtual_time_keeps_its_promises() -> None:
    """Time, timers, frames, chance and requests: the checks of virtual_checks.js."""
    virtual = Path(script.__file__).parent / "virtual.js"

    done = subprocess.run(
        [str(node()), "--test", "--test-force-exit", str(HERE / "virtual_checks.js")],
        env={**os.environ, "VIRTUAL_JS": str(virtual)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_equal_seeds_and_commands_make_equal_games() -> None:
    """In two processes; another seed, or another command, is seen in the digest."""
    one, same = node_game(), node_game()
    begun = one.begin(5)
    first, second, *_ = (each.callsign for each in begun.aircraft)
    commands = ["", f"{first} fh 090", "", f"{second} a 30", *[""] * 20]

    seen = [begun, *map(one.act, commands)]
    again = [same.begin(5), *map(same.act, commands)]
    silent = [same.begin(5), *(same.act("") for _ in commands)]
    other = same.begin(6)
    for game in (one, same):
        game.close()

    assert seen == again
    assert begun.version == "stub 1"
    assert len({each.digest for each in seen}) == len(seen)
    assert silent[1] == seen[1]
    assert silent[2].digest != seen[2].digest
    assert other.aircraft != begun.aircraft


def test_hidden_state_is_in_the_digest() -> None:
    """What a look does not show may still differ, and is found out."""
    game = node_game()
    plain = game.begin(5)
    drawn = game.begin(5)
    again = game.act("fail")
    game.begin(5)
    quiet = game.act("")
    game.close()

    assert plain == drawn
    assert again.aircraft == quiet.aircraft
    assert again.digest != quiet.digest
    assert (again.errors, again.last_error) == (1, "Error: this command fails")


def test_time_passes_as_the_settings_say() -> None:
    """Twenty frames of a second each move an aircraft as far as its speed says."""
    game = node_game(settings(airport="klas"))
    before = game.begin(5).aircraft[0]
    after = game.act("").aircraft[0]
    game.close()

    (x, y), (u, v) = before.position_km, after.position_km
    expected_km = 20 * before.ground_speed_kt * 1.852 / 3600
    assert before.callsign == after.callsign
    assert np.hypot(u - x, v - y) == pytest.approx(expected_km, rel=0.02)


def test_an_airport_that_the_game_does_not_have() -> None:
    """The game stays silent about it; a training on another airport would be for nothing."""
    env = node_env(airport="xxxx", starts=1)

    with pytest.raises(EnvError, match="this game has no airport xxxx, it stayed at ksfo"):
        env.reset()
    env.close()


def rest(env: Any, steps: int = 20) -> list[Any]:
    """Take steps over the end of an episode. Return all that comes back, and the state."""
    seen: list[Any] = []
    for step in range(steps):
        observation, reward, _, truncated, info = env.step(np.array([step % 4, step % 3]))
        seen.append((observation.tolist(), reward, truncated, info))
        if truncated:
            seen.append(env.reset()[0].tolist())
    return [*seen, env.get_state()["episode"], env.get_state()["rng"]]


def test_the_state_comes_back_in_another_process() -> None:
    """In the middle of an episode, and over its end: equal observations, rewards, digests."""
    env, other = node_env(), node_env()
    env.reset(seed=11)
    for step in range(7):
        env.step(np.array([1 + step % 3, step % 4]))
    state = env.get_state()
    expected = rest(env)

    other.set_state(state)
    found = rest(other)
    for each in (env, other):
        each.close()

    assert found == expected
    assert any(state["episode"]["told"])


def test_a_game_with_chance_of_its_own_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server answers otherwise each time: it cannot be played again, and that is noticed."""
    monkeypatch.setenv("STUB_GAME_LEAK", "1")
    env, other = node_env(), node_env()
    env.reset(seed=11)
    env.step(np.array([0, 0]))

    with pytest.warns(RuntimeWarning, match="it is another game"):
        other.set_state(env.get_state())
    *_, truncated, info = other.step(np.array([0, 0]))
    for each in (env, other):
        each.close()

    assert truncated
    assert "another game" in info["game_lost"]


def game_of_a_training() -> Any:
    """Return an environment whose episodes are longer than a rollout."""
    return node_env(episode_steps=50, action_s=2.0)


def trained(path: Path) -> Any:
    """Train on two games, or go on there."""
    return train(path, lambda: build(game_of_a_training), total=4 * ROLLOUT)


def test_a_killed_training_on_a_game_goes_on_exactly(tmp_path: Path) -> None:
    """SIGKILL in the middle of a rollout and of an episode: it ends as if nothing had been."""
    program = f"""
import os
from integrations.test_browser_exact import trained
from integrations.worlds import CrashAt
CrashAt._on_step = lambda self: self.num_timesteps < {2 * ROLLOUT + 20} or os.kill(os.getpid(), 9)
trained({str(tmp_path / "cut")!r})
"""
    killed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)},
        check=False,
        capture_output=True,
    )

    for name in ("cut", "whole"):
        trained(tmp_path / name)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert resumed_from(tmp_path / "cut") > 0
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
