"""The environments of a training, and those of an examination.

Layer: recipes. Imports its siblings and integrations.
"""

import multiprocessing
import os
from functools import partial
from typing import Any, Final

from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from evertrain.integrations.bluesky import BlueSkyEnv, Foresight, OwnFrame, Physics
from evertrain.integrations.sb3 import EnvLimits, ResilientVecEnv, RestartBudget, vector_env
from evertrain.recipes.atc.config import AtcConfig, SimulatorConfig
from evertrain.recipes.atc.faults import FrailEnv

TOLD: Final = ("intrusions", "conflicts", "drift_deg")  # of an episode, in the info of its end

# What the server has imported that workers are forked from.
_WARM: Final = ["evertrain.integrations.sb3", "evertrain.integrations.bluesky.warm"]


def training_envs(config: AtcConfig) -> VecEnv:
    """Return the simulators to learn on, each in a process of its own."""
    multiprocessing.set_forkserver_preload(_WARM)
    attempt = 0 if config.is_resilient else int(os.environ.get("EVERTRAIN_ATTEMPT", "1"))
    factories = [partial(_frail_env, config, index, attempt) for index in range(config.envs)]
    if not config.is_resilient:
        return vector_env(factories)
    limits = EnvLimits(step_s=config.hang_s, reset_s=config.hang_s)
    budget = RestartBudget(per_window=None) if config.faults.any else RestartBudget()
    return ResilientVecEnv(factories, limits=limits, budget=budget)


def examination_envs(config: AtcConfig) -> VecEnv:
    """Return simulators that nothing is wrong with."""
    return vector_env([partial(_sound_env, config)] * config.evaluation.envs)


def physics(config: SimulatorConfig) -> Physics:
    """Return what the simulator is told."""
    return Physics(
        scenario=config.scenario,
        step_s=config.step_s,
        steps_per_action=config.steps_per_action,
        traffic=config.traffic,
    )


def _sound_env(config: AtcConfig) -> Monitor[Any, Any]:
    return Monitor(_limited(config.simulator), info_keywords=TOLD)


def _frail_env(config: AtcConfig, index: int, attempt: int) -> Monitor[Any, Any]:
    env: Any = _limited(config.simulator)
    if config.faults.any:
        rates = config.faults.per_step(config.simulator.warp)
        env = FrailEnv(env, rates, (config.seed, index, attempt))
    return Monitor(env, info_keywords=TOLD)


def _limited(config: SimulatorConfig) -> TimeLimit[Any, Any]:
    return TimeLimit(Foresight(OwnFrame(BlueSkyEnv(physics(config)))), config.episode_length)
