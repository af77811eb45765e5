"""Limits grow at once, shrink slowly, and believe nothing that is no duration."""

import math

import pytest

from evertrain.core.heartbeat import FIRST, WARM
from evertrain.supervise.hang.limits import Limits, is_news, limits_of


@pytest.mark.parametrize(
    ("longest_s", "limit_s"),
    [(0.001, 60), (10, 60), (20, 100), (60, 300), (250, 680), (3600, 7380)],
)
def test_a_limit_is_several_times_the_longest(longest_s: float, limit_s: float) -> None:
    """Never below a minute; and an hour does not become five."""
    assert Limits({"eval": longest_s}).limit_s("eval") == limit_s


def test_what_was_never_seen_has_no_limit() -> None:
    """Nothing is concluded from other phases."""
    assert Limits({"step": 1.0}).limit_s("eval") is None


def test_a_start_has_more() -> None:
    """The disk's cache may be cold: five minutes at least."""
    limits = Limits(dict.fromkeys(("launch", "setup", "restore", "step"), 1.0))
    assert [limits.limit_s(each) for each in limits.longest_s] == [300, 300, 300, 60]


def test_it_grows_at_once_and_shrinks_by_halves() -> None:
    """One long evaluation counts from now on; each attempt without one forgets half of it."""
    limits = Limits({"eval": 10.0}).grown({"eval": 100.0, "save": 1.0})
    assert limits.longest_s == {"eval": 100.0, "save": 1.0}
    assert limits.grown({"eval": 20.0}) == limits
    after = limits.shrunk({"eval": 20.0})
    assert after.longest_s == {"eval": 60.0, "save": 1.0}, "what did not happen is not forgotten"
    assert after.shrunk({"eval": 20.0}).longest_s["eval"] == 40.0
    assert after.shrunk({"eval": 500.0}).longest_s["eval"] == 500.0


def test_the_newest_first_step_counts_for_this_attempt_only() -> None:
    """It says what a step is like here and now, be it longer or shorter than the last one."""
    limits = Limits({"step": 1.0}).warmed({WARM: 3600.0}).warmed({WARM: 90.0, FIRST: 3600.0})
    assert limits.limit_s("step") == 360
    assert limits.shrunk({"step": 1.0, WARM: 90.0}).limit_s("step") == 60


@pytest.mark.parametrize("found", [None, 5, [], {"step": "1"}, {"step": math.inf}, {"step": True}])
def test_what_is_no_duration_is_left_out(found: object) -> None:
    """A row of the journal may hold anything."""
    assert limits_of(found) == Limits()
    assert limits_of({"step": 2, "eval": math.nan, "save": -1}) == Limits({"step": 2.0})


def test_only_a_quarter_more_or_less_is_news() -> None:
    """A new attempt writes nothing down if it learned nothing."""
    known = Limits({"eval": 100.0, "step": 0.1})
    assert not is_news(known, known.shrunk({"eval": 90.0, "step": 0.3}))
    assert is_news(known, known.grown({"eval": 200.0}))
    assert is_news(Limits(), Limits({"step": 0.1}))


def test_names_without_end_are_forgotten() -> None:
    """`run.phase(f"eval {step}")` must not fill the journal."""
    names = {f"eval {number}": 1.0 for number in range(1000)}
    assert len(Limits().shrunk(names).longest_s) == 64
