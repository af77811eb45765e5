"""How a registered named tuple, dataclass or enumeration is taken apart without being asked.

Layer: checkpoint. Imports core only.
"""

import dataclasses
import enum
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
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _named_tuple(cls)
    if dataclasses.is_dataclass(cls):
        return _dataclass(cls)
    raise UsageError(
        f"register({cls.__qualname__}) does not say how to take a value apart.",
        "only named tuples, dataclasses and enumerations show it themselves.",
        "Give both functions: register(cls, name, to_tree, from_tree)",
    )


def extra_attributes(value: Any) -> list[str]:
    """Return the attributes of a dataclass's instance that are no fields."""
    names = {each.name for each in dataclasses.fields(value)}
    return sorted(getattr(value, "__dict__", {}).keys() - names)


def _enum(cls: type[enum.Enum]) -> Functions:
    def to_tree(value: enum.Enum) -> Tree:
        if not isinstance(value.name, str):
            raise Unstorable("it has no name.", "Use named members of the enumeration.")
        return value.name

    def from_tree(tree: Tree) -> enum.Enum:
        try:
            return cls[tree]
        except KeyError:
            raise _changed(cls, [str(tree)], list(cls.__members__)) from None

    return to_tree, from_tree


def _named_tuple(cls: Any) -> Functions:
    def from_tree(tree: Tree) -> Any:
        _check_fields(cls, tree, cls._fields)
        return cls._make(tree[name] for name in cls._fields)

    return lambda value: value._asdict(), from_tree


def _dataclass(cls: type) -> Functions:
    names = [each.name for each in dataclasses.fields(cls)]

    def to_tree(value: Any) -> Tree:
        extra = extra_attributes(value)
        if extra:
            raise Unstorable(
                f"{', '.join(extra)} is set on it but is no field.",
                "Declare every attribute that counts as a field, or give both functions.",
            )
        return {name: getattr(value, name) for name in names}

    def from_tree(tree: Tree) -> Any:
        _check_fields(cls, tree, names)
        value: Any = object.__new__(cls)  # __init__ and __post_init__ made this value once already
        for name in names:
            object.__setattr__(value, name, tree[name])
        return value

    return to_tree, from_tree


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
