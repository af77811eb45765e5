"""The shipped recipe passes the audit that it is offered to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.soak
def test_the_recipe_is_bit_exact(tmp_path: Path) -> None:
    """PPO with normalized environments, killed twice: every checkpoint and metric is equal."""
    options = ["--preset", "small", "--until", "8000", "--kills", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "evertrain", "audit", "structure", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("bit-exact: ")
    assert done.stdout.splitlines()[-1].endswith(", 2 kills")
