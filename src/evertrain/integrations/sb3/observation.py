"""Observations that somebody hands to a policy: one or a batch, and of the shapes that it takes.

Numpy would stretch a wrong shape to the right one without a word.

Layer: integrations. Imports core only.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space

from evertrain.core.errors import UsageError

Shape = tuple[int, ...]


def checked(observation: Any, space: spaces.Space[Any]) -> Any:
    """Return an observation, or a batch, as arrays.

    Args:
        observation: As the environment gives it.
        space: What the policy takes.

    Raises:
        UsageError: It has another shape, or its parts are not equally many.
    """
    if not isinstance(space, spaces.Dict):
        found = _array(observation, "the observation")
        _length(found, space, "the observation")
        return found
    if not isinstance(observation, Mapping) or observation.keys() != space.spaces.keys():
        has = sorted(map(str, observation)) if isinstance(observation, Mapping) else "no parts"
        raise _refusal(f"the observation has {has}", f"the parts {sorted(space.spaces)}")
    parts = {key: _array(each, f"the part {key!r}") for key, each in observation.items()}
    lengths = {key: _length(parts[key], each, f"the part {key!r}") for key, each in space.items()}
    if len(set(lengths.values())) > 1:
        raise _refusal(f"the parts are of batches of {lengths}", "one observation, or one batch")
    return parts


def shapes(space: spaces.Space[Any]) -> tuple[Shape, ...]:
    """Return the shapes in which a policy takes one observation: SB3 turns pictures itself."""
    own = space.shape
    if own is None:
        return ()
    if not is_image_space(space):
        return (own,)
    channels, height, width = own
    return (own, (height, width, channels))


def _array(value: Any, what: str) -> Any:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise _refusal(f"{what} is no array ({error!s:.100})", "arrays") from error


def _length(value: Any, space: spaces.Space[Any], what: str) -> int | None:
    """Return how many observations an array holds; None for one that is no batch."""
    known = shapes(space)
    if not known or value.shape in known:
        return None
    if value.shape[1:] in known and value.ndim > 0:
        return len(value)
    raise _refusal(f"{what} has the shape {value.shape}", f"{known[-1]}, or a batch of such")


def _refusal(what: str, wanted: str) -> UsageError:
    return UsageError(
        f"{what}.",
        f"the policy takes {wanted}.",
        "Give it what the environment gives.",
    )
