"""evertrain: training that survives everything.

The names below are the public API; each is imported when it is first used, so
`import evertrain` costs next to nothing. Whatever is not here, or in a
sub-package's `__all__`, may change in any release.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from evertrain.checkpoint.info import CheckpointInfo
    from evertrain.checkpoint.keep import (
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
    from evertrain.checkpoint.store import Store
    from evertrain.checkpoint.tree import register
    from evertrain.checkpoint.when import auto, every, when_any
    from evertrain.core.errors import EvertrainError
    from evertrain.integrations.policy import load_policy
    from evertrain.run.run import Run
    from evertrain.run.stage import Stage
    from evertrain.run.stop import Stopped

__version__: Final = "0.1.0"

_HOMES: Final = {
    "CheckpointInfo": "checkpoint.info",
    "EvertrainError": "core.errors",
    "Run": "run.run",
    "Stage": "run.stage",
    "Stopped": "run.stop",
    "Store": "checkpoint.store",
    "auto": "checkpoint.when",
    "every": "checkpoint.when",
    "keep_all": "checkpoint.keep",
    "keep_any": "checkpoint.keep",
    "keep_best": "checkpoint.keep",
    "keep_daily": "checkpoint.keep",
    "keep_every": "checkpoint.keep",
    "keep_hourly": "checkpoint.keep",
    "keep_last": "checkpoint.keep",
    "keep_stages": "checkpoint.keep",
    "keep_within": "checkpoint.keep",
    "load_policy": "integrations.policy",
    "register": "checkpoint.tree",
    "when_any": "checkpoint.when",
}

__all__ = [  # noqa: RUF022  (sorted without regard to case, as in the docs)
    "auto",
    "CheckpointInfo",
    "EvertrainError",
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
    "load_policy",
    "register",
    "Run",
    "Stage",
    "Stopped",
    "Store",
    "when_any",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'evertrain' has no attribute {name!r}")
    value = getattr(import_module(f"evertrain.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__, "__version__"]
