"""The scripts of docs/three-lines.md run, and go on when they are started again."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from evertrain.checkpoint.store import Store
from integrations.worlds import digest, rows

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


def test_the_script_of_sb3_trains_twice_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives no seed to its model: that of the run is enough."""
    script = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)[0]
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        np.random.seed(None)  # noqa: NPY002
        torch.seed()
        exec(script, {})  # noqa: S102  (our own page)

    one, other = (tmp_path / name / "runs/sb3" for name in ("one", "other"))
    assert digest(one) == digest(other)
    assert rows(one) == rows(other)
