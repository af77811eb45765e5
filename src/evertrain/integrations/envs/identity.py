"""What is known of things, each for itself: equal ones are two, and they need no hash.

An environment may be a dataclass, which is compared by its values and cannot be hashed.

Layer: integrations. Imports no sibling.
"""

from functools import partial
from typing import Generic, TypeVar
from weakref import ref

T = TypeVar("T")


class ByIdentity(Generic[T]):
    """A value for each of some things, as long as these live."""

    def __init__(self) -> None:
        """Know of none yet."""
        self._known: dict[int, tuple[ref[object], T]] = {}

    def __contains__(self, thing: object) -> bool:
        """Say whether there is a value for this very thing."""
        return id(thing) in self._known

    def __getitem__(self, thing: object) -> T:
        """Return its value.

        Raises:
            KeyError: There is none.
        """
        return self._known[id(thing)][1]

    def __setitem__(self, thing: object, value: T) -> None:
        """Set its value; it is forgotten with the thing, before another one gets its place."""
        forget = partial(self._forget, id(thing))
        self._known[id(thing)] = (ref(thing, forget), value)

    def get(self, thing: object) -> T | None:
        """Return its value, or None."""
        known = self._known.get(id(thing))
        return None if known is None else known[1]

    def _forget(self, number: int, _: ref[object]) -> None:
        self._known.pop(number, None)
