"""When to save: crossings, stretches of time, and the interval that loses the least."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.checkpoint import Moment, When, auto, every, when_any
from evertrain.core.errors import ConfigError
from evertrain.testing import WhenContract


def moment(step: int = 1, previous: int | None = None, **more: Any) -> Moment:
    """Return the boundary after `step`."""
    return Moment(step=step, previous_step=step - 1 if previous is None else previous, **more)


@pytest.mark.parametrize(
    "rule",
    [every(steps=3), every(minutes=5), auto(), when_any(every(steps=3), every(hours=1))],
    ids=str,
)
class TestOurs(WhenContract):
    """Every rule of ours meets the contract of all rules."""

    @pytest.fixture
    def when(self, rule: When) -> When:
        """Provide the rule under test."""
        return rule


def test_every_counts_crossings() -> None:
    """A loop that strides over a multiple still fires, once for each stride."""
    rule = every(steps=1000)
    fired = [s for s in range(2048, 20 * 2048, 2048) if rule(moment(s, s - 2048))]
    assert fired == list(range(2048, 20 * 2048, 2048))
    assert [s for s in range(1, 25) if every(steps=10)(moment(s))] == [10, 20]
    assert every(steps=10)(moment(10, unit="episode")) == "every 10 episodes"


@given(steps=st.integers(1, 50), strides=st.lists(st.integers(1, 80), max_size=30))
def test_no_multiple_is_missed(steps: int, strides: list[int]) -> None:
    """Whatever the strides, it fires exactly at the boundaries that pass a multiple."""
    step = 0
    for stride in strides:
        before, step = step, step + stride
        passed = any(each % steps == 0 for each in range(before + 1, step + 1))
        assert (every(steps=steps)(moment(step, before)) is not None) == passed


@pytest.mark.parametrize(
    ("rule", "period_s"),
    [(every(seconds=90), 90), (every(minutes=5), 300), (every(hours=0.5), 1800)],
)
def test_every_stretch_of_time(rule: When, period_s: float) -> None:
    """Time rules count from the last save, in the unit that the user wrote."""
    assert rule(moment(since_save_s=period_s - 0.01)) is None
    assert "since the last save" in str(rule(moment(since_save_s=period_s)))


def test_any() -> None:
    """Either rule is enough, and all reasons are given."""
    rule = when_any(every(steps=10), every(minutes=1))
    assert rule(moment(9, since_save_s=1)) is None
    assert rule(moment(10, since_save_s=1)) == "every 10 steps"
    assert rule(moment(10, since_save_s=99)) == "every 10 steps, 1 m 00 s since the last save"
    assert str(rule) == "when_any(every(steps=10), every(seconds=60))"


@pytest.mark.parametrize(
    ("cost_s", "mtbf_s", "interval_s"),
    [
        (0.2, None, 20.0),  # the budget alone: 1 % of 20 s
        (2.0, 43_200.0, math.sqrt(2 * 2.0 * 43_200)),  # Young's interval, above the budget's 200 s
        (2.0, 60.0, 200.0),  # crashes every minute, but the budget holds
        (0.0, None, 5.0),  # a free save is still not taken at every step
        (None, 3600.0, 5.0),  # nothing measured yet: soon
        (0.0, 60.0, 3.0),  # crashes every minute: twenty saves to a life
        (0.0, 2.0, 1.0),  # and never more than one a second
    ],
)
def test_auto_interval(cost_s: float | None, mtbf_s: float | None, interval_s: float) -> None:
    """The interval is the larger of the budget's and Young's, and never below the floor."""
    rule = auto()
    there: dict[str, Any] = {"cost_s": cost_s, "mtbf_s": mtbf_s}
    assert rule.interval_s(moment(**there)) == pytest.approx(interval_s)
    assert rule(moment(since_save_s=interval_s * 0.99, **there)) is None
    reason = rule(moment(since_save_s=interval_s * 1.01, **there))
    assert reason is not None
    assert "budget 1.0%" in reason


@given(cost_s=st.floats(0, 1e5), mtbf_s=st.floats(1, 1e8), overhead=st.floats(0.001, 1))
def test_auto_keeps_its_budget(cost_s: float, mtbf_s: float, overhead: float) -> None:
    """Saving never takes more than its share of the time."""
    interval_s = auto(overhead).interval_s(moment(cost_s=cost_s, mtbf_s=mtbf_s))
    assert cost_s <= interval_s * overhead * (1 + 1e-9)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"steps": 1, "minutes": 1},
        {"steps": 0},
        {"steps": -1},
        {"steps": 1.5},
        {"steps": True},
        {"steps": "10"},
        {"minutes": 0},
        {"seconds": float("nan")},
        {"hours": float("inf")},
        {"seconds": "5"},
    ],
    ids=str,
)
def test_bad_every(given: dict[str, Any]) -> None:
    """Exactly one positive number is asked for."""
    with pytest.raises(ConfigError, match="every"):
        every(**given)


@pytest.mark.parametrize("overhead", [0.0, -0.1, 1.1, float("nan")])
def test_bad_auto(overhead: float) -> None:
    """A budget is a share of the time."""
    with pytest.raises(ConfigError, match="overhead"):
        auto(overhead)


def test_any_of_nothing() -> None:
    """when_any() without a rule is refused, and so is what is no rule."""
    with pytest.raises(ConfigError):
        when_any()
    with pytest.raises(ConfigError, match="has no rule"):
        when_any(every(steps=1), 5)  # type: ignore[arg-type]
