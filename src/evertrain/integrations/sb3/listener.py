"""The state of SB3 callbacks: their counters, and the best evaluation so far.

SB3 keeps none of it, so the first evaluation after a restart overwrites the best
model and meets the first episodes again, and all that happens each n calls shifts. What
a callback of the program's own adds is kept as `changed` says, or as the callback itself
says, with `state_dict` and `load_state_dict`.

Layer: integrations. Imports its siblings, `integrations.envs` and checkpoint.
"""

from collections import deque
from typing import Final
from weakref import WeakKeyDictionary

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.vec_env import VecEnv

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.envs import attributes
from evertrain.integrations.sb3 import changed, evaluation, own

# Of SB3's own callbacks, these attributes are state; the rest is configuration.
_STATE: Final = (
    "n_calls",
    "num_timesteps",
    "best_mean_reward",
    "last_mean_reward",
    "evaluations_results",
    "evaluations_timesteps",
    "evaluations_length",
    "evaluations_successes",
    "n_episodes",
    "no_improvement_evals",
    "last_best_mean_reward",
    "last_time_trigger",
)
_LINKS: Final = ("model", "parent", "locals", "globals")
_KEPT: Final = (BaseAlgorithm, BaseCallback, VecEnv)  # each in its own place

_LISTENERS: WeakKeyDictionary[BaseAlgorithm, tuple[str, BaseCallback]] = WeakKeyDictionary()
_LOST: WeakKeyDictionary[BaseAlgorithm, list[str]] = WeakKeyDictionary()
_LATER: WeakKeyDictionary[BaseAlgorithm, list[tuple[BaseCallback, Tree]]] = WeakKeyDictionary()
_WAITING: WeakKeyDictionary[BaseAlgorithm, Tree] = WeakKeyDictionary()


def register(model: BaseAlgorithm, callback: BaseCallback, stage: str = "") -> None:
    """Say which callback listens to `model`; what was restored before it came is put back.

    How the environments of evaluations are kept is settled now, before they are first played.

    Args:
        model: What is trained.
        callback: Who listens.
        stage: Name of the stage for which it listens: the next one starts afresh.
    """
    _LISTENERS[model] = (stage, callback)
    _LATER.pop(model, None)
    for each in _family(callback):
        changed.begin(each, _added(each))
    waiting = _WAITING.pop(model, None)
    if waiting is not None:
        put(model, waiting)
    _settle(callback)


def take(model: BaseAlgorithm) -> Tree:
    """Return the state of the callbacks of `model`."""
    stage, callback = _LISTENERS.get(model, ("", None))
    return None if callback is None else {"stage": stage, "callback": _take(callback, set())}


def put(model: BaseAlgorithm, tree: Tree) -> None:
    """Put it back, now or when the callbacks come. Who finds no counterpart starts fresh."""
    stage, callback = _LISTENERS.get(model, ("", None))
    if tree is None:
        return
    if callback is None:
        _WAITING[model] = tree
    elif stage == tree["stage"]:
        _LOST[model], _LATER[model] = _put(callback, tree["callback"])


def begin(model: BaseAlgorithm) -> None:
    """Put back what callbacks hold besides: now that they have begun, which may set it up."""
    for callback, tree in _LATER.pop(model, []):
        problems = changed.put(callback, tree["added"]) if tree.get("added") else []
        told = [f"of {type(callback).__name__}: {each}" for each in problems]
        _LOST.setdefault(model, []).extend(told)


def _settle(callback: BaseCallback) -> None:
    for each in _family(callback):
        for venv in _envs(each).values():
            evaluation.settle(venv)


def _take(callback: BaseCallback, seen: set[int]) -> Tree:
    seen.add(id(callback))
    give = getattr(callback, "state_dict", None)
    return {
        "class": type(callback).__name__,
        "attributes": attributes.take(callback, _STATE),
        "own": give() if give else None,
        "added": changed.take(callback, _added(callback)),
        "envs": {name: evaluation.take(venv) for name, venv in _envs(callback).items()},
        "children": [_take(child, seen) for child in _children(callback) if id(child) not in seen],
    }


def _put(root: BaseCallback, tree: Tree) -> tuple[list[str], list[tuple[BaseCallback, Tree]]]:
    """Fill each callback from one of its class, in their order.

    Where it stands says nothing: a program that is started again may have put another
    callback beside it, or around it.

    Returns:
        For people, who found none; and who was filled from what.
    """
    stored: dict[str, deque[Tree]] = {}
    for each in _flat(tree):
        stored.setdefault(each["class"], deque()).append(each)
    new, later = [], []
    for callback in _family(root):
        name = type(callback).__name__
        if stored.get(name):
            found = stored[name].popleft()
            _fill(callback, found)
            later.append((callback, found))
        elif not isinstance(callback, CallbackList):  # it holds others, and nothing else
            new.append(f"of {name}: it was not there at the save, and starts fresh")
    return new, later


def _fill(callback: BaseCallback, tree: Tree) -> None:
    attributes.put(callback, tree["attributes"])
    accept = getattr(callback, "load_state_dict", None)
    if accept and tree["own"] is not None:
        accept(tree["own"])
    for name, venv in _envs(callback).items():
        stored = tree["envs"].get(name)
        if stored is not None:
            evaluation.put(venv, stored)


def _flat(tree: Tree) -> list[Tree]:
    return [tree, *(each for child in tree["children"] for each in _flat(child))]


def forgotten(model: BaseAlgorithm) -> list[str]:
    """Return what of the program's own callbacks does not come back, for people."""
    _, callback = _LISTENERS.get(model, ("", None))
    if callback is None:
        return []
    found = _LOST.pop(model, [])
    for each in _family(callback):
        if not hasattr(each, "state_dict"):
            found += own.hidden(each, _added(each))
            common = own.shared(each)
            found += (
                [f"of {type(each).__name__}: {', '.join(common)} of its class"] if common else []
            )
    return found


def _added(callback: BaseCallback) -> frozenset[str]:
    """Return the attributes that are the program's own; none where it keeps them itself."""
    if hasattr(callback, "state_dict"):
        return frozenset()
    return frozenset(
        name
        for name in own.added(callback) - {changed.FIRST}
        if not any(isinstance(each, _KEPT) for each in _members(vars(callback)[name]))
    )


def _family(callback: BaseCallback) -> list[BaseCallback]:
    """Return a callback and all below it, each once, in the order in which `take` meets them."""
    found: dict[int, BaseCallback] = {}
    waiting = [callback]
    while waiting:
        each = waiting.pop()
        if id(each) not in found:  # two may know each other
            found[id(each)] = each
            waiting += reversed(_children(each))
    return list(found.values())


def _envs(callback: BaseCallback) -> dict[str, VecEnv]:
    """Return the environments of its own, by attribute: those that it evaluates on."""
    training = callback.model.env if hasattr(callback, "model") else None
    return {
        name: value
        for name, value in vars(callback).items()
        if isinstance(value, VecEnv)
        and (training is None or value.unwrapped is not training.unwrapped)
    }


def _children(callback: BaseCallback) -> list[BaseCallback]:
    found: list[BaseCallback] = []
    for name, value in vars(callback).items():
        if name not in _LINKS:
            found += [each for each in _members(value) if isinstance(each, BaseCallback)]
    return found


def _members(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
