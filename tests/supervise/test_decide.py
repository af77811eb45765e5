"""`evertrain.supervise.decide`: the whole judgement as a table."""

from dataclasses import replace

import pytest

from evertrain.supervise.decide import Restart, Stop, decide
from evertrain.supervise.diagnosis.kind import Diagnosis, Kind
from evertrain.supervise.end import End
from evertrain.supervise.options import SuperviseOptions

OPTIONS = SuperviseOptions(max_crashes=3, delay_s=7.0)
CRASH = End(code=1)
HUNG = Diagnosis(kind="hang", summary="x")


@pytest.mark.parametrize(
    ("last", "kind", "exit_code"),
    [
        (End(code=0), "done", 0),
        (End(code=0, is_run=True, is_finished=True), "done", 0),
        (End(code=4, is_run=True, is_finished=True), "done", 1),
        (End(code=-11, is_run=True, is_finished=True), "done", 0),
        (End(code=-15, is_run=True, is_finished=True, stop_requested=True), "done", 0),
        (End(code=143, is_run=True, is_finished=True, stop_requested=True), "done", 0),
        (End(code=0, stop_requested=True), "stopped", 75),
        (End(code=1, stop_requested=True), "stopped", 75),
        (End(code=None, stop_requested=True), "stopped", 75),
        (End(code=75), "stopped", 75),
        (End(code=75, is_run=True), "stopped", 75),
        (End(code=0, is_run=True, is_stopped=True), "stopped", 75),
        (End(code=130), "stopped", 75),
        (End(code=130, is_run=True, stop_requested=True, is_forced=True), "stopped", 130),
        (End(code=-9, stop_requested=True, is_forced=True), "stopped", 130),
        (End(code=None, stop_requested=True, is_forced=True), "stopped", 130),
        (End(code=75, stop_requested=True, is_forced=True), "stopped", 75),
        (End(code=0, is_run=True, is_finished=True, is_forced=True), "done", 0),
        (End(code=-2), "stopped", 75),
        (End(code=11, is_locked=True), "locked", 11),
        (End(code=78), "gave up", 20),
        (End(code=93), "gave up", 20),
        (End(code=1, fatal="ImportError: x"), "gave up", 20),
        (End(code=-9, is_run=True, is_finished=True, diagnosis=HUNG), "done", 0),
        (End(code=-9, stop_requested=True, diagnosis=HUNG), "stopped", 75),
    ],
)
def test_ends_that_stop(last: End, kind: str, exit_code: int) -> None:
    """Each of these ends the supervision, with this word and this exit code."""
    verdict = decide([last], OPTIONS)
    assert isinstance(verdict, Stop)
    assert (verdict.kind, verdict.exit_code) == (kind, exit_code)


@pytest.mark.parametrize(
    "last",
    [
        End(code=1),
        End(code=2),
        End(code=11),
        End(code=-9),
        End(code=-15),
        End(code=None),
        End(code=0, is_run=True),
        End(code=1, is_run=True),
        End(code=75, is_run=True, is_stopped=True, diagnosis=HUNG),
        End(code=130, diagnosis=HUNG),
    ],
)
def test_crashes_that_restart(last: End) -> None:
    """Each of these is a crash: the next attempt follows after the delay."""
    assert decide([last], OPTIONS) == Restart(7.0)


@pytest.mark.parametrize(
    ("kind", "is_crash", "is_preempted"), [("preemption", False, True), ("hang", True, False)]
)
def test_whoever_stops_itself_unwanted_goes_on(
    kind: Kind, *, is_crash: bool, is_preempted: bool
) -> None:
    """A stranger's SIGTERM, and the stop that ended a hang, are nobody's wish to end it."""
    found = Diagnosis(kind=kind, summary="x")
    end = End(code=75, is_run=True, is_stopped=True, diagnosis=found)
    assert (end.is_crash, end.is_preempted) == (is_crash, is_preempted)
    assert decide([end], OPTIONS) == Restart(7.0)
    wanted = replace(end, stop_requested=True)
    assert wanted.was_asked
    assert isinstance(decide([wanted], OPTIONS), Stop)
    assert not replace(end, is_finished=True).is_preempted


def test_the_limit_stops_at_that_crash() -> None:
    """With a limit of 3, the second crash restarts and the third one stops."""
    assert decide([CRASH] * 2, OPTIONS) == Restart(7.0)
    verdict = decide([CRASH] * 3, OPTIONS)
    assert verdict == Stop("gave up", "3 crashes, the limit", 20)


def test_zero_is_unlimited() -> None:
    """--max-crashes 0 goes on after a thousand crashes, but not after a config error."""
    unlimited = SuperviseOptions(max_crashes=0)
    assert isinstance(decide([CRASH] * 1000, unlimited), Restart)
    assert isinstance(decide([CRASH, End(code=78)], unlimited), Stop)


def test_being_done_beats_the_limit() -> None:
    """A training that finishes at its last chance is done."""
    verdict = decide([CRASH, CRASH, End(code=0)], OPTIONS)
    assert isinstance(verdict, Stop)
    assert verdict.kind == "done"
