"""All that an object holds, path by path, and back into an equal object of the program.

What two places share is taken once and shared again: an array that the world and
the agent both move stays one array. Arrays that are windows into others stay windows.
Plain data is created; objects are only filled, where the program has built them: no class
is created because a file names it. What has no place, and what Python cannot
look into, is named by its path.

Layer: integrations. Imports its siblings and checkpoint.
"""

import enum
import random
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import gymnasium
import numpy as np

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.envs import clocks, kinds
from evertrain.integrations.envs.attributes import (
    GENERATORS,
    MANY,
    SCALARS,
    loaded,
    take_space,
)

Nodes = dict[str, dict[str, Tree]]
Names = Callable[[object], Collection[str] | None]

_MAX_NODES: Final = 20_000  # of each environment
_MAX_DEPTH: Final = 150
MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Taken:
    """An object, taken apart.

    Attributes:
        nodes: By path, what it is made of; the object itself is at "".
        hidden: Paths, with classes, of what Python cannot look into.
    """

    nodes: Nodes
    hidden: tuple[str, ...]


def all_names(thing: object) -> None:
    """Choose every attribute: the default of `take`."""
    del thing


def take(root: object, *, names: Names = all_names, leave: Collection[object] = ()) -> Taken:
    """Return everything that `root` holds. Changes nothing.

    Args:
        root: An object with attributes, or a list of some that may share parts.
        names: Returns the attributes of an object that count; None takes all.
        leave: Objects that are not looked into; they stay what they are.
    """
    taker = _Taker(names, leave, _MAX_NODES * (len(root) if isinstance(root, list) else 1))
    taker.leaf(root, "", 0)
    taker.find_windows()
    return Taken(taker.nodes, tuple(taker.hidden))


class _Taker:
    """One walk over an object and all below it."""

    def __init__(self, names: Names, leave: Collection[object], most: int) -> None:
        self.nodes: Nodes = {}
        self.hidden: list[str] = []
        self._names = names
        self._most = most
        self._left = {id(each) for each in leave}
        self._paths: dict[int, str] = {}
        self._seen: list[object] = []  # so that no id is used twice

    def leaf(self, value: Any, path: str, depth: int) -> Tree:  # noqa: PLR0911  (one for each kind)
        """Return what stands at one place: a plain value, or where it is to be found."""
        kind = type(value)
        if kind in SCALARS or isinstance(value, np.generic):
            return value
        if kind is tuple:
            return {"tuple": self._members(value, path, depth)}
        if kind is frozenset:
            return self._frozenset(value, path)
        if kind is range:
            return {"range": [value.start, value.stop, value.step]}
        if isinstance(value, enum.Enum):
            return {"enum": value.name}
        if isinstance(value, kinds.FUNCTIONS):
            return self._function(value)
        if id(value) in self._left or kinds.is_bystander(value):
            return {"code": ""}
        if id(value) not in self._paths:
            if depth > _MAX_DEPTH or len(self.nodes) > self._most:
                return self._hide(f"{path} (too large)")
            return self._enter(value, path, depth)
        return {"at": self._paths[id(value)]}

    def _function(self, value: Any) -> Tree:
        owner = self._paths.get(id(value.__self__)) if kinds.is_method(value) else None
        if owner is None:
            return {"code": kinds.bare_name(value)}
        return {"method": value.__name__, "of": owner}

    def _frozenset(self, value: Collection[Any], path: str) -> Tree:
        if not all(map(_is_plain, value)):
            return self._hide(f"{path} is a builtins.frozenset")
        return {"frozenset": _in_order(value)}

    def find_windows(self) -> None:
        """Store arrays that are views of other arrays here as what they are."""
        for path, node in list(self.nodes.items()):
            array = node.get("array")
            base = getattr(array, "base", None)
            if array is None or not isinstance(base, np.ndarray) or not base.flags.c_contiguous:
                continue
            if id(base) not in self._paths:
                continue
            start = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
            self.nodes[path] = {
                "window": self._paths[id(base)],
                "dtype": array.dtype.str,
                "shape": list(array.shape),
                "strides": list(array.strides),
                "start": start,
            }

    def _enter(self, value: Any, path: str, depth: int) -> Tree:
        self._paths[id(value)] = path
        self._seen.append(value)
        self.nodes[path] = {}  # in the order of the walk
        node = self._node(value, path, depth + 1)
        if node is None:
            del self.nodes[path], self._paths[id(value)]
            return self._hide(f"{path or 'it'} is a {kinds.class_name(value)}")
        self.nodes[path] = node
        return {"at": path}

    def _hide(self, what: str) -> Tree:
        self.hidden.append(what)
        return {"code": ""}

    def _node(  # noqa: PLR0911  (one for each kind)
        self, value: Any, path: str, depth: int
    ) -> dict[str, Tree] | None:
        """Return what `value` is made of; None if that cannot be told."""
        if isinstance(value, np.ndarray):
            return None if value.dtype.hasobject else {"array": value}
        if _is_tensor(value):
            return {"tensor": value.detach()}
        if isinstance(value, GENERATORS):
            return None if isinstance(value, random.SystemRandom) else {"generator": value}
        if isinstance(value, gymnasium.Space):
            return {"space": take_space(value)}
        if type(value) in {list, set, deque, bytearray, *kinds.DICTS}:
            return self._container(value, path, depth)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            named = self._members(value, path, depth)
            return {"named": named, "class": kinds.bare_name(type(value))}
        return None if kinds.is_closed(value) else self._object(value, path, depth)

    def _container(  # noqa: PLR0911  (one for each kind)
        self, value: Any, path: str, depth: int
    ) -> dict[str, Tree] | None:
        if isinstance(value, dict):
            if not all(_is_plain(key) for key in value):
                return None
            items = [[key, self.leaf(x, f"{path}[{key!r}]", depth)] for key, x in value.items()]
            return {"dict": items, "class": type(value).__name__}
        if isinstance(value, bytearray):
            return {"bytearray": bytes(value)}
        if isinstance(value, deque):
            return {"deque": self._members(value, path, depth), "maxlen": value.maxlen}
        if isinstance(value, set):
            return {"set": _in_order(value)} if all(map(_is_plain, value)) else None
        if len(value) >= MANY and all(type(each) is float for each in value):
            return {"floats": np.array(value, dtype=np.float64)}
        return {"list": self._members(value, path, depth)}

    def _members(self, value: Collection[Any], path: str, depth: int) -> list[Tree]:
        return [self.leaf(each, f"{path}[{n}]", depth) for n, each in enumerate(value)]

    def _object(self, value: object, path: str, depth: int) -> dict[str, Tree]:
        chosen, skipped = self._names(value), clocks.of(value)
        attributes = {
            name: self.leaf(each, f"{path}.{name}", depth)
            for name, each in _attributes(value)
            if name not in skipped and (chosen is None or name in chosen)
        }
        return {"class": kinds.bare_name(type(value)), "attributes": attributes}


def _attributes(value: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(value, "__dict__", {}).items()
    for name in kinds.slots(value):
        found = getattr(value, name, MISSING)
        if found is not MISSING:
            yield name, found


def _in_order(value: Collection[Any]) -> list[Any]:
    """Return the members of a set in an order that no hash and no history of it decides."""
    return sorted(value, key=repr)


def _is_tensor(value: object) -> bool:
    return isinstance(value, loaded("torch", "Tensor"))


def _is_plain(value: object) -> bool:
    if type(value) is tuple:
        return all(map(_is_plain, value))
    return type(value) in SCALARS or isinstance(value, np.generic)


def differences(taken: Taken, stored: Mapping[str, Any]) -> list[str]:
    """Return the paths at which an object is not what `stored` says; what is new does not count."""
    mine = taken.nodes
    return [path for path, node in stored.items() if not _equal(mine.get(path), node)]


def _equal(mine: Any, stored: Any) -> bool:  # noqa: PLR0911  (one for each kind)
    """Compare two trees bit by bit; a NaN equals itself."""
    if isinstance(stored, dict):
        same = isinstance(mine, dict) and stored.keys() <= mine.keys()
        return same and all(_equal(mine[key], each) for key, each in stored.items())
    if isinstance(stored, (list, tuple)):
        same = isinstance(mine, (list, tuple)) and len(mine) == len(stored)
        return same and all(map(_equal, mine, stored))
    if type(mine) is not type(stored):
        return False
    if isinstance(stored, (np.ndarray, np.generic)):
        return (mine.dtype, mine.shape, mine.tobytes()) == (
            stored.dtype,
            stored.shape,
            stored.tobytes(),
        )
    if isinstance(stored, GENERATORS):
        return generator_state(mine) == generator_state(stored)
    if _is_tensor(stored):
        return _equal(mine.numpy(force=True), stored.numpy(force=True))
    return bool(mine == stored or (mine != mine and stored != stored))  # noqa: PLR0124


def generator_state(generator: Any) -> str:
    """Return the state of a generator as text."""
    if isinstance(generator, random.Random):
        return repr(generator.getstate())
    if isinstance(generator, np.random.RandomState):
        state = generator.get_state(legacy=False)
    else:
        state = getattr(generator, "bit_generator", generator).state
    return repr([state["bit_generator"], _bytes(state)])


def _bytes(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bytes(each) for key, each in value.items()}
    return value.tobytes() if isinstance(value, np.ndarray) else value
