"""The state of one environment, with all its wrappers: what runs beside the environment.

These functions work where the environment lives, which may be a worker process
of `SubprocVecEnv`. `Arrival` brings them there: when it is unpickled in a
worker, `gymnasium.Env` gains the methods that `env_method` then calls, and the
worker stops dying of the Ctrl+C that its trainer wants to finish a rollout for.

Layer: integrations. Imports its siblings only.
"""

import os
import random
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

import gymnasium
import numpy as np

from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.tree.generators import check_position
from evertrain.integrations.sb3.attributes import put, put_space, take, take_space

STATE: Final = "evertrain_state"
RESTORE: Final = "evertrain_restore"
KNOWS_STATE: Final = "evertrain_knows_state"
SEED: Final = "evertrain_seed"

_PAIRS: Final = (("get_state", "set_state"), ("state_dict", "load_state_dict"))
_RANDOM: Final = ("_np_random", "_np_random_seed")
# Of the usual wrappers, only these attributes are state; the rest is configuration.
_STATE_OF: Final = {
    "Monitor": (
        "rewards",
        "needs_reset",
        "episode_returns",
        "episode_lengths",
        "total_steps",
        "current_reset_info",
    ),
    "TimeLimit": ("_elapsed_steps",),
    "OrderEnforcing": ("_has_reset",),
    "PassiveEnvChecker": ("checked_reset", "checked_step", "checked_render"),
}


class Arrival:
    """Sent to a worker, it makes the environments there answer to evertrain."""

    def __reduce__(self) -> tuple[Callable[[int], None], tuple[int]]:
        """Become a call of `arrive` wherever it is unpickled."""
        return arrive, (os.getpid(),)


class IgnoreInterrupts:
    """A factory of environments whose worker process ignores Ctrl+C from birth.

    Args:
        make: Returns a new environment.
    """

    def __init__(self, make: Callable[[], gymnasium.Env[Any, Any]]) -> None:
        """Remember who is the trainer."""
        self._make = make
        self._trainer_pid = os.getpid()

    def __call__(self) -> gymnasium.Env[Any, Any]:
        """Return a new environment."""
        arrive(self._trainer_pid)
        return self._make()


def arrive(trainer_pid: int) -> None:
    """Teach the environments of this process to answer, and a worker to ignore Ctrl+C."""

    def state(env: gymnasium.Env[Any, Any]) -> Tree:
        return _answer(lambda: env_state(env, is_worker=os.getpid() != trainer_pid))

    def restore(env: gymnasium.Env[Any, Any], tree: Tree) -> Tree:
        return _answer(lambda: restore_env(env, tree))

    def seed(env: gymnasium.Env[Any, Any], value: int) -> None:
        del env
        if os.getpid() != trainer_pid:
            seed_worker(value)

    answers: dict[str, Callable[..., Any]] = {
        STATE: state,
        RESTORE: restore,
        KNOWS_STATE: knows_state,
        SEED: seed,
    }
    for name, answer in answers.items():
        setattr(gymnasium.Env, name, answer)
    if os.getpid() != trainer_pid:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def knows_state(env: gymnasium.Env[Any, Any]) -> bool:
    """Say whether the environment, or a wrapper, gives its state away."""
    return any(_pair(layer) for layer in _layers(env))


def env_state(env: gymnasium.Env[Any, Any], *, is_worker: bool) -> Tree:
    """Return the state of every layer, and of the worker's generators."""
    return {
        "layers": [_layer_state(layer) for layer in _layers(env)],
        "worker": _worker_state() if is_worker else None,
    }


def restore_env(env: gymnasium.Env[Any, Any], tree: Tree) -> None:
    """Put every layer back, the innermost last, then the worker's generators."""
    for layer, stored in zip(_layers(env), tree["layers"], strict=True):
        put(layer, stored["attributes"])
        for name, inner in stored["spaces"].items():
            put_space(getattr(layer, name), inner)
        pair = _pair(layer)
        if pair and stored["own"] is not None:
            getattr(layer, pair[1])(stored["own"])
    if tree["worker"] is not None:
        _restore_worker(tree["worker"])


def seed_worker(seed: int) -> None:
    """Start the global generators of a worker afresh."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (environments do draw from it)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def _layers(env: gymnasium.Env[Any, Any]) -> list[gymnasium.Env[Any, Any]]:
    layers = [env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    return layers


def _pair(layer: gymnasium.Env[Any, Any]) -> tuple[str, str] | None:
    """Return the names of the layer's own two methods for its state, if its class has them."""
    return next((pair for pair in _PAIRS if all(hasattr(type(layer), n) for n in pair)), None)


def _layer_state(layer: gymnasium.Env[Any, Any]) -> Tree:
    names = _STATE_OF.get(type(layer).__name__)
    if not isinstance(layer, gymnasium.Wrapper):
        names = _RANDOM
    pair = _pair(layer)
    spaces = ("action_space", "observation_space")
    return {
        "class": type(layer).__name__,
        "attributes": take(layer, names),
        "spaces": {name: take_space(getattr(layer, name)) for name in spaces},
        "own": getattr(layer, pair[0])() if pair else None,
    }


def _worker_state() -> Tree:
    torch = sys.modules.get("torch")
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002  (idem)
        "torch": torch.random.get_rng_state().numpy() if torch is not None else None,
    }


def _restore_worker(tree: Tree) -> None:
    version, words, gauss = tree["python"]
    random.setstate((version, tuple(words), gauss))
    check_position(tree["numpy"])
    np.random.set_state(tree["numpy"])  # noqa: NPY002  (idem)
    torch = sys.modules.get("torch")
    if torch is not None and tree["torch"] is not None:
        torch.random.set_rng_state(torch.from_numpy(tree["torch"].copy()))


def _answer(act: Callable[[], Tree]) -> Tree:
    """Return what `act` returns, or its error as text: raising would end the worker silently."""
    try:
        return {"value": act()}
    except Exception as error:  # noqa: BLE001  (foreign code; the trainer raises it again)
        return {"error": f"{type(error).__name__}: {error}"}
