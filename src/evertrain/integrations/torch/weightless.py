"""Networks without memory: their names, shapes and types, whatever size a file asks for.

Layer: integrations. Imports nothing from evertrain.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch.overrides import TorchFunctionMode

# What data that nobody captured makes of torch, Gymnasium and the libraries above them.
SENSELESS: Final = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    MemoryError,
)


@contextmanager
def weightless() -> Iterator[None]:
    """Build modules on the device "meta", also those that ask for another one, or for numbers."""
    with torch.device("meta"), _Compliant():
        yield


class _Compliant(TorchFunctionMode):
    """Lets a tensor without memory go nowhere, and pass every check of its numbers."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """See `TorchFunctionMode`."""
        del types
        if args and isinstance(args[0], torch.Tensor) and args[0].is_meta:
            if func is torch.Tensor.to:
                return args[0]
            if func is torch.Tensor.__bool__:
                return True
        return func(*args, **(kwargs or {}))
