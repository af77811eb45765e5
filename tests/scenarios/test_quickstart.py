"""The quickstart shows what it promises, on a training an eighth as long."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.py"


@pytest.mark.slow
def test_three_kills_do_not_matter(tmp_path: Path) -> None:
    """Three SIGKILLs, one in the middle of a save; table, time, listing, picture, and the proof."""
    options = ["--preset", "small"]
    for stage in range(4):
        options += ["-o", f"stages.{stage}.steps=5000"]
    done = subprocess.run(
        [sys.executable, str(QUICKSTART), *options],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIGKILL 1 of 3: in the middle of a save" in done.stdout
    assert done.stdout.count("Training crashed! (SIGKILL)") == 3
    assert re.search(r"useful \d+ s, done twice \d+ s, waiting and starting \d+ s", done.stdout)
    assert "[FINAL]" in done.stdout
    proof = [line for line in done.stdout.splitlines() if line.startswith("bit-exact:")]
    assert re.match(r"bit-exact: [0-9a-f]{16} after 3 kills equals the twin's", proof[-1])
    picture = tmp_path / "runs" / "quickstart" / "killed" / "plots" / "learning.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
