"""PettingZoo: parallel and turn-based environments in a loop of one's own.

    run.attach(env=simple_tag_v3.parallel_env())

What pickles such an environment often keeps nothing but the arguments of its constructor.

Layer: integrations. Imports `integrations.envs` and checkpoint.
"""

from typing import Final

from pettingzoo.utils.env import AECEnv, ParallelEnv

from evertrain.checkpoint.plugin import Plugin
from evertrain.integrations.envs.adapter import EnvAdapter, keep_by

__all__ = ["PLUGIN", "keep_by"]


def _is_env(thing: object) -> bool:
    return isinstance(thing, (AECEnv, ParallelEnv))


_ADAPTER: Final = EnvAdapter(_is_env)
PLUGIN: Final = Plugin(adapters=(_ADAPTER,), describe=_ADAPTER.describe)
