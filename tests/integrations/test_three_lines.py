"""The scripts of docs/three-lines.md run, and go on when they are started again."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evertrain.checkpoint.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "three-lines.md"
ENDS = {"runs/sb3": 512, "runs/rllib": 3, "runs/torch": 20}


@pytest.mark.slow
def test_each_script_goes_on(tmp_path: Path) -> None:
    """The second start finds what the first one saved, and adds no checkpoint."""
    scripts = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(scripts) == len(ENDS)
    env = {
        **os.environ,
        "HOME": str(tmp_path),  # RLlib writes its logs there
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-W", "ignore", "-c", "\n".join(scripts)]
    kept = []
    for _ in range(2):
        subprocess.run(command, cwd=tmp_path, env=env, check=True, timeout=280)
        kept.append([[each.step for each in Store(tmp_path / run).list()] for run in ENDS])

    assert kept[0] == kept[1]
    assert [steps[-1] for steps in kept[0]] == list(ENDS.values())
