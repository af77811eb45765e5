"""A torch module as a policy: filled from a checkpoint; arrays go in, arrays come out.

Layer: integrations. Imports checkpoint, core and its siblings.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

from evertrain.checkpoint.plugin import Tree
from evertrain.core.errors import StateError, UsageError
from evertrain.integrations.torch.module import ModuleAdapter

_ADAPTER: Final = ModuleAdapter()


class ModulePolicy:
    """What a module's `forward` returns is the action.

    Args:
        module: As the training builds it; filled in place.
        tree: What `ModuleAdapter` captured.

    Attributes:
        module: The module, in evaluation mode.

    Raises:
        UsageError: `module` is no torch module.
        StateError: The weights do not fit it. Nothing was changed.
    """

    def __init__(self, module: torch.nn.Module, tree: Tree) -> None:
        """Fill the module."""
        self.module = filled(module, tree).eval()

    def predict(self, observation: Any, *, deterministic: bool = True) -> Any:
        """Return what the module makes of `observation`, as arrays.

        Args:
            observation: An array, or a mapping of arrays; floats become those of the module.
            deterministic: Changes nothing: a module draws or does not.
        """
        del deterministic
        with torch.no_grad():
            return _as_arrays(self.module(_as_tensors(observation, self._example())))

    def _example(self) -> torch.Tensor:
        """Return a tensor of the device and the precision that the module computes with."""
        floats = (each for each in self.module.parameters() if each.is_floating_point())
        return next(floats, torch.empty(0))


def filled(module: Any, tree: Tree) -> torch.nn.Module:
    """Return `module` with the weights of `tree`.

    Raises:
        UsageError: It is no torch module.
        StateError: They do not fit. Nothing was changed.
    """
    if not isinstance(module, torch.nn.Module):
        raise UsageError(
            f"module= is a {type(module).__name__}.",
            "weights are put into a torch module.",
            "Give one, or a function that returns one, as the training builds it.",
        )
    problems = _ADAPTER.mismatches(module, tree)
    if problems:
        raise StateError(
            "the checkpoint does not fit the module: "
            + "; ".join(f"{each.path}: {each.problem}" for each in problems[:5]),
            "a policy of wrong weights would play silently wrong.",
            "Build the module as the training did.",
        )
    _ADAPTER.restore(module, tree)
    return module


def _as_tensors(value: Any, example: torch.Tensor) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_tensors(each, example) for key, each in value.items()}
    tensor = value if isinstance(value, torch.Tensor) else torch.tensor(np.asarray(value))
    dtype = example.dtype if tensor.is_floating_point() else tensor.dtype
    return tensor.to(device=example.device, dtype=dtype)


def _as_arrays(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.numpy(force=True)
    if isinstance(value, Mapping):
        return {key: _as_arrays(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_as_arrays(each) for each in value)
    return value
