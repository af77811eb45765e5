"""The base install works without any framework, and says what an extra would bring."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FRAMEWORKS = ["torch", "stable_baselines3", "gymnasium", "scipy", "matplotlib", "pandas"]
BLOCK = f"import sys; sys.modules.update(dict.fromkeys({FRAMEWORKS!r}))\n"

TRAIN = """
import numpy as np
from evertrain import Run, every
with Run("runs/bare", total=20, seed=1, save=every(steps=5), best="max:x") as run:
    weights = np.zeros(3)
    run.attach(weights=weights)
    run.state.epsilon = 1.0
    for step in run:
        weights += np.random.normal(size=3)
        run.state.epsilon *= 0.9
        run.log(x=weights.sum())
        if step == 12 and run.attempt == 1:
            import os; os._exit(1)
print("done at", run.step, "attempt", run.attempt)
"""
COMMAND = "from evertrain.cli.main import main; sys.argv = {arguments!r}; main()"


def bare(cwd: Path, code: str) -> "subprocess.CompletedProcess[str]":
    """Run `code` in a Python where importing any framework fails."""
    command = [sys.executable, "-c", BLOCK + code]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def evertrain(cwd: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line in such a Python."""
    return bare(cwd, COMMAND.format(arguments=["evertrain", *arguments]))


def test_a_loop_of_numpy_resumes(tmp_path: Path) -> None:
    """Crash, resume, finish: nothing of it needs a framework."""
    assert bare(tmp_path, TRAIN).returncode == 1

    done = bare(tmp_path, TRAIN)

    assert done.returncode == 0, done.stderr
    assert "done at 20 attempt 2" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["ls", "runs/bare"], ["status", "runs/bare"], ["verify", "runs/bare"],
     ["show", "runs/bare@best"], ["doctor"], ["recipes"]],
    ids=" ".join,
)  # fmt: skip
def test_commands_need_no_framework(tmp_path: Path, arguments: list[str]) -> None:
    """Looking after a run works where it could not be trained."""
    bare(tmp_path, TRAIN)
    bare(tmp_path, TRAIN)

    done = evertrain(tmp_path, *arguments)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_recipe_says_what_to_install(tmp_path: Path) -> None:
    """Training a recipe without its packages is one clear line, not a traceback."""
    code = "from evertrain import recipes; r = recipes.find('structure')\ntry: r.train(None, 'x')\n"
    done = bare(tmp_path, code + "except Exception as error: print(type(error).__name__, error)")

    assert "MissingExtraError" in done.stdout
    assert "pip install 'evertrain[structure]'" in done.stdout
