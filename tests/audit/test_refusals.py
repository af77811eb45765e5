"""What cannot be audited is said, with what to do."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from audit import programs
from audit.test_faults import audited
from evertrain.testing.processes import living, wait_until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("program", "code", "words"),
    [
        (programs.NEVER_OPENS_A_RUN, 78, "has ended, and never opened a Run"),
        (programs.FAILS, 1, "it ends with: ArithmeticError: the loss is 7"),
        (programs.EMPTY, 78, "saves 2 checkpoints, and is to be killed 3 times"),
    ],
    ids=["no run", "fails", "too short"],
)
def test_refusals(tmp_path: Path, program: str, code: int, words: str) -> None:
    """A clear error with its exit code, and no verdict."""
    done = audited(tmp_path, program)

    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stderr
    assert "bit-exact" not in done.stdout


def test_until_ends_an_endless_training(tmp_path: Path) -> None:
    """It ends as finished at that step, saves at the steps asked for, and is compared there.

    Nothing that it has started outlives the kill or the end, not even in a session of its own.
    """
    options = ["--until", "30", "--steps-between-saves", "7", "--kills", "1"]
    mark = f"EVERTRAIN_TEST_MARK={tmp_path.name}-{os.getpid()}"

    done = audited(tmp_path, programs.ENDLESS, *options, mark=mark)

    assert living(mark) == {}
    assert done.returncode == 0, done.stdout + done.stderr
    assert "undisturbed: 6 checkpoints, the last one of step 30" in done.stdout  # 1, 7, ..., 28, 30


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """The training, what it has started, the shim and the temporary runs are gone."""
    (tmp_path / "train.py").write_text(programs.ENDLESS)
    mark = f"EVERTRAIN_TEST_MARK={tmp_path.name}-{os.getpid()}"
    name, _, value = mark.partition("=")
    command = [sys.executable, "-m", "evertrain", "audit", "--", sys.executable, "train.py"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, name: value, "TMPDIR": str(tmp_path)},
    )
    wait_until((tmp_path / "is-training").exists, "a training")

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "interrupted" in errors
    assert living(mark) == {}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["is-training", "train.py"]


def test_a_used_directory_is_left_alone(tmp_path: Path) -> None:
    """--keep wants a place of its own."""
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "mine").touch()

    done = audited(tmp_path, programs.EMPTY, "--keep", "both")

    assert done.returncode == 78
    assert "there is something already" in done.stderr
    assert [each.name for each in (tmp_path / "both").iterdir()] == ["mine"]
