"""The configuration: pressure in the guide's terms, and what it refuses."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from pydantic import ValidationError
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from evertrain import recipes
from evertrain.integrations.bluesky import SCENARIOS, Physics
from evertrain.recipes.atc.config import (
    PRESETS,
    AtcConfig,
    FaultConfig,
    PpoConfig,
    SimulatorConfig,
)
from evertrain.recipes.atc.world import physics
from evertrain.recipes.flags import expand


@pytest.mark.parametrize(
    ("timewarp", "step_s", "steps"), [(40, 2.0, 3), (30, 1.5, 4), (20, 1.0, 6), (10, 0.5, 12)]
)
def test_a_timewarp_is_fewer_and_longer_steps(timewarp: float, step_s: float, steps: int) -> None:
    """An action lasts as long at every pace, so that each rung of a ladder is the same task."""
    told = physics(SimulatorConfig(timewarp=timewarp))

    assert (told.step_s, told.steps_per_action) == (step_s, steps)
    assert told.step_s * told.steps_per_action == 6.0


@pytest.mark.parametrize("scenario", ["sector", "merge"])
def test_the_default_pace_is_the_scenario_s(scenario: Any) -> None:
    """Step and length of an episode are bluesky-gym's own; so is all of "merge"."""
    config, usual = SimulatorConfig(scenario=scenario), Physics.usual(scenario)

    assert physics(config).step_s == usual.step_s
    assert config.episode_length == SCENARIOS[scenario].episode_actions
    assert physics(SimulatorConfig(scenario="merge")) == Physics.usual("merge")


def test_an_action_must_come_on_a_step() -> None:
    """Otherwise it would be another task than the one that was asked for; the nearest is told."""
    with pytest.raises(ValidationError, match=r"no whole number of steps of 1\.25 s.*=6\.25"):
        SimulatorConfig(timewarp=25)
    with pytest.raises(ValidationError, match="the nearest is action_interval_s=15"):
        SimulatorConfig(timewarp=300)


def test_batches_must_divide_rollouts() -> None:
    """Found before anything starts."""
    with pytest.raises(ValidationError, match="batch_size 100 does not divide a rollout of 256"):
        AtcConfig.model_validate({"ppo": {"batch_size": 100}})


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_whole(name: str) -> None:
    """Each ships with every setting; only "frail" crashes on purpose, and ends the attempt."""
    config = AtcConfig.model_validate(PRESETS[name])

    assert AtcConfig.model_validate_json(config.model_dump_json()) == config
    assert config.faults.any == (name == "frail")
    assert config.is_resilient == (name != "frail")


def test_the_default_network_is_as_large_as_the_guide_s() -> None:
    """7.3 million parameters: the guide has 7,339,053."""

    class Still(gymnasium.Env[Any, Any]):
        observation_space = gymnasium.spaces.Box(-1, 1, (47,), np.float32)
        action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    arguments = AtcConfig().ppo.arguments() | {"n_steps": 2, "batch_size": 2}
    model = PPO("MlpPolicy", DummyVecEnv([Still]), device="cpu", **arguments)

    assert sum(each.numel() for each in model.policy.parameters()) == 7_342_758


def test_aggressive_settings_crash_more() -> None:
    """At twice the time warp four times as often, unless another exponent is given."""
    faults = FaultConfig(segfaults=1.0, errors=2.0)

    assert faults.per_step(20) == {"segfault": 0.001, "hang": 0.0, "error": 0.002}
    assert faults.per_step(40)["error"] == pytest.approx(0.008)
    assert FaultConfig(errors=1, growth=0).per_step(40)["error"] == pytest.approx(0.001)


def test_the_guide_s_own_words() -> None:
    """`--timewarp 30` is a setting like any other, so a rung of a ladder may be just that."""
    flags = recipes.find("atc").flags

    assert expand(flags, ["atc", "--timewarp", "30", "--scenario=merge"]) == [
        *("atc", "-o", "simulator.timewarp=30"),
        *("-o", "simulator.scenario=merge"),
    ]


def test_the_learning_rate_never_falls_below_its_last_value() -> None:
    """The last rollout may reach over the end, where a straight line would be negative."""
    ppo = PpoConfig(learning_rate=1e-3, final_learning_rate=1e-4)

    rates = [ppo.learning_rate_at(remaining) for remaining in (1.0, 0.5, 0.0, -0.3)]

    assert rates == pytest.approx([1e-3, 5.5e-4, 1e-4, 1e-4])
