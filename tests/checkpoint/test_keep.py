"""Retention rules: each one's own behavior, and the guarantees they share."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.checkpoint import (
    CheckpointInfo,
    Keep,
    keep_all,
    keep_any,
    keep_best,
    keep_every,
    keep_last,
    keep_stages,
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


@pytest.mark.parametrize("make", [keep_last, keep_best, lambda n: keep_every(steps=n)])
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
