"""The environment: Gymnasium's rules, force limits, and exact capture."""

import copy
import json
from functools import partial
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from stable_baselines3.common.vec_env import DummyVecEnv

from evertrain.core.errors import StateError, UsageError
from evertrain.recipes.structure.building import assemble
from evertrain.recipes.structure.control import energy, vibration_ahead
from evertrain.recipes.structure.env import StructureEnv
from recipes.structure.worlds import preset

CONFIG = preset("default")
SHORT = CONFIG.model_copy(
    update={"motion": CONFIG.motion.model_copy(update={"duration_s": 4.0, "plateau_s": 1.0})}
)


def play(env: StructureEnv, steps: int) -> list[Any]:
    """Return all that a fixed open-loop player sees, episode after episode."""
    seen: list[Any] = []
    for count in range(steps):
        action = np.array([np.sin(0.3 * count)], np.float32)
        observation, reward, _, is_over, info = env.step(action)
        seen.append((observation.tobytes(), reward, is_over, sorted(info.items())))
        if is_over:
            seen.append(env.reset()[0].tobytes())
    return seen


def test_gymnasium_accepts_it() -> None:
    """Both checkers pass without a warning."""
    check_env(StructureEnv(SHORT), skip_render_check=True)
    check_env_sb3(StructureEnv(SHORT))


def test_episode_is_one_earthquake() -> None:
    """20 s at 0.04 s make 500 steps; then the episode is truncated."""
    env = StructureEnv(CONFIG)
    env.reset(seed=0)
    for _ in range(499):
        assert not env.step(np.zeros(1, np.float32))[3]

    *_, terminated, truncated, info = env.step(np.zeros(1, np.float32))

    assert (terminated, truncated) == (False, True)
    assert info == {"peak_reduction_percent": pytest.approx(0.0, abs=1e-9)}
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(1, np.float32))


def test_needs_reset_first() -> None:
    """No earthquake runs before the first reset."""
    with pytest.raises(ResetNeeded):
        StructureEnv(CONFIG).step(np.zeros(1, np.float32))


def test_no_force_no_reward() -> None:
    """Without force the building is its own quiet copy, and the reward is 0."""
    env = StructureEnv(SHORT, stage=3)
    env.reset()

    rewards = [env.step(np.zeros(1, np.float32))[1] for _ in range(100)]

    np.testing.assert_allclose(rewards, 0.0, atol=1e-9)


@pytest.mark.parametrize("stage", range(4))
def test_force_limit(stage: int) -> None:
    """A wild action pushes as the limit does, and the limit is the stage's."""
    outcomes = []
    for action in (1.0, 50.0):
        env = StructureEnv(SHORT, stage=stage)
        env.reset(seed=5)
        env.step(np.array([action], np.float32))
        state = env.get_state()["building"]
        outcomes.append(state[0] - state[1])

    assert outcomes[0].tobytes() == outcomes[1].tobytes()
    impulse = 48e3 * outcomes[0][25]
    expected = -CONFIG.stages[stage].max_force_kn * 1e3 * 0.04
    assert impulse == pytest.approx(expected, rel=0.05)


def test_rewards_add_up_to_what_is_saved() -> None:
    """On quiet ground the sum of rewards is the vibration that the forces spared.

    Spared is what lay ahead at the start, less what really happened, less what
    lies ahead at the end.
    """
    env = StructureEnv(SHORT, stage=1)
    env.reset()
    state = env.get_state()
    state["ground_m_s2"][:] = 0.0
    state["building"][:] = np.random.default_rng(0).normal(size=26) * 0.1
    env.set_state(state)
    building = assemble(SHORT.building, SHORT.damper)
    ahead = vibration_ahead(building, SHORT.control, SHORT.action_s)
    now = energy(building, SHORT.control.lqr_stroke_weight) * SHORT.action_s
    active = state["building"][0]
    spared_js = active @ ahead @ active
    total = 0.0
    for action in np.sin(np.arange(60, dtype=np.float32))[:, None]:
        spared_js -= active @ now @ active
        total += env.step(action)[1]
        active = env.get_state()["building"][0]
    spared_js -= active @ ahead @ active

    typical_js = 100e3 * 0.35 * 9.80665 / building.frequencies_rad_s[0] ** 3

    assert total == pytest.approx(spared_js / typical_js, rel=1e-6)


@pytest.mark.parametrize("steps", [0, 37, 100, 250])
def test_state_continues_bit_for_bit(steps: int) -> None:
    """A fresh environment with the state goes on alike, over later earthquakes too."""
    env = StructureEnv(SHORT, index=2, seed=9, stage=3)
    env.reset()
    play(env, steps)
    env.set_stage(1)
    state = copy.deepcopy(env.get_state())
    expected = play(env, 330), env.action_space.sample().tobytes()

    other = StructureEnv(SHORT, index=0, seed=1)
    other.set_state(state)

    assert (play(other, 330), other.action_space.sample().tobytes()) == expected


def test_state_before_reset() -> None:
    """The state of an environment that never ran carries its generator."""
    env = StructureEnv(SHORT, seed=4)
    other = StructureEnv(SHORT, seed=5)
    other.set_state(env.get_state())

    assert other.reset()[0].tobytes() == env.reset()[0].tobytes()


def test_capture_changes_nothing() -> None:
    """Looking at the state does not move the world, and the copy does not follow it."""
    env, twin = (StructureEnv(SHORT, seed=3) for _ in range(2))
    env.reset()
    twin.reset()
    state = env.get_state()
    before = state["building"].tobytes()

    assert play(env, 120) == play(twin, 120)
    assert state["building"].tobytes() == before


def test_state_is_plain_data() -> None:
    """Arrays, numbers, strings and dictionaries; nothing else needs a pickle."""
    state = StructureEnv(SHORT).get_state()
    arrays = {name for name, value in state.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in state.items() if name not in arrays}

    assert arrays == {"building", "ground_m_s2", "peaks_m"}
    assert json.loads(json.dumps(rest)) == rest


def test_strange_state() -> None:
    """A state of another plant is refused with all its faults, and changes nothing."""
    env = StructureEnv(SHORT)
    env.reset()
    before = env.get_state()
    strange = {**before, "colour": 1, "building": np.zeros((2, 4))}
    del strange["step"]

    with pytest.raises(StateError) as caught:
        env.set_state(strange)

    for word in ("colour is not known", "step is missing", "building has shape (2, 4)"):
        assert word in str(caught.value)
    assert env.get_state()["building"].tobytes() == before["building"].tobytes()


def test_stage_applies_at_the_next_earthquake() -> None:
    """A switch leaves the earthquake under way alone."""
    env = StructureEnv(SHORT)
    env.reset()
    env.set_stage(3)
    peak_now = np.abs(env.get_state()["ground_m_s2"]).max()
    env.reset()
    peak_next = np.abs(env.get_state()["ground_m_s2"]).max()

    assert env.stage == 3
    assert (peak_now, peak_next) == (pytest.approx(0.25 * 9.80665), pytest.approx(0.9 * 9.80665))


def test_unknown_stage() -> None:
    """A stage that the configuration lacks is refused."""
    with pytest.raises(UsageError, match="no stage 4"):
        StructureEnv(SHORT).set_stage(4)


def test_environments_of_one_run_differ() -> None:
    """Vectorised environments meet different motions, and switch stages together."""
    seen = DummyVecEnv([partial(StructureEnv, SHORT, index=i, seed=7) for i in range(2)])
    seen.env_method("set_stage", 2)
    seen.reset()
    motions = [state["ground_m_s2"] for state in seen.env_method("get_state")]

    assert motions[0].tobytes() != motions[1].tobytes()
    assert seen.get_attr("stage") == [2, 2]
