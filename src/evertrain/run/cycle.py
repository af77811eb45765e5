"""State that contains itself has no end: it is refused by path, not by a full stack.

Layer: run. Imports checkpoint and core.
"""

import dataclasses
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from evertrain.checkpoint.tree import MAX_DEPTH
from evertrain.checkpoint.tree.kinds import Part, path_text
from evertrain.checkpoint.tree.records import field_values
from evertrain.core.errors import StateError

_SEQUENCES: Final = (list, tuple, deque)


@contextmanager
def refusing_cycles(name: str, thing: Any) -> Iterator[None]:
    """Turn a `RecursionError` over `thing` into one that has the path of the cycle.

    Raises:
        StateError: `thing` contains itself, or is nested far too deeply.
    """
    try:
        yield
    except RecursionError:
        path = _cycle(thing, (), ())
        problem = "it contains itself" if path else f"it is nested more than {MAX_DEPTH} levels"
        raise StateError(
            f"{path_text(name, path or ())} cannot be stored.",
            f"{problem}.",
            "Store the parts, without the cycle." if path else "Store a flatter structure.",
        ) from None


def _cycle(thing: Any, path: tuple[Part, ...], open_: tuple[int, ...]) -> tuple[Part, ...] | None:
    """Return the path at which a thing that is open begins again, or None."""
    if id(thing) in open_:
        return path
    if len(open_) > MAX_DEPTH:
        return None
    for key, inner in _members(thing):
        part = key if isinstance(key, (str, int)) else str(key)
        found = _cycle(inner, (*path, part), (*open_, id(thing)))
        if found:
            return found
    return None


def _members(thing: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(thing, dict):
        yield from thing.items()
    elif isinstance(thing, _SEQUENCES):
        yield from enumerate(thing)
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        yield from field_values(thing).items()
