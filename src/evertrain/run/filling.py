"""Filling what containers hold in place: what can be, and what is met a second time.

Layer: run. Imports checkpoint only.
"""

from collections.abc import Callable, Sequence
from typing import Any

from evertrain.checkpoint.plugin import Adapter, Mismatch, Tree
from evertrain.run.kinds import ARRAY, group_of
from evertrain.run.rebuild import Kind, rebuild, unbuildable

Find = Callable[[object], Adapter | None]
Items = dict[Any, Any]
Seen = set[int]  # ids of what this restore has filled: a second name of it gets a copy of its own


class Container:
    """What the adapters of containers share.

    Args:
        find: Returns the adapter for something inside, or None for what is replaced.
    """

    is_data = True

    def __init__(self, find: Find) -> None:
        """Keep `find`."""
        self._find = find

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`."""
        self.refill(thing, tree, set())

    def refill(self, thing: Any, tree: Tree, seen: Seen) -> None:
        """Restore `thing`; what is in `seen` was filled under another name."""
        raise NotImplementedError

    def inside(self, thing: Any) -> Items:
        """Return what `thing` holds that may be filled in place, by key."""
        del thing
        return {}

    def unfillable(self, thing: Any) -> Sequence[Mismatch]:
        """See `Adapter`: what is inside counts."""
        return [
            Mismatch(f"{key}.{each.path}".rstrip("."), each.problem)
            for key, value in self.inside(thing).items()
            for each in unfillable(self._find(value), value)
        ]


def unfillable(adapter: Adapter | None, thing: Any) -> Sequence[Mismatch]:
    """Return what of `thing` cannot be written to in place."""
    ask = getattr(adapter, "unfillable", None)
    return ask(thing) if ask is not None else ()


def put_back(adapter: Adapter, thing: Any, tree: Tree, kind: Kind, seen: Seen) -> Any:
    """Return `thing` filled with `tree`, or a new one if it has been filled or does not fit."""
    is_second = id(thing) in seen
    seen.add(id(thing))
    if group_of(kind) == ARRAY and (is_second or adapter.mismatches(thing, tree)):
        renew: Callable[[Any, Tree], Any] = getattr(adapter, "renewed", lambda _, found: found)
        return renew(thing, tree)
    if isinstance(adapter, Container):
        if is_second and next(unbuildable(tree, kind), None) is None:
            return rebuild(tree, kind)
        adapter.refill(thing, tree, seen)
    else:
        adapter.restore(thing, tree)
    return thing
