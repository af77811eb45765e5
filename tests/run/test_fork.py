"""Processes that the trainer forks: they have its `Run` in memory, but not its run."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from evertrain import Store
from evertrain.core import lock
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.monitor.metrics import read_metrics

# A trainer that forks in its second step. The child does what `{act}` says, and leaves by an
# exception or by the end of the program, as forked code does that nobody has thought about.
TRAINER = """
import os, signal, sys, time
from evertrain import Run, Stage, every
from evertrain.core.errors import UsageError

child = None
with Run(sys.argv[1], total=4, save=every(steps=1)) as run:
    seen = []
    run.attach(seen=seen)
    for step in run:
        run.log(x=step)
        if step == 2:
            child = os.fork()
            if child == 0:
                {act}
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            print("child", status, flush=True)
if child:
    print("trainer", run.step, flush=True)
"""


def _train(path: Path, act: str) -> str:
    """Train, and check that the run is what it would be without the child."""
    script = TRAINER.replace("{act}", textwrap.indent(textwrap.dedent(act), " " * 16).strip())
    command = [sys.executable, "-W", "ignore", "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    run_dir = RunDir(path)
    journal = Journal(run_dir.journal)
    names = [row["event"] for row in journal.events()]

    assert done.returncode == 0, done.stderr
    assert "trainer 4" in done.stdout
    assert names.count("saved") == 4
    assert names.count("finished") == 1
    assert "failed" not in names
    assert [row["x"] for row in read_metrics(run_dir)] == [1, 2, 3, 4]
    assert len(run_dir.metrics.read_text().splitlines()) == 4
    assert [info.step for info in Store(run_dir.checkpoints).list()] == [1, 2, 3, 4]
    assert not any((run_dir.checkpoints / "emergency").glob("*"))
    owner = lock.read_owner(run_dir.lock)
    assert owner is not None
    assert owner.pid == 0, "given back by the trainer, at the end"
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_child_cannot_go_on_in_the_loop(tmp_path: Path) -> None:
    """A child that falls through takes no step; it is told why, and leaves no trace."""
    said = _train(tmp_path / "run", "continue")

    assert "was forked from the trainer" in said
    assert "child 1" in said, "an error that nobody catches"


@pytest.mark.slow
@pytest.mark.parametrize(
    "act", ["break", "sys.exit(0)", "run.close()\nos._exit(0)", "raise SystemExit(0)"]
)
def test_leaving_the_block_in_a_child_touches_nothing(tmp_path: Path, act: str) -> None:
    """However a child leaves, the lease, the rows and the end are the trainer's."""
    assert "child 0" in _train(tmp_path / "run", act)


@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    [
        "run.log(x=99)",
        "run.tick()",
        "next(run)",
        "run.attach(more=[])",
        "run.finish()",
        "run.metrics",
        "next(run.stages([Stage('easy', steps=1)]))",
    ],
)
def test_calls_in_a_child_are_refused(tmp_path: Path, call: str) -> None:
    """What would count, measure or save is an error with the two pids."""
    act = f"""
    try:
        {call}
    except UsageError as error:
        os._exit(3 if f"pid {{os.getpid()}}, which was forked" in str(error) else 4)
    os._exit(5)
    """
    assert "child 3" in _train(tmp_path / "run", act)


@pytest.mark.slow
def test_a_child_dies_of_sigterm_whatever_it_has_called(tmp_path: Path) -> None:
    """Signals mean to a child what they meant before the run, also after `close`."""
    act = """
    run.close()
    with run.phase("child"):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    """
    assert "child -15" in _train(tmp_path / "run", act)


@pytest.mark.slow
def test_a_child_may_have_a_run_of_its_own(tmp_path: Path) -> None:
    """What is refused is the trainer's run, not evertrain."""
    act = """
    with Run(sys.argv[1] + "-child", total=2) as mine:
        for _ in mine:
            mine.log(y=1)
    os._exit(0)
    """
    assert "child 0" in _train(tmp_path / "run", act)
    assert Journal(RunDir(tmp_path / "run-child").journal).last("finished") is not None
