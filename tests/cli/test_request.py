"""Asking a running training: what the command says is what happened."""

import sys
import warnings
from errno import ENOSPC
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

import pytest

from cli.conftest import Invoke
from evertrain.checkpoint import Store
from evertrain.cli.request import _wait_for_save
from evertrain.core.errors import EvertrainError
from evertrain.core.fs import LocalFs
from evertrain.core.journal import Journal
from evertrain.core.request import post
from evertrain.core.rundir import RunDir
from evertrain.testing import FaultyFs, everything_on

LONG_STEP = """
import sys, time
from evertrain import Run, every
with Run(sys.argv[1], total=100, save=every(steps=1)) as run:
    run.attach(seen=[])
    for step in run:
        if step == 3:
            print("in step 3", flush=True)
            time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize("_", range(3))
def test_stop_now_does_not_wait_for_the_step(place: Path, invoke: Invoke, _: int) -> None:
    """`--now` forces a step that does not end, although the kernel merges equal signals."""
    command = [sys.executable, "-c", LONG_STEP, str(place / "run")]
    with Popen(command, stdout=PIPE, stderr=DEVNULL, text=True) as child:
        assert child.stdout is not None
        while "in step 3" not in child.stdout.readline():
            pass
        try:
            result = invoke("stop", str(place / "run"), "--now", "--timeout", "20")
        finally:
            child.kill()

    assert "is stopped" in result.output
    assert child.returncode == 130
    assert any((place / "run" / "checkpoints" / "emergency").iterdir())


# Saves when it is asked, and would go on saving for a minute.
SLOW_TO_STOP = """
import signal, sys, time
asked = []
signal.signal(signal.SIGINT, lambda *_: asked.append(1))
print("in step 3", flush=True)
while len(asked) < 2:
    time.sleep(0.01)
sys.exit(130)
"""


@pytest.mark.slow
def test_stop_now_forces_a_command_that_is_no_run(place: Path, invoke: Invoke) -> None:
    """Its supervisor is asked twice, and does not wait for its grace of two minutes."""
    words = ["run", "--run", str(place / "run"), "--", sys.executable, "-c", SLOW_TO_STOP]
    command = [sys.executable, "-P", "-m", "evertrain", *words]
    with Popen(command, stdout=PIPE, stderr=DEVNULL, text=True) as child:
        assert child.stdout is not None
        while child.stdout.readline() != "in step 3\n":
            pass
        try:
            result = invoke("stop", str(place / "run"), "--now", "--timeout", "20")
        finally:
            child.kill()

    assert "is stopped" in result.output
    assert child.returncode == 130


def test_a_run_that_nobody_runs_is_left_alone(trading: object, invoke: Invoke) -> None:
    """Stopping what does not run is no error, and starts nothing."""
    del trading

    assert "nothing to stop" in invoke("stop", "trading", "--now").output


def test_a_pin_on_a_full_disk_is_a_pin(trading: RunDir, invoke: Invoke) -> None:
    """The marker counts; that index and journal were refused is told in a line, and no more."""
    step = Store(trading.checkpoints).list()[0].step
    disk = FaultyFs(LocalFs(), fail_at=1, error=ENOSPC, is_sticky=True, kinds={"write", "append"})

    with everything_on(disk), warnings.catch_warnings():
        warnings.simplefilter("error")
        result = invoke("pin", "trading", str(step))

    assert len(disk.refused) == 2
    assert result.exit_code == 0, result.output
    assert result.output.count("evertrain: ") == 1
    assert f"trading@{step} is pinned" in result.output
    assert Store(trading.checkpoints).get(step).is_pinned


def test_a_save_that_its_trainer_did_not_live_to_make_is_told(trading: RunDir) -> None:
    """The saves of a later attempt are not the one that was asked for."""
    posted, journal = post(trading, "save"), Journal(trading.journal)
    journal.record("save_requested", request=posted.id, is_stale=True)
    journal.record("saved", step=40, path="000000040")

    with pytest.raises(EvertrainError, match="ended without that save"):
        _wait_for_save(trading, posted, 5.0)
