"""What is better is said once; after that, higher is better."""

import math

import pytest

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.rank import Best, highest, parse_best, ranked
from evertrain.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "best"),
    [
        ("max:reward", Best("reward", is_max=True)),
        ("min:eval/loss", Best("eval/loss", is_max=False)),
        ("max:a:b", Best("a:b", is_max=True)),
    ],
)
def test_parse(text: str, best: Best) -> None:
    """The direction stands before the first colon, the metric after it."""
    assert parse_best(text) == best


@pytest.mark.parametrize("text", ["reward", "max", "max:", "max: ", "MAX:reward", "", ":reward"])
def test_bad_rules(text: str) -> None:
    """Anything else is refused, with an example."""
    with pytest.raises(UsageError, match="best='max:"):
        parse_best(text)


def test_score() -> None:
    """A loss is negated, a missing metric is None, NaN stays NaN."""
    assert parse_best("min:loss").score({"loss": 2.0}) == -2.0
    assert parse_best("max:r").score({"r": 3, "loss": 1.0}) == 3.0
    assert parse_best("max:r").score({}) is None
    assert math.isnan(parse_best("min:r").score({"r": math.nan}) or 0.0)


def judged(step: int, rule: str, **metrics: float) -> CheckpointInfo:
    """Return a checkpoint as a run with best=`rule` leaves it."""
    best = parse_best(rule)
    return CheckpointInfo(
        step=step,
        saved_at_s=0.0,
        score=best.score(metrics),
        metric_name=best.metric,
        metrics=metrics,
    )


def order(*found: CheckpointInfo) -> list[int]:
    """Return the steps, best first."""
    return [each.step for each in ranked(found)]


def test_the_rule_of_the_newest_judges_all() -> None:
    """Profits in the hundreds are no better than Sharpe ratios of 0.5: they are other numbers."""
    old = judged(1, "max:profit", profit=990.0, sharpe=0.1)
    silent = judged(2, "max:profit", profit=980.0)
    new = judged(3, "max:sharpe", profit=3.0, sharpe=0.6)

    assert order(old, silent) == [1, 2]
    assert order(old, silent, new) == [3, 1]  # nobody knows how good the second one is now
    assert order(new, old) == [3, 1]
    assert highest([old, new], None) == 0.6


@pytest.mark.parametrize("zero", [0.0, 1.0])
def test_another_direction_is_another_rule(zero: float) -> None:
    """More of the same metric was better, now less is; also where the newest has 0."""
    old = [judged(step, "max:x", x=float(step)) for step in (1, 2)]

    assert order(*old, judged(3, "min:x", x=zero)) == [3, 1, 2]
    assert order(*old, judged(3, "max:x", x=zero)) == [2, 3, 1] if zero else [2, 1, 3]


def test_a_score_that_the_caller_made_stands() -> None:
    """It is no metric, so nothing else can say how good the checkpoint is."""
    mine = CheckpointInfo(step=1, saved_at_s=0.0, score=5.0, metrics={"loss": 1.0})
    other = CheckpointInfo(
        step=2, saved_at_s=0.0, score=7.0, metric_name="loss", metrics={"loss": 9.0}
    )

    assert order(mine, other) == [2, 1]
    assert [each.step for each in ranked([mine, other], parse_best("min:loss"))] == [2, 1]


def test_what_has_no_number_is_not_ranked() -> None:
    """Neither without a score nor with NaN, and neither says what the others are judged by."""
    nan = judged(3, "min:y", y=math.nan)
    none = judged(4, "min:z")

    assert order(judged(1, "max:x", x=1.0), judged(2, "max:x", x=2.0), nan, none) == [2, 1]
    assert order(nan, none) == []
