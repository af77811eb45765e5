"""What the program showed before the loop, kept to judge each save by.

A resumed program starts with such values again; a save that could not be put
back into them must be refused now, not at the resume days later. An outline
has the containers and classes of the real thing, without its bulk.

Layer: run. Imports nothing from evertrain.
"""

import copy
import dataclasses
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any, Final

_DICTS: Final = (dict, OrderedDict, Counter, defaultdict)
_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes})


def outline(thing: Any) -> Any:  # noqa: PLR0911  (one line for each kind of value)
    """Return a stand-in for `thing` that later changes of it do not touch.

    Containers are copied, arrays become empty shells of their shape and dtype;
    whatever else there is (models, generators) stands for itself.
    """
    if type(thing) in _PLAIN:
        return thing
    if type(thing) in _DICTS:
        shell = copy.copy(thing)
        shell.update({key: outline(value) for key, value in thing.items()})
        return shell
    if type(thing) in {list, tuple}:
        return type(thing)(map(outline, thing))
    if type(thing) is deque:
        return deque(map(outline, thing), thing.maxlen)
    if type(thing) in {set, bytearray}:
        return copy.copy(thing)
    if isinstance(thing, tuple) and hasattr(thing, "_fields"):
        return type(thing)(*map(outline, thing))
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return _record(thing)
    return _array(thing)


def _record(thing: Any) -> Any:
    shell = object.__new__(type(thing))
    for each in dataclasses.fields(thing):
        if hasattr(thing, each.name):
            object.__setattr__(shell, each.name, outline(getattr(thing, each.name)))
    return shell


def _array(thing: Any) -> Any:
    """Return an array without its memory; a program may replace the one it began with."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and type(thing) is numpy.ndarray:
        return numpy.broadcast_to(numpy.empty((), thing.dtype), thing.shape)
    if hasattr(thing, "new_empty"):  # torch's tensors
        return thing.new_empty(thing.shape, device="meta")
    return thing
