"""Where the time went, told from a journal."""

from typing import Any

import pytest

from evertrain.core.clock import iso_utc
from evertrain.core.journal import Row
from evertrain.monitor.goodput import Account
from evertrain.monitor.timesheet import account, spent

START_S = 1_700_000_000.0


def journal(*events: tuple[float, str, dict[str, Any]] | tuple[float, str]) -> list[Row]:
    """Return rows at seconds after the start; an attempt is named once and then implied."""
    rows: list[Row] = []
    attempt = 1
    for at_s, event, *more in events:
        fields = more[0] if more else {}
        attempt = fields.get("attempt", attempt)
        rows.append({"time": iso_utc(START_S + at_s), "event": event, "attempt": attempt, **fields})
    return rows


def test_a_life_without_a_fault() -> None:
    """Start, work with two saves that held the loop, end."""
    rows = journal(
        (0, "attempt_started"),
        (2, "restoring"),
        (5, "resumed", {"step": 0}),
        (15, "saved", {"step": 10, "blocked": 0.5}),
        (25, "saved", {"step": 20, "blocked": 1.5}),
        (26, "finished", {"step": 20}),
    )

    assert account(rows) == Account(useful_s=19, startup_s=2, restoring_s=3, saving_s=2)


def test_a_crash_under_a_supervisor() -> None:
    """What came after the last save is replayed; the wait belongs to the crash."""
    rows = journal(
        (0, "supervisor_started"),
        (1, "launched"),
        (2, "attempt_started"),
        (4, "resumed", {"step": 0}),
        (14, "saved", {"step": 10}),
        (20, "failed"),
        (21, "ended"),
        (21, "crashed"),
        (21, "backoff", {"seconds": 5}),
        (26, "launched", {"attempt": 2}),
        (27, "attempt_started"),
        (28, "restoring"),
        (29, "resumed", {"step": 10}),
        (39, "saved", {"step": 20}),
        (39, "finished"),
        (40, "ended"),
    )
    first, second = spent(rows)

    assert first.account == Account(startup_s=4 + 1, useful_s=10, replayed_s=6, backoff_s=5)
    assert second.account == Account(startup_s=3, restoring_s=1, useful_s=10)
    assert account(rows).total_s == 40


def test_a_checkpoint_that_was_lost_held_nothing() -> None:
    """The next attempt began below it, and nobody had asked for that."""
    rows = journal(
        (0, "attempt_started"),
        (0, "resumed", {"step": 0}),
        (10, "saved", {"step": 10}),
        (30, "saved", {"step": 20}),
        (30, "failed"),
        (30, "attempt_started", {"attempt": 2}),
        (30, "quarantined"),
        (30, "resumed", {"step": 10}),
        (40, "saved", {"step": 15}),
        (40, "finished"),
    )

    assert account(rows) == Account(useful_s=20, replayed_s=20)


def test_going_back_on_request_wastes_nothing() -> None:
    """What is set aside was wanted when it was done."""
    rows = journal(
        (0, "attempt_started"),
        (0, "resumed", {"step": 0}),
        (10, "saved", {"step": 10}),
        (30, "saved", {"step": 20}),
        (30, "stopped"),
        (90, "attempt_started", {"attempt": 2}),
        (90, "superseded", {"after": 10}),
        (90, "resumed", {"step": 10}),
        (95, "finished"),
    )

    assert account(rows) == Account(useful_s=35)


def test_going_back_to_leave_a_step_that_kills() -> None:
    """The supervisor's own way out loses what it sets aside."""
    rows = journal(
        (0, "launched"),
        (0, "attempt_started"),
        (0, "resumed", {"step": 0}),
        (10, "saved", {"step": 10}),
        (30, "saved", {"step": 20}),
        (30, "ended"),
        (30, "crashed"),
        (30, "backoff", {"seconds": 5, "move": "older", "from": "10"}),
        (35, "launched", {"attempt": 2}),
        (35, "attempt_started"),
        (35, "superseded", {"after": 10}),
        (35, "resumed", {"step": 10}),
        (55, "saved", {"step": 20}),
        (55, "finished"),
    )

    assert account(rows) == Account(useful_s=30, replayed_s=20, backoff_s=5)


def test_an_interruption_from_outside() -> None:
    """What was saved at the stop is kept, and the pause is one."""
    rows = journal(
        (0, "launched"),
        (0, "attempt_started"),
        (0, "resumed", {"step": 0}),
        (10, "saved", {"step": 10}),
        (10, "stopped"),
        (10, "ended"),
        (10, "preempted"),
        (10, "backoff", {"seconds": 5}),
        (15, "launched", {"attempt": 2}),
        (15, "attempt_started"),
        (15, "resumed", {"step": 10}),
        (25, "finished"),
    )

    assert account(rows) == Account(useful_s=20, backoff_s=5)


def test_a_hang() -> None:
    """From the last sign of life until the process is gone."""
    rows = journal(
        (0, "launched"),
        (1, "attempt_started"),
        (2, "resumed", {"step": 0}),
        (10, "saved", {"step": 10}),
        (80, "hang", {"silent_s": 60}),
        (90, "ended"),
    )

    assert account(rows) == Account(startup_s=2, useful_s=8, replayed_s=10, stalled_s=70)


def test_a_hang_while_it_restores() -> None:
    """Taken from the class that it seemed to be."""
    rows = journal(
        (0, "launched"),
        (0, "attempt_started"),
        (1, "restoring"),
        (41, "hang", {"silent_s": 100}),
        (43, "ended"),
    )

    assert account(rows) == Account(startup_s=1, stalled_s=42)


@pytest.mark.parametrize(
    "end",
    [
        [(20, "stopped")],
        [(20, "finished")],
        [(20, "failed")],  # nobody was there to start it again
        [(20, "gave_up")],
        [(20, "supervisor_stopped")],
        [(20, "ended", {"by": "shim"})],
        [(20, "saved", {"step": 9})],  # and then not a word
    ],
)
def test_nobody_was_meant_to_train(end: list[Any]) -> None:
    """The night between an end and the next start by hand is in no class."""
    rows = journal(
        (0, "attempt_started"),
        (0, "resumed", {"step": 0}),
        *end,
        (50_000, "attempt_started", {"attempt": 2}),
        (50_001, "resumed", {"step": 9}),
        (50_002, "finished"),
    )

    assert account(rows).total_s == 22


def test_a_supervised_run_that_is_done_is_done() -> None:
    """Between its end and the next supervisor nobody waits."""
    rows = journal(
        (0, "supervisor_started"),
        (0, "launched"),
        (0, "attempt_started"),
        (0, "resumed", {"step": 0}),
        (10, "finished"),
        (11, "ended"),
        (9_000, "supervisor_started"),
        (9_001, "launched", {"attempt": 2}),
    )

    assert account(rows) == Account(useful_s=10, startup_s=2)


def test_a_supervisor_that_died_in_its_pause() -> None:
    """Nobody knows until when it waited."""
    rows = journal(
        (0, "supervisor_started"),
        (0, "launched"),
        (10, "ended"),
        (10, "backoff", {"seconds": 5}),
        (900, "supervisor_started"),
        (900, "launched", {"attempt": 2}),
    )

    assert account(rows).backoff_s == 0


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ([(60, "ended", {"safe_at": iso_utc(START_S + 45)})], Account(useful_s=45, replayed_s=15)),
        ([(60, "ended")], Account(replayed_s=60)),
        ([(60, "ended", {"safe_at": iso_utc(START_S - 45)})], Account(replayed_s=60)),
        ([(60, "ended"), (60, "finished", {"by": "supervisor"})], Account(useful_s=60)),
        ([(60, "ended", {"safe_at": iso_utc(START_S + 99)})], Account(useful_s=60)),
        ([(60, "ended", {"safe_at": "when?"})], Account(replayed_s=60)),
    ],
)
def test_a_foreign_command(end: list[Any], expected: Account) -> None:
    """Its newest checkpoint, or its exit code, says what was kept."""
    assert account(journal((0, "launched"), *end)) == expected


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ([], Account(startup_s=20, useful_s=80)),
        ([(100, "ended")], Account(startup_s=20, replayed_s=80)),
        (
            [(100, "ended", {"safe_at": iso_utc(START_S + 70)})],
            Account(startup_s=20, useful_s=50, replayed_s=30),
        ),
        (
            [(100, "hang", {"silent_s": 60}), (105, "ended")],
            Account(startup_s=20, replayed_s=20, stalled_s=65),
        ),
        (
            [(100, "ended"), (100, "finished", {"by": "supervisor"})],
            Account(startup_s=20, useful_s=80),
        ),
    ],
)
def test_a_foreign_command_whose_progress_is_seen(end: list[Any], expected: Account) -> None:
    """What came before its first step was its start."""
    rows = journal((0, "launched"), (20, "progressed", {"step": 1}), *end)
    assert account(rows, START_S + 100) == expected


def test_what_lives_has_lost_nothing_yet() -> None:
    """Up to now: for a `Run`, for a foreign command, for one that is waited for."""
    running = journal((0, "attempt_started"), (1, "resumed", {"step": 0}))
    assert account(running, START_S + 11) == Account(startup_s=1, useful_s=10)
    assert account(running) == Account(startup_s=1)

    foreign = journal((0, "supervisor_started"), (0, "launched"))
    assert account(foreign, START_S + 11) == Account(useful_s=11)

    waiting = journal((0, "supervisor_started"), (0, "launched"), (4, "ended"), (4, "crashed"))
    assert account(waiting, START_S + 11) == Account(replayed_s=4, backoff_s=7)


def test_a_clock_that_is_set_back_has_passed_no_time() -> None:
    """And the years that it was set back by are not seen again."""
    rows = journal(
        (0, "attempt_started"),
        (1, "resumed", {"step": 0}),
        (-9e7, "saved", {"step": 5}),
        (-9e7 + 4, "finished"),
    )

    assert account(rows) == Account(startup_s=1, useful_s=4)


@pytest.mark.parametrize(
    "row", [{}, {"event": "saved"}, {"time": 7, "event": "resumed"}, {"time": "never"}]
)
def test_rows_that_say_nothing(row: Row) -> None:
    """Files may hold anything."""
    assert account([row, *journal((0, "attempt_started")), row]) == Account()


def test_a_save_of_nobody() -> None:
    """A journal that lost its beginning."""
    assert account(journal((0, "saved", {"step": 1, "blocked": 3}), (5, "ended"))) == Account()
