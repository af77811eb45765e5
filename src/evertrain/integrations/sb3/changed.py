"""What a training changes of that which a callback was given.

A callback does not say which of its attributes count and which configure it. So what
it held when the training began is remembered, and kept is what has changed since. Where
the program begins with another value than then, it was changed by hand, and that counts.
What is the time of the wall clock is of its attempt.

Layer: integrations. Imports its siblings, `integrations.envs`, checkpoint and core.
"""

from collections.abc import Collection
from copy import deepcopy
from typing import Any, Final

from evertrain.checkpoint.plugin import Tree
from evertrain.core.clock import SYSTEM_CLOCK
from evertrain.integrations.envs import graph
from evertrain.integrations.sb3 import own

_RECENT_S: Final = 30 * 86400.0
FIRST: Final = "evertrain_first"  # attribute: what the others were when the training began


def begin(thing: object, names: Collection[str]) -> None:
    """Remember what these attributes of `thing` are, unless that was done before."""
    if FIRST not in vars(thing):
        first = {name: deepcopy(own.take_from(thing, [name])) for name in names}
        vars(thing)[FIRST] = first


def take(thing: object, names: Collection[str]) -> Tree:
    """Return those of the attributes that have changed, less times; none before `begin`."""
    first = vars(thing).get(FIRST)
    if first is None:
        return None
    changed = [
        name
        for name in names
        if not _is_time(vars(thing)[name]) and not _is_as_first(thing, name, first.get(name))
    ]
    return {
        "first": {name: _told(first, name) for name in changed},
        "now": own.take_from(thing, changed),
    }


def put(thing: object, tree: Tree) -> list[str]:
    """Put back what the program begins with as it did then. Return what has no place, and why."""
    first = vars(thing).get(FIRST, {})
    now = dict(tree["now"])
    root = now[""]
    alike = {
        name: each
        for name, each in root["attributes"].items()
        if tree["first"][name] == _told(first, name)
    }
    return own.put_into(thing, {**now, "": {**root, "attributes": alike}})


def _is_time(value: object) -> bool:
    """Say whether a number is a recent time of the clock; nothing else comes near it by chance."""
    return type(value) is float and abs(SYSTEM_CLOCK.now_s() - value) < _RECENT_S


def _is_as_first(thing: object, name: str, first: Any) -> bool:
    if first is None:
        return False
    taken = graph.Taken(own.take_from(thing, [name]), ())
    return taken.nodes.keys() == first.keys() and not graph.differences(taken, first)


def _told(first: Any, name: str) -> str:
    """Return the value of an attribute, as text; of one with parts, that it has some."""
    return repr(first[name][""]["attributes"].get(name)) if name in first else ""
