"""A checkpoint's state as leaves: each with its path, its place and what it holds.

Read from the manifest alone: no type of the program is needed, no framework, and no bytes of
arrays, whose digests stand there.

Layer: audit. Imports checkpoint.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from evertrain.checkpoint.manifest import CLOCK, ArrayEntry, Manifest
from evertrain.checkpoint.tree.kinds import MARK, path_text

Json = Any
Path = tuple[str | int, ...]
# What a container holds, by place; a place of None is the container's own.
Members = list[tuple[str | int | None, Json]]

_SHOWN: Final = 60
_ROW: Final = 64


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value of a state.

    Attributes:
        name: The attached object that it belongs to.
        path: Its place, as a person writes it.
        within: Kinds of the containers around it, outermost first.
        value: What the skeleton says of it, an array's key left out.
        array: Its bytes, or None for a value that stands in the skeleton.
        key: The array's key, or "".
    """

    name: str
    path: str
    within: tuple[str, ...]
    value: Json
    array: ArrayEntry | None = None
    key: str = ""

    @property
    def content(self) -> tuple[Any, ...]:
        """What two equal leaves have in common: kind, dtype, shape and every bit."""
        if self.array is None:
            return (self.within, _exact(self.value))
        about = (self.array.dtype, self.array.shape, self.array.bytes, self.array.blake3)
        return (self.within, _exact(self.value), *about)

    @property
    def text(self) -> str:
        """What it holds, as short text; the dtype and shape of an array."""
        if self.array is not None:
            return f"{self.array.dtype} {self.array.shape}"
        if isinstance(self.value, list) and self.value:
            return f"{len(self.value)} numbers"
        text = _shown(self.value)
        return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def leaves(manifest: Manifest) -> list[Leaf]:
    """Return every leaf of a checkpoint, in its order; without the object called "clock"."""
    found: list[Leaf] = []
    for name, skeleton in manifest.skeletons.items():
        if name != CLOCK:
            walk = _Walk(name, manifest.arrays.get(name, {}))
            found += walk.leaves(skeleton, (), ())
    return found


@dataclass(frozen=True, slots=True)
class _Walk:
    """One walk through the skeleton of one attached object."""

    name: str
    arrays: Mapping[str, ArrayEntry]

    def leaves(self, node: Json, path: Path, within: tuple[str, ...]) -> Iterator[Leaf]:
        """Yield the leaves below `node`."""
        kind, members = _members(node)
        if members:
            for part, inner in members:
                deeper = path if part is None else (*path, part)
                yield from self.leaves(inner, deeper, (*within, kind))
            return
        key = node.get("key") if isinstance(node, dict) else None
        where = path_text(self.name, path)
        if isinstance(key, str) and key in self.arrays:
            about = {name: each for name, each in node.items() if name != "key"}
            yield Leaf(self.name, where, within, about, self.arrays[key], key)
        else:
            yield Leaf(self.name, where, within, node)


def _members(node: Json) -> tuple[str, Members]:
    """Return the kind of a container, and what it holds; nothing for a leaf."""
    if isinstance(node, list):
        return "list", [] if _is_row(node) else list(enumerate(node))
    if not isinstance(node, dict):
        return "", []
    if MARK not in node:
        return "dict", list(node.items())
    inner = _INSIDE.get(node[MARK])
    if inner is None:
        return "", []
    about = {name: each for name, each in node.items() if name in _ABOUT}
    return f"{node[MARK]} {about or ''}".rstrip(), inner(node)


def _items(node: dict[str, Json]) -> Members:
    items = node["items"]
    return [(None, items)] if _is_row(items) else list(enumerate(items))


def _is_row(items: list[Json]) -> bool:
    """Say whether a long list is one leaf, as an array would be: all plain numbers."""
    return len(items) >= _ROW and {type(each) for each in items} <= {int, float}


def _pairs(node: dict[str, Json]) -> Members:
    return [(_name(key), each) for key, each in node["items"]]


def _fields(node: dict[str, Json]) -> Members:
    return list(node["fields"].items())


def _tree(node: dict[str, Json]) -> Members:
    return [(None, node["tree"])]


def _codec(node: dict[str, Json]) -> Members:
    """Return the parts of an object of a framework; an only one is the object itself."""
    children = node["children"]
    if len(children) == 1:
        return [(None, each) for each in children.values()]
    return list(children.items())


_INSIDE: Final[Mapping[str, Callable[[dict[str, Json]], Members]]] = {
    **dict.fromkeys(("tuple", "deque", "set", "frozenset", "range"), _items),
    **dict.fromkeys(("dict", "ordereddict", "counter", "defaultdict"), _pairs),
    **dict.fromkeys(("namedtuple", "dataclass"), _fields),
    **dict.fromkeys(("registered", "generator", "random"), _tree),
    "codec": _codec,
}
# What the skeleton says of a container, besides what is in it.
_ABOUT: Final = frozenset({"class", "factory", "maxlen", "meta", "name"})


def _name(key: Json) -> str | int:
    """Return the place that a key of a mapping names."""
    if isinstance(key, (str, int)) and not isinstance(key, bool):
        return key
    return _shown(key)


def _exact(value: Json) -> str:
    """Return a JSON value as text that tells 1 from 1.0 and from True."""
    return repr(value)


def _shown(value: Json) -> str:
    """Return a value of a skeleton as a person knows it."""
    if not isinstance(value, dict) or MARK not in value:
        return repr(value)
    show = _SHOW.get(value[MARK])
    if show is not None:
        return show(value)
    rest = {name: each for name, each in value.items() if name != MARK}
    return f"{value[MARK]} {rest or ''}".rstrip()


def _float(value: dict[str, Json]) -> str:
    [number] = struct.unpack(">d", bytes.fromhex(value["bits"]))
    return f"{number!r} (bits {value['bits']})"


def _int(value: dict[str, Json]) -> str:
    return str(int(value["hex"], 16)) if len(value["hex"]) < _SHOWN else str(value["hex"])


def _enum(value: dict[str, Json]) -> str:
    return f"{value['class'].rpartition(':')[2]}.{value['name']}"


def _scalar(value: dict[str, Json]) -> str:
    from evertrain.checkpoint.tree.arrays import scalar_from_json

    return repr(scalar_from_json(value))


_SHOW: Final[Mapping[str, Callable[[dict[str, Json]], str]]] = {
    "enum": _enum,
    "float": _float,
    "int": _int,
    "scalar": _scalar,
}
