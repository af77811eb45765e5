"""What is better is said once; after that, higher is better."""

import math

import pytest

from evertrain.checkpoint.rank import Best, parse_best
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
