"""How attached dicts, lists, dataclasses, sets and deques are captured, and restored in place.

Things inside that have a life of their own (models, arrays, generators) are
filled where they are; the rest is replaced. What neither can be filled nor be
rebuilt from data alone is a mismatch: nothing is dropped, nothing is invented.

Layer: run. Imports checkpoint and core.
"""

import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from evertrain.checkpoint.plugin import Adapter, Mismatch, Tree
from evertrain.core.errors import StateError
from evertrain.run.rebuild import REBUILD, class_names, is_wrapped, kinds_of, rebuild, unbuildable

Find = Callable[[object], Adapter | None]
Items = dict[Any, Any]

_MISSING: Final = object()
_PLAIN: Final = "value"
_OBJECT: Final = "object"
_DATACLASS: Final = "dataclass"

# Kinds that may replace each other; their adapters compare the rest.
_GROUPS: Final = {
    **dict.fromkeys(("OrderedDict", "Counter", "mapping"), "dict"),
    **dict.fromkeys(("Tensor", "Parameter", "ndarray"), "array"),
}


class _Container:
    """What the adapters of containers share.

    Args:
        find: Returns the adapter for something inside, or None for what is replaced.
    """

    is_data = True

    def __init__(self, find: Find) -> None:
        """Keep `find`."""
        self._find = find


class DictAdapter(_Container):
    """Dicts: known things inside are restored in place, the rest is replaced."""

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        return isinstance(thing, dict)

    def capture(self, thing: Any) -> Tree:
        """See `Adapter.capture`."""
        return _capture("dict", thing, self._find)

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        return _other_kind("dict", tree) or _compare(thing, tree, self._find)

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`."""
        items = _restore(thing, tree, self._find)
        thing.clear()
        thing.update(items)


class DataclassAdapter(_Container):
    """Instances of dataclasses, field by field."""

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`. A frozen one cannot be restored in place."""
        if not dataclasses.is_dataclass(thing) or isinstance(thing, type):
            return False
        return not type(thing).__dataclass_params__.frozen  # type: ignore[attr-defined]

    def capture(self, thing: Any) -> Tree:
        """See `Adapter.capture`."""
        return _capture("dataclass", _fields(thing), self._find)

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`. Its fields are the program's: all of them must be there."""
        other = _other_kind("dataclass", tree)
        if other:
            return other
        here, there = _fields(thing), tree["items"]
        lost = [Mismatch(str(key), "not in the program") for key in there if key not in here]
        new = [Mismatch(str(key), "missing in the checkpoint") for key in here if key not in there]
        return list(dict.fromkeys([*lost, *new, *_compare(here, tree, self._find)]))

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`."""
        here = _fields(thing)
        for name, value in _restore(here, tree, self._find).items():
            if name in here:
                setattr(thing, name, value)


class SequenceAdapter(_Container):
    """Lists, deques, sets and bytearrays, refilled in place."""

    _fill: Final[dict[type, Callable[[Any, Any], object]]] = {
        list: lambda thing, tree: thing.__setitem__(slice(None), tree),
        bytearray: lambda thing, tree: thing.__setitem__(slice(None), tree),
        deque: lambda thing, tree: (thing.clear(), thing.extend(tree)),
        set: lambda thing, tree: (thing.clear(), thing.update(tree)),
    }

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        return type(thing) in self._fill

    def capture(self, thing: Any) -> Tree:
        """See `Adapter.capture`. A list of mere values stands for itself."""
        if isinstance(thing, list) and any(self._find(each) is not None for each in thing):
            return _capture("list", dict(enumerate(thing)), self._find)
        return thing

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        if isinstance(thing, list):
            wrapped = _as_wrapped_list(tree)
            other = _other_kind("list", wrapped)
            return other or _compare(dict(enumerate(thing)), wrapped, self._find)
        if type(tree) is not type(thing):
            return _other_kind(type(thing).__name__, tree)
        if isinstance(thing, deque) and thing.maxlen is not None and len(tree) > thing.maxlen:
            return [Mismatch("", f"{len(tree)} items there, room for {thing.maxlen} here")]
        return _strangers(thing, tree)

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`."""
        if isinstance(thing, list):
            here = dict(enumerate(thing))
            tree = list(_restore(here, _as_wrapped_list(tree), self._find).values())
        elif isinstance(thing, deque):
            tree = _filled(thing, tree)
        self._fill[type(thing)](thing, tree)


def _capture(kind: str, items: Mapping[Any, Any], find: Find) -> Tree:
    trees, in_place, kinds = dict(items), [], []
    for key, value in items.items():
        adapter = find(value)
        if adapter is not None:
            trees[key] = adapter.capture(value)
            in_place.append(key)
            kinds.append(_kind(value))
    return {"kind": kind, "items": trees, "in_place": in_place, "kinds": kinds}


def _compare(here: Items, tree: Tree, find: Find) -> list[Mismatch]:
    """Return what does not fit; the path of a thing that differs as a whole is its key."""
    found = [Mismatch(str(key), problem) for key in tree["items"] for problem in class_names(key)]
    for key in dict.fromkeys([*tree["items"], *here]):
        inner = _compare_one(key, here, tree, find)
        found += [Mismatch(f"{key}.{each.path}".rstrip("."), each.problem) for each in inner]
    return found


def _compare_one(key: Any, here: Items, tree: Tree, find: Find) -> Sequence[Mismatch]:
    """Compare what stands under `key` on both sides."""
    thing, there = here.get(key, _MISSING), kinds_of(tree).get(key, _PLAIN)
    adapter = None if thing is _MISSING else find(thing)
    if key not in tree["items"]:
        is_lost = adapter is not None and _has_life(thing, find)
        return [Mismatch("", "missing in the checkpoint")] if is_lost else []
    stored = tree["items"][key]
    if there == _PLAIN:
        if adapter is not None and _kind(thing) in {_DATACLASS, _OBJECT}:
            return [Mismatch("", f"{type(stored).__name__} there, {type(thing).__name__} here")]
        return _strangers(thing, stored)
    if adapter is None:
        return [Mismatch("", problem) for problem in unbuildable(stored, there)][:1]
    if _group(there) != _group(_kind(thing)):
        return [Mismatch("", f"{there} there, {type(thing).__name__} here")]
    return adapter.mismatches(thing, stored)


def _restore(here: Items, tree: Tree, find: Find) -> Items:
    """Return what the container shall hold; where it may differ as a whole, it stays fresh."""
    restored: Items = {}
    kinds = kinds_of(tree)
    for key in dict.fromkeys([*tree["items"], *here]):
        is_different = any(not each.path for each in _compare_one(key, here, tree, find))
        adapter = find(here.get(key))
        if is_different:
            if key in here:
                restored[key] = here[key]
        elif key not in tree["items"]:
            continue
        elif key in kinds and adapter is not None:
            adapter.restore(here[key], tree["items"][key])
            restored[key] = here[key]
        elif key in kinds:
            restored[key] = rebuild(tree["items"][key], kinds[key])
        else:
            restored[key] = _filled(here.get(key), tree["items"][key])
    return restored


def _other_kind(kind: str, tree: Tree) -> list[Mismatch]:
    """Return the one mismatch of a tree that is no wrapped `kind`, or nothing."""
    there = tree["kind"] if is_wrapped(tree) else type(tree).__name__
    if is_wrapped(tree) and there == kind:
        return []
    return [Mismatch("", f"{there} there, {kind} here")]


def _as_wrapped_list(tree: Tree) -> Tree:
    if not isinstance(tree, list):
        return tree
    return {"kind": "list", "items": dict(enumerate(tree)), "in_place": [], "kinds": []}


def _kind(thing: object) -> str:
    """Return the word under which an adapted thing is stored."""
    name = type(thing).__name__
    if isinstance(thing, dict):
        return name if name in REBUILD else "mapping"
    if isinstance(thing, (list, set, deque, bytearray)):
        return name
    if hasattr(thing, "shape") and hasattr(thing, "dtype"):
        return name if name in REBUILD else _OBJECT
    return _DATACLASS if dataclasses.is_dataclass(thing) else _OBJECT


def _group(kind: str) -> str:
    return _GROUPS.get(kind, kind)


def _has_life(thing: Any, find: Find) -> bool:
    """Say whether `thing` is, or holds, what must not be dropped: no mere data."""
    if find(thing) is None:
        return False
    if isinstance(thing, (dict, list)):
        inside = thing.values() if isinstance(thing, dict) else thing
        return any(_has_life(each, find) for each in inside)
    return not isinstance(thing, (set, deque, bytearray))


def _strangers(thing: Any, stored: Tree) -> list[Mismatch]:
    """Return what a plain value needs of the program, and does not find there."""
    from evertrain.run.template import differences  # it builds on the adapters, and they on this

    if next(class_names(stored), None) is None:
        return []
    here = None if thing is _MISSING else thing
    return [Mismatch("", each.problem) for each in differences(here, stored)][:1]


def _filled(thing: Any, stored: Tree) -> Any:
    """Return `stored` with the classes that `thing`, the program's value, shows."""
    from evertrain.run.template import fill  # it builds on the adapters, and they on this

    return stored if next(class_names(stored), None) is None else fill(thing, stored)


def _fields(thing: Any) -> Items:
    """Return the fields of a dataclass.

    Raises:
        StateError: It has attributes that are no fields: they would start fresh.
    """
    found = {each.name: getattr(thing, each.name) for each in dataclasses.fields(thing)}
    extra = [
        name
        for name in getattr(thing, "__dict__", {})
        if name not in found
        and not isinstance(getattr(type(thing), name, None), functools.cached_property)
    ]
    if extra:
        raise StateError(
            f"a {type(thing).__qualname__} has {', '.join(extra)}, which is no field.",
            "only the fields of a dataclass are stored; the rest would start fresh.",
            "Declare every attribute that counts as a field.",
        )
    return found
