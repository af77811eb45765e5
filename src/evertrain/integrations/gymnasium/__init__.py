"""Gymnasium: environments in a loop of one's own.

    run.attach(env=env)      # with its wrappers, and `SyncVectorEnv` with its environments

`keep_by(env, "replay")` before that chooses how; by itself, the first way that passes a trial.

Layer: integrations. Imports `integrations.envs` and checkpoint.
"""

from typing import Final

import gymnasium

from evertrain.checkpoint.plugin import Plugin
from evertrain.integrations.envs.adapter import EnvAdapter, keep_by

__all__ = ["PLUGIN", "keep_by"]


def _is_env(thing: object) -> bool:
    return isinstance(thing, (gymnasium.Env, gymnasium.vector.SyncVectorEnv))


_ADAPTER: Final = EnvAdapter(_is_env)
PLUGIN: Final = Plugin(adapters=(_ADAPTER,), describe=_ADAPTER.describe)
