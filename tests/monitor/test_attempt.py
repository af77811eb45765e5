"""The attempts of a run, told from its journal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.monitor.attempt import SILENT, attempts_of, unix_s

START = {"event": "attempt_started", "attempt": 1, "pid": 7, "host": "h", "total": 300}
T0 = "2026-01-01T00:00:00.000Z"
T9 = "2026-01-01T00:00:09.000Z"


def test_a_clean_life() -> None:
    """Start, resume, saves and end are put together."""
    rows = [
        START | {"time": T0},
        {"event": "resumed", "attempt": 1, "step": 0},
        {"event": "saved", "attempt": 1, "step": 250},
        {"event": "finished", "attempt": 1, "step": 300, "why": "done", "time": T9},
    ]

    (life,) = attempts_of(rows)

    assert (life.number, life.pid, life.host, life.total) == (1, 7, "h", 300)
    assert (life.first_step, life.last_step) == (0, 300)
    assert (life.end, life.why) == ("finished", "done")
    assert life.started_at_s is not None
    assert life.ended_at_s == life.started_at_s + 9


@pytest.mark.parametrize(
    ("event", "end", "why"),
    [
        ({"event": "stopped", "step": 5, "why": "SIGINT"}, "stopped", "SIGINT"),
        (
            {"event": "failed", "step": 5, "error": "ValueError: x\nmore"},
            "crashed",
            "ValueError: x",
        ),
        ({"event": "crashed", "cause": "oom", "message": "killed"}, "crashed", "oom: killed"),
        ({"event": "crashed"}, "crashed", "crashed"),
        ({"event": "ended", "by": "shim", "phase": "stopping", "code": 75}, "stopped", "code 75"),
        ({"event": "ended", "by": "shim", "phase": "running", "signal": "SIGK"}, "crashed", "SIGK"),
        ({"event": "ended", "by": "shim", "phase": "hung", "signal": "SIGK"}, "crashed", "SIGK"),
        ({"event": "ended", "by": "supervisor", "code": 75}, "stopped", "on request"),
        ({"event": "ended", "by": "supervisor", "code": 0}, "running", ""),
    ],
)
def test_ends(event: dict[str, Any], end: str, why: str) -> None:
    """Each way to end has its word and its reason, one line long."""
    (life,) = attempts_of([START, event | {"attempt": 1}])

    assert life.end == end
    assert life.why.endswith(why)


def test_the_exception_stays_the_reason() -> None:
    """What the trainer said of its own death is more than what the supervisor saw."""
    rows = [
        START,
        {"event": "failed", "attempt": 1, "step": 5, "error": "ValueError: bad", "time": T0},
        {"event": "crashed", "attempt": 1, "cause": "exception", "message": "exit 1", "time": T9},
    ]

    (life,) = attempts_of(rows)

    assert life.why == "exception: ValueError: bad"
    assert life.ended_at_s == unix_s(T0)


def test_a_command_that_is_no_run_has_attempts_too() -> None:
    """The supervisor alone tells of it; its start follows from how long it lasted."""
    crashed = {"event": "crashed", "attempt": 1, "cause": "signal", "seconds": 4, "time": T9}
    launched = {"event": "launched", "attempt": 2, "pid": 9, "time": T9}

    first, second = attempts_of([crashed, launched])

    assert first.started_at_s == (unix_s(T9) or 0) - 4
    assert (second.pid, second.end) == (9, "running")


def test_who_ends_without_a_word_has_crashed() -> None:
    """As soon as a later attempt began; the newest is judged by whoever can see it."""
    first, second = attempts_of([START, START | {"attempt": 2}])

    assert (first.end, first.why) == ("crashed", SILENT)
    assert second.end == "running"


def test_the_shim_does_not_overrule_the_trainer() -> None:
    """An end that the trainer has told stands."""
    rows = [START, {"event": "finished", "attempt": 1}, {"event": "ended", "attempt": 1}]

    assert attempts_of(rows)[0].end == "finished"


def test_a_command_that_was_stopped() -> None:
    """The supervisor saw it end, and says afterwards that this was wanted."""
    ended = {"event": "ended", "by": "supervisor", "attempt": 1, "code": -2, "time": T9}
    about = {"step_from": 0, "step_to": 40}
    stopped = {"event": "supervisor_stopped", "why": "on request"}

    (life,) = attempts_of([ended | about, stopped])

    assert (life.end, life.why, life.ended_at_s) == ("stopped", "on request", unix_s(T9))
    assert (life.first_step, life.last_step) == (0, 40)
    assert attempts_of([stopped]) == []


def test_an_interruption_is_no_crash() -> None:
    """What was interrupted from outside was stopped, whoever wrote its end."""
    ended = {"event": "ended", "by": "supervisor", "attempt": 1, "code": -15, "time": T9}
    about = {"event": "preempted", "attempt": 1, "summary": "ended by a SIGTERM"}

    (life,) = attempts_of([ended, about])

    assert (life.end, life.why, life.ended_at_s) == ("stopped", "ended by a SIGTERM", unix_s(T9))


def test_the_same_is_not_said_twice() -> None:
    """A cause that repeats the message is told once."""
    rows = [{"event": "crashed", "attempt": 1, "cause": "exit code 3", "message": "exit code 3"}]

    assert attempts_of(rows)[0].why == "exit code 3"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
FIELDS = ("attempt", "step", "time", "pid", "host", "why", "error", "seconds")
EVENTS = st.sampled_from(
    ["attempt_started", "resumed", "saved", "stopped", "finished", "failed", "crashed", "ended"]
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"event": EVENTS | JSON},
            optional=dict.fromkeys(FIELDS, JSON),
        ),
        max_size=8,
    )
)
def test_a_journal_may_hold_anything(rows: list[dict[str, Any]]) -> None:
    """Fields of any type are told as not known, never as an error."""
    numbers = [each.number for each in attempts_of(rows)]

    assert numbers == sorted(set(numbers))


def test_times_without_a_zone_are_utc() -> None:
    """A time that is none is not known."""
    assert unix_s("1970-01-01T00:00:05") == 5
    assert unix_s("yesterday") is None
    assert unix_s(3) is None


def test_the_total_of_a_curriculum_is_known_once_it_resumes() -> None:
    """Stages are named after the attempt has started; the listing still shows how far it is."""
    rows: list[dict[str, Any]] = [
        {"event": "attempt_started", "attempt": 1},
        {"event": "resumed", "attempt": 1, "step": 0, "total": 160_000},
    ]

    assert attempts_of(rows)[0].total == 160_000
