"""Which checkpoint is the best: one rule, said once, higher is better everywhere else.

Layer: checkpoint. Imports core only.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Best:
    """What is better.

    Attributes:
        metric: Name of the metric.
        is_max: Whether more of it is better.
    """

    metric: str
    is_max: bool

    def score(self, metrics: Mapping[str, float]) -> float | None:
        """Return the metric so that higher is better, or None if it was not measured."""
        value = metrics.get(self.metric)
        if value is None:
            return None
        return float(value) if self.is_max else -float(value)


def parse_best(text: str) -> Best:
    """Return the rule that "max:total_profit" or "min:loss" says.

    Raises:
        UsageError: It says neither.
    """
    direction, colon, metric = text.partition(":")
    if direction not in {"max", "min"} or not colon or not metric.strip():
        raise UsageError(
            f"best={text!r} does not say what is better.",
            "it takes max: or min: and the name of a metric.",
            f"Write best='max:{metric or text or 'reward'}' or best='min:loss'.",
        )
    return Best(metric.strip(), direction == "max")


def is_scored(info: CheckpointInfo) -> bool:
    """Say whether a checkpoint takes part in the ranking: it has a score, and that is no NaN."""
    return info.score is not None and not math.isnan(info.score)


def ranked(found: Iterable[CheckpointInfo]) -> list[CheckpointInfo]:
    """Return the scored checkpoints, best first, ties to the later."""
    scored = (info for info in found if is_scored(info))
    return sorted(scored, key=lambda info: (info.score, info.step), reverse=True)
