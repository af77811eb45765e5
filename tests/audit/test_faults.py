"""Each planted fault is found, at the leaf where it shows and with its cause."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit import programs

pytestmark = pytest.mark.slow

DIFFERENT = 12


def audited(
    cwd: Path, program: str, *options: str, mark: str = "mark=none"
) -> "subprocess.CompletedProcess[str]":
    """Audit a training that is in a file of its own; `mark` is in its environment."""
    name, _, value = mark.partition("=")
    (cwd / "train.py").write_text(program)
    command = [sys.executable, "-m", "evertrain", "audit", *options]
    return subprocess.run(
        [*command, "--", sys.executable, "train.py"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(cwd), name: value},
    )


@dataclass(frozen=True)
class Fault:
    """A planted fault.

    Attributes:
        program: The training that has it.
        leaf: Where it shows first.
        nature: What it takes to show.
        cause: What the audit has to say of it.
    """

    program: str
    leaf: str
    nature: str
    cause: tuple[str, ...]


FAULTS = {
    "rng": Fault(
        programs.RNG_NOT_ATTACHED,
        "weights",
        "resume",
        ("`env.rng` of main() (numpy.random.Generator) is not attached", "started over"),
    ),
    "optimizer": Fault(
        programs.OPTIMIZER_NOT_ATTACHED,
        "model.weight",
        "resume",
        ("`optimizer` (torch.optim.adam.Adam) is not attached", "no state after it"),
    ),
    "scheduler": Fault(
        programs.SCHEDULER_STARTS_OVER,
        "model.weight",
        "resume",
        ("`scheduler` (torch.optim.lr_scheduler.LambdaLR) is not attached", "last_epoch 0"),
    ),
    "loader": Fault(
        programs.LOADER_STARTS_OVER,
        "weights",
        "resume",
        ("`loader` (generator) is not attached", "start = ", "after it)"),
    ),
    "wall clock": Fault(
        programs.WALL_CLOCK,
        "weights",
        "chance",
        ("it is not the resume", "time.time() in noise (train.py:7)"),
    ),
    "hash order": Fault(
        programs.HASH_ORDER,
        "weights",
        "hashes",
        ("only PYTHONHASHSEED", "`names` (10 members)"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_planted_fault_is_found(tmp_path: Path, name: str) -> None:
    """The first leaf that differs, what it takes to differ, and the likely cause."""
    fault = FAULTS[name]

    done = audited(tmp_path, fault.program, "--json", "--kills", "1", "--seed", "7")

    assert done.returncode == DIFFERENT, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["difference"]["path"] == fault.leaf, told
    assert told["nature"] == fault.nature
    for words in fault.cause:
        assert words in told["cause"]["what"], told
    assert told["difference"]["one"] != told["difference"]["two"]
    assert Path(told["kept"], "killed", "run.json").exists()


def test_a_healthy_training_is_bit_exact(tmp_path: Path) -> None:
    """Three kills, and nothing differs but a metric that is never the same twice."""
    done = audited(tmp_path, programs.HEALTHY, "--seed", "7")

    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("bit-exact: ")
    assert lines[-1].endswith(" kB, 3 kills")
    assert lines[-2].endswith("differ in them: seconds")
    assert lines[-3] == "equal: 21 checkpoints, 40 rows of metrics"
    assert list(tmp_path.glob("evertrain-audit-*")) == []


def test_a_training_that_cannot_resume(tmp_path: Path) -> None:
    """An attempt that fails behind a kill fails the audit, with its last word."""
    done = audited(tmp_path, programs.CANNOT_RESUME, "--kills", "1", "--keep", "both")

    assert done.returncode == DIFFERENT, done.stdout + done.stderr
    assert "cannot resume: after 1 kill, the attempt after it ended with exit code" in done.stdout
    assert "weights" in done.stdout
    # A training that is over before it is hit trains once more, in "killed-2".
    assert list((tmp_path / "both").glob("killed*/logs/attempt-0002.log"))
