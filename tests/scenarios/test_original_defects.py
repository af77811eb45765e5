"""What the training systems of the guides got wrong, as tests on our side.

The wrapper around the simulator (000): saves that hit a multiple by chance, Ctrl+C that
counts as success, a crash that a pipe hides. The curriculum (001): a learning rate that
is set and not applied, an error that no restart can pass, restarted for ever. What a
stage's hyper-parameters reach is in `tests/integrations/test_sb3_override.py`; the
earthquakes that a re-seeding load repeats, in `tests/integrations/test_sb3_learn.py`;
a candidate that is the best before it was tested has no counterpart here.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evertrain import Run, Stage, Store, every, keep_all
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir

CRASHING = """
import os, sys
from pathlib import Path
from evertrain import Run, every

with Run("runs/here", total=40, save=every(steps=5)) as run:
    run.attach(seen=[])
    for step in run:
        if run.attempt == 1 and step == 13:
            run.wait()
            os._exit(1)
print("the end")
"""

TYPE_ERROR = """
from pathlib import Path
from evertrain import Run, every

with Path("starts").open("a") as file:
    file.write("x")
with Run("runs/here", total=40, save=every(steps=5)) as run:
    run.attach(seen=[])
    for step in run:
        if step == 13:
            step * (lambda: 1)
"""

ENDLESS = """
import time
from evertrain import Run

with Run("runs/here", total=10**6) as run:
    run.attach(seen=[])
    for step in run:
        if step == 3:
            print("TRAINING", flush=True)
        time.sleep(0.01)
print("Training completed successfully")
"""


def supervised(cwd: Path, script: str, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with `train.py` beside it under `evertrain run`."""
    (cwd / "train.py").write_text(script)
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "evertrain",
            "run",
            "--delay",
            "0",
            "--run",
            "runs/here",
            "--",
            *command,
        ],
        cwd=cwd,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _environment() -> dict[str, str]:
    mine = {key: value for key, value in os.environ.items() if not key.startswith("EVERTRAIN_")}
    return {**mine, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


def events(cwd: Path) -> list[str]:
    """Return the names of what a run's journal tells."""
    return [row["event"] for row in Journal(RunDir(cwd / "runs/here").journal).events()]


def test_a_save_interval_that_no_step_hits(tmp_path: Path) -> None:
    """000 tested `step % 2500 == 0` while steps moved by 64: it saved each 40,000. We cross."""
    with Run(tmp_path, total=6400, stride=64, save=every(steps=2500), keep=keep_all()) as run:
        for _ in run:
            pass

    assert [info.step for info in Store(tmp_path).list()] == [64, 2560, 5056, 6400]


@pytest.mark.slow
def test_a_crash_behind_a_pipe(tmp_path: Path) -> None:
    """`python train.py | tee log; echo $?` says 0 of a crash: the run's own word counts."""
    line = f"{sys.executable} train.py | tee log"

    done = supervised(tmp_path, CRASHING, "sh", "-c", line)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Starting training run #2" in done.stdout
    assert "the end" in done.stdout
    assert events(tmp_path).count("finished") == 1


@pytest.mark.slow
def test_a_type_error_is_not_tried_again(tmp_path: Path) -> None:
    """001's callable `ent_coef` failed in each attempt alike. One is enough, with its traceback."""
    done = supervised(tmp_path, TYPE_ERROR, sys.executable, "train.py")

    assert done.returncode == 20, done.stdout + done.stderr
    assert (tmp_path / "starts").read_text() == "x"
    assert "step * (lambda: 1)" in done.stdout + done.stderr
    assert "TypeError: unsupported operand type(s)" in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("is_supervised", [True, False], ids=["supervised", "alone"])
def test_ctrl_c_is_no_success(tmp_path: Path, *, is_supervised: bool) -> None:
    """000 swallowed it, exited with 0, and the wrapper said "completed successfully"."""
    (tmp_path / "train.py").write_text(ENDLESS)
    front = ["-m", "evertrain", "run", "--run", "runs/here", "--", sys.executable]
    command = [sys.executable, *(front if is_supervised else []), "train.py"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as training:
        assert training.stdout is not None
        said = ""
        for line in training.stdout:
            said += line
            if "TRAINING" in line:
                training.send_signal(signal.SIGINT)
    assert training.returncode == 75, said
    assert "complete" not in said.lower(), said
    assert "stopped" in events(tmp_path)
    assert "finished" not in events(tmp_path)


def test_a_learning_rate_at_the_start_of_a_stage(tmp_path: Path) -> None:
    """001 set `model.learning_rate`, which SB3 ignores until it loads: interrupting changed it."""
    pytest.importorskip("stable_baselines3")
    from evertrain.integrations.sb3 import learn
    from integrations.worlds import ROLLOUT, build, rows

    model = build()

    def rate() -> dict[str, Any]:
        return {"rate": model.policy.optimizer.param_groups[0]["lr"]}

    stages = [
        Stage("first", ROLLOUT, {"learning_rate": 3e-4}),
        Stage("second", ROLLOUT, {"learning_rate": 1e-5}),
    ]
    with Run(tmp_path, total=2 * ROLLOUT, seed=1) as run:
        for stage in run.stages(stages):
            learn(run, model, stage=stage, log_interval=None, after_update=rate)

    assert [row["rate"] for row in rows(tmp_path)] == [3e-4, 1e-5]
