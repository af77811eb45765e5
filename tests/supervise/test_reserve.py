"""`evertrain.supervise.reserve`: shims that stand by before they are needed."""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evertrain.core import proc
from evertrain.supervise.reserve import Reserve
from evertrain.supervise.screen import Screen
from evertrain.testing.processes import living
from supervise.play import Play, Stage

pytestmark = pytest.mark.slow

PYTHON = sys.executable
SHIM = "supervise.shim"
# Attempt 1 fails once it may; each says who holds it.
CHAIN = """
import os, pathlib, sys, time
print("HELD BY", os.getppid(), flush=True)
while os.environ["EVERTRAIN_ATTEMPT"] == "1":
    if pathlib.Path("go").exists():
        sys.exit(3)
    time.sleep(0.02)
"""


@pytest.fixture
def reserve() -> Iterator[Reserve]:
    """A reserve whose screen nobody sees."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with Reserve(Screen(nowhere), is_early=True) as found:
        yield found
    os.close(nowhere)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A folder for scripts and runs."""
    found = Stage(tmp_path)
    yield found
    found.clear()


def shims(play: Play) -> set[int]:
    """Return the processes of a play that hold a training, or stand by."""
    every = living(play.mark).items()
    return {pid for pid, words in every if SHIM in words and "evertrain run" not in words}


def test_the_one_that_waits_is_taken_once(reserve: Reserve) -> None:
    """Prepared twice, it is one process; whoever comes next gets another."""
    reserve.prepare()
    reserve.on_launch()
    (waiting,) = reserve.waiting
    first, second = reserve.take(), reserve.take()
    assert first.proc == waiting != second.proc
    assert waiting in second.spare
    assert reserve.waiting == ()
    for each in (first, second):
        each.wire.close()
        each.child.wait(20)


def test_one_that_was_killed_is_not_taken(reserve: Reserve) -> None:
    """The kernel may have needed its memory."""
    reserve.prepare()
    (dead,) = reserve.waiting
    os.kill(dead.pid, signal.SIGKILL)
    assert proc.wait_gone([dead], 20.0)
    ready = reserve.take()
    assert ready.proc != dead
    assert ready.proc.is_alive
    ready.wire.close()
    assert ready.child.wait(20) != 0, "without an order there is nothing to do"


def test_a_machine_without_a_free_process_costs_nobody_a_training(
    reserve: Reserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is only a preparation may fail while a training runs; who needs one hears of it."""

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(proc, "spawn", refuse)
    reserve.on_launch()
    left = reserve.waiting
    assert left == ()
    with pytest.raises(BlockingIOError):
        reserve.take()


def test_leaving_ends_the_one_that_waits() -> None:
    """Nobody outlives the supervision."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with Reserve(Screen(nowhere)) as reserve:
        reserve.on_launch()
        early = reserve.waiting
        assert early == (), "there is a pause to start one in"
        reserve.prepare()
        (waiting,) = reserve.waiting
    assert not waiting.is_alive
    assert proc.start_time(waiting.pid) != waiting.start_time, "it is reaped"
    os.close(nowhere)


def test_without_a_pause_the_next_shim_stands_by(stage: Stage) -> None:
    """It is there while the first attempt runs, holds the second, and nothing is left."""
    stage.script(CHAIN)
    play = stage.run("--delay", "0", "--", PYTHON, "train.py")
    play.wait_for("HELD BY")
    stage.wait_until(lambda: len(shims(play)) == 2, "a shim that stands by")
    (next_one,) = shims(play) - {play.shim}
    (stage.folder / "go").touch()
    assert play.end() == 0
    assert f"HELD BY {next_one}\n" in play.text
    assert play.orphans() == {}


def test_with_a_pause_there_is_one_shim(stage: Stage) -> None:
    """A training of weeks has no idle process beside it; the pause is long enough for one."""
    stage.script(CHAIN)
    play = stage.run("--delay", "2", "--", PYTHON, "train.py")
    play.wait_for("HELD BY")
    assert shims(play) == {play.shim}
    (stage.folder / "go").touch()
    play.wait_for("Restarting in")
    stage.wait_until(lambda: len(shims(play)) == 1, "a shim for the next attempt")
    (next_one,) = shims(play)
    assert play.end() == 0
    assert f"HELD BY {next_one}\n" in play.text


def test_a_supervisor_that_is_killed_takes_its_reserve_along(stage: Stage) -> None:
    """It hears its wire break, and holds nothing."""
    stage.script(CHAIN)
    play = stage.run("--delay", "0", "--grace", "1", "--", PYTHON, "train.py")
    play.wait_for("HELD BY")
    stage.wait_until(lambda: len(shims(play)) == 2, "a shim that stands by")
    play.send(signal.SIGKILL)
    stage.wait_until(lambda: play.orphans() == {}, "nothing left")
