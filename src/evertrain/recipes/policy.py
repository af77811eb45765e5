"""A model of Stable-Baselines3 that still trains, as a function to be examined.

Layer: recipes. Imports numpy only.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def policy_of(model: Any) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """Return what it holds best to do for observations as they are, which it sees normalized.

    Args:
        model: With a `VecNormalize` around its environments.
    """
    normalize = model.get_vec_normalize_env()

    def act(observations: NDArray[np.float32]) -> NDArray[Any]:
        seen = normalize.normalize_obs(observations)
        actions: NDArray[Any] = model.predict(seen, deterministic=True)[0]
        return actions

    return act
