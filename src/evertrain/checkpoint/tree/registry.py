"""Types that the program itself knows how to store.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.tree.kinds import class_name
from evertrain.checkpoint.tree.records import record_functions
from evertrain.core.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Registered:
    """How to store one type.

    Attributes:
        cls: The type; its subclasses are other types.
        name: Its name in checkpoints.
        to_tree: Takes a value apart.
        from_tree: Puts one together.
    """

    cls: type
    name: str
    to_tree: Callable[[Any], Tree]
    from_tree: Callable[[Tree], Any]


_BY_TYPE: Final[dict[type, Registered]] = {}
_BY_NAME: Final[dict[str, Registered]] = {}


def register(
    cls: type[T],
    name: str | None = None,
    to_tree: Callable[[T], Tree] | None = None,
    from_tree: Callable[[Tree], T] | None = None,
) -> None:
    """Teach evertrain to store values of the type `cls`, in this process.

    Call it before the first save and before a load; the file only holds the
    name, so the code that runs on loading is always the program's own.

    A named tuple, a dataclass or an enumeration needs nothing else: its fields
    (or its member's name) are stored, and put back without running `__init__`.

    Args:
        cls: The type itself; a subclass needs its own registration.
        name: Its name in checkpoints; None is "module:Class". Keep it when the class moves.
        to_tree: Takes a value apart into a tree of storable things. It must
            not change the value, nor draw random numbers.
        from_tree: Puts an equal value together.

    Raises:
        UsageError: The name is taken by another type, or is empty, or `cls`
            needs both functions.
    """
    name = class_name(cls) if name is None else name
    taken = _BY_NAME.get(name)
    if not name or (taken is not None and not _same(taken.cls, cls)):
        raise UsageError(
            f"{cls.__qualname__} cannot be registered as {name!r}.",
            f"that name belongs to {taken.cls.__qualname__}." if taken else "a name is needed.",
            "Choose another name: register(cls, 'package.Type', to_tree, from_tree)",
        )
    if to_tree is None and from_tree is None:
        to_tree, from_tree = record_functions(cls)
    if to_tree is None or from_tree is None:
        raise UsageError(
            f"register({cls.__qualname__}) lacks a function.",
            "one takes a value apart, the other puts it together; a half is no use.",
            "Give both: register(cls, name, to_tree, from_tree)",
        )
    entry = Registered(cls, name, to_tree, from_tree)
    _BY_TYPE[cls] = entry
    _BY_NAME[name] = entry


def by_type(cls: type) -> Registered | None:
    """Return how values of exactly this type are stored, or None."""
    return _BY_TYPE.get(cls)


def by_name(name: str) -> Registered | None:
    """Return the type that goes by `name`, or None."""
    return _BY_NAME.get(name)


def _same(one: type, other: type) -> bool:
    """Say whether two classes are the same one, perhaps defined again (a notebook cell)."""
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)
