"""How attached dicts, lists, dataclasses, sets and deques are captured, and restored in place.

Things inside that have a life of their own (models, arrays, generators) are
filled where they are; the rest is replaced. What neither can be filled nor be
rebuilt from data alone is a mismatch: nothing is dropped, nothing is invented.

Layer: run. Imports checkpoint and core.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from evertrain.checkpoint.plugin import Mismatch, Tree
from evertrain.checkpoint.tree.records import extra_attributes, forget_cached
from evertrain.core.errors import StateError
from evertrain.run.filling import Container, Find, Items, Seen, put_back
from evertrain.run.kinds import ARRAY, are_alike, group_of, kind_of, word_of
from evertrain.run.outline import type_name
from evertrain.run.rebuild import (
    DATACLASS,
    OBJECT,
    Kind,
    class_names,
    is_wrapped,
    kinds_of,
    rebuild,
    unbuildable,
    whole,
)

_MISSING: Final = object()
_PLAIN: Final = "value"


class DictAdapter(Container):
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

    def inside(self, thing: Any) -> Items:
        """See `Container.inside`."""
        return dict(thing)

    def refill(self, thing: Any, tree: Tree, seen: Seen) -> None:
        """See `Container.refill`."""
        items = _restore(thing, tree, self._find, seen)
        thing.clear()
        thing.update(items)


class DataclassAdapter(Container):
    """Instances of dataclasses, field by field."""

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`. A frozen one cannot be restored in place."""
        if not dataclasses.is_dataclass(thing) or isinstance(thing, type):
            return False
        return not type(thing).__dataclass_params__.frozen  # type: ignore[attr-defined]

    def capture(self, thing: Any) -> Tree:
        """See `Adapter.capture`."""
        return _capture(DATACLASS, _fields(thing), self._find)

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`. Its fields are the program's: all of them must be there."""
        other = _other_kind(DATACLASS, tree)
        if other:
            return other
        here, there = _fields(thing), tree["items"]
        lost = [Mismatch(str(key), "not in the program") for key in there if key not in here]
        new = [Mismatch(str(key), "missing in the checkpoint") for key in here if key not in there]
        return list(dict.fromkeys([*lost, *new, *_compare(here, tree, self._find)]))

    def inside(self, thing: Any) -> Items:
        """See `Container.inside`."""
        return _fields(thing)

    def refill(self, thing: Any, tree: Tree, seen: Seen) -> None:
        """See `Container.refill`. What cached properties hold is of the fields before it."""
        here = _fields(thing)
        for name, value in _restore(here, tree, self._find, seen).items():
            if name in here:
                setattr(thing, name, value)
        forget_cached(thing)


class SequenceAdapter(Container):
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
            return other or _compare(dict(enumerate(thing)), wrapped, self._find, is_list=True)
        if type(tree) is not type(thing):
            return _other_kind(type(thing).__name__, tree)
        if isinstance(thing, deque) and thing.maxlen is not None and len(tree) > thing.maxlen:
            return [Mismatch("", f"{len(tree)} items there, room for {thing.maxlen} here")]
        return whole(class_names(tree))

    def inside(self, thing: Any) -> Items:
        """See `Container.inside`."""
        return dict(enumerate(thing)) if isinstance(thing, list) else {}

    def refill(self, thing: Any, tree: Tree, seen: Seen) -> None:
        """See `Container.refill`."""
        if isinstance(thing, list):
            here, wrapped = dict(enumerate(thing)), _as_wrapped_list(tree)
            tree = list(_restore(here, wrapped, self._find, seen, is_list=True).values())
        self._fill[type(thing)](thing, tree)


def _capture(kind: str, items: Mapping[Any, Any], find: Find) -> Tree:
    trees, in_place, kinds = dict(items), [], []
    for key, value in items.items():
        adapter = find(value)
        if adapter is not None:
            trees[key] = adapter.capture(value)
            in_place.append(key)
            kinds.append(kind_of(value))
    return {"kind": kind, "items": trees, "in_place": in_place, "kinds": kinds}


def _compare(here: Items, tree: Tree, find: Find, *, is_list: bool = False) -> list[Mismatch]:
    """Return what does not fit; the path of a thing that differs as a whole is its key."""
    items, kinds = tree["items"], kinds_of(tree)
    found = [each for key in items for each in class_names(key, str(key))]
    for key in dict.fromkeys([*items, *here]):
        thing, stored = here.get(key, _MISSING), items.get(key, _MISSING)
        inner = _compare_one(thing, stored, kinds.get(key, _PLAIN), find, is_list=is_list)
        found += [each.within(str(key)) for each in inner]
    return found


def _compare_one(  # noqa: PLR0911  (one line for each way to differ)
    thing: Any, stored: Tree, there: Kind, find: Find, *, is_list: bool
) -> Sequence[Mismatch]:
    """Compare what stands under one key on both sides; on one of them it may be missing."""
    adapter = None if thing is _MISSING else find(thing)
    if stored is _MISSING:
        is_lost = adapter is not None and _has_life(thing, find)
        return [Mismatch("", "missing in the checkpoint")] if is_lost else []
    if there == _PLAIN:
        if adapter is not None and group_of(kind_of(thing)) in {DATACLASS, OBJECT}:
            return [Mismatch("", f"{type(stored).__name__} there, {type_name(thing)} here")]
        return whole(class_names(stored))
    if adapter is None:
        return [Mismatch("", problem) for problem in unbuildable(stored, there)][:1]
    if not are_alike(there, kind_of(thing)):
        return [Mismatch("", f"{word_of(there)} there, {type_name(thing)} here")]
    if is_list and group_of(there) == ARRAY:
        return ()  # rows of data: one that does not fit is replaced
    names = whole(class_names(stored)) if there == OBJECT else []
    return names or adapter.mismatches(thing, stored)


def _restore(here: Items, tree: Tree, find: Find, seen: Seen, *, is_list: bool = False) -> Items:
    """Return what the container shall hold; where it may differ as a whole, it stays fresh."""
    restored: Items = {}
    items, kinds = tree["items"], kinds_of(tree)
    for key in dict.fromkeys([*items, *here]):
        thing, stored = here.get(key, _MISSING), items.get(key, _MISSING)
        found = _compare_one(thing, stored, kinds.get(key, _PLAIN), find, is_list=is_list)
        if any(not each.path for each in found):
            if thing is not _MISSING:
                restored[key] = thing
        elif stored is _MISSING:
            continue
        elif key not in kinds:
            restored[key] = stored
        elif thing is _MISSING or (adapter := find(thing)) is None:
            restored[key] = rebuild(stored, kinds[key])
        else:
            restored[key] = put_back(adapter, thing, stored, kinds[key], seen)
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


def _has_life(thing: Any, find: Find) -> bool:
    """Say whether `thing` is, or holds, what must not be dropped: no mere data."""
    if find(thing) is None:
        return False
    if isinstance(thing, (dict, list)):
        inside = thing.values() if isinstance(thing, dict) else thing
        return any(_has_life(each, find) for each in inside)
    return not isinstance(thing, (set, deque, bytearray))


def _fields(thing: Any) -> Items:
    """Return the fields of a dataclass.

    Raises:
        StateError: It has attributes that are no fields: they would start fresh.
    """
    extra = extra_attributes(thing)
    if extra:
        raise StateError(
            f"a {type(thing).__qualname__} has {', '.join(extra)}, which is no field.",
            "only the fields of a dataclass are stored; the rest would start fresh.",
            "Declare every attribute that counts as a field.",
        )
    return {each.name: getattr(thing, each.name) for each in dataclasses.fields(thing)}
