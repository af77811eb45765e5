"""How a named tuple, dataclass or enumeration is taken apart, and put together without its code.

Layer: checkpoint. Imports core only.
"""

import dataclasses
import enum
import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.tree.kinds import Unstorable, class_name
from evertrain.core.errors import StateError, UsageError

Functions = tuple[Callable[[Any], Tree], Callable[[Tree], Any]]


def record_functions(cls: type) -> Functions:
    """Return `to_tree` and `from_tree` for a class whose fields are its state.

    Raises:
        UsageError: It is no named tuple, dataclass or enumeration.
    """
    if issubclass(cls, enum.Enum):
        return _enum(cls)
    if dataclasses.is_dataclass(cls) or (issubclass(cls, tuple) and hasattr(cls, "_fields")):
        return _fields(cls)
    raise UsageError(
        f"register({cls.__qualname__}) does not say how to take a value apart.",
        "only named tuples, dataclasses and enumerations show it themselves.",
        "Give both functions: register(cls, name, to_tree, from_tree)",
    )


def field_names(cls: Any) -> list[str]:
    """Return the fields of a named tuple, a dataclass, or the class of one."""
    if dataclasses.is_dataclass(cls):
        return [each.name for each in dataclasses.fields(cls)]
    return list(cls._fields)


def field_values(value: Any) -> dict[str, Any]:
    """Return the fields of a named tuple or a dataclass that have a value."""
    names = field_names(value)
    if isinstance(value, tuple):  # its attributes may be overridden
        return dict(zip(names, value, strict=True))
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def extra_attributes(value: Any) -> list[str]:
    """Return the attributes of a named tuple or dataclass that are no fields, yet state.

    A cached property is computed again, and `Class[int]` leaves a note on its instances.
    """
    extra = getattr(value, "__dict__", {}).keys() - {*field_names(value), "__orig_class__"}
    return sorted(name for name in extra if not _is_cached(type(value), name))


def forget_cached(value: Any) -> None:
    """Drop what cached properties computed from the fields that `value` had."""
    found = getattr(value, "__dict__", {})
    for name in [each for each in found if _is_cached(type(value), each)]:
        del found[name]


def build(cls: Any, fields: Mapping[str, Any]) -> Any:
    """Return a value of `cls` with these fields; `__init__` made this value once already."""
    if issubclass(cls, tuple):
        return tuple.__new__(cls, (fields[name] for name in field_names(cls)))
    value: Any = object.__new__(cls)
    for name in fields:
        object.__setattr__(value, name, fields[name])
    return value


def member_name(value: enum.Enum) -> str:
    """Return the name of a member; "A|B" for flags that are combined, "" for none of them.

    Raises:
        Unstorable: It has none that leads back to it.
    """
    name: object = value.name  # None for flags that are not named, or none of them
    if name is None and not value.value:
        name = ""
    if isinstance(name, str) and member(type(value), name) == value:
        return name
    raise Unstorable("it has no name.", "Use named members of the enumeration.")


def member(cls: type[enum.Enum], name: str) -> enum.Enum | None:
    """Return the member that `member_name` calls `name`, or None."""
    if name in cls.__members__:
        return cls[name]
    parts = name.split("|") if name else []
    if not issubclass(cls, enum.Flag) or any(part not in cls.__members__ for part in parts):
        return None
    return functools.reduce(operator.or_, (cls[part] for part in parts), cls(0))


def _enum(cls: type[enum.Enum]) -> Functions:
    def from_tree(tree: Tree) -> enum.Enum:
        found = member(cls, tree)
        if found is None:
            raise _changed(cls, [str(tree)], list(cls.__members__))
        return found

    return member_name, from_tree


def _fields(cls: type) -> Functions:
    names = field_names(cls)

    def to_tree(value: Any) -> Tree:
        extra = extra_attributes(value)
        if extra:
            raise Unstorable(
                f"{', '.join(extra)} is set on it but is no field.",
                "Declare every attribute that counts as a field, or give both functions.",
            )
        found = field_values(value)
        missing = [name for name in names if name not in found]
        if missing:
            raise Unstorable(
                f"{', '.join(missing)} is a field without a value.",
                "Set every field, or give both functions.",
            )
        return found

    def from_tree(tree: Tree) -> Any:
        _check_fields(cls, tree, names)
        return build(cls, tree)

    return to_tree, from_tree


def _is_cached(cls: type, name: str) -> bool:
    return isinstance(getattr(cls, name, None), functools.cached_property)


def _check_fields(cls: type, tree: Mapping[str, Tree], names: Any) -> None:
    if isinstance(tree, dict) and tree.keys() == set(names):
        return
    raise _changed(cls, list(tree), list(names))


def _changed(cls: type, there: list[str], here: list[str]) -> StateError:
    return StateError(
        f"the checkpoint has a {class_name(cls)} of {', '.join(there)}.",
        f"the program's has {', '.join(here)}.",
        "Restore the class as it was, or register it with functions that know both.",
    )
