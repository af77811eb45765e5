"""Files of weights that torch programs exchange: safetensors, and pickles without code.

Layer: integrations. Imports checkpoint and core.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from evertrain.checkpoint.loose import read_arrays
from evertrain.core.errors import EvertrainError, StateError
from evertrain.core.refusal import refusing
from evertrain.integrations.torch.codec import as_tensor


def load_weights(path: Path) -> Mapping[str, Any] | None:
    """Return the tensors of the file at `path`, on the CPU; None for other kinds of files.

    A pickle is read by torch's restricted unpickler only, which runs no code.

    Raises:
        CorruptError: It is damaged.
        StateError: It holds more than tensors and plain data, or no mapping.
    """
    if path.suffix == ".safetensors":
        return _tensors(path)
    return _unpickled(path) if path.suffix in {".pt", ".pth"} else None


def _tensors(path: Path) -> Mapping[str, Any]:
    with refusing(path):
        arrays = read_arrays(path)
    try:
        return {key: as_tensor(raw) for key, raw in arrays.items()}
    except EvertrainError:
        raise
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise StateError(
            f"init_from: {path} holds an array that torch cannot have: {error!s:.200}.",
            "what is no tensor fits nothing that is attached.",
            "Save the weights again with the program that made them.",
        ) from error


def _unpickled(path: Path) -> Mapping[str, Any]:
    try:
        with refusing(path):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except EvertrainError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise StateError(
            f"init_from: {path} holds more than weights, or is damaged.",
            f"only tensors and plain data are loaded, for a pickle can run code"
            f" ({type(error).__name__}).",
            "Save the weights alone: torch.save(model.state_dict(), PATH)",
        ) from error
    if isinstance(found, Mapping):
        return found
    raise StateError(
        f"init_from: {path} holds a {type(found).__name__}.",
        "weights go by their names.",
        "Save them as a state dict: torch.save(model.state_dict(), PATH)",
    )
