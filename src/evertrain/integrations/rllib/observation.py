"""An observation as the batch of tensors that a module takes.

Layer: integrations. Imports core only.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from evertrain.core.errors import UsageError


def batched(observation: Any, space: spaces.Space[Any]) -> tuple[Any, bool]:
    """Return the batch, and whether the observation was one already.

    Args:
        observation: One of `space`, or several, stacked along the first axis.
        space: What the module takes.

    Raises:
        UsageError: It is none of these.
    """
    leaf, inner = observation, space
    while isinstance(inner, (spaces.Dict, spaces.Tuple)):
        leaf, inner = _parts(leaf, inner)[0][1:]
    is_batch = _array(leaf, inner).ndim > len(inner.shape or ())
    return _tensors(observation, space, is_batch=is_batch), is_batch


def _tensors(observation: Any, space: spaces.Space[Any], *, is_batch: bool) -> Any:
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        found = {
            key: _tensors(each, inner, is_batch=is_batch)
            for key, each, inner in _parts(observation, space)
        }
        return found if isinstance(space, spaces.Dict) else tuple(found.values())
    array = _array(observation, space)
    rows = array if is_batch else array[None]
    if space.shape is not None and rows.shape[1:] != space.shape:
        raise _odd(f"an observation of shape {array.shape}", space)
    tensor = torch.from_numpy(rows)
    return tensor.float() if tensor.dtype == torch.float64 else tensor  # as RLlib does


def _parts(observation: Any, space: Any) -> list[tuple[Any, Any, spaces.Space[Any]]]:
    """Return name, observation and space of each part."""
    is_dict = isinstance(space, spaces.Dict)
    inner = dict(space.spaces) if is_dict else dict(enumerate(space.spaces))
    kind: Any = Mapping if is_dict else (tuple, list)
    if not isinstance(observation, kind) or len(observation) != len(inner):
        raise _odd(f"a {type(observation).__name__}", space)
    known = observation if is_dict else dict(enumerate(observation))
    if known.keys() != inner.keys():
        raise _odd(f"an observation of {', '.join(map(str, known))}", space)
    return [(key, known[key], each) for key, each in inner.items()]


def _array(observation: Any, space: spaces.Space[Any]) -> Any:
    """Return a leaf as torch takes it: of the space's type, in the order of this machine."""
    try:
        array = np.asarray(observation)
    except ValueError as error:  # rows of several lengths
        raise _odd("a list that is no array", space) from error
    wanted = array.dtype if space.dtype is None else np.dtype(space.dtype)
    is_whole = array.dtype.kind in "biu" and wanted.kind in "iu"
    if not is_whole and not np.can_cast(array.dtype, wanted, "same_kind"):
        raise _odd(f"an observation of {array.dtype}", space)
    return np.array(array, wanted.newbyteorder("="), order="C")


def _odd(what: str, space: spaces.Space[Any]) -> UsageError:
    return UsageError(
        f"predict was given {what}.",
        f"the policy takes observations of {space!s:.200}.",
        "Give one as the environment does, or several, stacked along the first axis.",
    )
