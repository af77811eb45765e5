"""How the policies of an algorithm play without it, as plain data.

Layer: integrations. Imports its siblings.
"""

import dataclasses
from typing import Any, Final

from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
from ray.rllib.core.rl_module.rl_module import RLModule

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.envs.space import described, nearest

BY: Final = "ray"
# Classes that can be built from a checkpoint alone, by the name that it has for them.
KNOWN: Final[dict[str, type[RLModule]]] = {"DefaultPPOTorchRLModule": DefaultPPOTorchRLModule}
UNSQUASH, CLIP = "unsquash", "clip"


def describe_policies(algorithm: Any) -> Tree:
    """Return what `load_policy` needs besides the weights.

    What happens to actions and observations outside the module counts also for a module that
    the program gives.
    """
    learner = algorithm.learner_group._learner  # noqa: SLF001
    modules = {} if learner is None else {key: learner.module[key] for key in learner.module.keys()}  # noqa: SIM118
    config = algorithm.config
    return {
        "by": BY,
        "stack": "new",
        "actions": UNSQUASH if config.normalize_actions else CLIP if config.clip_actions else None,
        "connectors": _connectors(config),
        "policies": {key: _describe(module) for key, module in modules.items()},
    }


def _describe(module: Any) -> Tree:
    problem = _problem(module)
    if problem is not None:
        return {"problem": problem}
    try:
        trees = [
            described(each, nearest) for each in (module.observation_space, module.action_space)
        ]
    except ValueError as error:
        return {"problem": str(error)}
    return {
        "class": type(module).__name__,
        "model_config": _plain(module.model_config),
        "spaces": trees,
    }


def _connectors(config: Any) -> str | None:
    """Return where connectors of the program's own change what a policy sees or does."""
    if config._env_to_module_connector is not None:  # noqa: SLF001
        return "before the module"
    if config._module_to_env_connector is not None:  # noqa: SLF001
        return "behind the module"
    return None


def _problem(module: Any) -> str | None:
    """Return what of a module only its program knows; None if it is one of RLlib's own."""
    if KNOWN.get(type(module).__name__) is not type(module):
        return f"a module of the class {type(module).__name__}"
    if _plain(module.model_config) is None:
        return "a model_config that is no plain data"
    return None


def _plain(value: Any) -> Any:
    """Return a configuration as plain data; None if it holds something else."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    return value if _is_plain(value) else None


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and _is_plain(each) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or type(value) in {bool, int, float, str}
