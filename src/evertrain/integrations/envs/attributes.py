"""The attributes of an object as a tree, and back into an object that the program built.

Wrappers of environments keep their state in plain attributes: counters, running
statistics, generators. Those are taken; functions, environments and the clocks of
known wrappers are not. Nothing is created from a file: what is put back lands in what is there.
`graph` takes everything of an object that is plain Python.

Layer: integrations. Imports its siblings and checkpoint.
"""

import enum
import random
import sys
from collections import deque
from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Any, Final

import gymnasium
import numpy as np

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.envs import clocks

SCALARS: Final = (type(None), bool, int, float, complex, str, bytes)
GENERATORS: Final = (
    np.random.Generator,
    np.random.RandomState,
    np.random.BitGenerator,
    random.Random,
)
_Seen = dict[tuple[int, int], int]  # by identity and depth: the number in a tree
_Made = dict[int | None, Any]  # by that number

_CODE: Final = object()
MANY: Final = 64
_DEPTH: Final = 8
_PARTS: Final = ("feature_space", "node_space", "edge_space", "child_space")  # of a space


def take(thing: object, names: Collection[str] | None = None) -> dict[str, Tree]:
    """Return the attributes of `thing` that are state.

    Args:
        thing: An object with a `__dict__`.
        names: The attributes that count; None takes all that are plain data.
    """
    found: dict[str, Tree] = {}
    skipped = clocks.of(thing)
    for name, value in vars(thing).items():
        if name in skipped or (names is not None and name not in names):
            continue
        tree = _take(value, _DEPTH, {})
        if tree is not _CODE:
            found[name] = tree
    return found


def put(thing: object, stored: Mapping[str, Tree]) -> None:
    """Set the attributes of `thing` to what `take` returned."""
    mine = vars(thing)
    for name, tree in stored.items():
        mine[name] = _put(mine.get(name), tree, {})


def take_value(value: object) -> Tree:
    """Return one value as a tree; None if it is not plain data."""
    tree = _take(value, _DEPTH, {})
    return None if tree is _CODE else tree


def put_value(mine: object, tree: Tree) -> Any:
    """Return `tree` as a value again; objects inside are filled in place."""
    return _put(mine, tree, {})


def take_space(space: gymnasium.Space[Any]) -> Tree:
    """Return the generators of a space and of its parts. Creates none."""
    own = vars(space).get("_np_random")
    return {"own": own, "parts": [take_space(each) for each in _parts(space)]}


def put_space(space: gymnasium.Space[Any], tree: Tree) -> None:
    """Set the generators of a space and of its parts."""
    vars(space)["_np_random"] = put_value(vars(space).get("_np_random"), tree["own"])
    for part, inner in zip(_parts(space), tree["parts"], strict=False):
        put_space(part, inner)


def _parts(space: gymnasium.Space[Any]) -> list[gymnasium.Space[Any]]:
    many = getattr(space, "spaces", ())
    ones = [vars(space).get(name) for name in _PARTS]
    parts = [*(many.values() if isinstance(many, Mapping) else many), *ones]
    return [each for each in parts if isinstance(each, gymnasium.Space)]


def _take(value: Any, depth: int, seen: _Seen) -> Any:  # noqa: PLR0911  (one for each kind)
    """Return `value` as a tree, or _CODE if it is no state."""
    if type(value) in SCALARS or isinstance(value, _kept()):
        return value
    if isinstance(value, enum.Enum):
        return {"enum": value.name}
    if isinstance(value, gymnasium.Space):
        return {"space": take_space(value)}
    if depth == 0 or _is_code(value):
        return _CODE
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, (list, tuple, deque, set, frozenset)):
        return _take_all(value, depth, seen)
    return _take_once(value, depth, seen)


def _take_once(value: Any, depth: int, seen: _Seen) -> Any:
    """Take a dict or an object; where it stands again, as deep, only its number."""
    key, before = (id(value), depth), len(seen)
    if key in seen:
        return {"again": seen[key]}
    seen[key] = before
    tree = (_take_dict if isinstance(value, dict) else _take_object)(value, depth, seen)
    return _forget(seen, before) if tree is _CODE else {**tree, "number": before}


def _forget(seen: _Seen, before: int) -> object:
    """Return _CODE: what was seen in something that is not kept was seen nowhere."""
    while len(seen) > before:
        seen.popitem()
    return _CODE


def _is_code(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return bool(value.dtype.hasobject)
    return callable(value) or isinstance(value, _programs())


def _kept() -> tuple[type, ...]:
    """Return the classes of leaves that are taken as they are."""
    return (np.generic, *GENERATORS, *loaded("torch", "Tensor"))


def _programs() -> tuple[type, ...]:
    """Return the classes of what is no state, or has its own way to be saved."""
    vectors = loaded("stable_baselines3.common.vec_env.base_vec_env", "VecEnv")
    return (
        type,
        gymnasium.Env,
        *vectors,
        *loaded("torch.nn", "Module"),
        *loaded("torch", "device"),
    )


def loaded(module: str, name: str) -> tuple[type, ...]:
    """Return a class of a framework as a tuple; empty where that was never imported."""
    found = getattr(sys.modules.get(module), name, None)
    return () if found is None else (found,)


def _are_state(taken: Collection[Any]) -> bool:
    return all(each is not _CODE for each in taken)


def _take_dict(value: dict[Any, Any], depth: int, seen: _Seen) -> Any:
    items = {key: _take(each, depth - 1, seen) for key, each in value.items()}
    return {"dict": items} if _are_state(items.values()) else _CODE


def _take_all(value: Any, depth: int, seen: _Seen) -> Any:
    if isinstance(value, list) and len(value) >= MANY and all(type(x) is float for x in value):
        return {"floats": np.array(value, dtype=np.float64)}
    before = len(seen)
    taken = [_take(each, depth - 1, seen) for each in value]
    if not _are_state(taken):
        return _forget(seen, before)
    if isinstance(value, deque):
        return deque(taken, value.maxlen)
    kinds = (list, tuple, set, frozenset)
    return next(kind for kind in kinds if isinstance(value, kind))(taken)


def _take_object(value: object, depth: int, seen: _Seen) -> Any:
    if not hasattr(value, "__dict__"):
        return _CODE
    skipped = clocks.of(value)
    taken = {
        name: tree
        for name, each in sorted(vars(value).items())  # whoever has them in another order
        for tree in (_take(each, depth - 1, seen) if name not in skipped else _CODE,)
        if tree is not _CODE
    }
    return {"class": type(value).__name__, "attributes": taken}


def _put(mine: Any, tree: Any, made: _Made) -> Any:
    """Return what `tree` stands for, filling `mine` where it is an object."""
    if isinstance(tree, np.ndarray):
        return tree.copy()
    if isinstance(tree, GENERATORS):
        return put_generator(mine, tree)
    if isinstance(tree, dict):
        return _put_tagged(mine, tree, made)
    if isinstance(tree, (list, tuple, deque)):
        old = list(mine) if isinstance(mine, (list, tuple, deque)) else []
        old += [None] * (len(tree) - len(old))
        filled = [_put(a, b, made) for a, b in zip(old, tree, strict=False)]
        return deque(filled, tree.maxlen) if isinstance(tree, deque) else type(tree)(filled)
    return tree


def _put_tagged(mine: Any, tree: dict[str, Any], made: _Made) -> Any:
    if "again" in tree:
        return made.get(tree["again"], mine)
    if "enum" in tree:
        return type(mine)[tree["enum"]] if isinstance(mine, enum.Enum) else mine
    if "space" in tree:
        if isinstance(mine, gymnasium.Space):
            put_space(mine, tree["space"])
        return mine
    if "floats" in tree:
        return tree["floats"].tolist()
    found = _put_dict(mine, tree, made) if "dict" in tree else _put_object(mine, tree, made)
    made[tree.get("number")] = found
    return found


def _put_dict(mine: Any, tree: dict[str, Any], made: _Made) -> Any:
    old = mine if isinstance(mine, dict) else {}
    filled = {key: _put(old.get(key), each, made) for key, each in tree["dict"].items()}
    if not isinstance(mine, dict):
        return filled
    mine.clear()
    mine.update(filled)
    return mine


def _put_object(mine: Any, tree: dict[str, Any], made: _Made) -> Any:
    if type(mine).__name__ == tree["class"]:
        attributes = vars(mine)
        for name, each in tree["attributes"].items():
            attributes[name] = _put(attributes.get(name), each, made)
    return mine


def put_generator(mine: Any, stored: Any) -> Any:
    """Set the program's generator, which others may share, or hand out the stored one."""
    if type(mine) is not type(stored):
        return stored
    if isinstance(stored, random.Random):
        mine.setstate(stored.getstate())
    elif isinstance(stored, np.random.RandomState):
        mine.set_state(stored.get_state(legacy=False))
    else:
        old, new = (getattr(each, "bit_generator", each) for each in (mine, stored))
        if type(old) is not type(new):
            return stored
        if isinstance(new.__getstate__(), tuple):  # numpy says where its children come from
            old.__setstate__((new.state, deepcopy(new.seed_seq)))
        else:
            old.state = new.state
    return mine
