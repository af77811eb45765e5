"""The auto-restart wrapper of a crash-prone simulator: config, crash budget, delay.

The guide's `./train_with_autorestart.sh CONFIG MAX_CRASHES DELAY` is
`evertrain run --max-crashes N --delay S -- python train.py CONFIG`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TRAIN = """
import os, sys
from evertrain import Run, every

crashes = int(sys.argv[1])
with Run("runs/atc", total=50, save=every(steps=5)) as run:
    run.attach(seen=[])
    print("Using device: cpu")
    for step in run:
        if run.attempt <= crashes and step == 10 * run.attempt + 3:
            run.wait()  # steps of a real simulator take longer than a save
            print("simulator: lost connection", flush=True)
            os._exit(1)
"""

FOREIGN = """
import argparse, os, pathlib, sys
import torch

parser = argparse.ArgumentParser()
parser.add_argument("--resume")
args = parser.parse_args()
pathlib.Path("models").mkdir(exist_ok=True)
episode, weights = 0, torch.zeros(1000)
if args.resume:
    saved = torch.load(args.resume)
    episode, weights = saved["episode"], saved["weights"]
    print(f"resumed from {args.resume} at {episode}")
crashes = pathlib.Path("crashes.txt")
count = int(crashes.read_text()) if crashes.exists() else 0
while episode < 60:
    episode += 1
    weights += 1
    if episode % 10 == 0:
        torch.save({"episode": episode, "weights": weights}, f"models/model_ep{episode}.pt")
    if episode == (25, 47)[min(count, 1)] and count < 2:
        crashes.write_text(str(count + 1))
        if count == 1:
            newest = pathlib.Path("models/model_ep40.pt")
            newest.write_bytes(newest.read_bytes()[:-100])
        os._exit(139)
print("weights", weights.sum().item())
"""


def evertrain(cwd: Path, *arguments: str, script: str) -> "subprocess.CompletedProcess[str]":
    """Run `evertrain run ARGUMENTS` on a script in `cwd`."""
    (cwd / "train.py").write_text(script)
    env = {key: value for key, value in os.environ.items() if not key.startswith("EVERTRAIN_")}
    return subprocess.run(
        [sys.executable, "-m", "evertrain", "run", *arguments],
        cwd=cwd,
        env={**env, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_crashes_are_survived_until_it_is_done(tmp_path: Path) -> None:
    """Two crashes, two restarts, each from the newest checkpoint, and success at the end."""
    done = evertrain(tmp_path, "--delay", "0", "--", sys.executable, "train.py", "2", script=TRAIN)

    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "Max crashes before stopping: 10",
        "Starting training run #1",
        "Training crashed! (exit code: 1)",
        "Crash count: 1 / 10",
        "Starting training run #2",
        "Crash count: 2 / 10",
        "Starting training run #3",
        "Training complete!",
    ):
        assert line in done.stdout
    assert "Resuming from step 10" in done.stdout
    assert "Resuming from step 20" in done.stdout
    log = (tmp_path / "runs" / "train" / "logs" / "attempt-0001.log").read_text()
    assert "simulator: lost connection" in log


def test_the_crash_budget_ends_it(tmp_path: Path) -> None:
    """`MAX_CRASHES 3`: the third crash is the last, and the exit code says that it gave up."""
    done = evertrain(
        tmp_path,
        *("--max-crashes", "3", "--delay", "0", "--"),
        *(sys.executable, "train.py", "99"),
        script=TRAIN,
    )

    assert done.returncode == 20, done.stdout + done.stderr
    assert "Crash count: 3 / 3" in done.stdout
    assert "Starting training run #4" not in done.stdout
    assert "Gave up" in done.stdout


def test_the_delay_is_counted_down(tmp_path: Path) -> None:
    """`DELAY 1`: the wait is announced, with the way to stop it."""
    done = evertrain(tmp_path, "--delay", "1", "--", sys.executable, "train.py", "1", script=TRAIN)

    assert done.returncode == 0
    assert "Restarting in 1 second" in done.stdout
    assert "Ctrl+C" in done.stdout


def test_a_script_that_knows_nothing_of_evertrain_survives(tmp_path: Path) -> None:
    """Its own files are found, checked and handed over; a truncated newest one is passed over."""
    done = evertrain(
        tmp_path,
        *("--delay", "0", "--checkpoints", "models/model_ep*.pt"),
        *("--resume-arg", "--resume {path}", "--", sys.executable, "train.py"),
        script=FOREIGN,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Found checkpoint: models/model_ep20.pt" in done.stdout
    assert "resumed from models/model_ep20.pt at 20" in done.stdout
    assert "skipping models/model_ep40.pt" in done.stdout
    assert "resumed from models/model_ep30.pt at 30" in done.stdout
    assert "weights 60000.0" in done.stdout
