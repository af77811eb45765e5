"""The recipe passes the audit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.soak
def test_the_recipe_is_bit_exact(tmp_path: Path) -> None:
    """DQN with its buffer, killed three times: every checkpoint and metric is equal."""
    done = subprocess.run(
        [sys.executable, "-m", "evertrain", "audit", "trading", "--preset", "small"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("bit-exact: ")
    assert done.stdout.splitlines()[-1].endswith(", 3 kills")
