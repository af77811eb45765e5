"""Environments that are not there: their spaces, and how their observations are normalized.

Layer: integrations. Imports its siblings and checkpoint.
"""

from collections.abc import Mapping
from typing import Any, Final

from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.envs.attributes import put
from evertrain.integrations.envs.space import built
from evertrain.integrations.sb3.inference import NORMALIZE

STATISTICS: Final = ("obs_rms", "ret_rms")
_MAX_COUNT: Final = 2**16


class AbsentEnvs(VecEnv):
    """Stands where a model wants to know the spaces of its environments, and nothing more.

    Args:
        count: How many environments there were.
        observation_space: Theirs.
        action_space: Theirs.
    """

    def __init__(
        self, count: int, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]
    ) -> None:
        """Refuse a number that nobody has."""
        if not 0 < count <= _MAX_COUNT:
            raise ValueError(f"{count} environments")
        super().__init__(count, observation_space, action_space)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Know of no way to show them."""
        del indices
        if attr_name == "render_mode":
            return [None] * self.num_envs
        raise AttributeError(attr_name)

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Deny it."""
        del wrapper_class, indices
        return [False] * self.num_envs

    def close(self) -> None:
        """Do nothing."""

    def reset(self) -> Any:
        """Refuse."""
        raise NotImplementedError("these environments are not there")

    def step_async(self, actions: Any) -> None:
        """Refuse."""
        del actions
        raise NotImplementedError("these environments are not there")

    def step_wait(self) -> Any:
        """Refuse."""
        raise NotImplementedError("these environments are not there")

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse."""
        del attr_name, value, indices
        raise NotImplementedError("these environments are not there")

    def env_method(
        self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any
    ) -> list[Any]:
        """Refuse."""
        del method_name, args, indices, kwargs
        raise NotImplementedError("these environments are not there")


def normalizer(how: Mapping[str, Any], env: Tree) -> VecNormalize | None:
    """Return the `VecNormalize` of a captured model, around absent environments; None without.

    Args:
        how: What `inference.described` said.
        env: What was captured of the environments.

    Raises:
        LookupError, TypeError, ValueError, AssertionError: The data is nobody's.
    """
    known = how["normalize"]
    if known is None:
        return None
    [stored] = [each for each in env["wrappers"] if each["class"] == VecNormalize.__name__]
    venv = AbsentEnvs(int(env["count"]), built(known["space"]), built(known["actions"]))
    found = VecNormalize(venv, **{name: known["options"][name] for name in NORMALIZE})
    put(
        found,
        {name: stored["attributes"][name] for name in STATISTICS if name in stored["attributes"]},
    )
    return found
