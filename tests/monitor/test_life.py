"""State word and reason: every combination of leases and journal has one answer."""

import os
from dataclasses import replace
from typing import Any

import pytest

from evertrain.core import proc
from evertrain.core.lock import Owner
from evertrain.monitor.attempt import SILENT, Attempt, attempts_of
from evertrain.monitor.life import Life, decide, settled

START = {"event": "attempt_started", "attempt": 1, "pid": 7, "time": "2026-01-01T00:00:00Z"}
NOW_S = 1_767_225_600.0  # the same moment


def _owner(**about: Any) -> Owner:
    here = Owner(
        pid=os.getpid(),
        start_time=0,
        boot_id=proc.boot_id(),
        host=proc.host(),
        attempt=1,
        since="",
    )
    return replace(here, **about)


DEAD = Life(_owner())
ALIVE = Life(_owner(), is_alive=True, sign="last sign of life 2.0 s ago (step)")


def _state(rows: list[dict[str, Any]], life: Life) -> tuple[str, str]:
    return decide(rows, settled(attempts_of(rows), life), life, NOW_S)


@pytest.mark.parametrize(
    ("events", "life", "state", "reason"),
    [
        ([], Life(), "new", "no attempt yet"),
        ([START], ALIVE, "running", "last sign of life 2.0 s ago"),
        ([], ALIVE, "running", "attempt 1"),
        ([START], DEAD, "crashed", SILENT),
        ([START], Life(), "crashed", SILENT),
        ([START], Life(_owner(boot_id="before")), "crashed", "the machine went down"),
        ([START], Life(_owner(host="far")), "unknown", "on another machine"),
        ([START], Life(_owner(pid=0, host="far")), "crashed", SILENT),
        ([START, {"event": "stopped", "attempt": 1, "why": "SIGINT"}], DEAD, "stopped", "SIGINT"),
        ([START, {"event": "stopped", "attempt": 1}], DEAD, "stopped", "on request"),
        ([START, {"event": "finished", "attempt": 1}], DEAD, "finished", "complete"),
        ([START, {"event": "finished", "attempt": 1}], ALIVE, "finished", "complete"),
        ([START, {"event": "failed", "attempt": 1, "error": "E: x"}], DEAD, "crashed", "E: x"),
        (
            [START, {"event": "crashed", "attempt": 1}, {"event": "gave_up", "why": "10 crashes"}],
            DEAD,
            "gave-up",
            "10 crashes",
        ),
        (
            [START, {"event": "crashed", "attempt": 1}, {"event": "supervisor_stopped"}],
            DEAD,
            "stopped",
            "on request",
        ),
        (
            [START, {"event": "gave_up", "why": "3 crashes", "cause": "SIGKILL", "summary": "oom"}],
            DEAD,
            "gave-up",
            "3 crashes: oom",
        ),
        ([START, {"event": "gave_up"}], DEAD, "gave-up", "no restarts left"),
        (
            [START, {"event": "gave_up"}, START | {"attempt": 2}],
            Life(_owner(attempt=2)),
            "crashed",
            SILENT,
        ),
        (
            [START, {"event": "gave_up"}, START | {"attempt": 2}],
            Life(_owner(attempt=2), is_alive=True),
            "running",
            "attempt 2",
        ),
    ],
)
def test_states(events: list[dict[str, Any]], life: Life, state: str, reason: str) -> None:
    """Each situation has its word, and the reason says more."""
    found = _state(events, life)

    assert found[0] == state
    assert reason in found[1]


def test_a_supervisor_that_waits() -> None:
    """Between two attempts the run counts as running, and the reason says until when."""
    rows = [
        START,
        {"event": "crashed", "attempt": 1, "cause": "segfault"},
        {"event": "backoff", "seconds": 42, "time": "2026-01-01T00:00:00Z"},
    ]

    state, reason = _state(rows, Life(_owner(), supervisor=99))

    assert state == "running"
    assert reason == "backing off after segfault: attempt 2 in 42 s"


def test_a_supervised_command_that_is_no_run() -> None:
    """No trainer's lease exists; the supervisor's proves that it lives."""
    state, reason = _state([{"event": "launched", "attempt": 1, "pid": 5}], Life(supervisor=99))

    assert (state, reason) == ("running", "attempt 1 under supervisor pid 99")
    life = Life(supervisor=99, sign="last progress 2.0 s ago", beat_step=5)
    _, reason = _state([{"event": "launched", "attempt": 1, "pid": 5}], life)
    assert reason == "attempt 1 under supervisor pid 99, last progress 2.0 s ago"


def test_a_supervisor_before_its_first_attempt() -> None:
    """The first attempt is announced."""
    assert _state([], Life(supervisor=99)) == ("running", "attempt 1 under supervisor pid 99")


def test_a_dead_trainer_under_a_live_supervisor() -> None:
    """It is known to be dead before the supervisor has written so."""
    attempts = settled([Attempt(number=1)], Life(_owner(), supervisor=99))

    assert attempts[-1].end == "crashed"


def test_a_new_attempt_under_an_old_lease() -> None:
    """The lease of attempt 1 says nothing about attempt 2, which is just starting."""
    attempts = settled([Attempt(number=2)], Life(_owner(), supervisor=99))

    assert attempts[-1].end == "running"
