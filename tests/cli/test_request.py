"""Asking a running training: what the command says is what happened."""

import sys
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

import pytest

from cli.conftest import Invoke

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


def test_a_run_that_nobody_runs_is_left_alone(trading: object, invoke: Invoke) -> None:
    """Stopping what does not run is no error, and starts nothing."""
    del trading

    assert "nothing to stop" in invoke("stop", "trading", "--now").output
