"""A Stable-Baselines3 model, whole: what `model.save` keeps, and all that it drops.

Dropped by SB3 and kept here: the running returns of `VecNormalize`, the last
observations, the environments, the generators of the spaces, the replay
buffer. Nothing is re-seeded on the way back, and the model stays the one that
the program built.

Layer: integrations. Imports its siblings, checkpoint and core.
"""

from collections import deque
from collections.abc import Callable, Sequence
from copy import deepcopy
from operator import attrgetter
from typing import Any, Final

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import VectorizedActionNoise
from stable_baselines3.her.her_replay_buffer import HerReplayBuffer

from evertrain.checkpoint.plugin import INFERENCE, Mismatch, Tree
from evertrain.core.errors import StateError
from evertrain.integrations.envs.attributes import (
    put,
    put_space,
    put_value,
    take,
    take_space,
    take_value,
)
from evertrain.integrations.sb3 import inference, listener, own, replay, settings, vector
from evertrain.integrations.torch.module import ModuleAdapter, on_cpu
from evertrain.integrations.torch.optimizer import OptimizerAdapter

_MODULE: Final = ModuleAdapter()
_OPTIMIZER: Final = OptimizerAdapter()
SEED: Final = "evertrain_seed"  # attribute of a model: what its environments were seeded with
ROLLOUTS: Final = "evertrain_rollouts"  # attribute of a model: how many `learn` has played

_COUNTERS: Final = (
    SEED,
    ROLLOUTS,
    "num_timesteps",
    "_episode_num",
    "_n_updates",
    "_current_progress_remaining",
    "_n_calls",
    "exploration_rate",
)
_LAST: Final = ("_last_obs", "_last_episode_starts", "_last_original_obs")
_COPIED: Final = ("policy", "replay", "tensors")  # filled in place; the rest could be kept
_NOISE: Final = ("exploration_mat", "exploration_matrices")


class ModelAdapter:
    """PPO, A2C, DQN, SAC, TD3, DDPG and their like, with their environment."""

    weights = ("policy",)
    copies = True

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        return isinstance(thing, BaseAlgorithm)

    def capture(self, thing: BaseAlgorithm) -> Tree:
        """See `Adapter.capture`.

        Raises:
            StateError: An environment failed to tell its state, or the model
                keeps state that is not known here.
        """
        _refuse_unknown(thing)
        optimizers, tensors = _torch_parts(thing)
        return {
            "class": type(thing).__name__,
            INFERENCE: inference.described(thing),
            "policy": _MODULE.capture(thing.policy),
            "optimizers": {name: _OPTIMIZER.capture(each) for name, each in optimizers.items()},
            "tensors": {name: on_cpu(each) for name, each in tensors.items()},
            "counters": take(thing, _COUNTERS),
            "last": {name: take_value(getattr(thing, name)) for name in _LAST},
            "episodes": [_episodes(thing.ep_info_buffer), take_value(thing.ep_success_buffer)],
            "spaces": [take_space(thing.action_space), take_space(thing.observation_space)],
            "noise": [action_noise(thing), exploration(thing)],
            "logged": logged(thing),
            "replay": replay.take(thing),
            "listener": listener.take(thing),
            "env": _env(thing),
            "own": own.take(thing, _COUNTERS),
            "settings": settings.take(thing),
        }

    def mismatches(self, thing: BaseAlgorithm, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        found = list(self.remember(thing)(tree))
        if _class_in(tree) != type(thing).__name__:
            return found
        if thing.env is not None and tree["env"] is not None:
            found += _prefixed("env", vector.mismatches(thing.env, tree["env"]))
        return [*found, *replay.mismatches(thing, tree["replay"])]

    def remember(self, thing: BaseAlgorithm) -> Callable[[Tree], Sequence[Mismatch]]:
        """See `Adapter`: the class, the policy, its optimizers. Environments may be exchanged."""
        name, policy = type(thing).__name__, _MODULE.remember(thing.policy)
        optimizers = {key: _OPTIMIZER.remember(x) for key, x in _torch_parts(thing)[0].items()}

        def misfits(tree: Tree) -> Sequence[Mismatch]:
            if _class_in(tree) != name:
                return (Mismatch("class", f"{_class_in(tree)} there, {name} here", None),)
            found = _prefixed("policy", policy(tree["policy"]))
            for key, judge in optimizers.items():
                found += _prefixed(key, judge(tree["optimizers"].get(key)))
            return found

        return misfits

    def restore(self, thing: BaseAlgorithm, tree: Tree) -> None:
        """See `Adapter.restore`. Without the environments' state, the next rollout resets them.

        The replay buffer is taken out of `tree` while it is copied; see `replay.put`.
        """
        _MODULE.restore(thing.policy, tree["policy"])
        is_filled = replay.put(thing, tree["replay"])
        optimizers, tensors = _torch_parts(thing)
        for name, tensor in tensors.items():
            with torch.no_grad():
                tensor.copy_(tree["tensors"][name])
        tree = deepcopy({name: each for name, each in tree.items() if name not in _COPIED})
        for name, optimizer in optimizers.items():
            _OPTIMIZER.restore(optimizer, tree["optimizers"][name])
        put(thing, {**tree["counters"], **tree["last"]})
        thing._num_timesteps_at_start = thing.num_timesteps  # noqa: SLF001  (for its speed display)
        size = thing._stats_window_size  # noqa: SLF001
        infos, successes = (put_value(None, each) for each in tree["episodes"])
        thing.ep_info_buffer = None if infos is None else deque(infos, size)
        thing.ep_success_buffer = None if successes is None else deque(successes, size)
        put_space(thing.action_space, tree["spaces"][0])
        put_space(thing.observation_space, tree["spaces"][1])
        settings.put(thing, tree.get("settings", {}))  # older checkpoints have none
        put_action_noise(thing, tree["noise"][0])
        put_exploration(thing, tree["noise"][1])
        put_logged(thing, tree["logged"])
        listener.put(thing, tree["listener"])
        left = () if is_filled else ("replay_buffer",)  # it counts what it does not hold
        own.put(thing, {name: x for name, x in tree["own"].items() if name not in left}, _COUNTERS)
        _put_env(thing, tree["env"])


def not_kept(model: BaseAlgorithm) -> list[str]:
    """Return what of the program's own classes no checkpoint holds, for people."""
    found = own.told(model, _COUNTERS) + listener.forgotten(model)
    return found + (vector.not_kept(model.env) if model.env is not None else [])


def logged(model: BaseAlgorithm) -> Tree:
    """Return what waits in the model's logger for its next dump: numbers only."""
    logger = getattr(model, "_logger", None)
    if logger is None:
        return {}
    return {
        key: [value, logger.name_to_count.get(key), list(logger.name_to_excluded.get(key) or ())]
        for key, value in logger.name_to_value.items()
        if isinstance(value, (bool, int, float, np.number, np.bool_))
    }


def put_logged(model: BaseAlgorithm, stored: Tree) -> None:
    """Put back what waited in the logger. A model that has none yet starts with an empty one."""
    logger = getattr(model, "_logger", None)
    if logger is None:
        return
    for key, (value, count, excluded) in stored.items():
        logger.name_to_value[key] = value
        logger.name_to_excluded[key] = tuple(excluded)
        if count is not None:
            logger.name_to_count[key] = count


def _torch_parts(model: BaseAlgorithm) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return the optimizers and the loose tensors that SB3 itself would save."""
    names, variables = model._get_torch_save_params()  # noqa: SLF001
    optimizers = {name: attrgetter(name)(model) for name in names if name != "policy"}
    return optimizers, {name: attrgetter(name)(model) for name in variables}


def _refuse_unknown(model: BaseAlgorithm) -> None:
    problem = None
    if isinstance(getattr(model, "replay_buffer", None), HerReplayBuffer):
        problem = "its HerReplayBuffer keeps episodes in ways not known here"
    elif hasattr(model, "_last_lstm_states"):
        problem = "its policy is recurrent, and its hidden states are not known here"
    if problem:
        raise StateError(
            f"a {type(model).__name__} is attached: {problem}.",
            "a resumed run would not go on exactly.",
            "Save it as foreign files with SB3's own save, or use another algorithm.",
        )


def _class_in(tree: Tree) -> Any:
    return tree.get("class") if isinstance(tree, dict) else type(tree).__name__


def _prefixed(name: str, found: Sequence[Mismatch]) -> list[Mismatch]:
    return [each.within(name) for each in found]


def _episodes(buffer: Any) -> Tree:
    """Return the statistics of the last episodes, without their wall-clock times."""
    if buffer is None:
        return None
    return take_value([{key: 0.0 if key == "t" else x for key, x in ep.items()} for ep in buffer])


def _distribution(model: BaseAlgorithm) -> Any:
    """Return the distribution of state-dependent exploration, or None."""
    owner = getattr(model, "actor", None) or model.policy
    return getattr(owner, "action_dist", None) if model.use_sde else None


def action_noise(model: BaseAlgorithm) -> Tree:
    """Return the state of the action noise, part by part; empty without one."""
    return [take(part) for part in _noises(model)]


def put_action_noise(model: BaseAlgorithm, stored: Tree) -> None:
    """Put the state of the action noise back, one for each environment as SB3's `learn` makes."""
    if model.action_noise is not None and len(_noises(model)) == 1 < len(stored) == model.n_envs:
        model.action_noise = VectorizedActionNoise(model.action_noise, len(stored))
    for part, inner in zip(_noises(model), stored, strict=False):
        put(part, inner)


def _noises(model: BaseAlgorithm) -> list[Any]:
    noise = model.action_noise
    return list(getattr(noise, "noises", [noise] if noise is not None else []))


def exploration(model: BaseAlgorithm) -> Tree:
    """Return the noise of state-dependent exploration; empty without it."""
    distribution = _distribution(model)
    return {name: on_cpu(getattr(distribution, name)) for name in _NOISE if distribution}


def put_exploration(model: BaseAlgorithm, stored: Tree) -> None:
    """Put the noise of state-dependent exploration back."""
    distribution = _distribution(model)
    for name in stored if distribution else ():
        setattr(distribution, name, stored[name].clone().to(model.device))


def _env(model: BaseAlgorithm) -> Tree:
    if model.env is None:
        return None
    return vector.capture(model.env, is_running=model._last_obs is not None)  # noqa: SLF001


def _put_env(model: BaseAlgorithm, tree: Tree) -> None:
    if model.env is None or tree is None:
        return
    if not vector.restore(model.env, tree):
        model._last_obs = None  # noqa: SLF001  (their state is unknown: reset them)
