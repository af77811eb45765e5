"""Running a command in this process, in a directory of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from evertrain.cli.main import cli
from evertrain.core.rundir import RunDir
from runs import trained_run

Invoke = Callable[..., Result]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def invoke() -> Invoke:
    """Return what runs a command and checks its exit status."""

    def run(*args: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, list(args))
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def ask(invoke: Invoke) -> Callable[..., dict[str, Any]]:
    """Return what runs a command with --json and returns the answer."""

    def run(*args: str, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(invoke(*args, "--json", code=code).stdout)
        assert found["schema_version"] == 1
        return found

    return run


@pytest.fixture
def trading(place: Path) -> RunDir:
    """Return the finished run runs/trading: steps 10, 20 (best) and 30 (final)."""
    return trained_run(place / "runs" / "trading")
