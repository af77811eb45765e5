"""`evertrain stop` reaches the supervised training, not only the attempt that was asked."""

import sys

import pytest

from evertrain.core.request import post
from supervise.play import Stage

# The first attempt {dies}; the training is 5 steps long.
CHILD = """
import os
from evertrain import Run, every
from evertrain.core.request import post
from evertrain.core.rundir import RunDir
with Run("elsewhere", total=5, save=every(steps=1)) as run:
    for step in run:
        if step == 3 and run.attempt == 1:
            {dies}
"""


@pytest.mark.slow
def test_a_stop_that_its_trainer_did_not_live_to_see_is_obeyed(stage: Stage) -> None:
    """There is no restart; the next start is not stopped by it once more."""
    stage.script(CHILD.replace("{dies}", 'post(RunDir(run.path), "stop"); os._exit(9)'))
    words = ("--delay", "0", "--", sys.executable, "train.py")
    play = stage.run(*words)

    assert play.end() == 75
    assert "Starting training run #2" not in play.text

    again = stage.run(*words)
    assert again.end() == 0, again.text
    assert [row["step"] for row in again.events("finished")] == [5]
    assert [row.get("is_stale") for row in again.events("stop_requested")] == [True]


@pytest.mark.slow
def test_a_stop_between_two_attempts_is_obeyed(stage: Stage) -> None:
    """Posted to a trainer that has just died, it ends the countdown, or the attempt behind it."""
    stage.script(CHILD.replace("{dies}", "os._exit(9)"))
    play = stage.run("--delay", "2", "--", sys.executable, "train.py")
    play.wait_for("Restarting in")
    post(play.run_dir, "stop")

    assert play.end() == 75, play.text
    assert play.events("finished") == []
