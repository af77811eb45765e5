"""Checkpoints: saved whole, verified, and kept by rule.

The names below are imported when they are first used: a listing needs none of
what a save needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from evertrain.checkpoint.about import About
    from evertrain.checkpoint.info import CheckpointInfo
    from evertrain.checkpoint.keep import (
        Keep,
        Verdict,
        keep_all,
        keep_any,
        keep_best,
        keep_daily,
        keep_every,
        keep_hourly,
        keep_last,
        keep_stages,
        keep_within,
    )
    from evertrain.checkpoint.read import Loaded
    from evertrain.checkpoint.store import Store
    from evertrain.checkpoint.tree import register
    from evertrain.checkpoint.verify import Fault
    from evertrain.checkpoint.when import Moment, When, auto, every, when_any

_HOMES: Final = {
    "About": "about",
    "CheckpointInfo": "info",
    "Fault": "verify",
    "Keep": "keep",
    "Loaded": "read",
    "Moment": "when",
    "Store": "store",
    "Verdict": "keep",
    "When": "when",
    "auto": "when",
    "every": "when",
    "keep_all": "keep",
    "keep_any": "keep",
    "keep_best": "keep",
    "keep_daily": "keep",
    "keep_every": "keep",
    "keep_hourly": "keep",
    "keep_last": "keep",
    "keep_stages": "keep",
    "keep_within": "keep",
    "register": "tree",
    "when_any": "when",
}

__all__ = [
    "About",
    "CheckpointInfo",
    "Fault",
    "Keep",
    "Loaded",
    "Moment",
    "Store",
    "Verdict",
    "When",
    "auto",
    "every",
    "keep_all",
    "keep_any",
    "keep_best",
    "keep_daily",
    "keep_every",
    "keep_hourly",
    "keep_last",
    "keep_stages",
    "keep_within",
    "register",
    "when_any",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'evertrain.checkpoint' has no attribute {name!r}")
    value = getattr(import_module(f"evertrain.checkpoint.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
