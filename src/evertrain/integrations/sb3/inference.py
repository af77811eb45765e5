"""How a model is put together, as plain data beside its weights: enough to build it again.

A checkpoint names no classes that a file could choose. What stands here are names of
SB3's own algorithms and policies, and of classes in a closed list; a model that is
made of anything else says so, and is built by its program only.

Layer: integrations. Imports its siblings and checkpoint.
"""

from collections.abc import Mapping
from functools import cache
from inspect import signature
from typing import Any, Final

import numpy as np
import torch
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor, NatureCNN
from stable_baselines3.common.type_aliases import TrainFreq
from stable_baselines3.common.vec_env import VecNormalize

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.envs import space

BY: Final = "stable_baselines3"
ALGORITHMS: Final[Mapping[str, type[BaseAlgorithm]]] = {
    each.__name__: each for each in (PPO, A2C, DQN, SAC, TD3, DDPG)
}
NORMALIZE: Final = (
    "training",
    "norm_obs",
    "norm_reward",
    "clip_obs",
    "clip_reward",
    "gamma",
    "epsilon",
    "norm_obs_keys",
)
# Arguments that are given again, or belong to the process that trained.
_NOT_SETTINGS: Final = frozenset(
    {
        "self",
        "policy",
        "env",
        "policy_kwargs",
        "device",
        "verbose",
        "tensorboard_log",
        "seed",
        "_init_setup_model",
    }
)
_SCHEDULES: Final = frozenset({"learning_rate", "clip_range", "clip_range_vf", "ent_coef"})
_PLAIN: Final = (type(None), bool, int, float, str)


@cache
def classes() -> Mapping[str, type]:
    """Return the classes that `policy_kwargs` may name."""
    activations = torch.nn.modules.activation
    found = [getattr(activations, name) for name in activations.__all__]
    optimizers = [each for each in vars(torch.optim).values() if isinstance(each, type)]
    found += [each for each in optimizers if issubclass(each, torch.optim.Optimizer)]
    found += [FlattenExtractor, NatureCNN, CombinedExtractor, RMSpropTFLike]
    return {each.__name__: each for each in found}


def described(model: BaseAlgorithm) -> dict[str, Tree]:
    """Return how `model` is put together; under "problem", why nobody else could do it."""
    found: dict[str, Tree] = {"by": BY}
    try:
        found["normalize"] = _normalize(model.get_vec_normalize_env())
        return found | _parts(model)
    except ValueError as problem:
        return found | {"problem": str(problem)}


def _parts(model: BaseAlgorithm) -> dict[str, Tree]:
    algorithm = next((each for each in type(model).__mro__ if each in ALGORITHMS.values()), None)
    if algorithm is None:
        raise ValueError(f"a {type(model).__name__}")
    assert issubclass(algorithm, BaseAlgorithm)  # noqa: S101  (all of them are)
    aliases = algorithm.policy_aliases.items()
    policy = next((name for name, kind in aliases if kind is type(model.policy)), None)
    if policy is None:
        raise ValueError(f"a policy of the class {type(model.policy).__name__}")
    return {
        "algorithm": algorithm.__name__,
        "policy": policy,
        "policy_kwargs": {key: _plain(key, each) for key, each in model.policy_kwargs.items()},
        "settings": _settings(model, algorithm),
        "spaces": [space.described(model.observation_space), space.described(model.action_space)],
        "envs": getattr(model, "n_envs", 1),
    }


def _plain(name: str, value: object) -> Tree:
    """Return a value of `policy_kwargs` as plain data; `as_argument` is the way back."""
    if isinstance(value, np.generic):
        return _plain(name, value.item())
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(name, each) for each in value]
    if isinstance(value, dict):
        return {"dict": {str(key): _plain(name, each) for key, each in value.items()}}
    if isinstance(value, type) and classes().get(value.__name__) is value:
        return {"class": value.__name__}
    what = value.__name__ if isinstance(value, type) else f"a {type(value).__name__}"
    raise ValueError(f"policy_kwargs with {name}={what}")


def as_argument(tree: Tree) -> Any:
    """Return what `policy_kwargs` had there. The data may come from anybody.

    Raises:
        LookupError: It names a class that is not known here, or is no such data.
    """
    if isinstance(tree, list):
        return [as_argument(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    if "class" in tree:
        return classes()[tree["class"]]
    return {key: as_argument(each) for key, each in tree["dict"].items()}


@cache
def _names(algorithm: type[BaseAlgorithm]) -> list[str]:
    return sorted(signature(algorithm.__init__).parameters.keys() - _NOT_SETTINGS)


def _settings(model: BaseAlgorithm, algorithm: type[BaseAlgorithm]) -> dict[str, Tree]:
    """Return the arguments of the constructor, as they are now, as far as they are plain."""
    found: dict[str, Tree] = {}
    for name in _names(algorithm):
        value = getattr(model, name, ...)
        if name in _SCHEDULES and callable(value):
            value = float(value(model._current_progress_remaining))  # noqa: SLF001
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, TrainFreq):
            value = [value.frequency, value.unit.value]
        if type(value) in {*_PLAIN, list}:
            found[name] = value
    return found


def _normalize(normalize: VecNormalize | None) -> Tree:
    if normalize is None:
        return None
    if type(normalize) is not VecNormalize:
        raise ValueError(f"a {type(normalize).__name__}, which normalizes in its own way")
    options = {name: getattr(normalize, name) for name in NORMALIZE}
    return {
        "space": space.described(normalize.venv.observation_space),
        "actions": space.described(normalize.action_space),
        "options": {
            key: each.item() if isinstance(each, np.generic) else each
            for key, each in options.items()
        },
    }
