"""Metrics: merged within a step, committed with it, live after any crash."""

import math
from typing import Any

import numpy as np
import pytest

from evertrain import Run, every
from evertrain.core.errors import UsageError
from evertrain.monitor.read import status
from support import OpenRun


def _values(run: Run) -> list[tuple[float, Any]]:
    return [(row["step"], row.get("x")) for row in run.metrics]


def test_calls_in_one_step_make_one_row(open_run: OpenRun) -> None:
    """Mapping and keywords of several calls merge; the later value wins."""
    run = open_run(total=1)
    for _ in run:
        run.log({"a/b": 1, "x": 1})
        run.log(x=2, y=3)

    row = run.metrics[0]
    assert (row["step"], row["a/b"], row["x"], row["y"]) == (1, 1, 2, 3)
    assert len(run.metrics) == 1


def test_sub_steps_have_rows_of_their_own(open_run: OpenRun) -> None:
    """`at` places rows inside a step, before the step's own."""
    run = open_run(total=2)
    for step in run:
        run.log(x=step)
        run.log(x=step - 0.25, at=step - 0.25)
        run.log(x=step - 0.5, at=step - 0.5)

    assert _values(run) == [(0.5, 0.5), (0.75, 0.75), (1, 1), (1.5, 1.5), (1.75, 1.75), (2, 2)]


def test_rows_of_an_unfinished_step_do_not_count(open_run: OpenRun) -> None:
    """What a step logged before it crashed is gone with the step."""
    run = open_run()
    for step in run:
        run.log(x=step)
        if step == 3:
            break
    run.close()

    assert _values(open_run()) == [(1, 1), (2, 2)]


def test_no_row_is_missing_and_none_is_there_twice_after_a_crash(open_run: OpenRun) -> None:
    """Steps behind the last checkpoint are replayed; their first rows are dead."""
    run = open_run(save=every(steps=4))
    for step in run:
        run.log(x=step)
        if step == 6:
            run.end_step()
            break

    run = open_run(save=every(steps=4))
    for step in run:
        run.log(x=step * 10)

    assert _values(run) == [(s, s if s <= 4 else s * 10) for s in range(1, 11)]


def test_numbers_of_every_library_are_taken(open_run: OpenRun) -> None:
    """Scalars of numpy and arrays of one element are logged as plain numbers, NaN included."""
    run = open_run(total=1)
    for _ in run:
        run.log(x=np.float32(0.5), y=np.array(3), z=np.array([True]), n=float("nan"))

    row = run.metrics[0]
    assert (row["x"], row["y"], row["z"]) == (0.5, 3, True)
    assert math.isnan(row["n"])


@pytest.mark.parametrize(
    "values", [{"x": [1, 2]}, {"x": np.zeros(2)}, {"step": 1}, {"time": 1}, {3: 1}]
)
def test_what_is_no_metric_is_refused(open_run: OpenRun, values: dict[Any, Any]) -> None:
    """Arrays, and the names that evertrain writes itself, are refused by name."""
    run = open_run()
    next(run)

    with pytest.raises(UsageError, match=r"run\.log"):
        run.log(values)


@pytest.mark.parametrize("at", ["a", "1", math.nan, math.inf, True, [1], np.arange(2), 10**400])
def test_what_is_no_place_in_a_step_is_refused(open_run: OpenRun, at: Any) -> None:
    """Rows are put in order by it, so it is a finite number; the running step goes on."""
    run = open_run(total=1)
    for _ in run:
        with pytest.raises(UsageError, match=r"run\.log\(at="):
            run.log(x=1, at=at)
        run.log(x=2, at=np.float64(0.5))

    assert _values(run) == [(0.5, 2)]


@pytest.mark.parametrize("at", [-1, 0, 1, 2.0001, 5])
def test_a_row_lies_inside_the_running_step(open_run: OpenRun, at: float) -> None:
    """Outside of it a resume would lose the row, or keep it twice."""
    run = open_run(total=3)
    for step in run:
        if step == 2:
            break

    with pytest.raises(UsageError, match="outside the running step"):
        run.log(x=1, at=at)
    run.log(x=1, at=2)
    run.log(x=1, at=1.0001)


def test_a_step_that_counts_more_has_room_for_more_rows(open_run: OpenRun) -> None:
    """By its stride, or once `advance` has said so."""
    run = open_run(total=30, stride=4)
    next(run)
    run.log(x=1, at=4)
    with pytest.raises(UsageError, match="after 0, up to 4"):
        run.log(x=2, at=5)
    run.advance(8)
    run.log(x=2, at=5)
    next(run)
    with pytest.raises(UsageError, match="after 8, up to 12"):
        run.log(x=3, at=8)

    assert _values(run) == [(4, 1), (5, 2)]


def test_a_tick_that_would_leave_a_row_behind_is_refused(open_run: OpenRun) -> None:
    """A loop that says its count at the end may log ahead, but not beyond that end."""
    run = open_run(total=None)
    run.restore()
    run.log(x=1, at=7)
    run.log(x=2, at=3)
    with pytest.raises(UsageError, match="beyond step 5"):
        run.tick(5)
    assert run.step == 0
    run.tick(7)

    assert _values(run) == [(3, 2), (7, 1)]


def test_a_row_inside_a_step_is_there_once_after_a_crash(open_run: OpenRun) -> None:
    """Whatever step the next attempt goes on from."""
    for crash in (2, 3, 6):
        run = open_run(total=6, save=every(steps=2))
        for step in run:
            run.log(x=step, at=step - 0.5)
            run.log(x=step, at=step)
            if step == crash:
                run.end_step()
                break

    expected = [(n / 2, -(-n // 2)) for n in range(1, 13)]
    assert _values(open_run(total=6)) == expected


def test_none_is_not_measured(open_run: OpenRun) -> None:
    """It is kept, so that a curve shows a gap and no zero."""
    run = open_run(total=1)
    for _ in run:
        run.log(x=None)

    assert run.metrics[0]["x"] is None


def test_the_name_of_what_is_no_metric_is_told(open_run: OpenRun) -> None:
    """Among many metrics, the message says which one."""
    run = open_run()
    next(run)

    with pytest.raises(UsageError, match="norms") as caught:
        run.log(loss=0.5, norms=np.zeros(3))

    assert "run.log(norms=float(value.mean()))" in caught.value.fix


@pytest.mark.parametrize("mapping", [5, "loss", [("loss", 1)], np.zeros(2)])
def test_values_without_names_are_refused(open_run: OpenRun, mapping: Any) -> None:
    """A number alone is no metric."""
    run = open_run()
    next(run)

    with pytest.raises(UsageError, match="without a name"):
        run.log(mapping)


@pytest.mark.parametrize(("rule", "expected"), [("max:x", 3), ("min:x", 1)])
def test_the_best_step_is_saved_when_it_happens(
    open_run: OpenRun, rule: str, expected: int
) -> None:
    """A new best is a checkpoint at its step, and RUN@best follows it."""
    run = open_run(total=5, best=rule, save=every(steps=100))
    for step in run:
        run.log(x=[0, 5, 6, 9, 8, 7][step])

    best = run.store.best()
    assert best is not None
    assert best.step == expected


def test_the_best_so_far_survives_a_restart(open_run: OpenRun) -> None:
    """The first evaluation after a resume does not become the best by default."""
    run = open_run(best="max:x")
    for step in run:
        run.log(x=9 if step == 1 else 2)
        if step == 3:
            run.end_step()
            break

    run = open_run(best="max:x")
    for _ in run:
        run.log(x=5)

    best = run.store.best()
    assert best is not None
    assert best.step == 1


def test_another_rule_judges_anew_what_is_there(open_run: OpenRun) -> None:
    """Profits in the hundreds do not stand above Sharpe ratios for good."""
    profits = (0, 990, 980, 970, 3, 2, 1)
    sharpes = (0, 0.1, 0.3, 0.2, 0.25, 0.1, 0.6)
    for total, rule in ((3, "max:profit"), (6, "max:sharpe")):
        run = open_run(total=total, best=rule)
        for step in run:
            run.log(profit=profits[step], sharpe=sharpes[step])

    new = [run.store.load(step).manifest.is_best for step in (4, 5, 6)]
    shown = status(run.path).best
    best = run.store.best()
    assert new == [False, False, True]  # 0.3 was there, although nobody asked for it then
    assert best is not None
    assert shown is not None
    assert (best.step, shown.step, shown.metric, shown.value) == (6, 6, "sharpe", 0.6)


def test_nan_is_never_the_best(open_run: OpenRun) -> None:
    """A diverged step cannot win."""
    run = open_run(total=3, best="max:x")
    for step in run:
        run.log(x=[0, 1, math.nan, 0.5][step])

    best = run.store.best()
    assert best is not None
    assert best.step == 1
