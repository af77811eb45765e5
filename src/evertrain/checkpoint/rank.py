"""Which checkpoint is the best: one rule, said once, higher is better everywhere else.

Layer: checkpoint. Imports core only.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

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


def ranked(found: Iterable[CheckpointInfo], rule: Best | None = None) -> list[CheckpointInfo]:
    """Return the scored checkpoints, best first, ties to the later.

    Args:
        found: The checkpoints.
        rule: What is better. None: what the newest scored one was judged by, for what a
            training calls better may change on the way.
    """
    known = list(found)
    rule = rule or rule_of(known)
    scores = {info.step: score_of(info, rule) for info in known}

    def place(info: CheckpointInfo) -> tuple[float, int]:
        return scores[info.step] or 0.0, info.step

    return sorted((each for each in known if counts(scores[each.step])), key=place, reverse=True)


def highest(found: Iterable[CheckpointInfo], rule: Best | None) -> float | None:
    """Return the score of the best checkpoint by `rule`, or None; see `ranked`."""
    known = list(found)
    rule = rule or rule_of(known)
    scores = (score_of(info, rule) for info in known)
    return max((each for each in scores if each is not None and counts(each)), default=None)


def counts(score: float | None) -> bool:
    """Say whether a score takes part in a ranking: it is there, and no NaN."""
    return score is not None and not math.isnan(score)


def rule_of(found: Iterable[CheckpointInfo]) -> Best | None:
    """Return what the newest scored checkpoint was judged by; None if nothing says that."""
    scored = [info for info in found if counts(info.score)]
    newest = max(scored, key=lambda info: info.step, default=None)
    if newest is None or newest.metric_name is None:
        return None
    least = Best(newest.metric_name, is_max=False)
    return replace(least, is_max=not _is_made_by(newest, least))


def score_of(info: CheckpointInfo, rule: Best | None) -> float | None:
    """Return how good a checkpoint is by `rule`.

    Its score stands, unless another rule made it: then it is judged anew by its metrics.
    """
    if rule is None or info.metric_name is None:
        return info.score
    opposite = Best(rule.metric, not rule.is_max)
    is_other = info.metric_name != rule.metric or _is_made_by(info, opposite)
    return rule.score(info.metrics) if is_other else info.score


def _is_made_by(info: CheckpointInfo, rule: Best) -> bool:
    """Say whether the score is what `rule` makes of the metrics; minus 0 is not 0 here."""
    made = rule.score(info.metrics)
    if made is None or info.score is None:
        return False
    return made == info.score and math.copysign(1, made) == math.copysign(1, info.score)
