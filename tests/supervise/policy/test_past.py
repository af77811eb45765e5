"""The ledgers survive the supervisor: what it wrote down is what it counts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.core.clock import iso_utc
from evertrain.core.journal import Row
from evertrain.supervise.end import End, Gain
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.policy.explain import standing_of
from evertrain.supervise.policy.ledger import crash_count, preemptions, stuck_ends
from evertrain.supervise.policy.past import ends_of, pending_move
from supervise.policy.attempts import START_S, crash, preempted


def row(event: str, **fields: Any) -> Row:
    """Return a row of a journal."""
    return {"event": event, "time": iso_utc(START_S), **fields}


def told(end: End, attempt: int = 1) -> list[Row]:
    """Return what a supervisor writes of an end."""
    assert end.diagnosis is not None
    event = "preempted" if end.is_preempted else "crashed"
    about = {
        "attempt": attempt,
        "code": end.code,
        "seconds": end.gain.seconds,
        "kind": end.diagnosis.kind,
        "summary": end.diagnosis.summary,
        "fingerprint": end.diagnosis.fingerprint,
        "progress": end.gain.progress,
        "useful_s": end.gain.useful_s,
        "died_restoring": end.gain.died_restoring or None,
        "move": end.gain.move,
    }
    kept = {key: value for key, value in about.items() if value is not None}
    return [row("launched", attempt=attempt), row("ended", attempt=attempt), row(event, **kept)]


@pytest.mark.parametrize(
    "end",
    [
        crash("some", step=7, useful_s=12.5),
        crash("unknown", move="older"),
        crash("none", died_restoring=True, move="reseed"),
        preempted("none"),
    ],
)
def test_there_and_back(end: End) -> None:
    """Whatever the ledgers look at comes back."""
    (found,) = ends_of(told(end))
    assert found.gain == end.gain
    assert (found.is_crash, found.is_preempted) == (end.is_crash, end.is_preempted)
    if end.is_crash:
        assert found.diagnosis == end.diagnosis


@pytest.mark.parametrize("event", ["gave_up", "supervisor_stopped", "finished"])
def test_whoever_starts_it_again_begins_anew(event: str) -> None:
    """What was before somebody looked at it does not count."""
    rows = [*told(crash()), row(event), *told(crash("some"), 2)]
    assert [end.gain.progress for end in ends_of(rows)] == [True]
    assert ends_of(rows[:4]) == []


def test_whoever_sends_it_elsewhere_begins_anew() -> None:
    """Progress is then measured from there, and not from where it once was."""
    rows = [*told(crash()), row("supervisor_started", options={"resume": "auto"})]
    assert len(ends_of(rows)) == 1
    assert ends_of([*rows, row("supervisor_started", options={"resume": "100"})]) == []


def test_a_supervisor_that_died_forgets_nothing() -> None:
    """Its successor goes on counting."""
    rows = [row("supervisor_started"), *told(crash()), row("supervisor_started")]
    assert len(ends_of(rows)) == 1


def test_an_attempt_that_nobody_saw_end_was_interrupted() -> None:
    """The machine went down with its supervisor; that is bounded, and no crash."""
    (found,) = ends_of([row("supervisor_started"), row("launched", attempt=1)])
    assert found.is_preempted
    assert not found.is_crash


def lost(attempt: int, *steps: int, path: str = "000000001") -> list[Row]:
    """Return what a run tells that goes down with its machine, having saved at `steps`."""
    saved = [row("saved", attempt=attempt, step=step, path=path) for step in steps]
    return [row("launched", attempt=attempt), row("resumed", attempt=attempt, step=10), *saved]


def test_machines_that_go_down_do_not_end_a_training_that_gets_on() -> None:
    """What the attempt has committed is told, though its end is not."""
    ends = ends_of([each for n in range(1, 9) for each in lost(n, 10 * n + 1, 10 * n + 2)])
    assert len(ends) == 8
    assert all(end.is_preempted for end in ends)
    assert preemptions([*ends, preempted("none")]) is None


@pytest.mark.parametrize(
    "rows",
    [
        lost(2),
        lost(2, 10),
        lost(2, 99, path="emergency/000000099-ERROR"),
        [*lost(1, 50), *lost(2, 40)],
    ],
)
def test_what_was_there_before_is_no_progress(rows: list[Row]) -> None:
    """Neither what it began with, nor a wreck, nor what was done before and done again."""
    assert ends_of(rows)[-1].gain.progress is None


def test_an_attempt_that_made_room_for_another_setting_is_remembered() -> None:
    """It got somewhere: the crashes before it are not in a row with those behind it."""
    moved = {"by": "supervisor", "attempt": 3, "seconds": 30.0}
    before = [*told(crash(), 1), *told(crash(), 2), row("launched", attempt=3)]
    after = told(crash(), 4)
    assert len(stuck_ends(ends_of([*before, row("ended", progress=True, **moved), *after]))) == 1
    assert len(stuck_ends(ends_of([*before, row("ended", progress=False, **moved), *after]))) == 3
    assert crash_count(ends_of([*before, row("ended", **moved)]), SuperviseOptions(), START_S) == 2


def test_what_was_decided_is_done_by_the_successor() -> None:
    """A move whose supervisor died in its pause is still to be made; one that began is not."""
    rows = [*told(crash()), row("backoff", seconds=5, move="older", **{"from": "4200"})]
    assert pending_move(rows) == ("older", "4200")
    assert pending_move([*rows, row("supervisor_started")]) == ("older", "4200")
    assert pending_move([*rows, row("launched", attempt=2)]) == (None, None)
    assert pending_move([*rows, row("gave_up")]) == (None, None)
    assert pending_move([row("backoff", seconds=5)]) == (None, None)
    assert pending_move([row("backoff", move="reseed")]) == ("reseed", None)


ODD: list[Any] = [None, True, 0, 7, -1, 2**70, 1.5, float("nan"), "", "x", "older", [], {}]
ANY = st.sampled_from([*ODD, "supervisor"])
FIELDS = [
    *("attempt", "by", "step", "path", "time", "code"),
    *("seconds", "kind", "fingerprint", "progress", "move", "from"),
]
EVENTS = st.sampled_from(
    ["crashed", "preempted", "launched", "ended", "saved", "backoff", "supervisor_started"]
)


@given(
    st.lists(st.fixed_dictionaries({"event": EVENTS | ANY}, optional=dict.fromkeys(FIELDS, ANY)))
)
def test_a_journal_may_hold_anything(rows: list[Row]) -> None:
    """Whatever stands there, there is an answer."""
    assert all(isinstance(end.gain, Gain) for end in ends_of(rows))
    pending_move(rows)
    standing_of(rows, START_S)
