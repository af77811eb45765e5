"""What a program's own subclasses of SB3's classes hold beside what SB3's hold.

Counters, sums and coefficients of a model, a buffer or a wrapper are state. They are
taken as those of environments are. Not looked into are objects of libraries, and
networks with their optimizers: those are named, for the start of a training to tell.

Layer: integrations. Imports its siblings and checkpoint.
"""

import dis
import sys
import sysconfig
from collections import deque
from collections.abc import Collection
from functools import cache
from inspect import get_annotations
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import Any, Final
from weakref import WeakKeyDictionary

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import BaseBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.envs import fill, graph, kinds
from evertrain.integrations.envs.attributes import GENERATORS
from evertrain.integrations.envs.method import unseen
from evertrain.integrations.sb3 import replay

_SB3: Final = frozenset({"stable_baselines3", "sb3_contrib"})
_OURS: Final = _SB3 | {"evertrain"}
_NEVER: Final = frozenset({"torch", "gymnasium", "numpy"}) | _OURS
_CHANGING: Final = (list, dict, set, deque, np.ndarray, *GENERATORS)
_LOOKED_INTO: Final = (torch.Tensor, np.ndarray, np.generic, gymnasium.Space, *GENERATORS)
_OF_TRAINING: Final = (BaseAlgorithm, BaseCallback, VecEnv)  # they are kept themselves
_BUFFERS: Final = ("replay_buffer", "rollout_buffer")
_PROBLEMS: WeakKeyDictionary[BaseAlgorithm, list[str]] = WeakKeyDictionary()


def take(model: BaseAlgorithm, known: Collection[str]) -> Tree:
    """Return what the classes of `model` and of its buffers add to SB3's.

    Args:
        model: What is trained.
        known: Attributes that are kept elsewhere.
    """
    return {name: take_from(thing, names) for name, thing, names in _parts(model, known) if names}


def put(model: BaseAlgorithm, tree: Tree, known: Collection[str]) -> None:
    """Put it back; what has no place is told by `told`."""
    _PROBLEMS[model] = [
        f"of {type(thing).__name__}: {each}"
        for name, thing, _ in _parts(model, known)
        if name in tree
        for each in put_into(thing, tree[name])
    ]


def told(model: BaseAlgorithm, known: Collection[str]) -> list[str]:
    """Return what does not come back with `model` and its buffers, for people."""
    found = _PROBLEMS.pop(model, [])
    for _, thing, names in _parts(model, known):
        found += hidden(thing, names)
    return found


def take_from(thing: object, names: Collection[str]) -> Tree:
    """Return the attributes `names` of `thing`, and what these hold."""
    return _taken(thing, names).nodes


def put_into(thing: object, tree: Tree) -> list[str]:
    """Put back what `take_from` returned. Return what has no place, and why."""
    return fill.put(thing, tree)


def hidden(thing: object, names: Collection[str]) -> list[str]:
    """Return what of these attributes is not kept, e.g. "Mine.net is a Net"."""
    kind = type(thing).__name__
    closed = [f"of {kind}: {unseen(each)}" for each in _taken(thing, names).hidden]
    others = [
        f"of {kind}: .{name} is a {type(value).__name__}"
        for name, value in vars(thing).items()
        if name in names and (_learns(value) or _is_foreign(value))
    ]
    return closed + others


def _taken(thing: object, names: Collection[str]) -> graph.Taken:
    mine = frozenset(name for name in names if not _learns(vars(thing).get(name)))

    def chosen(each: object) -> Collection[str] | None:
        if each is thing:
            return mine
        kind: Any = type(each)
        return () if _is_of_library(kind) else None

    return graph.take(thing, names=chosen)


def _parts(
    model: BaseAlgorithm, known: Collection[str]
) -> list[tuple[str, object, frozenset[str]]]:
    """Return the model and its buffers, each with the attributes that are the program's."""
    found: list[tuple[str, object, frozenset[str]]] = [
        ("model", model, added(model) - frozenset(known))
    ]
    for name in _BUFFERS:
        buffer = getattr(model, name, None)
        if buffer is not None:
            found.append((name, buffer, added(buffer) - replay.names_of_rows(buffer)))
    return found


def added(thing: object) -> frozenset[str]:
    """Return the attributes that no code of SB3's or ours sets; none of an object of theirs."""
    kind: Any = type(thing)
    return frozenset() if _package(kind) in _OURS else frozenset(vars(thing)) - _known_names(kind)


@cache
def _known_names(kind: type[Any]) -> frozenset[str]:
    """Return the attributes that a class has from SB3 or us: declared, or stored on `self`."""
    bases = [base for base in kind.__mro__ if _package(base) in _OURS]
    codes = [
        getattr(getattr(each, "fget", each), "__code__", None)
        for base in bases
        for each in vars(base).values()
    ]
    declared = {name for base in bases for name in (*vars(base), *get_annotations(base))}
    return frozenset(declared.union(*(_stored_on_self(code) for code in codes if code)))


def _stored_on_self(code: CodeType) -> set[str]:
    """Return the attributes that a method gives to its first argument, read from its bytecode.

    A mere occurrence of the name says nothing: SB3 calls `mean` of many a tensor.
    """
    steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
    return {
        step.argval
        for before, step in pairwise(steps)
        if step.opname == "STORE_ATTR" and _loads_last(before) == code.co_varnames[:1]
    }


def _loads_last(step: dis.Instruction) -> tuple[Any, ...]:
    """Return the variable that is on top of the stack; newer Pythons load two at once."""
    return step.argval[-1:] if isinstance(step.argval, tuple) else (step.argval,)


def _learns(value: object) -> bool:
    if isinstance(value, torch.Tensor):
        return value.requires_grad
    return isinstance(value, (torch.nn.Module, torch.optim.Optimizer))


def _is_foreign(value: object) -> bool:
    """Say whether a value is an object of a library that may hold something, unlike its code."""
    kind: Any = type(value)
    if isinstance(value, _LOOKED_INTO) or kinds.is_bystander(value) or kinds.is_closed(value):
        return False
    if isinstance(value, _OF_TRAINING) or _package(kind) in {"evertrain", "builtins"}:
        return False
    return _is_of_library(kind) and (_package(kind) not in _SB3 or isinstance(value, BaseBuffer))


@cache
def _is_of_library(kind: type[Any]) -> bool:
    """Say whether a class is none of the program's, whose objects hold its state."""
    if issubclass(kind, RunningMeanStd):
        return False
    if any(_package(base) in _NEVER for base in kind.__mro__):
        return True
    file = getattr(sys.modules.get(_package(kind)), "__file__", None)
    if file is None:
        return False
    paths = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    return any(Path(file).is_relative_to(each) for each in paths)


def is_of_sb3(kind: type[Any]) -> bool:
    """Say whether a class is one of SB3's own."""
    return _package(kind) in _SB3


def _package(kind: type[Any]) -> str:
    return kind.__module__.partition(".")[0]


def shared(thing: object) -> list[str]:
    """Return what the program's class holds for all of its objects, where it can change."""
    theirs = [base for base in type(thing).__mro__[:-1] if _package(base) not in _NEVER]
    return sorted(
        {
            name
            for base in theirs
            for name, value in vars(base).items()
            if isinstance(value, _CHANGING) and not name.startswith("__")
        }
        - vars(thing).keys()
    )
