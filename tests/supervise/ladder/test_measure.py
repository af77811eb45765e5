"""`evertrain.supervise.ladder.measure`: what an attempt shows of its rung."""

from pathlib import Path
from typing import Any

import pytest

from evertrain.core.clock import iso_utc
from evertrain.core.journal import Row
from evertrain.supervise.foreign import Found
from evertrain.supervise.ladder.measure import shown_by_files, shown_by_run

BEGAN_S = 1.7e9


def row(event: str, at_s: float, **fields: Any) -> Row:
    """Return one event, `at_s` seconds after the launch."""
    return {"time": iso_utc(BEGAN_S + at_s), "event": event, "attempt": 1, **fields}


RUN = [
    row("launched", 0.0),
    row("resumed", 20.0, step=0),
    row("saved", 50.0, step=300, blocked=1.0),
    row("saved", 80.0, step=600, blocked=3.0),
    row("saved", 120.0, step=900, blocked=2.0),
]


def test_a_run_tells_everything() -> None:
    """Training is what came after the start; work is that without the saves."""
    shown = shown_by_run(RUN, 130.0, 1000.0)

    assert shown.trial.lasted_s == 130.0
    assert shown.trial.exposure_s == 110.0
    assert shown.trial.busy_s == 104.0
    assert shown.trial.steps == 1000.0
    assert (shown.save_s, shown.interval_s, shown.startup_s) == (2.0, 35.0, 20.0)


def test_a_run_that_paces_itself_by_its_crashes_has_no_interval() -> None:
    """The rule of Young would choose another one on another rung."""
    auto = row("paced", 21.0, rule="auto(overhead=0.01)")
    steps = row("paced", 21.0, rule="every(steps=300)")

    assert shown_by_run([*RUN, auto], 130.0, 1000.0).interval_s is None
    assert shown_by_run([*RUN, steps], 130.0, 1000.0).interval_s == 35.0


def test_a_step_that_hangs_is_no_work() -> None:
    """Else a rung that hangs would seem slow, and not dangerous."""
    assert shown_by_run(RUN, 730.0, 1000.0, silent_s=600.0).trial.busy_s == 104.0


def test_a_run_that_never_came_to_a_step_has_not_trained() -> None:
    """Its crash counts in no time at all."""
    shown = shown_by_run(RUN[:1], 15.0, 0.0)

    assert (shown.trial.lasted_s, shown.trial.exposure_s) == (15.0, 0.0)
    assert shown.startup_s is None


@pytest.mark.parametrize("jump_s", [-1e6, 1e6])
def test_a_clock_that_was_set_does_no_harm(jump_s: float) -> None:
    """No time is negative, none is longer than the attempt."""
    rows = [RUN[0], *({**each, "time": iso_utc(BEGAN_S + 20 + jump_s)} for each in RUN[1:])]

    shown = shown_by_run(rows, 130.0, 1000.0)

    assert 0 <= shown.trial.busy_s <= shown.trial.exposure_s <= 130.0
    assert 0 <= (shown.startup_s or 0.0) <= 130.0


def found(*times_s: float) -> list[Found]:
    """Return files that were saved then, seconds after the start."""
    return [Found(Path(f"m_{i}.pt"), 100 * i, BEGAN_S + at_s) for i, at_s in enumerate(times_s)]


def test_files_tell_the_interval_and_the_start() -> None:
    """Three saves, a minute apart, the first one 20 s late: the program starts in 20 s."""
    shown = shown_by_files(found(80.0, 140.0, 200.0), BEGAN_S, 230.0, 300.0)

    assert (shown.interval_s, shown.startup_s) == (60.0, 20.0)
    assert shown.trial.exposure_s == 210.0
    assert shown.trial.busy_s == 180.0  # what came after the last save is not known
    assert shown.trial.steps == 300.0


@pytest.mark.parametrize("times", [(), (50.0,)])
def test_few_files_tell_little(times: tuple[float, ...]) -> None:
    """No interval, no start; and nothing is divided by zero."""
    shown = shown_by_files(found(*times), BEGAN_S, 60.0, 0.0)

    assert (shown.interval_s, shown.startup_s) == (None, None)
    assert shown.trial.exposure_s == 60.0
