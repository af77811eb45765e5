"""Learning curves become a PNG, whole or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from evertrain.core.errors import MissingExtraError, NotFoundError, UsageError
from evertrain.core.journal import append_lines
from evertrain.core.rundir import RunDir
from evertrain.monitor.plot import learning_curves
from runs import new_run, tell

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """Return a run with a restart, stages, many metrics and a NaN."""
    run_dir = new_run(tmp_path / "quake")
    tell(
        run_dir,
        {"event": "resumed", "attempt": 1, "step": 0},
        {"event": "stage_started", "attempt": 1, "step": 0, "stage": "M4.5 @ 50kN"},
        {"event": "resumed", "attempt": 2, "step": 20},
        {"event": "stage_started", "attempt": 2, "step": 30, "stage": "M5.7 @ 100kN"},
    )
    rows = [
        {"step": step, "attempt": 2 if step > 20 else 1, "reward": step**0.5, "loss": 1 / step}
        | {f"m{index}": float(step) for index in range(12)}
        | ({"loss": float("nan")} if step == 7 else {})
        for step in range(1, 41)
    ]
    append_lines(run_dir.metrics, rows, sync=False)
    return run_dir


@pytest.mark.parametrize("metrics", [None, ["reward"], ["loss", "reward"]])
def test_a_picture_is_written(run_dir: RunDir, tmp_path: Path, metrics: list[str] | None) -> None:
    """The file is a PNG, in a directory that is made for it."""
    out = tmp_path / "plots" / "curves.png"

    assert learning_curves(str(run_dir.path), str(out), metrics) == out
    assert out.read_bytes().startswith(PNG)
    assert out.stat().st_size > 5_000


def test_a_short_run_is_drawn(tmp_path: Path) -> None:
    """One row, and a metric that is never finite, are enough."""
    run_dir = new_run(tmp_path / "r")
    append_lines(run_dir.metrics, [{"step": 1, "x": 1.0, "y": float("nan")}], sync=False)

    assert learning_curves(run_dir, tmp_path / "p.png").read_bytes().startswith(PNG)


def test_an_unknown_metric_is_named_with_the_nearest(run_dir: RunDir, tmp_path: Path) -> None:
    """The error lists what there is."""
    with pytest.raises(UsageError, match="Did you mean 'reward'"):
        learning_curves(run_dir, tmp_path / "p.png", ["rewrd"])
    with pytest.raises(UsageError, match="Name one of these"):
        learning_curves(run_dir, tmp_path / "p.png", ["zzz"])
    assert not (tmp_path / "p.png").exists()


def test_nothing_logged_is_not_found(tmp_path: Path) -> None:
    """A run without metrics has no curves."""
    with pytest.raises(NotFoundError, match=r"run\.log"):
        learning_curves(new_run(tmp_path / "r"), tmp_path / "p.png")


def test_without_matplotlib_the_extra_is_named(
    run_dir: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fix is the command that installs it."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(MissingExtraError) as caught:
        learning_curves(run_dir, tmp_path / "p.png")
    assert caught.value.fix == "pip install 'evertrain[plot]'"


@pytest.mark.slow
def test_no_window_and_no_global_state(run_dir: RunDir, tmp_path: Path) -> None:
    """Drawing never imports pyplot, so it can neither open a window nor leak figures."""
    code = (
        "import sys; from pathlib import Path; from evertrain.monitor.plot import learning_curves;"
        f"learning_curves(Path({str(run_dir.path)!r}), Path({str(tmp_path / 'p.png')!r}));"
        "assert 'matplotlib.figure' in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
