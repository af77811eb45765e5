"""What of a stored container data alone can rebuild, and what needs the program's objects.

A container that holds things with a life of their own is stored wrapped:
`kind` (dict, list or dataclass), `items`, and in two parallel lists the keys
that an adapter captured (`in_place`) and what stood there (`kinds`). The kind of
a dataclass inside ends in the name of its class; where the program knows that,
`classes.familiar` has put the class itself in its place.

Layer: run. Imports checkpoint only.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from functools import partial
from typing import Any, Final

from evertrain.checkpoint.plugin import Mismatch, Tree
from evertrain.checkpoint.tree import EnumName, Record
from evertrain.checkpoint.tree.records import build, field_names

Kind = Any  # a word, or a dataclass that the program knows

OBJECT: Final = "object"
DATACLASS: Final = "dataclass"

PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes})
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
    """Say whether `tree` is what a container with things inside was stored as.

    A file may hold anything: what only looks like it is a dict like any other.
    """
    if not isinstance(tree, dict) or tree.keys() != _WRAPPER:
        return False
    items, keys, kinds = tree["items"], tree["in_place"], tree["kinds"]
    if not isinstance(items, dict) or not isinstance(keys, list) or not isinstance(kinds, list):
        return False
    is_whole = len(keys) == len(kinds) and all(isinstance(each, str | type) for each in kinds)
    return is_whole and all(isinstance(each, Hashable) and each in items for each in keys)


def kinds_of(tree: Tree) -> dict[Any, Kind]:
    """Return what stood where an adapter captured it, by key."""
    return dict(zip(tree["in_place"], tree["kinds"], strict=True))


def unbuildable(tree: Tree, kind: Kind) -> Iterator[str]:
    """Say what keeps `tree` from being rebuilt without an object of the program."""
    if isinstance(kind, str) and kind not in REBUILD:
        is_named = kind.startswith(f"{DATACLASS} ")
        name = kind.partition(" ")[2] if is_named else kind
        yield _unknown(name) if is_named else f"{kind} there, nothing to fill here"
    elif is_wrapped(tree):
        if isinstance(kind, type) and tree["items"].keys() != set(field_names(kind)):
            yield f"a {kind.__qualname__} of {', '.join(tree['items'])} there, with others here"
        kinds = kinds_of(tree)
        for key, value in tree["items"].items():
            yield from (each.problem for each in class_names(key))
            yield from (
                unbuildable(value, kinds[key])
                if key in kinds
                else (each.problem for each in class_names(value))
            )
    else:
        yield from (each.problem for each in class_names(tree))


def rebuild(tree: Tree, kind: Kind) -> Any:
    """Rebuild what an adapter took apart, where the program has no object to fill."""
    make = partial(build, kind) if isinstance(kind, type) else REBUILD[kind]
    if not is_wrapped(tree):
        return make(dict(enumerate(tree)) if isinstance(tree, list) else tree)
    kinds = kinds_of(tree)
    items = {k: rebuild(v, kinds[k]) if k in kinds else v for k, v in tree["items"].items()}
    return make(items)


def class_names(tree: Tree, at: str = "") -> Iterator[Mismatch]:
    """Name the classes that only the program can bring, and did not: no file creates one."""
    if isinstance(tree, Record):
        yield Mismatch(at, _unknown(tree.class_name))
    elif isinstance(tree, EnumName):
        yield Mismatch(at, _unknown(tree.class_name, f"{tree.class_name}.{tree.name}"))
    elif is_wrapped(tree):
        yield from class_names(tree["items"], at)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from class_names(key, f"{at}.{key}".lstrip("."))
            yield from class_names(value, f"{at}.{key}".lstrip("."))
    elif isinstance(tree, (list, tuple, deque)) and not is_plain(tree):
        for index, value in enumerate(tree):
            yield from class_names(value, f"{at}[{index}]")
    elif isinstance(tree, (set, frozenset)) and not is_plain(tree):
        for value in tree:
            yield from class_names(value, at)


def whole(found: Iterable[Mismatch]) -> list[Mismatch]:
    """Return the first of `found` as a difference of the thing that it is in, which stays fresh."""
    for each in found:
        where = f"{each.path.lstrip('.')}: " if each.path else ""
        return [Mismatch("", where + each.problem)]
    return []


def is_plain(values: Collection[Any]) -> bool:
    """Say whether nothing inside needs a look: long histories of numbers are common."""
    return PLAIN.issuperset(map(type, values))


def _unknown(name: str, what: str = "") -> str:
    short = name.rpartition(":")[2].rpartition(".")[2]
    return (
        f"{what or name} there, which no value here shows like that; if the class is yours:"
        f" evertrain.register({short})"
    )
