"""The wall clock is set, forward and back, by seconds and by years: nothing is lost."""

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from evertrain import Run, every, keep_any, keep_hourly, keep_last, keep_within
from evertrain.checkpoint.about import About
from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.shelf import emergencies, save_emergency
from evertrain.checkpoint.when import auto
from evertrain.cli.main import cli
from evertrain.core.journal import Journal, Row
from evertrain.core.request import post
from evertrain.core.rundir import RunDir
from evertrain.monitor.life import Life
from evertrain.monitor.life import decide as decide_life
from evertrain.monitor.read import status
from evertrain.monitor.timesheet import account
from evertrain.run.mtbf import SILENCE_S, past_of
from evertrain.testing import FakeClock

YEAR_S = 365.25 * 86_400
JUMPS = {"a year on": YEAR_S, "a year back": -YEAR_S, "NTP on": 3.5, "NTP back": -3.5}
# The first seconds of 1970: a board without a battery, before it has asked for the time.
DAWN_S = 12.0

Begin = Callable[..., Run]


@pytest.fixture(params=list(JUMPS))
def jump_s(request: pytest.FixtureRequest) -> float:
    """How far the clock is set."""
    return JUMPS[request.param]


@pytest.fixture
def clock() -> FakeClock:
    """One machine's clock."""
    return FakeClock()


@pytest.fixture
def begin(tmp_path: Path, clock: FakeClock) -> Iterator[Begin]:
    """Begin attempts; one that lives is closed, as a crash between two steps leaves it."""
    living: list[Run] = []

    def begin_one(**options: Any) -> Run:
        for each in living:
            each.close()
        more: dict[str, Any] = {"total": 40, "save": every(steps=2), "on_stop": "return"}
        run = Run(tmp_path / "run", clock=clock, **more | options)
        living.append(run)
        return run

    yield begin_one
    for each in living:
        each.close()


def train(run: Run, clock: FakeClock, until: int, *, jumps: dict[int, float] | None = None) -> Run:
    """Take steps of ten minutes each, and set the clock in some of them."""
    for step in run:
        run.state.x = np.full(3, float(step))
        run.log(x=step)
        clock.advance(600)
        clock.jump((jumps or {}).get(step, 0.0))
        if step == until:
            run.end_step()
            break
    run.wait()
    return run


def saves(run: Run) -> list[Row]:
    """Return the saves that the journal knows."""
    return list(Journal(run.path / "journal.jsonl").events("saved"))


def test_in_the_middle_of_a_training(begin: Begin, clock: FakeClock, jump_s: float) -> None:
    """It saves as often as ever, and goes on from the newest step, whatever its date."""
    run = begin()
    run.state.x = np.zeros(3)
    train(run, clock, until=21, jumps={9: jump_s, 15: -jump_s, 18: jump_s})
    assert [row["step"] for row in saves(run)] == [1, *range(2, 21, 2)]

    run = begin()
    run.state.x = np.zeros(3)
    assert run.step == 20
    train(run, clock, until=40)
    assert run.state.x.tolist() == [40.0] * 3
    assert [row["step"] for row in run.metrics] == list(range(1, 41))
    assert (run.path / "checkpoints" / "latest").resolve().name == "000000040"


def test_between_two_attempts(begin: Begin, clock: FakeClock, jump_s: float) -> None:
    """What a file is dated, and in which order, decides nothing."""
    run = begin()
    run.state.x = np.zeros(3)
    train(run, clock, until=11)
    for number in range(2, 6):
        clock.jump(jump_s)
        run = begin()
        run.state.x = np.zeros(3)
        assert (run.attempt, run.step) == (number, 2 * number + 6)
        train(run, clock, until=run.step + 3)


def test_a_rule_of_minutes_counts_minutes_that_passed(
    begin: Begin, clock: FakeClock, jump_s: float
) -> None:
    """Neither a year's leap nor its return makes a save come early, or never."""
    run = begin(save=every(minutes=25))
    train(run, clock, until=20, jumps={2: jump_s, 7: -jump_s, 8: jump_s})

    assert [row["step"] for row in saves(run)] == [1, 4, 7, 10, 13, 16, 19]


def test_files_of_the_future_are_files(begin: Begin, clock: FakeClock) -> None:
    """Times of change of the whole run, a year ahead: it opens, resumes, saves and shares."""
    run = begin()
    run.attach(still=np.arange(10_000.0))
    train(run, clock, until=10)
    run.close()
    later_s = clock.now_s() + YEAR_S
    for path in sorted(run.path.rglob("*"), reverse=True):
        os.utime(path, (later_s, later_s), follow_symlinks=False)

    run = begin()
    run.attach(still=np.zeros(10_000))
    assert run.step == 10
    train(run, clock, until=20)
    assert run.store.verify() == []
    assert [info.step for info in run.store.list()] == [12, 14, 16, 18, 20]


@pytest.mark.parametrize("jump", ["a year on", "a year back"])
@pytest.mark.parametrize(
    ("rule", "kept"),
    [(keep_within(hours=1), {34, 36, 38, 40}), (keep_hourly(2, zone=UTC), {34, 40})],
    ids=["within", "hourly"],
)
def test_retention_goes_on_once_the_clock_is_right(
    begin: Begin, clock: FakeClock, jump: str, rule: Any, kept: set[int]
) -> None:
    """What a wrong clock dated in between neither crowds out nor condemns what comes after it."""
    run = begin(keep=keep_any(rule, keep_last(1)))
    at = {10: JUMPS[jump], 20: -JUMPS[jump]}
    train(run, clock, until=40, jumps=at)

    left = {info.step for info in run.store.list()}
    assert kept <= left
    assert len(left) <= 12


def test_stops_are_for_those_who_live(begin: Begin, clock: FakeClock, jump_s: float) -> None:
    """A request is obeyed though the clock was set since; one of the past is not."""
    run = begin()
    train(run, clock, until=3)
    clock.jump(jump_s)
    post(RunDir(run.path), "stop", clock=clock)
    train(run, clock, until=9)
    assert run.is_stopped
    assert run.step == 4

    post(RunDir(run.path), "stop", clock=clock)  # its owner ends without having seen it
    run.close()
    clock.advance(1)
    clock.jump(-abs(jump_s))
    run = begin()
    train(run, clock, until=9)
    assert run.step == 9


def test_nothing_negative_is_shown(begin: Begin, clock: FakeClock, jump_s: float) -> None:
    """Ages, durations, what is at risk, and goodput: none is below zero."""
    run = begin()
    train(run, clock, until=9, jumps={4: jump_s})
    clock.jump(-2 * abs(jump_s))

    for found in (status(run.path, clock=clock), status(run.path)):
        assert found.checkpoint is not None
        assert found.checkpoint.age_s >= 0
        assert (found.checkpoint.at_risk_s or 0) >= 0
    spent = account(Journal(run.path / "journal.jsonl").events())
    assert min(spent.seconds().values()) >= 0
    for words in (["ls", "--detailed"], ["status"], ["show"]):
        text = CliRunner().invoke(cli, [*words, str(run.path)]).output
        assert re.findall(r"(?<!\S)-\d.*", text) == []


@pytest.mark.parametrize(
    ("now_s", "left"), [(1000.0, "30 s"), (990.0, "30 s"), (-YEAR_S, "30 s"), (YEAR_S, "0.0 s")]
)
def test_a_pause_is_never_longer_than_it_was_meant(now_s: float, left: str) -> None:
    """`status` between two attempts, with the clock set back or on."""
    row = {"event": "backoff", "seconds": 30.0, "time": "1970-01-01T00:16:40.000Z"}

    _, reason = decide_life([row], [], Life(supervisor=7), now_s)

    assert reason.endswith(f" in {left}")


@pytest.mark.parametrize("start_s", [DAWN_S, 1.7e9])
def test_a_leap_is_no_long_life(begin: Begin, clock: FakeClock, start_s: float) -> None:
    """A clock that starts in 1970 does not make `auto` believe that nothing ever crashes."""
    clock.jump(start_s - clock.now_s())
    run = begin(save=auto())
    train(run, clock, until=6, jumps={3: 56 * YEAR_S if start_s == DAWN_S else -YEAR_S})
    run.close()
    rows = Journal(run.path / "journal.jsonl").events()
    begun = {"event": "attempt_started", "attempt": 2, "time": "2026-01-01T00:00:00.000Z"}

    past = past_of([*rows, begun])

    assert 0 <= past.lived_s <= SILENCE_S + 3600
    assert past.crashes == 1


def test_the_newest_emergency_is_kept(tmp_path: Path) -> None:
    """Of three, the two of the latest attempts, though the clock went back."""
    for attempt, now_s in ((1, 3e9), (2, 2e9), (3, 1e9), (4, 5e8)):
        about, tools = About(kind="error", attempt=attempt), Tools(clock=FakeClock(now_s))
        save_emergency(tmp_path, 10 * attempt, {"s": attempt}, about, tools)

    assert [info.attempt for info in emergencies(tmp_path)] == [3, 4]
