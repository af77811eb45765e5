"""What changed between two configurations.

Layer: core. Imports nothing from evertrain.
"""

from collections.abc import Mapping
from typing import Any


def diff_config(
    old: Mapping[str, Any], new: Mapping[str, Any], at: str = ""
) -> dict[str, list[Any]]:
    """Return what changed, as `{"dotted.key": [old, new]}`; absent is None."""
    changes: dict[str, list[Any]] = {}
    for key in [*old, *(key for key in new if key not in old)]:
        was, now = old.get(key), new.get(key)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            changes |= diff_config(was, now, f"{at}{key}.")
        elif was != now:
            changes[f"{at}{key}"] = [was, now]
    return changes
