"""The numbers of one rollout: what was recorded since it began, and nothing older.

SB3's logger keeps a value until its next table, which may never come. Here the
names that a rollout records are noted, so that a number which is measured now
and then stands in the rows of the rollouts that measured it, and in no other.

Layer: integrations. Imports no sibling.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import safe_mean


class Noted(defaultdict[str, Any]):
    """The waiting values of a logger, which also notes what a rollout records.

    Attributes:
        recorded: The values that were set since the rollout began; SB3's tables
            do not take them away.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Take over what waits."""
        super().__init__(float, values)
        self.recorded: dict[str, Any] = {}

    def __setitem__(self, key: str, value: Any) -> None:
        """Set and note it."""
        super().__setitem__(key, value)
        self.recorded[key] = value


def begin(model: BaseAlgorithm, *, has_tables: bool) -> None:
    """Begin to note a rollout's numbers.

    Args:
        model: Whose logger is set up.
        has_tables: Whether SB3 prints tables and empties its logger with them.
            Otherwise it is emptied here: means would span the whole training.
    """
    logger = model.logger
    if not isinstance(logger.name_to_value, Noted):
        logger.name_to_value = Noted(logger.name_to_value)
    if not has_tables:
        logger.name_to_value.clear()
        logger.name_to_count.clear()
        logger.name_to_excluded.clear()
    logger.name_to_value.recorded.clear()


def recorded(model: BaseAlgorithm) -> dict[str, Any]:
    """Return what was recorded since the rollout began; the numbers of a clock are left out."""
    values = model.logger.name_to_value
    return {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in (values.recorded if isinstance(values, Noted) else values).items()
        if not key.startswith("time/")
        and isinstance(value, (bool, int, float, np.number, np.bool_))
    }


def metrics(model: BaseAlgorithm) -> dict[str, Any]:
    """Return `recorded`, and the means over the last episodes."""
    row = recorded(model)
    if model.ep_info_buffer:
        row["rollout/ep_rew_mean"] = float(safe_mean([ep["r"] for ep in model.ep_info_buffer]))
        row["rollout/ep_len_mean"] = float(safe_mean([ep["l"] for ep in model.ep_info_buffer]))
    if model.ep_success_buffer:
        row["rollout/success_rate"] = float(safe_mean(list(model.ep_success_buffer)))
    return row


def of_listeners(model: BaseAlgorithm) -> dict[str, Any]:
    """Return `recorded` less what SB3 itself records: the numbers of callbacks."""
    own = ("train/", "rollout/")
    return {key: value for key, value in recorded(model).items() if not key.startswith(own)}
