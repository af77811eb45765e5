"""What type the members of a JSON object must have, said in one table.

Files may hold anything: they are believed only after a look.

Layer: core. Imports nothing from evertrain.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

Kind = Callable[[object], bool]

MAX_COUNT: Final = 2**62
MAX_NAME: Final = 255
_MAX_ATTEMPT: Final = 2**53


def is_text(value: object) -> bool:
    """Say whether it is a string."""
    return isinstance(value, str)


def is_name(value: object) -> bool:
    """Say whether it is a string that can stand in a line of a message."""
    return isinstance(value, str) and len(value) <= MAX_NAME and value.isprintable()


def is_count(value: object) -> bool:
    """Say whether it is a whole number, 0 or more, that any system can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_COUNT


def is_attempt(value: object) -> bool:
    """Say whether it is the number of an attempt that others may still follow."""
    return isinstance(value, int) and is_count(value) and value < _MAX_ATTEMPT


def is_object(value: object) -> bool:
    """Say whether it is a JSON object."""
    return isinstance(value, dict)


def is_words(value: object) -> bool:
    """Say whether it is a list of strings."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def or_none(kind: Kind) -> Kind:
    """Return the kind that is `kind` or null."""
    return lambda value: value is None or kind(value)


def misfit(found: Mapping[str, Any], kinds: Mapping[str, Kind]) -> str | None:
    """Return the first member of `found` that is not of its kind, or None. A missing one fits."""
    return next(
        (name for name, fits in kinds.items() if name in found and not fits(found[name])), None
    )
