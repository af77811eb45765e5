"""BlueSky: a simulator that no pickle sees goes on exactly, by flying its episode again."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain.core.errors import ConfigError
from evertrain.integrations.bluesky import SCENARIOS, Physics
from integrations.skies import worker

pytestmark = pytest.mark.slow

QUIET = """
from evertrain.integrations.bluesky import BlueSkyEnv
env = BlueSkyEnv()
env.reset(seed=1)
env.step([0.5, 0.5])
print(env.observed[-1], env.observation_space.shape)
"""


# An odd number of steps for each action: an episode may end while a timer is half through.
PHYSICS = {
    "sector": Physics.usual("sector"),
    "merge": replace(Physics.usual("merge"), steps_per_action=3),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a user's cache that all tests share: to fill it takes seconds."""
    return tmp_path_factory.getbasetemp() / "cache"


@pytest.fixture(scope="module")
def processes(cache: Path) -> Iterator[tuple[Any, Any]]:
    """Lend two processes with a simulator each."""
    with ExitStack() as stack:
        here, there = (stack.enter_context(worker(cache, Physics.usual())) for _ in range(2))
        yield here, there


@pytest.fixture(params=PHYSICS)
def pair(request: pytest.FixtureRequest, processes: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return them, with the same scenario."""
    for venv in processes:
        venv.env_method("use", PHYSICS[request.param])
    return processes


def fly(venv: Any, count: int, seed: int) -> list[Any]:
    """Return everything that comes of `count` random actions, the last of them behind a reset."""
    rng = np.random.default_rng(seed)
    found: list[Any] = []
    for index in range(count):
        if index == count - 5:
            found.append(venv.reset().tobytes())
        observation, reward, done, infos = venv.step(rng.uniform(-1, 1, (1, 2)).astype("f4"))
        told = [infos[0][name] for name in ("intrusions", "conflicts", "drift_deg")]
        found.append((observation.tobytes(), reward.tolist(), done.tolist(), told))
    return found


def test_it_goes_on_exactly_in_another_process_and_in_its_own(
    pair: tuple[Any, Any],
) -> None:
    """From the middle of a later episode, through its end into the next one.

    BlueSky's own clock and timers run on from episode to episode, so whatever they trigger
    would come at other moments in a process that has flown before than in a new one.
    """
    here, there = pair
    here.seed(3)
    here.reset()
    fly(here, 30, seed=1)
    state = here.env_method("get_state")[0]
    clock = here.env_method("clock")[0]
    future = fly(here, 80, seed=2)
    assert len(state["episode"]["actions"]) == 5

    for venv in pair:
        venv.env_method("set_state", state)
        np.testing.assert_equal(venv.env_method("get_state")[0], state)
        assert venv.env_method("clock")[0] == clock
        assert fly(venv, 80, seed=2) == future
    assert fly(there, 20, seed=4) == fly(here, 20, seed=4)


def test_an_open_episode_keeps_its_physics(pair: tuple[Any, Any]) -> None:
    """A ladder may change the pace between two attempts; the next episode has the new one."""
    here, there = pair
    usual = here.get_attr("physics")[0]
    coarse = replace(usual, step_s=2 * usual.step_s, traffic=0.5)
    here.env_method("set_physics", coarse)
    here.seed(5)
    here.reset()
    rng = np.random.default_rng(6)
    actions = rng.uniform(-1, 1, (20, 1, 2)).astype("f4")
    for action in actions[:10]:
        here.step(action)

    state = here.env_method("get_state")[0]
    there.env_method("set_state", state)

    assert state["episode"]["physics"] == asdict(coarse)
    for action in actions[10:]:
        one, other = here.step(action), there.step(action)
        assert one[0].tobytes() == other[0].tobytes()
    for venv in pair:
        venv.seed(5)
    one, other = here.reset(), there.reset()
    assert one.tobytes() != other.tobytes()
    here.env_method("set_physics", usual)
    here.seed(5)
    assert here.reset().tobytes() == other.tobytes()


def test_others_are_seen_from_the_cockpit(pair: tuple[Any, Any]) -> None:
    """Ahead and to the right of the own nose, whichever way that points; not north and east."""
    here, _ = pair
    actions = np.random.default_rng(7).uniform(-1, 1, (12, 2)).astype("f4")

    flown = [each for seed in (1, 2) for each in here.env_method("cockpit", seed, actions)[0]]

    for each in flown:
        assert each["place shown"] == pytest.approx(each["place"], abs=0.03)
        assert each["speed shown"] == pytest.approx(each["speed"], abs=1e-3)
        along = np.array(each["speed"]) / np.hypot(*each["speed"])
        assert each["track"] == pytest.approx(tuple(along), abs=1e-3)
        assert each["passing shown"] == pytest.approx(each["passing"], abs=0.05)
        assert each["threat"][0] == pytest.approx(each["threat"][1], abs=0.02)


def test_another_outcome_is_refused(pair: tuple[Any, Any]) -> None:
    """A simulator of another version, or one that forgot something, is told from its trace."""
    here, there = pair
    here.seed(7)
    here.reset()
    fly(here, 8, seed=8)
    state = here.env_method("get_state")[0]
    old = state | {"versions": state["versions"] | {"bluesky-simulator": "0.9"}}
    old["episode"] = state["episode"] | {"actions": -state["episode"]["actions"]}
    other = next(name for name in SCENARIOS if name != state["episode"]["physics"]["scenario"])
    strange = state | {"episode": state["episode"] | {"physics": asdict(Physics.usual(other))}}

    said = there.env_method("try_state", old)[0]
    assert "flown again with its 5 actions, did not come out the same" in said
    assert "bluesky-simulator 0.9 there, 1." in said
    assert f"the checkpoint has the scenario {other!r}" in there.env_method("try_state", strange)[0]
    assert there.env_method("try_state", state)[0] == ""


def test_the_process_keeps_its_generators(pair: tuple[Any, Any]) -> None:
    """What the simulator draws, it draws from a stream of its own."""
    for venv in pair:
        venv.seed(9)
        venv.reset()
        before, behind = venv.env_method("draws_beside", np.ones(2, np.float32))[0]
        assert before == behind


def test_a_second_simulator_in_a_process_is_refused(pair: tuple[Any, Any]) -> None:
    """Two would fly in one sky, and fail at the first step that they take in turn."""
    said = pair[0].env_method("try_another")[0]

    assert "this process has a BlueSky simulator" in said
    assert "vector_env" in said


def test_it_is_quiet_and_leaves_the_home_alone(cache: Path, tmp_path: Path) -> None:
    """No greeting, no messages of the start, no `~/bluesky`; its data lie in the user's cache."""
    done = subprocess.run(
        [sys.executable, "-c", QUIET],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(cache)},
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "y_r[3] (31,)\n"
    assert not (tmp_path / "bluesky").exists()
    assert list(cache.glob("evertrain/bluesky-*/cache/*"))


def test_the_usual_physics_are_those_of_bluesky_gym() -> None:
    """The numbers that are set here are what the installed version has."""
    package = find_spec("bluesky_gym")
    assert package is not None
    for name, scenario in SCENARIOS.items():
        path = Path(*package.submodule_search_locations or ()).parent
        text = path.joinpath(*scenario.module.split(".")).with_suffix(".py").read_text()
        for constant, value in Physics.usual(name).constants().items():
            found = re.search(rf"^{constant} = ([\d.]+)", text, flags=re.MULTILINE)
            assert found is not None, constant
            assert float(found[1]) == value
        assert f"'DT {scenario.step_s:g};FF'" in text
        assert f"INTRUSION_DISTANCE = {scenario.separation_nm:g} # NM" in text


def test_what_cannot_be_simulated_is_refused() -> None:
    """Every fault at once, and the scenarios that there are."""
    with pytest.raises(ConfigError, match="step_s is 0; traffic is -1"):
        Physics(scenario="sector", step_s=0, steps_per_action=1, traffic=-1)
    with pytest.raises(ConfigError, match="sector, merge"):
        Physics.usual("descent")
