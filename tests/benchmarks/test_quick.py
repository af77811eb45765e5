"""The benchmarks run, without their peers and on small sizes; what they measure is not judged."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
KEPT = 10


def results(name: str, place: Path) -> Any:
    """Run one benchmark quickly, on the disk of `place`, and return what it writes down."""
    disk = place / "disk"
    disk.mkdir()
    options = ["--quick", "--only-evertrain", "--dir", str(disk), "--out", str(place / "out")]
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})

    assert done.returncode == 0, done.stderr
    assert list(disk.iterdir()) == []
    return json.loads((place / "out" / f"{name}.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["loop", "listing", "replay", "envs", "restart"])
def test_it_runs_and_leaves_numbers(name: str, tmp_path: Path) -> None:
    """Every case has samples, every target a measured value, and nothing is left on the disk."""
    found = results(name, tmp_path)

    assert found["name"] == name
    assert found["targets"]
    assert all(each["verdict"] in {"met", "MISSED"} for each in found["targets"])
    for each in found["samples"].values():
        assert each["errors"] == {}
        assert all(values for case in each["samples"].values() for values in case.values())


@pytest.mark.slow
def test_the_replay_benchmark_counts_what_is_written(tmp_path: Path) -> None:
    """A save writes at least the new rows, and ten checkpoints are kept to be weighed."""
    found = results("replay", tmp_path)

    settings = found["settings"]
    [measured] = found["samples"].values()
    new_bytes = settings["buffer_bytes"] * settings["new_rows"] / settings["rows"]
    for case in ("evertrain, SB3 model and buffer", "evertrain, bare arrays"):
        wrote = measured["samples"][case]["asked_bytes"]
        assert len(wrote) == KEPT
        assert min(wrote) >= new_bytes
        assert any(row[0] == case and row[2] == KEPT for row in found["tables"][1]["rows"])
