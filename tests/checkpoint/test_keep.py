"""Retention rules: each one's own behavior, and the guarantees they share."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.checkpoint import (
    CheckpointInfo,
    Keep,
    keep_all,
    keep_any,
    keep_best,
    keep_daily,
    keep_every,
    keep_hourly,
    keep_last,
    keep_stages,
    keep_within,
)
from evertrain.checkpoint.keep import verdicts
from evertrain.core.errors import ConfigError
from evertrain.testing import KeepContract

infos = st.builds(
    CheckpointInfo,
    step=st.integers(min_value=0, max_value=10**4),
    saved_at_s=st.floats(min_value=0, max_value=4e9),
    kind=st.sampled_from(["step", "stage", "final", "interrupted", "error"]),
    score=st.none() | st.floats(),
    is_pinned=st.booleans(),
)
runs = st.lists(infos, unique_by=lambda info: info.step, max_size=12)
rules = st.one_of(
    st.integers(1, 5).map(keep_last),
    st.integers(1, 5).map(keep_best),
    st.integers(1, 3000).map(lambda steps: keep_every(steps=steps)),
    st.integers(1, 5).map(keep_hourly),
    st.integers(1, 5).map(keep_daily),
    st.integers(1, 400).map(lambda days: keep_within(days=days)),
    st.just(keep_stages()),
    st.just(keep_all()),
)


def at(*steps: int, **more: object) -> list[CheckpointInfo]:
    """Return checkpoints of `steps`."""
    return [CheckpointInfo(step=step, saved_at_s=step, **more) for step in steps]  # type: ignore[arg-type]


def _doomed(
    found: Sequence[CheckpointInfo], keep: Keep, protect: Mapping[int, str] | None = None
) -> list[int]:
    """Return the steps that a rule, with its guards, gives up."""
    return [each.step for each in verdicts(found, keep, protect) if not each.is_kept]


@pytest.mark.parametrize(
    "rule",
    [
        keep_last(2),
        keep_best(2),
        keep_every(steps=20),
        keep_hourly(2),
        keep_daily(2),
        keep_within(hours=1),
        keep_stages(),
        keep_all(),
        keep_any(keep_last(1), keep_best(1)),
    ],
    ids=str,
)
class TestOurs(KeepContract):
    """Every rule of ours meets the contract of all rules."""

    @pytest.fixture
    def keep(self, rule: Keep) -> Keep:
        """Provide the rule under test."""
        return rule


def test_any_is_the_union() -> None:
    """The best and the latest both stay; the rest may go."""
    found = [
        CheckpointInfo(step=s, saved_at_s=s, score=q) for s, q in enumerate([0.9, 0.1, 0.2, 0.3])
    ]
    assert _doomed(found, keep_any(keep_last(1), keep_best(1))) == [1, 2]


def test_best_ranks() -> None:
    """Higher is better, a tie goes to the later, NaN and the unmeasured never win."""
    scores = [2.0, float("nan"), None, 2.0, 1.0, float("-inf")]
    found = [CheckpointInfo(step=s, saved_at_s=s, score=q) for s, q in enumerate(scores)]
    assert keep_best(1)(found) == {3}
    assert keep_best(2)(found) == {0, 3}
    assert keep_best(9)(found) == {0, 3, 4, 5}


def test_every_counts_crossings() -> None:
    """The first one at or after each multiple stays, even where no step hits it exactly."""
    assert keep_every(steps=100)(at(1, 99, 100, 150, 205, 290, 450)) == {100, 205, 450}
    assert keep_every(steps=1)(at(0, 1, 2)) == {1, 2}


def test_stages() -> None:
    """What ended a stage or the run stays."""
    kinds = ["step", "stage", "interrupted", "final"]
    found = [CheckpointInfo(step=s, saved_at_s=s, kind=k) for s, k in enumerate(kinds)]  # type: ignore[arg-type]
    assert keep_stages()(found) == {1, 3}


def test_reasons() -> None:
    """Each verdict says which rules keep a checkpoint, in words."""
    found = [*at(10, score=3.0), *at(20, is_pinned=True), *at(30, kind="stage"), *at(40), *at(50)]
    rule = keep_any(keep_last(2), keep_best(1), keep_stages(), keep_every(steps=30))
    assert {each.step: each.reasons for each in verdicts(found, rule, {40: "resume base"})} == {
        10: ("best 1",),
        20: ("pinned",),
        30: ("stage, every 30",),
        40: ("last 2 of 2", "resume base"),
        50: ("last 1 of 2", "newest"),
    }
    assert str(rule) == "keep_any(keep_last(2), keep_best(1), keep_stages(), keep_every(steps=30))"


def test_a_users_own_rule() -> None:
    """A plain function is a rule; its name is the reason."""

    def even(found: Sequence[CheckpointInfo], /) -> frozenset[int]:
        return frozenset(info.step for info in found if info.step % 2 == 0)

    found = at(1, 2, 3)
    assert [each.reasons for each in verdicts(found, even)] == [(), ("even",), ("newest",)]
    assert [each.reasons for each in verdicts(found, keep_any(even, keep_last(1)))][1] == ("even",)


@pytest.mark.parametrize(
    "careless",
    [
        lambda found: found[-2:],
        lambda found: [each.step > 1 for each in found],
        lambda found: [str(each.step) for each in found],
        len,
        lambda _: None,
    ],
    ids=["checkpoints", "mask", "texts", "count", "nothing"],
)
def test_what_a_rule_returns_by_mistake_removes_nothing(careless: Keep) -> None:
    """It names no checkpoint, and all would go that it was to keep."""
    for rule in (careless, keep_any(keep_last(1), careless)):
        with pytest.raises(ConfigError, match="where steps belong"):
            verdicts(at(1, 2, 3), rule)


def saved(*times: str) -> list[CheckpointInfo]:
    """Return checkpoints of steps 0, 1, ... saved at local times in the middle of Europe."""
    stamps = [datetime.fromisoformat(each).timestamp() for each in times]
    return [CheckpointInfo(step=step, saved_at_s=at_s) for step, at_s in enumerate(stamps)]


BERLIN = ZoneInfo("Europe/Berlin")


def test_hourly_keeps_the_newest_of_each_hour() -> None:
    """As restic does: hours that have a checkpoint count, hours without one do not."""
    found = saved(
        "2026-03-01T10:59:59+01:00",
        "2026-03-01T11:00:00+01:00",
        "2026-03-01T11:59:59+01:00",
        "2026-03-05T08:00:00+01:00",
        "2026-03-05T08:30:00+01:00",
    )
    assert keep_hourly(1, zone=BERLIN)(found) == {4}
    assert keep_hourly(2, zone=BERLIN)(found) == {2, 4}
    assert keep_hourly(9, zone=BERLIN).why(found) == {4: "hourly 1", 2: "hourly 2", 0: "hourly 3"}


def test_daily_keeps_the_newest_of_each_day() -> None:
    """Days run from midnight to midnight of the given zone."""
    found = saved(
        "2026-03-01T23:30:00+01:00", "2026-03-02T00:30:00+01:00", "2026-03-02T23:59:59+01:00"
    )
    assert keep_daily(5, zone=BERLIN)(found) == {0, 2}
    assert keep_daily(5, zone=UTC)(found) == {1, 2}  # half past midnight was still the first there
    assert keep_daily(5, zone=timezone(timedelta(hours=5)))(found) == {1, 2}
    assert keep_daily(1, zone=BERLIN).why(found) == {2: "daily 1"}


def test_the_hour_that_comes_twice() -> None:
    """When summer time ends, a clock shows the same hour twice; both count."""
    found = saved("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00")
    assert keep_hourly(5, zone=BERLIN)(found) == {0, 1}


def test_newest_is_by_step() -> None:
    """Whatever the clock said: what was saved after it went back is newer all the same."""
    found = [CheckpointInfo(step=s, saved_at_s=t) for s, t in enumerate((900.0, 9e8, 4000.0))]
    assert keep_hourly(1, zone=UTC)(found) == {2}
    assert keep_daily(2, zone=UTC)(found) == {1, 2}
    assert keep_within(hours=1)(found) == {0, 1, 2}


def test_within_counts_from_the_newest() -> None:
    """Not from now: a run that rests for a month loses nothing."""
    found = at(0, 3599, 3600, 7200)
    assert keep_within(hours=1)(found) == {3600, 7200}
    assert keep_within(minutes=60).why(found)[3600] == "within 1h"
    assert str(keep_within(days=2, hours=12)) == "keep_within(2d12h)"


@pytest.mark.parametrize("span", [{}, {"days": -1}, {"hours": float("nan")}, {"days": 1e300}])
def test_within_nothing(span: dict[str, float]) -> None:
    """A time that keeps nothing is refused."""
    with pytest.raises(ConfigError, match="length of time"):
        keep_within(**span)


@pytest.mark.parametrize("rule", [keep_hourly(1), keep_daily(1), keep_within(days=1)], ids=str)
@pytest.mark.parametrize("at_s", [float("nan"), float("inf"), 1e300, -1e300])
def test_times_that_no_clock_shows(rule: Keep, at_s: float) -> None:
    """A damaged time of a save is no reason to fail."""
    found = [CheckpointInfo(step=1, saved_at_s=at_s), CheckpointInfo(step=2, saved_at_s=5.0)]
    assert rule(found) <= {1, 2}


@pytest.mark.parametrize(
    "make", [keep_last, keep_best, keep_hourly, keep_daily, lambda n: keep_every(steps=n)]
)
@pytest.mark.parametrize("count", [0, -1, True, 1.5, "3", None])
def test_bad_counts(make: object, count: object) -> None:
    """A rule that would keep nothing, or is no number, is refused when it is made."""
    with pytest.raises(ConfigError, match="keep_all"):
        make(count)  # type: ignore[operator]


def test_any_of_nothing() -> None:
    """keep_any() without a rule is refused, and so is what is no rule."""
    with pytest.raises(ConfigError):
        keep_any()
    with pytest.raises(ConfigError, match="is no rule"):
        keep_any(keep_last(1), 5)  # type: ignore[arg-type]


@given(found=runs, kept=st.frozensets(st.integers()))
def test_newest_and_pinned_always_survive(
    found: list[CheckpointInfo], kept: frozenset[int]
) -> None:
    """No rule, however wrong, deletes the newest checkpoint or a pinned one."""
    doomed = _doomed(found, lambda _: kept)
    assert not {info.step for info in found if info.is_pinned} & set(doomed)
    assert not found or max(info.step for info in found) not in doomed


@given(found=runs, rule=st.lists(rules, min_size=1, max_size=3).map(lambda each: keep_any(*each)))
def test_pruning_is_stable(found: list[CheckpointInfo], rule: Keep) -> None:
    """Pruning twice deletes nothing more, and every survivor has a reason."""
    judged = verdicts(found, rule)
    left = [info for info in found if info.step not in _doomed(found, rule)]
    assert _doomed(left, rule) == []
    assert all(bool(each.reasons) == each.is_kept for each in judged)
    assert [each.step for each in judged] == sorted(info.step for info in found)


@given(found=runs, protect=st.dictionaries(st.integers(0, 10**4), st.just("in use")))
def test_protected_survive(found: list[CheckpointInfo], protect: dict[int, str]) -> None:
    """What the caller protects stays."""
    assert not protect.keys() & set(_doomed(found, lambda _: frozenset(), protect))
