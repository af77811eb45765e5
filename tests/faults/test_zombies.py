"""One owner at a time: rivals at one instant, sleepers that wake up, workers left behind."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evertrain.core.rundir import RunDir
from evertrain.monitor.metrics import read_metrics
from supervise.play import Stage

pytestmark = pytest.mark.slow


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A folder for scripts and runs."""
    found = Stage(tmp_path)
    yield found
    found.clear()


def play(folder: Path, *words: str) -> list[Any]:
    """Let the rivals play, and return what became of them, a play each."""
    script = Path(__file__).with_name("rivals.py")
    command = [sys.executable, "-W", "ignore", str(script), str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_of_two_that_start_at_one_instant_one_trains(tmp_path: Path) -> None:
    """Sixty times: one gets the run, the other is refused with 11, and leaves no trace."""
    found = play(tmp_path, "starts", "60")

    once = {"words": ["L", "W"], "codes": [0, 11], "started": 1, "saved": 3, "is_winners": True}
    assert found == [once] * 60


# Where it is frozen, and when it wakes up -> where the second and the third one go on, and what
# was set aside, with its writer.
SLEEPERS = {
    "before begin/behind": (3, 9, []),
    "before begin/before": (3, 9, []),
    "before rename/behind": (3, 9, [[6, 1]]),
    "before rename/below": (3, 5, [[6, 1]]),
    "before rename/before": (3, 9, [[6, 1]]),
    "before rename/dies": (3, 3, [[6, 1]]),
    "before rename/early": (3, 3, [[6, 1]]),
    "before rename of 1/early": (0, 0, [[1, 1]]),
    "after rename/behind": (6, 9, []),
    "after rename/before": (6, 9, []),
    "after rename/dies": (6, 6, []),
    "after rename/early": (6, 6, []),
    "before prune/behind": (6, 9, []),
    "before prune/before": (6, 9, []),
}


@pytest.fixture(scope="module")
def sleepers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of every sleeper, of its successor, and of the one after that."""
    return dict(
        zip(SLEEPERS, play(tmp_path_factory.mktemp("s"), "zombies", *SLEEPERS), strict=True)
    )


@pytest.mark.parametrize("case", list(SLEEPERS))
def test_what_a_sleeper_commits_after_it_lost_the_run_is_never_resumed(
    sleepers: dict[str, Any], case: str
) -> None:
    """Frozen in its save, succeeded, woken: it ends with 11, and the others' line is unbroken."""
    found = sleepers[case]
    second_from, third_from, disowned = SLEEPERS[case]

    assert found["codes"] == [11, 7, 0]
    assert found["second_from"] == second_from
    end = found["end"]
    assert end["from"] == third_from
    theirs = [1] * second_from + [2] * (third_from - second_from) + [3] * (12 - third_from)
    assert end["story"] == [0, *theirs]
    assert end["rows"] == [[step, attempt] for step, attempt in enumerate(theirs, start=1)]
    assert end["faults"] == []
    assert found["disowned"] == disowned
    assert found["superseded"] == [f"{step:09d}-attempt{by}" for step, by in disowned]
    newest = {"behind": 8, "below": 5}.get(case.partition("/")[2], second_from)
    assert {newest} - {0} <= {*found["there_after_waking"]}, "it has pruned what is not its own"


def test_a_worker_that_outlives_its_trainer_keeps_nobody_out(tmp_path: Path) -> None:
    """Forked in the middle of a save: the next attempt takes over, and sweeps what was begun."""
    (found,) = play(tmp_path, "worker")

    assert (found["first"], found["second"]) == (7, 0)
    assert found["worker_lives"]
    assert found["had_litter"]
    assert found["left"] == []
    assert found["end"]["story"] == [0, *[1] * 5, *[2] * 7]


TRAINER = """
import sys, time
from evertrain import Run, every
with Run("elsewhere", total=40, save=every(steps=1)) as run:
    run.state.story = []
    for step in run:
        run.state.story = [*run.state.story, run.attempt]
        run.log(attempt_was=run.attempt)
        if step == 3:
            print("TRAINING", flush=True)
        time.sleep(0.02 if run.attempt == 1 else 0)
"""


def test_a_supervisor_that_starts_again_beside_its_child_has_one_trainer(stage: Stage) -> None:
    """SIGKILL of the supervisor, and the next one at once: the old trainer stops first."""
    stage.script(TRAINER)
    words = ("--delay", "0", "--", sys.executable, "train.py")
    first = stage.run(*words)
    first.wait_for("TRAINING")
    first.send(signal.SIGKILL)
    second = stage.run(*words)

    assert second.end(60) == 0, second.text
    names = [row["event"] for row in second.events("attempt_started", "stopped", "finished")]
    assert names == ["attempt_started", "stopped", "attempt_started", "finished"]
    (stopped,) = second.events("stopped")
    rows = [(row["step"], row["attempt_was"]) for row in read_metrics(RunDir(second.run_dir.path))]
    assert rows == [(step, 1 if step <= stopped["step"] else 2) for step in range(1, 41)]
