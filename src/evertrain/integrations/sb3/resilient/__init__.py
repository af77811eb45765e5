"""Environments that may crash or hang alone: `ResilientVecEnv`, in place of `SubprocVecEnv`.

Layer: integrations. Imports its siblings, checkpoint and core.
"""

from evertrain.integrations.sb3.resilient.limits import EnvLimits, RestartBudget
from evertrain.integrations.sb3.resilient.restart import EnvRestart
from evertrain.integrations.sb3.resilient.vecenv import ResilientVecEnv

__all__ = ["EnvLimits", "EnvRestart", "ResilientVecEnv", "RestartBudget"]
