"""`run.state`: the namespace of what the loop rebinds.

Layer: run. Imports core only.
"""

from collections.abc import Iterator
from typing import Any

from evertrain.core.errors import StateError


class State:
    """A namespace for whatever the loop rebinds: numbers, observations, pytrees.

    Set a name before the loop and use it freely: `run.state.epsilon *= 0.99`.
    """

    def __init__(self) -> None:
        """Start empty."""
        object.__setattr__(self, "_values", {})

    def __setattr__(self, name: str, value: Any) -> None:
        """Bind `name`."""
        if name.startswith("_"):
            raise StateError(
                f"run.state.{name} starts with an underscore.",
                "such names are not saved.",
                f"Call it run.state.{name.lstrip('_')}",
            )
        self._values[name] = value

    def __getattr__(self, name: str) -> Any:
        """Return what `name` is bound to."""
        try:
            return object.__getattribute__(self, "_values")[name]
        except KeyError:
            raise AttributeError(f"run.state has no {name!r}; set it before the loop") from None

    def __delattr__(self, name: str) -> None:
        """Unbind `name`."""
        try:
            del self._values[name]
        except KeyError:
            raise AttributeError(f"run.state has no {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order in which they were set."""
        return iter(self._values)

    def __contains__(self, name: object) -> bool:
        """Say whether `name` is bound."""
        return name in self._values

    def __repr__(self) -> str:
        """Return the names."""
        return f"State({', '.join(self._values)})"


def values_of(state: State) -> dict[str, Any]:
    """Return the live dict behind `state`."""
    found: dict[str, Any] = object.__getattribute__(state, "_values")
    return found
