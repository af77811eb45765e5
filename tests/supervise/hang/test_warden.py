"""The hands of the watch: what goes wrong there never costs the training."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from evertrain.core import proc
from evertrain.core.journal import Journal
from evertrain.core.proc import Proc
from evertrain.core.rundir import RunDir
from evertrain.supervise.hang.record import Hang
from evertrain.supervise.hang.warden import Warden
from evertrain.supervise.hang.watch import Watch
from evertrain.supervise.wire import Order, Wire
from evertrain.testing.clock import FakeClock
from evertrain.testing.processes import wait_until


def test_a_watch_that_fails_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor hears of it once, and nobody is ended."""

    def fail(self: Watch, output_bytes: int) -> None:
        raise ValueError("invalid literal for int()")

    monkeypatch.setattr(Watch, "look", fail)
    mine, theirs = socket.socketpair()
    far = Wire(theirs)
    run_dir = RunDir(tmp_path)
    order = Order(command=["x"], env={}, run=str(tmp_path), attempt=1, grace_s=1.0, size=None)
    warden = Warden(order, run_dir, Journal(run_dir.journal), Wire(mine), FakeClock())
    for _ in range(3):
        assert warden.look(Proc(1, 1), 0) is None
    assert warden.found == {"hang": None, "trail": None}
    error = "ValueError: invalid literal for int()"
    assert far.hear() == [{"event": "unwatched", "error": error}]
    far.close()
    mine.close()


_STOPPED_IN_A_ROW = """
import fcntl, os, signal, sys, time
with open(sys.argv[1]) as journal:
    fcntl.flock(journal, fcntl.LOCK_EX)
    os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(600)
"""


def test_a_trainer_that_was_stopped_with_the_journal_in_its_hands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for its lock before waking it up would wait for ever."""
    run_dir = RunDir(tmp_path)
    run_dir.journal.write_bytes(b"")
    child = subprocess.Popen([sys.executable, "-c", _STOPPED_IN_A_ROW, str(run_dir.journal)])
    leader = Proc(child.pid, proc.start_time(child.pid) or 0)
    wait_until(lambda: proc.is_stopped(child.pid), "it is stopped")
    hang = Hang(kind="hang", phase="step", step=3, silent_s=60.0, limit_s=60.0, evidence="stopped")
    monkeypatch.setattr(Watch, "look", lambda *_: hang)
    mine, theirs = socket.socketpair()
    order = Order(command=["x"], env={}, run=str(tmp_path), attempt=1, grace_s=1.0, size=None)
    journal = Journal(run_dir.journal)
    warden = Warden(order, run_dir, journal, Wire(mine), FakeClock())
    look = threading.Thread(target=warden.look, args=(leader, 0))
    look.start()
    look.join(20)
    is_stuck = look.is_alive()
    child.kill()
    child.wait()
    look.join()
    assert not is_stuck
    assert [row["event"] for row in journal.events()] == ["hang"]
    mine.close()
    theirs.close()
