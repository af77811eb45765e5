"""What of a stored container data alone can rebuild, and what needs the program's objects.

A container that holds things with a life of their own is stored wrapped:
`kind` (dict, list or dataclass), `items`, and in two parallel lists the keys
that an adapter captured (`in_place`) and what stood there (`kinds`).

Layer: run. Imports checkpoint only.
"""

import dataclasses
import enum
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.tree import EnumName, Record
from evertrain.checkpoint.tree.kinds import class_name
from evertrain.checkpoint.tree.registry import by_type as registered_type

_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes})
_WRAPPER: Final = frozenset({"kind", "items", "in_place", "kinds"})
# Kinds that data alone can rebuild, where the program has nothing to fill: training adds such
# values (rows of a history, arrays of a buffer), so they may be there and not here.
REBUILD: Final[dict[str, Callable[[Any], Any]]] = {
    "dict": dict,
    "OrderedDict": OrderedDict,
    "Counter": Counter,
    "list": lambda items: list(items.values()),
    **dict.fromkeys(("set", "deque", "bytearray", "ndarray", "Tensor", "Parameter"), lambda x: x),
}


def is_wrapped(tree: Tree) -> bool:
    """Say whether `tree` is what a container with things inside was stored as."""
    return isinstance(tree, dict) and tree.keys() == _WRAPPER


def kinds_of(tree: Tree) -> dict[Any, str]:
    """Return what stood where an adapter captured it, by key."""
    return dict(zip(tree["in_place"], tree["kinds"], strict=True))


def unbuildable(tree: Tree, kind: str) -> Iterator[str]:
    """Say what keeps `tree` from being rebuilt without an object of the program."""
    if kind not in REBUILD:
        yield f"{kind} there, nothing to fill here"
    elif is_wrapped(tree):
        kinds = kinds_of(tree)
        for key, value in tree["items"].items():
            yield from class_names(key)
            yield from unbuildable(value, kinds[key]) if key in kinds else class_names(value)
    else:
        yield from class_names(tree)


def rebuild(tree: Tree, kind: str) -> Any:
    """Rebuild what an adapter took apart, where the program has no object to fill."""
    if not is_wrapped(tree):
        return REBUILD[kind](dict(enumerate(tree)) if isinstance(tree, list) else tree)
    kinds = kinds_of(tree)
    items = {k: rebuild(v, kinds[k]) if k in kinds else v for k, v in tree["items"].items()}
    return REBUILD[kind](items)


def class_names(tree: Tree) -> Iterator[str]:
    """Name the classes that only the program can bring: no file creates one."""
    tree = as_stored(tree)
    if isinstance(tree, (Record, EnumName)):
        yield (
            f"{tree.class_name} there, whose class no value here shows; if it is yours:"
            f" evertrain.register({tree.class_name.rpartition(':')[2].rpartition('.')[2]})"
        )
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from class_names(key)
            yield from class_names(value)
    elif isinstance(tree, (list, tuple, set, frozenset, deque)) and not is_plain(tree):
        for value in tree:
            yield from class_names(value)


def as_stored(value: Any) -> Tree:
    """Return a live value as a file would give it back: a class becomes a name. Not deep."""
    if type(value) in _PLAIN or registered_type(type(value)) is not None:
        return value
    if isinstance(value, enum.Enum):
        return EnumName(class_name(type(value)), str(value.name))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return Record(class_name(type(value)), value._asdict(), is_tuple=True)  # type: ignore[attr-defined]
    if isinstance(value, (Record, EnumName, type)) or not dataclasses.is_dataclass(value):
        return value
    names = [each.name for each in dataclasses.fields(value) if hasattr(value, each.name)]
    body = {name: getattr(value, name) for name in names}
    return Record(class_name(type(value)), body, is_tuple=False)


def is_plain(values: Collection[Any]) -> bool:
    """Say whether nothing inside needs a look: long histories of numbers are common."""
    return _PLAIN.issuperset(map(type, values))
