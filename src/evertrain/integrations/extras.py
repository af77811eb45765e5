"""Import optional packages late, and say what to install when they are absent.

Layer: integrations. Imports core only.
"""

from importlib import import_module
from types import ModuleType

from evertrain.core.errors import MissingExtraError


def require(module: str, *, extra: str) -> ModuleType:
    """Import `module`, which the optional dependency group `extra` provides.

    Args:
        module: Dotted name, e.g. "stable_baselines3.common".
        extra: Name of the group in evertrain's package metadata, e.g. "sb3".

    Raises:
        MissingExtraError: The package is not installed. A module that is missing
            inside an installed package passes through as the ImportError it is.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise
        raise MissingExtraError(
            f"{module!r} is not installed.",
            f"the {extra!r} integration is optional and needs it.",
            f"pip install 'evertrain[{extra}]'",
        ) from error
