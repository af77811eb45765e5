"""What kind of thing an attribute holds: data, an object to look into, code, or something closed.

An object of plain Python is its attributes. One that a library keeps in C is not:
what Python shows of it may be nothing. The rule is that of `pickle`, which refuses
an object that is larger than its attributes; whoever overrides pickling changes nothing here.

Layer: integrations. Imports no sibling.
"""

import copyreg
import functools
import pathlib
import re
import types
import weakref
from collections import Counter, OrderedDict, defaultdict
from typing import Any, Final

import numpy as np

DICTS: Final = (dict, OrderedDict, defaultdict, Counter)
FUNCTIONS: Final = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    np.ufunc,
    type,
)
_FIXED: Final = (
    functools.partial,
    pathlib.PurePath,
    re.Pattern,
    types.ModuleType,
    weakref.ReferenceType,
    np.dtype,
    slice,
)
# What only shows, records or describes; an episode does not depend on it.
_BYSTANDERS: Final = frozenset(
    {"pygame", "pyglet", "matplotlib", "PIL", "OpenGL", "tkinter", "moviepy", "logging", "_thread"}
)
_DESCRIPTIONS: Final = frozenset({"gymnasium.envs.registration"})
# What lives beside the attributes that it has: in another process, thread or machine.
_ALIVE: Final = frozenset(
    {"asyncio", "concurrent", "multiprocessing", "selectors", "socket", "subprocess", "threading"}
)
_HEAP_TYPE: Final = 1 << 9
_MANAGED_DICT: Final = 1 << 4
_POINTER_BYTES: Final = np.dtype(np.intp).itemsize


def class_name(value: object) -> str:
    """Return the full name of an object's class."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def bare_name(value: object) -> str:
    """Return the name of a class or a function within its module, wherever that is now.

    A script's classes are those of `__main__`, and of another module where it is imported.
    """
    name: str = getattr(value, "__qualname__", getattr(value, "__name__", ""))
    return name


def is_method(value: object) -> bool:
    """Say whether a value is a method, bound to an object whose class has it by that name."""
    if not isinstance(value, types.MethodType):
        return False
    return method_of(value.__self__, value.__name__) == value


def method_of(owner: object, name: str) -> types.MethodType | None:
    """Return the method of that name of an object's class; None if there is none."""
    found = getattr(type(owner), name, None)
    return types.MethodType(found, owner) if isinstance(found, types.FunctionType) else None


def told(value: object) -> str:
    """Return what a value is, for people."""
    return bare_name(value) if isinstance(value, FUNCTIONS) else f"a {class_name(value)}"


def is_bystander(value: object) -> bool:
    """Say whether a value is no part of what happens in an episode."""
    module = type(value).__module__
    return (
        isinstance(value, _FIXED)
        or module in _DESCRIPTIONS
        or module.partition(".")[0] in _BYSTANDERS
    )


def is_closed(value: object) -> bool:
    """Say whether an object holds more than its attributes show."""
    kind = type(value)
    if kind.__module__.partition(".")[0] in _ALIVE:
        return True
    if not any(hasattr(value, each) for each in ("__dict__", "__slots__")):
        return True
    if any(not each.__flags__ & _HEAP_TYPE for each in kind.__mro__ if each is not object):
        return True
    return kind.__basicsize__ > _shown_bytes(kind)


def slots(value: object) -> list[str]:
    """Return the names of the slots of an object's class and of its bases."""
    return list(_slot_names(type(value)))


def _shown_bytes(kind: type[Any]) -> int:
    """Return how large an object is that has nothing but its attributes."""
    size = object.__basicsize__ + _POINTER_BYTES * len(_slot_names(kind))
    if kind.__dictoffset__ and not kind.__flags__ & _MANAGED_DICT:
        size += _POINTER_BYTES
    if kind.__weakrefoffset__ > 0:
        size += _POINTER_BYTES
    return size


def _slot_names(kind: type[Any]) -> list[str]:
    names: list[str] = getattr(copyreg, "_slotnames")(kind)  # noqa: B009  (pickle's own rule)
    return names
