"""What stands in a container, in a word: which kinds of things may fill each other.

Layer: run. Imports checkpoint only.
"""

import dataclasses
from collections import deque
from typing import Final

from evertrain.checkpoint.tree.kinds import class_name
from evertrain.run.classes import same_class
from evertrain.run.outline import Sketch
from evertrain.run.rebuild import DATACLASS, OBJECT, REBUILD, Kind

ARRAY: Final = "array"

# Kinds that may replace each other; their adapters compare the rest.
_GROUPS: Final = {
    **dict.fromkeys(("OrderedDict", "Counter", "mapping"), "dict"),
    **dict.fromkeys(("Tensor", "Parameter", "ndarray"), ARRAY),
}


def kind_of(thing: object) -> str:
    """Return the word under which an adapted thing is stored."""
    name = type(thing).__name__
    if isinstance(thing, dict):
        return name if name in REBUILD else "mapping"
    if isinstance(thing, (list, set, deque, bytearray)):
        return name
    if isinstance(thing, Sketch):
        return OBJECT
    if hasattr(thing, "shape") and hasattr(thing, "dtype"):
        return name if name in REBUILD else OBJECT
    if dataclasses.is_dataclass(thing):
        return f"{DATACLASS} {class_name(type(thing))}"
    return OBJECT


def group_of(kind: Kind) -> str:
    """Return what kinds that may replace each other have in common."""
    if isinstance(kind, type) or kind.startswith(DATACLASS):
        return DATACLASS
    return _GROUPS.get(kind, str(kind))


def are_alike(there: Kind, here: Kind) -> bool:
    """Say whether what is stored as one kind may fill another."""
    if group_of(there) != group_of(here):
        return False
    return group_of(there) != DATACLASS or same_class(word_of(there), word_of(here))


def word_of(kind: Kind) -> str:
    """Return what a message calls a kind; a dataclass by its name."""
    return class_name(kind) if isinstance(kind, type) else kind.removeprefix(f"{DATACLASS} ")
