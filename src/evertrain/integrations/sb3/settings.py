"""Hyper-parameters that the training itself changes: a callback that halves `ent_coef`, say.

What they were when the program had set them is remembered, and kept is what has changed
since. Where the program sets another value than then, its configuration was changed, and
that counts. A schedule that is a function is the program's.

Layer: integrations. Imports its siblings and checkpoint.
"""

from functools import cache
from inspect import signature
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.sb3 import own

# Networks, buffers and generators are made with these; nothing reads them later.
_MADE_WITH: Final = frozenset({"self", "seed", "verbose", "n_steps", "buffer_size", "use_sde"})
_BESIDES: Final = (
    *("lr_schedule", "rollout_buffer.gamma", "rollout_buffer.gae_lambda"),
    *("replay_buffer.gamma",),
)
_PLAIN: Final = (type(None), bool, int, float)
_CONSTANT: Final = "constant"  # a schedule that is only a number

_FIRST: WeakKeyDictionary[BaseAlgorithm, dict[str, Tree]] = WeakKeyDictionary()
_PUT: WeakKeyDictionary[BaseAlgorithm, dict[str, Tree]] = WeakKeyDictionary()
_LEFT: WeakKeyDictionary[BaseAlgorithm, dict[str, Tree]] = WeakKeyDictionary()


def begin(model: BaseAlgorithm) -> None:
    """Remember what the program has set, before a training, and between two of them."""
    now = _values(model)
    first, left = _FIRST.setdefault(model, now), _LEFT.pop(model, now)
    for name in now.keys() | left.keys():
        if not _are_alike(now, left, name):
            first.pop(name, None)
            first |= {name: now[name]} if name in now else {}


def leave(model: BaseAlgorithm) -> None:
    """Remember what the training leaves behind: what differs from it later, the program sets."""
    _LEFT[model] = _values(model)


def take(model: BaseAlgorithm) -> Tree:
    """Return what has changed, each with what it was first and what it is now."""
    now = _values(model)
    first = _FIRST.setdefault(model, now)
    return {
        name: {"first": first[name], "now": value}
        for name, value in now.items()
        if name in first and not _are_alike(first, now, name)
    }


def put(model: BaseAlgorithm, tree: Tree) -> None:
    """Put back what the program sets as it did then."""
    first = _FIRST[model] = _values(model)
    _PUT[model] = {
        name: stored["now"]
        for name, stored in tree.items()
        if name in first and _are_alike(first, {name: stored["first"]}, name)
    }
    _set(model, _PUT[model])


def put_again(model: BaseAlgorithm) -> None:
    """Put back once more what a callback may have set as the training started."""
    _set(model, _PUT.pop(model, {}))


def _are_alike(one: dict[str, Tree], other: dict[str, Tree], name: str) -> bool:
    """Compare two values, of which one may be missing, by type and to the last bit."""
    return repr(one.get(name, "")) == repr(other.get(name, ""))


def _values(model: BaseAlgorithm) -> dict[str, Tree]:
    """Return the hyper-parameters that are numbers, by name."""
    found: dict[str, Tree] = {}
    for name in (*_names(type(model)), *_BESIDES):
        owner, attribute = _place(model, name)
        value = getattr(owner, "__dict__", {}).get(attribute, ...)
        if isinstance(value, FloatSchedule) and isinstance(value.value_schedule, ConstantSchedule):
            found[name] = {_CONSTANT: value.value_schedule.val}
        elif type(value) in _PLAIN or isinstance(value, np.generic):
            found[name] = value
    return found


def _set(model: BaseAlgorithm, values: dict[str, Tree]) -> None:
    for name, value in values.items():
        owner, attribute = _place(model, name)
        is_schedule = isinstance(value, dict)
        new = FloatSchedule(ConstantSchedule(value[_CONSTANT])) if is_schedule else value
        setattr(owner, attribute, new)


def _place(model: BaseAlgorithm, name: str) -> tuple[Any, str]:
    """Return the model, or a part of it, and the name of its attribute."""
    part, _, attribute = name.rpartition(".")
    return (getattr(model, part, None) if part else model), attribute


@cache
def _names(kind: type[BaseAlgorithm]) -> tuple[str, ...]:
    """Return the arguments with which SB3's classes make such a model."""
    found = {
        name
        for base in kind.__mro__
        if own.is_of_sb3(base) and "__init__" in vars(base)
        for name in signature(vars(base)["__init__"]).parameters
    }
    return tuple(sorted(found - _MADE_WITH))
