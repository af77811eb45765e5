"""Which classes the program shows before the loop, and stored values turned into them.

A file only names a class. What any value shows, attached or in `run.state`, is
known in all of them; what a class is called decides, so that a value never comes
back as another class that happens to have the same fields.

Layer: run. Imports checkpoint only.
"""

import dataclasses
import enum
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from typing import Any, Final

from evertrain.checkpoint.plugin import Rows, Tree
from evertrain.checkpoint.tree import EnumName, Record
from evertrain.checkpoint.tree.kinds import class_name
from evertrain.checkpoint.tree.records import build, field_names, field_values, member
from evertrain.checkpoint.tree.registry import by_type as registered_type
from evertrain.run.rebuild import DATACLASS, OBJECT, PLAIN, is_plain, is_wrapped, kinds_of

_MAPPINGS: Final = frozenset({dict, OrderedDict, Counter, defaultdict})
_MEMBERS: Final = frozenset({list, tuple, deque, set, frozenset})
_MAIN: Final = "__main__"


class Classes:
    """The named tuples, dataclasses and enumerations that some values show, by name.

    Args:
        *values: What to look through, also deep inside.
    """

    def __init__(self, *values: Any) -> None:
        """Look through `values`."""
        self._found: dict[str, type] = {}
        seen: set[int] = set()
        for value in values:
            self._collect(value, seen)

    def find(self, name: str) -> Any:
        """Return the class that a file calls `name`, or None."""
        if name in self._found:
            return self._found[name]
        alike = [cls for other, cls in self._found.items() if same_class(name, other)]
        return alike[0] if len(alike) == 1 else None

    def _collect(self, value: Any, seen: set[int]) -> None:
        if type(value) in PLAIN or id(value) in seen:
            return
        seen.add(id(value))
        if has_class(value):
            self._found[class_name(type(value))] = type(value)
        for inner in _inside(value):
            self._collect(inner, seen)


NONE: Final = Classes()


def same_class(one: str, other: str) -> bool:
    """Say whether two names mean one class: a file run as a script is called `__main__`."""
    (a, short_a), (b, short_b) = (each.partition(":")[::2] for each in (one, other))
    return short_a == short_b and (a == b or _MAIN in {a, b})


def familiar(tree: Tree, known: Classes) -> Tree:
    """Return `tree` as a program that knows these classes gets it back.

    Takes stored and live values: what it knows becomes, or stays, an instance of
    its class; the rest becomes, or stays, a `Record` or an `EnumName`.
    """
    return _familiar(tree, known) if _holds_classes(tree) else tree


def has_class(value: Any) -> bool:
    """Say whether a file would only name the class of `value`, and nobody taught it more."""
    return _is_classy(value) and registered_type(type(value)) is None


def has_fields(value: Any) -> bool:
    """Say whether `value` is a named tuple or a dataclass, and nobody taught it more."""
    return has_class(value) and not isinstance(value, enum.Enum)


def _is_classy(value: Any) -> bool:
    if isinstance(value, enum.Enum):
        return True
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return True
    if isinstance(value, (Record, EnumName, Rows, type)):
        return False
    return dataclasses.is_dataclass(value)


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.keys()
        yield from value.values()
    elif type(value) in _MEMBERS:
        yield from () if is_plain(value) else value
    elif isinstance(value, Record):
        yield from value.fields.values()
    elif _is_classy(value) and not isinstance(value, enum.Enum):
        yield from field_values(value).values()


def _holds_classes(tree: Tree) -> bool:
    if type(tree) in PLAIN or registered_type(type(tree)) is not None:
        return False
    if has_class(tree) or isinstance(tree, (Record, EnumName)):
        return True
    if is_wrapped(tree) and any(kind.startswith(DATACLASS) for kind in tree["kinds"]):
        return True
    return any(map(_holds_classes, _inside(tree)))


def _familiar(tree: Tree, known: Classes) -> Tree:  # noqa: PLR0911  (one line for each kind)
    if type(tree) in PLAIN or registered_type(type(tree)) is not None:
        return tree
    if isinstance(tree, enum.Enum):
        name = class_name(type(tree))
        return tree if known.find(name) else EnumName(name, str(tree.name))
    if isinstance(tree, EnumName):
        cls = known.find(tree.class_name)
        found = member(cls, tree.name) if cls and issubclass(cls, enum.Enum) else None
        return tree if found is None else found
    if isinstance(tree, Record):
        return _from_record(tree, known)
    if has_class(tree):
        return _from_live(tree, known)
    if is_wrapped(tree):
        return _from_wrapped(tree, known)
    if type(tree) in _MAPPINGS:
        items = {_familiar(key, known): _familiar(x, known) for key, x in tree.items()}
        return items if type(tree) is dict else refilled(tree, items)
    if type(tree) in _MEMBERS and not is_plain(tree):
        members = [_familiar(each, known) for each in tree]
        return deque(members, tree.maxlen) if isinstance(tree, deque) else type(tree)(members)
    return tree


def _from_record(record: Record, known: Classes) -> Any:
    cls, fields = known.find(record.class_name), _each(record.fields, known)
    is_alike = cls is not None and issubclass(cls, tuple) == record.is_tuple
    if is_alike and not issubclass(cls, enum.Enum) and set(field_names(cls)) == fields.keys():
        return build(cls, fields)
    return Record(record.class_name, fields, record.is_tuple)


def _from_live(value: Any, known: Classes) -> Any:
    before, name = field_values(value), class_name(type(value))
    fields = _each(before, known)
    if known.find(name) is None:
        return Record(name, fields, isinstance(value, tuple))
    is_same = all(fields[each] is before[each] for each in before)
    return value if is_same else build(type(value), fields)


def _from_wrapped(tree: Tree, known: Classes) -> Tree:
    """Return a container; what an object inside keeps for itself matches no classes."""
    kinds, items = kinds_of(tree), {}
    for key, value in tree["items"].items():
        items[_familiar(key, known)] = _familiar(value, NONE if kinds.get(key) == OBJECT else known)
    return {
        **tree,
        "items": items,
        "in_place": [_familiar(key, known) for key in tree["in_place"]],
        "kinds": [_kind(kind, known) for kind in tree["kinds"]],
    }


def _kind(kind: str, known: Classes) -> Any:
    """Return the class that a kind of dataclass names, if it is known."""
    found = known.find(kind.removeprefix(DATACLASS).strip()) if kind.startswith(DATACLASS) else None
    return found or kind


def _each(fields: dict[str, Any], known: Classes) -> dict[str, Any]:
    return {name: _familiar(value, known) for name, value in fields.items()}


def refilled(mapping: Any, items: dict[Any, Any]) -> Any:
    """Return an OrderedDict, a Counter or a defaultdict like `mapping` with other items."""
    result = mapping.copy()
    result.clear()
    result.update(items)
    return result
