"""The hands of the watch: what goes wrong there never costs the training."""

import socket
from pathlib import Path

import pytest

from evertrain.core.journal import Journal
from evertrain.core.proc import Proc
from evertrain.core.rundir import RunDir
from evertrain.supervise.hang.warden import Warden
from evertrain.supervise.hang.watch import Watch
from evertrain.supervise.wire import Order, Wire
from evertrain.testing.clock import FakeClock


def test_a_watch_that_fails_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor hears of it once, and nobody is ended."""

    def fail(self: Watch, output_bytes: int) -> None:
        raise ValueError("invalid literal for int()")

    monkeypatch.setattr(Watch, "look", fail)
    mine, theirs = socket.socketpair()
    far = Wire(theirs)
    run_dir = RunDir(tmp_path)
    order = Order(command=["x"], run=str(tmp_path), attempt=1, grace_s=1.0, size=None)
    warden = Warden(order, run_dir, Journal(run_dir.journal), Wire(mine), FakeClock())
    for _ in range(3):
        assert warden.look(Proc(1, 1), 0) is None
    assert warden.found == {"hang": None, "trail": None}
    error = "ValueError: invalid literal for int()"
    assert far.hear() == [{"event": "unwatched", "error": error}]
    far.close()
    mine.close()
