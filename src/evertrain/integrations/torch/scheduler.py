"""Learning-rate schedulers: all their numbers, none of their functions.

A scheduler's `state_dict` may hold functions, counters of a special class and
other schedulers. The functions stay the program's; the rest is stored as plain
data and comes back in the class that the program's scheduler uses.

Layer: integrations. Imports checkpoint only.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from torch.optim.lr_scheduler import LRScheduler

from evertrain.checkpoint.plugin import Mismatch, Tree


class SchedulerAdapter:
    """Any `LRScheduler`, also those made of others."""

    weights = ()

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        return isinstance(thing, LRScheduler)

    def capture(self, thing: LRScheduler) -> Tree:
        """See `Adapter.capture`."""
        return {"class": type(thing).__name__, "state": _plain(thing.state_dict())}

    def mismatches(self, thing: LRScheduler, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        return self.remember(thing)(tree)

    def remember(self, thing: LRScheduler) -> Callable[[Tree], Sequence[Mismatch]]:
        """See `Adapter`: its class, and how many it is made of."""
        name, count = type(thing).__name__, len(thing.state_dict().get("_schedulers", []))
        return lambda tree: _compare(name, count, tree)

    def restore(self, thing: LRScheduler, tree: Tree) -> None:
        """See `Adapter.restore`."""
        thing.load_state_dict(_like(thing.state_dict(), tree["state"]))


def _compare(mine: str, count: int, tree: Tree) -> Sequence[Mismatch]:
    there = tree.get("class") if isinstance(tree, dict) else type(tree).__name__
    if there != mine:
        return (Mismatch("class", f"{there} there, {mine} here"),)
    inner = tree["state"].get("_schedulers", [])
    if count != len(inner):
        return (Mismatch("_schedulers", f"{len(inner)} there, {count} here"),)
    return ()


def _plain(value: Any) -> Tree:
    """Return `value` as plain data; functions become None."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if not callable(each)}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(each) for each in value)
    return None if callable(value) else value


def _like(mine: Any, stored: Tree) -> Any:
    """Return `stored` in the classes of `mine`; what was not stored stays as it is."""
    if isinstance(mine, dict) and isinstance(stored, dict):
        filled = {key: _like(mine.get(key), value) for key, value in stored.items()}
        kept = {key: value for key, value in mine.items() if callable(value)}
        return Counter(filled) if isinstance(mine, Counter) else {**kept, **filled}
    if type(mine) is list and type(stored) is list and len(mine) == len(stored):
        return [_like(a, b) for a, b in zip(mine, stored, strict=True)]
    return stored
