"""Putting back what `graph` took: plain data is created, objects are filled where they are.

No object of the program stands for two of the checkpoint: where a fresh one still
shares what was parted since, the second gets an object of its own.

Layer: integrations. Imports its siblings and checkpoint.
"""

import enum
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

import gymnasium
import numpy as np

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.envs import kinds
from evertrain.integrations.envs.attributes import put_generator, put_space
from evertrain.integrations.envs.graph import MISSING

_TAGS: Final = ("at", "tuple", "frozenset", "range", "enum", "code", "method")


def put(root: object, nodes: Mapping[str, Any]) -> list[str]:
    """Fill `root` with what `graph.take` returned.

    Args:
        root: Built by the program, of the class that it was.
        nodes: The nodes by path. What they hold is copied.

    Returns:
        What has no place in `root`, and why: then it is not what it was. Empty if it is.
    """
    filler = _Filler(nodes)
    filler.at("", root)
    return filler.problems


class _Filler:
    """One walk over what is stored, beside what the program has built."""

    def __init__(self, nodes: Mapping[str, Any]) -> None:
        self.problems: list[str] = []
        self._nodes = nodes
        self._done: dict[str, Any] = {}
        self._taken: set[int] = set()

    def leaf(self, tree: Tree, mine: Any, path: str) -> Any:  # noqa: PLR0911  (one for each tag)
        """Return what belongs at one place, where the program has `mine`."""
        if not isinstance(tree, dict):
            return tree
        tag = next(each for each in _TAGS if each in tree)
        inner = tree[tag]
        if tag == "at":
            return self.at(inner, mine) if inner in self._nodes else self._part(path, mine)
        if tag == "range":
            return range(*inner)
        if tag == "enum":
            if isinstance(mine, enum.Enum) and inner in type(mine).__members__:
                return type(mine)[inner]
            return self._refuse(path, f"{inner}, of an enumeration", mine)
        if tag == "method":
            return self._method(inner, self._done.get(tree["of"]), mine, path)
        if tag == "code":
            return self._code(inner, mine, path)
        if tag == "frozenset":
            return frozenset(inner)
        return tuple(self._members(inner, mine, path))

    def at(self, path: str, mine: Any) -> Any:
        """Return the object of a path, filled; `mine` itself if it fits and is not used yet."""
        if path in self._done:
            return self._done[path]
        node = self._nodes[path]
        if id(mine) in self._taken:
            mine = MISSING
        made = self._plain(node, mine)
        if made is not None:
            self._done[path] = made
            return made
        if node.get("window", path) not in self._nodes:
            made = self._part(path, mine)
        elif "window" in node:
            made = self._window(node)
        elif "named" in node:
            made = self._named(node, mine, path)
        elif "space" in node:
            made = self._space(node, mine, path)
        elif "attributes" in node:
            return self._object(node, mine, path)
        else:
            return self._container(node, mine, path)
        self._done[path] = made
        return made

    def _plain(self, node: Mapping[str, Any], mine: Any) -> Any:
        """Return an array or a generator; None for what is neither."""
        if "array" in node:
            return node["array"].copy()
        if "tensor" in node:
            return node["tensor"].clone().to(getattr(mine, "device", node["tensor"].device))
        if "generator" in node:
            made = put_generator(mine, node["generator"])
            self._taken.add(id(made))
            return made
        return None

    def _window(self, node: Mapping[str, Any]) -> Any:
        return np.ndarray(
            tuple(node["shape"]),
            np.dtype(node["dtype"]),
            self.at(node["window"], MISSING),
            node["start"],
            tuple(node["strides"]),
        )

    def _named(self, node: Mapping[str, Any], mine: Any, path: str) -> Any:
        if kinds.bare_name(type(mine)) != node["class"]:
            return self._refuse(path, node["class"], mine)
        return type(mine)._make(self._members(node["named"], mine, path))

    def _space(self, node: Mapping[str, Any], mine: Any, path: str) -> Any:
        if not isinstance(mine, gymnasium.Space):
            return self._refuse(path, "gymnasium.Space", mine)
        put_space(mine, node["space"])
        self._taken.add(id(mine))
        return mine

    def _object(self, node: Mapping[str, Any], mine: Any, path: str) -> Any:
        self._done[path] = mine
        if kinds.bare_name(type(mine)) != node["class"]:
            return self._refuse(path, node["class"], mine)
        self._taken.add(id(mine))
        for name, tree in node["attributes"].items():
            old = getattr(mine, "__dict__", {}).get(name, MISSING)
            if old is MISSING and name in kinds.slots(mine):
                old = getattr(mine, name, MISSING)
            if old is MISSING and tree == {"code": ""}:
                continue  # something that only shows, and was not needed yet
            new = self.leaf(tree, old, f"{path}.{name}")
            if new is not old and new is not MISSING:
                object.__setattr__(mine, name, new)
        return mine

    def _container(self, node: Mapping[str, Any], mine: Any, path: str) -> Any:
        kind = next(
            each for each in ("list", "floats", "dict", "set", "deque", "bytearray") if each in node
        )
        if kind == "dict":
            return self._dict(node, mine, path)
        type_ = {"set": set, "deque": deque, "bytearray": bytearray}.get(kind, list)
        if type(mine) is not type_ or getattr(mine, "maxlen", None) != node.get("maxlen"):
            mine = deque(maxlen=node["maxlen"]) if type_ is deque else type_()
        self._done[path] = mine
        self._taken.add(id(mine))
        inner = node[kind].tolist() if kind == "floats" else node[kind]
        is_plain = kind in {"floats", "set", "bytearray"}
        members = inner if is_plain else self._members(inner, mine, path)
        if isinstance(mine, (list, bytearray)):
            mine[:] = members
        else:
            mine.clear()
            (mine.update if isinstance(mine, set) else mine.extend)(members)
        return mine

    def _dict(self, node: Mapping[str, Any], mine: Any, path: str) -> Any:
        if type(mine).__name__ != node["class"] or type(mine) not in kinds.DICTS:
            if node["class"] != "dict":
                return self._refuse(path, node["class"], mine)
            mine = {}
        self._done[path] = mine
        self._taken.add(id(mine))
        filled = {
            key: self.leaf(tree, mine.get(key, MISSING), f"{path}[{key!r}]")
            for key, tree in node["dict"]
        }
        mine.clear()
        mine.update(filled)
        return mine

    def _members(self, trees: Iterable[Tree], mine: Any, path: str) -> list[Any]:
        old = list(mine) if isinstance(mine, (list, tuple, deque)) else []
        return [
            self.leaf(tree, old[n] if n < len(old) else MISSING, f"{path}[{n}]")
            for n, tree in enumerate(trees)
        ]

    def _code(self, name: str, mine: Any, path: str) -> Any:
        """Return the program's own code, which must be what it was."""
        if mine is MISSING:
            return self._refuse(path, name or "something that cannot be stored", mine)
        if name and kinds.bare_name(mine) != name:
            return self._refuse(path, name, mine)
        return mine

    def _method(self, name: str, owner: Any, mine: Any, path: str) -> Any:
        """Return a method of an object that was filled before."""
        found = kinds.method_of(owner, name)
        return self._refuse(path, name, mine) if found is None else found

    def _part(self, path: str, mine: Any) -> Any:
        return self._refuse(path, "shared with an environment of another process", mine)

    def _refuse(self, path: str, what: str, mine: Any) -> Any:
        here = "nothing" if mine is MISSING else kinds.told(mine)
        self.problems.append(f"{path or 'it'} was {what}, and a fresh one has {here}")
        return None if mine is MISSING else mine
