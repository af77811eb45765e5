"""RLlib in a run: killed in the middle of an episode, it ends where it would have ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from integrations.worlds import digest, rows
from support import resumed_from

PROGRAM = Path(__file__).with_name("rllib_program.py")


def start(*words: object) -> int:
    """Run the program, with the hashes that RLlib's order of agents needs; return its exit code."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, words)],
        env={
            **os.environ,
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        check=False,
        timeout=280,
    )
    return done.returncode


@pytest.mark.slow
def test_sigkill_in_the_middle_of_an_episode(tmp_path: Path) -> None:
    """Weights, Adam's moments, KL coefficients, episodes, generators, curve: all of it."""
    assert start(tmp_path / "run", 3 * 64 + 17) == -signal.SIGKILL
    assert start(tmp_path / "run") == 0

    assert resumed_from(tmp_path / "run") > 0
    assert digest(tmp_path / "run") == digest(tmp_path / "run-whole")
    assert rows(tmp_path / "run") == rows(tmp_path / "run-whole")
    assert [row["steps"] for row in rows(tmp_path / "run")] == [64, 128, 192, 256, 320]
