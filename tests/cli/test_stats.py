"""The figures of a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from evertrain.core.rundir import RunDir
from evertrain.monitor.goodput import KINDS
from runs import tell, trained_run

Ask = Callable[..., dict[str, Any]]
Invoke = Callable[..., Any]


def test_for_people(trading: RunDir, invoke: Invoke) -> None:
    """A row for each attempt and for all, then saves, crashes, metrics."""
    lines = invoke("stats", "trading").output.splitlines()

    assert lines[0] == "runs/trading: finished - all steps done"
    assert lines[2].split() == ["Attempt", "Total", *map(str.title, KINDS)]
    first = [line.split()[0] for line in lines if line]
    assert first[2:] == ["1", "all", "time", "saves", "crashes", "Metric", "total_profit", "trades"]
    assert next(line for line in lines if "crashes" in line).split() == ["crashes", "0"]
    assert trading.path.is_dir()


def test_as_json(trading: RunDir, ask: Ask) -> None:
    """Every class of every attempt; they add up to the whole."""
    found = ask("stats", "trading")

    assert found["time"].keys() == {"total_s", "goodput", *(f"{kind}_s" for kind in KINDS)}
    assert [each["attempt"] for each in found["attempts"]] == [1]
    assert abs(sum(found["time"][f"{kind}_s"] for kind in KINDS) - found["time"]["total_s"]) < 0.01
    assert found["saves"]["count"] > 0
    assert found["crashes"] == []
    assert "total_profit" in [each["name"] for each in found["metrics"]]
    assert trading.path.is_dir()


def test_crashes_by_cause(place: Path, invoke: Invoke, ask: Ask) -> None:
    """How often each."""
    run_dir = trained_run(place / "r", is_finished=False)
    causes = ["exit code 1", "SIGKILL", "SIGKILL"]
    tell(run_dir, *({"event": "crashed", "attempt": 1, "cause": cause} for cause in causes))

    assert "2 x SIGKILL, 1 x exit code 1\n" in invoke("stats", "r").output
    assert ask("stats", "r")["crashes"][0] == {"cause": "SIGKILL", "count": 2}


def test_a_run_without_a_life(place: Path, invoke: Invoke) -> None:
    """Nothing is divided by nothing."""
    run_dir = trained_run(place / "r", is_finished=False)
    run_dir.journal.write_bytes(b"")
    run_dir.metrics.unlink(missing_ok=True)

    lines = invoke("stats", "r").output.splitlines()
    assert [line.split()[-2:] for line in lines if "time" in line] == [["none", "yet"]]
