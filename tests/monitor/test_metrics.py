"""Live rows: one per step, in order, none from an abandoned branch."""

import math
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evertrain.core.rundir import RunDir
from evertrain.monitor.metrics import live_events, live_rows, read_metrics, series

Row = dict[str, Any]


def _row(step: float, attempt: int, x: float) -> Row:
    return {"step": step, "attempt": attempt, "x": x}


def _resumed(attempt: int, step: int) -> Row:
    return {"event": "resumed", "attempt": attempt, "step": step}


def test_a_later_resume_below_kills_a_row() -> None:
    """Steps 3 and 4 of attempt 1 are gone once attempt 2 resumed at 2."""
    rows = [_row(step, 1, step) for step in (1, 2, 3, 4)] + [_row(3, 2, 30)]

    live = live_rows(rows, [_resumed(1, 0), _resumed(2, 2)])

    assert [(row["step"], row["x"]) for row in live] == [(1, 1), (2, 2), (3, 30)]


def test_a_rewind_reaches_through_all_earlier_attempts() -> None:
    """Attempt 3 resumed at 1: rows above it of both earlier attempts are dead."""
    rows = [_row(1, 1, 1), _row(2, 1, 2), _row(3, 2, 3), _row(4, 2, 4)]

    live = live_rows(rows, [_resumed(1, 0), _resumed(2, 2), _resumed(3, 1)])

    assert [row["step"] for row in live] == [1]


def test_a_fresh_start_kills_everything_above_zero() -> None:
    """`resume="never"` resumes at 0."""
    assert live_rows([_row(1, 1, 1)], [_resumed(1, 0), _resumed(2, 0)]) == []


def test_an_earlier_resume_kills_nothing() -> None:
    """Only later attempts count, wherever their line stands in the journal."""
    live = live_rows([_row(5, 2, 5)], [_resumed(2, 4), _resumed(1, 0)])

    assert [row["step"] for row in live] == [5]


def test_the_row_at_the_resumed_step_lives() -> None:
    """A checkpoint named 250 is the state after step 250: its row stands."""
    assert len(live_rows([_row(250, 1, 1)], [_resumed(2, 250)])) == 1


def test_within_an_attempt_rows_of_a_step_merge() -> None:
    """The later write wins, key by key."""
    rows = [{"step": 1, "attempt": 1, "a": 1, "b": 1}, {"step": 1, "attempt": 1, "b": 2}]

    assert live_rows(rows, []) == [{"step": 1, "attempt": 1, "a": 1, "b": 2}]


def test_a_zombie_cannot_overwrite_its_successor() -> None:
    """A fenced attempt's row, written late, does not replace the newer attempt's."""
    live = live_rows([_row(5, 2, 2.0), _row(5, 1, 1.0)], [_resumed(2, 5)])

    assert [row["x"] for row in live] == [2.0]


def test_garbage_is_left_out() -> None:
    """Rows without a usable step, and events without usable numbers, change nothing."""
    bad: list[Row] = [
        {},
        {"step": None},
        {"step": "3"},
        {"step": True},
        {"step": [1]},
        {"step": math.nan},
        {"step": math.inf},
    ]
    events: list[Row] = [
        {"event": "resumed"},
        {"event": "resumed", "attempt": "2", "step": 0},
        {"event": "resumed", "attempt": 2, "step": None},
        {"event": ["resumed"], "attempt": 2, "step": 0},
    ]

    assert live_rows([*bad, _row(1, 1, 1)], events) == [_row(1, 1, 1)]


def test_the_arguments_are_not_changed() -> None:
    """The rule is pure."""
    rows = [{"step": 1, "attempt": 1, "a": 1}, {"step": 1, "attempt": 1, "b": 2}]
    live_rows(rows, [])

    assert rows == [{"step": 1, "attempt": 1, "a": 1}, {"step": 1, "attempt": 1, "b": 2}]


STEPS = st.integers(0, 12) | st.sampled_from([0.5, 3.5])


@given(
    st.lists(st.builds(_row, STEPS, st.integers(0, 5), st.floats(0, 1)), max_size=40),
    st.lists(st.builds(_resumed, st.integers(1, 5), st.integers(0, 12)), max_size=8),
)
def test_never_twice_never_dead_always_in_order(rows: list[Row], events: list[Row]) -> None:
    """Against the definition, read literally: the live steps are exactly these, in order."""

    def is_live(row: Row) -> bool:
        return not any(e["attempt"] > row["attempt"] and e["step"] < row["step"] for e in events)

    live = live_rows(rows, events)
    steps = [row["step"] for row in live]

    assert steps == sorted(set(steps))
    assert set(steps) == {row["step"] for row in rows if is_live(row)}
    for row in live:
        same = [each for each in rows if each["step"] == row["step"] and is_live(each)]
        newest = max(each["attempt"] for each in same)
        assert row == [each for each in same if each["attempt"] == newest][-1]


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(1, 8)), min_size=1, max_size=8))
def test_crashes_do_not_show(lives: list[tuple[int, int]]) -> None:
    """A training that crashes and replays shows the curve of one that never crashed."""
    rows: list[Row] = []
    events: list[Row] = []
    reached = 0
    for attempt, (back, on) in enumerate(lives, 1):
        start = max(0, reached - back)
        events.append(_resumed(attempt, start))
        reached = start + on
        rows += [_row(step, attempt, step**2) for step in range(start + 1, reached + 1)]

    live = live_rows(rows, events)

    assert [(row["step"], row["x"]) for row in live] == [(s, s**2) for s in range(1, reached + 1)]


def test_reading_survives_torn_lines(tmp_path: Path) -> None:
    """Garbage anywhere in either file costs its own line only; NaN comes back as a float."""
    run_dir = RunDir(tmp_path)
    run_dir.metrics.write_bytes(
        b'{"step":1,"attempt":1,"x":"NaN"}\n\xff\xfe\n{"st\n[1]\n{"step":2,"attempt":1,"x":2}\n{"s'
    )
    run_dir.journal.write_bytes(b'garbage\n{"event":"resumed","attempt":1,"step":0}\n{"ev')

    rows = read_metrics(run_dir)

    assert math.isnan(rows[0]["x"])
    assert rows[1]["x"] == 2
    assert read_metrics(tmp_path / "nothing") == []


def test_series_hold_the_numbers() -> None:
    """One curve per numeric metric, in order of first appearance; words are no curve."""
    rows: list[Row] = [
        {"step": 1, "attempt": 1, "time": "t", "loss": 3, "phase": "warm"},
        {"step": 2, "attempt": 1, "time": "t", "acc": 0.5, "loss": 2.0},
    ]

    assert series(rows) == {"loss": ([1, 2], [3.0, 2.0]), "acc": ([2], [0.5])}


def test_live_events_leave_out_abandoned_branches() -> None:
    """A restart on a branch that was rewound is not drawn."""
    events = [_resumed(1, 0), _resumed(2, 50), _resumed(3, 20), {"event": "saved", "step": 1}]

    assert [row["attempt"] for row in live_events(events, "resumed")] == [1, 3]
