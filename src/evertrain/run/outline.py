"""What the program showed before the loop, kept to judge each save by.

A resumed program starts with such values again; a save that could not be put
back into them must be refused now, not at the resume days later. An outline
has the containers and classes of the real thing, without its bulk.

Layer: run. Imports checkpoint only.
"""

import copy
import dataclasses
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from evertrain.checkpoint.plugin import Adapter, Mismatch, Tree
from evertrain.checkpoint.tree.records import build, field_values
from evertrain.run.rebuild import PLAIN

_DICTS: Final = (OrderedDict, Counter, defaultdict)
Find = Callable[[object], Adapter | None]


class Sketch:
    """Stands for an object whose adapter remembered its structure.

    Attributes:
        mismatches: Says what of a tree does not fit the object as it was.
        called: Name of its class, for messages.
    """

    def __init__(self, mismatches: Callable[[Tree], Sequence[Mismatch]], called: str) -> None:
        """Keep both."""
        self.mismatches = mismatches
        self.called = called


def type_name(thing: object) -> str:
    """Return the name of a thing's class, also of one that is only sketched."""
    return thing.called if isinstance(thing, Sketch) else type(thing).__name__


def outline(thing: Any, find: Find) -> Any:  # noqa: PLR0911  (one line for each kind of value)
    """Return a stand-in for `thing` that later changes of it do not touch.

    Containers are copied, arrays become empty shells of their shape and dtype, models
    and optimizers become sketches; whatever else there is stands for itself.

    Args:
        thing: What the program set or attached.
        find: Returns the adapter of an object, or None.
    """
    if type(thing) in PLAIN:
        return thing
    if isinstance(thing, dict):
        shell = copy.copy(thing) if type(thing) in _DICTS else {}
        shell.update({key: outline(value, find) for key, value in thing.items()})
        return shell
    if type(thing) in {list, tuple}:
        return type(thing)(outline(each, find) for each in thing)
    if type(thing) is deque:
        return deque((outline(each, find) for each in thing), thing.maxlen)
    if type(thing) in {set, bytearray}:
        return copy.copy(thing)
    if isinstance(thing, tuple) and hasattr(thing, "_fields"):
        return tuple.__new__(type(thing), (outline(each, find) for each in thing))
    adapter = find(thing)
    remember = getattr(adapter, "remember", None)
    if remember is not None:
        return Sketch(remember(thing), type(thing).__name__)
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        fields = field_values(thing)
        return build(type(thing), {name: outline(each, find) for name, each in fields.items()})
    return _array(thing)


def _array(thing: Any) -> Any:
    """Return an array without its memory; a program may replace the one it began with."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and type(thing) is numpy.ndarray:
        return numpy.broadcast_to(numpy.empty((), thing.dtype), thing.shape)
    if hasattr(thing, "new_empty"):  # torch's tensors
        return thing.new_empty(thing.shape, device="meta")
    return thing
