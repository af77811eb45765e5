"""What of a stored container data alone can rebuild, and what needs the program's objects.

A container that holds things with a life of their own is stored wrapped:
`kind` (dict, list or dataclass), `items`, and in two parallel lists the keys
that an adapter captured (`in_place`) and what stood there (`kinds`).

Layer: run. Imports checkpoint only.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.tree import EnumName, Record

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
    if isinstance(tree, (Record, EnumName)):
        yield f"{tree.class_name} there, whose class no value here shows; see evertrain.register"
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from class_names(value)
    elif isinstance(tree, (list, tuple, set, frozenset, deque)):
        for value in tree:
            yield from class_names(value)
