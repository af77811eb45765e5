"""Ray RLlib: algorithms that go on exactly where they were killed.

    with Run("runs/tag", total=100, unit="iteration") as run:
        run.attach(algorithm=algorithm)
        for iteration in run:
            result = algorithm.train()
            run.log(reward=result["env_runners"]["episode_return_mean"])

Programs without a `Run` use `restore(algorithm, PATH)` and `checkpoint(algorithm, PATH)`.

Layer: integrations. Imports run, checkpoint and core. Nothing here imports Ray.
"""

from typing import Any, Final

from evertrain.checkpoint.plugin import Plugin, Policy, Tree
from evertrain.integrations.rllib.adapter import AlgorithmAdapter, describe
from evertrain.integrations.rllib.cluster import keeping_sigterm, local_ray
from evertrain.integrations.rllib.export import export
from evertrain.integrations.rllib.hashing import settle_hashing
from evertrain.integrations.rllib.loop import iterations
from evertrain.integrations.rllib.pair import checkpoint, restore
from evertrain.integrations.rllib.watchdog import EnvStepWatchdog, NoStepsError

__all__ = [
    "PLUGIN",
    "EnvStepWatchdog",
    "NoStepsError",
    "checkpoint",
    "export",
    "iterations",
    "keeping_sigterm",
    "local_ray",
    "restore",
    "settle_hashing",
]


def load_policy(tree: Tree, /, *, module: Any, policy_id: str | None) -> Policy:
    """Return a policy of a captured algorithm; see `LoadPolicy`."""
    from evertrain.integrations.rllib import policy  # it imports RLlib

    return policy.load(tree, module=module, policy_id=policy_id)


PLUGIN: Final = Plugin(adapters=(AlgorithmAdapter(),), describe=describe, load_policy=load_policy)
