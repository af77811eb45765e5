"""Killed with SIGKILL at random moments, a training ends where it would have ended."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evertrain.checkpoint.manifest import state_digest
from evertrain.checkpoint.store import Store
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.monitor.metrics import read_metrics
from support import Tally

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"

PYTREE = """
import sys
import numpy as np
from evertrain import Run, every

def loss_and_grad(params, x, y):
    error = x @ params["w"] + params["b"] - y
    return float((error**2).mean()), {"w": 2 * x.T @ error / len(x), "b": 2 * error.mean(0)}

with Run(sys.argv[1], total=1000, seed=3, save=every(steps=10)) as run:
    run.state.params = {"w": np.zeros((8, 2), np.float32), "b": np.zeros(2, np.float32)}
    run.state.velocity = {"w": np.zeros((8, 2), np.float32), "b": np.zeros(2, np.float32)}
    run.state.scale = 1.0
    for step in run:
        x = np.random.normal(size=(16, 8)).astype(np.float32)
        y = x[:, :2] * 3 + 1
        loss, grad = loss_and_grad(run.state.params, x, y)
        v = run.state.velocity
        run.state.velocity = {k: (0.9 * v[k] - 0.01 * grad[k]).astype(np.float32) for k in v}
        run.state.params = {k: run.state.params[k] + run.state.velocity[k] for k in v}
        run.state.scale *= 0.999
        run.log(loss=loss, scale=run.state.scale)
"""


def readme_loop(total: int) -> str:
    """Return the loop that the README shows, with more steps and a directory to choose."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    loop = next(block for block in blocks if "run.attach(agent=agent" in block)
    loop, count = re.subn(r"total=\d+", f"total={total}", loop)
    loop, more = re.subn(r'Run\("[^"]*"', "Run(sys.argv[1]", loop)
    assert (count, more) == (1, 1), "the README's loop has changed its shape"
    return "import sys\n" + loop


def storm(
    tmp_path: Path, script: str, runs: int, kills: int, tally: Tally
) -> tuple[RunDir, list[RunDir]]:
    """Run `script` undisturbed, and `runs` times with `kills` kills each."""
    (tmp_path / "train.py").write_text(script)
    victims = [f"{tmp_path / f'victim{i}'}:{kills}" for i in range(runs)]
    command = [sys.executable, str(HERE / "zygote.py"), str(tmp_path / "train.py"), "7"]
    done = subprocess.run(
        [*command, str(tmp_path / "whole"), *victims],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    hits = json.loads(done.stdout.splitlines()[-1])
    assert sum(hits.values()) >= runs * kills - runs, hits
    tally("SIGKILL at a random time", injected=sum(hits.values()))
    return RunDir(tmp_path / "whole"), [RunDir(Path(name)) for name in hits]


def rows(run_dir: RunDir) -> list[dict[str, Any]]:
    """Return the live rows without what tells attempts apart."""
    unlike = {"time", "attempt"}
    return [{k: v for k, v in row.items() if k not in unlike} for row in read_metrics(run_dir)]


def assert_resumed(victims: list[RunDir], at_least: int) -> None:
    """Assert that the kills mattered: so many attempts, of each run, went on in the middle."""
    for victim in victims:
        steps = [row["step"] for row in Journal(victim.journal).events("resumed")]
        assert sum(step > 0 for step in steps) >= at_least, steps


def assert_same(whole: RunDir, victim: RunDir) -> None:
    """Assert that two runs hold the same bits and the same live rows."""
    expected, found = Store(whole.path).load(), Store(victim.path).load()
    assert found.info.step == expected.info.step
    assert found.info.kind == "final"
    assert state_digest(found.manifest) == state_digest(expected.manifest)
    assert rows(victim) == rows(whole)


@pytest.mark.slow
def test_the_readmes_loop_survives_fifty_kills(tmp_path: Path, tally: Tally) -> None:
    """Weights, Adam moments, generators and metrics are those of the undisturbed run."""
    whole, victims = storm(tmp_path, readme_loop(1000), runs=5, kills=11, tally=tally)

    assert_resumed(victims, at_least=3)
    for victim in victims:
        assert_same(whole, victim)
    assert len(rows(whole)) == 1000


@pytest.mark.slow
def test_a_loop_of_rebound_pytrees_survives_fifty_kills(tmp_path: Path, tally: Tally) -> None:
    """The same for functional code that rebinds its parameters in `run.state`."""
    whole, victims = storm(tmp_path, PYTREE, runs=5, kills=11, tally=tally)

    assert_resumed(victims, at_least=3)
    for victim in victims:
        assert_same(whole, victim)
    assert len(rows(whole)) == 1000
