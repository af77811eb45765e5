"""Stable-Baselines3: trainings that go on exactly where they were killed.

    with Run("runs/ppo", total=1_000_000, seed=0) as run:
        model = PPO("MlpPolicy", env)
        learn(run, model)

Programs that call `model.learn` themselves use `EvertrainCallback(run)`.

Layer: integrations. Imports run, checkpoint and core.
"""

from typing import Final

from stable_baselines3.common.base_class import BaseAlgorithm

from evertrain.checkpoint.plugin import Plugin
from evertrain.integrations.sb3.callback import EvertrainCallback
from evertrain.integrations.sb3.episodes import Episodes
from evertrain.integrations.sb3.learn import learn
from evertrain.integrations.sb3.model import ModelAdapter
from evertrain.integrations.sb3.override import apply_overrides
from evertrain.integrations.sb3.policy import load_policy
from evertrain.integrations.sb3.resilient import (
    EnvLimits,
    EnvRestart,
    ResilientVecEnv,
    RestartBudget,
)
from evertrain.integrations.sb3.vector import vector_env
from evertrain.integrations.torch.describe import describe as describe_torch

__all__ = [
    "PLUGIN",
    "EnvLimits",
    "EnvRestart",
    "Episodes",
    "EvertrainCallback",
    "ResilientVecEnv",
    "RestartBudget",
    "apply_overrides",
    "learn",
    "vector_env",
]


def describe(thing: object) -> str | None:
    """Return e.g. "PPO, 9,731 parameters on cpu, 4 environments", or None for other things."""
    if not isinstance(thing, BaseAlgorithm):
        return None
    return f"{type(thing).__name__}, {describe_torch(thing.policy)}, {thing.n_envs} environments"


PLUGIN: Final = Plugin(adapters=(ModelAdapter(),), describe=describe, load_policy=load_policy)
