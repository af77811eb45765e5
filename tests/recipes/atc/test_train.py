"""The training on real simulators: what it says, and that it goes on exactly."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from evertrain.checkpoint.manifest import state_digest
from evertrain.checkpoint.read import read_checkpoint
from evertrain.checkpoint.store import Store
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.monitor.metrics import read_metrics
from support import resumed_from

pytestmark = pytest.mark.slow

LIMIT_S = 280.0  # for one training, on a machine that is busy

# A simulator that raises now and then, and is replaced alone; episodes are short.
SETTINGS = {
    "steps": 384,
    "envs": 1,
    "simulator.timewarp": 40,
    "simulator.episode_actions": 20,
    "faults.errors": 5,
    "checkpoints.every_steps": 64,
    "checkpoints.keep_last": 0,
    "ppo.n_steps": 64,
    "ppo.batch_size": 64,
    "ppo.n_epochs": 2,
    "ppo.net_arch": "[8]",
    "evaluation.exams": 2,
    "evaluation.exam_episodes": 1,
    "evaluation.episodes": 2,
    "evaluation.envs": 1,
}


@contextmanager
def trainer(run: Path, cache: Path) -> Iterator["subprocess.Popen[str]"]:
    """Lend the recipe as a process, in a group of its own that is killed in the end."""
    options = [word for name, value in SETTINGS.items() for word in ("-o", f"{name}={value}")]
    process = subprocess.Popen(
        [sys.executable, "-m", "evertrain.recipes", "atc", "--run", str(run), *options],
        cwd=run.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_for_checkpoint(run: Path, step: int, process: "subprocess.Popen[str]") -> None:
    """Wait until a checkpoint of `step` or later is there."""
    while process.poll() is None:
        newest = Store(run).latest() if run.exists() else None
        if newest is not None and newest.step >= step:
            return
        time.sleep(0.02)


def digests(run: Path) -> dict[int, str]:
    """Return the digest of everything that each checkpoint holds."""
    return {
        each.step: state_digest(read_checkpoint(each.path).manifest) for each in Store(run).list()
    }


def rows(run: Path) -> list[dict[str, Any]]:
    """Return the live rows without what tells attempts apart."""
    return [
        {name: value for name, value in row.items() if name not in {"time", "attempt"}}
        for row in read_metrics(RunDir(run))
    ]


@pytest.mark.soak  # minutes; test_bluesky.py has the simulator alone
@pytest.mark.timeout(900)
def test_killed_it_ends_where_it_would_have_ended(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """SIGKILL in the middle of episodes: every checkpoint, metric and the report are the same.

    Simulators that crash by themselves are replaced in both, at the same steps.
    """
    cache = tmp_path_factory.getbasetemp() / "cache"  # shared with tests of the simulator
    with trainer(tmp_path / "whole", cache) as whole:
        said, _ = whole.communicate(timeout=LIMIT_S)
    assert whole.returncode == 0, said
    for line in (
        "Using device: cpu",
        "Network parameters: ",
        "Starting training for 384 timesteps...",
    ):
        assert line in said
    for name in ("straight on", "to the waypoint", "policy"):
        assert name in said

    with trainer(tmp_path / "killed", cache) as killed:
        wait_for_checkpoint(tmp_path / "killed", 128, killed)
    with trainer(tmp_path / "killed", cache) as resumed:
        said, _ = resumed.communicate(timeout=LIMIT_S)

    assert resumed.returncode == 0, said
    assert resumed_from(tmp_path / "killed") > 0
    assert "barrier" not in said, "their state is not kept, so they are reset"
    journal = Journal(tmp_path / "whole" / "journal.jsonl")
    assert journal.events("env_restarted"), "no simulator crashed: the test shows less than it says"
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
    reports = [(tmp_path / run / "report.txt").read_text() for run in ("whole", "killed")]
    assert reports[0] == reports[1]
    measured = rows(tmp_path / "whole")[-1]
    assert {"exam/reward", "episode/intrusions", "episode/conflicts"} <= measured.keys()


@pytest.mark.soak
def test_the_recipe_is_bit_exact(tmp_path: Path) -> None:
    """The audit that it is offered to, with three kills."""
    options = [
        "--preset",
        "small",
        "-o",
        "evaluation.episodes=2",
        "-o",
        "ppo.n_steps=256",
        "-o",
        "ppo.batch_size=64",
        "--until",
        "4096",
        "--kills",
        "3",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "evertrain", "audit", "atc", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("bit-exact: ")


@pytest.mark.soak
def test_on_a_ladder_the_crashes_decide(tmp_path: Path) -> None:
    """A simulator that dies of its pace is slowed down until the training gets on."""
    ladder = tmp_path / "ladder.yaml"
    ladder.write_text("- --timewarp 40\n- --timewarp 10\n")
    words = [
        *("--preset", "frail", "--ladder", str(ladder), "--delay", "0", "--max-crashes", "0"),
        *("-o", "steps=6144", "-o", "checkpoints.every_steps=512"),
        *("-o", "faults.growth=6", "-o", "faults.segfaults=0.5", "-o", "faults.hangs=0"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "evertrain", "train", "atc", "--run", "run", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    rungs = [row["name"] for row in Journal(tmp_path / "run" / "journal.jsonl").events("rung")]
    assert rungs[0] == "--timewarp 40"
    assert rungs[-1] == "--timewarp 10"
