"""Run directories for tests that only read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evertrain.checkpoint.about import About
from evertrain.checkpoint.store import Store
from evertrain.core.journal import Journal, append_lines
from evertrain.core.rundir import RunDir, new_identity, step_name, write_identity
from evertrain.testing.clock import FakeClock


def new_run(path: Path, clock: FakeClock | None = None, **known: Any) -> RunDir:
    """Return a run that has an identity and nothing else."""
    run_dir = RunDir(path)
    about = {"unit": "episode", "seed": 0, "command": ["python", "train.py"]} | known
    write_identity(run_dir, new_identity(clock=clock or FakeClock(), **about))
    return run_dir


def tell(run_dir: RunDir, *events: Mapping[str, Any], clock: FakeClock | None = None) -> None:
    """Write events into a run's journal, one second apart."""
    clock = clock or FakeClock()
    journal = Journal(run_dir.journal, clock=clock)
    for event in events:
        fields = {key: value for key, value in event.items() if key != "event"}
        journal.record(event["event"], sync=False, **fields)
        clock.advance(1)


def trained_run(
    path: Path, steps: Sequence[int] = (10, 20, 30), *, is_finished: bool = True, **known: Any
) -> RunDir:
    """Return a run of one attempt with a checkpoint at each of `steps`; the middle is best."""
    clock = FakeClock()
    run_dir = new_run(path, clock, **known)
    started = {"event": "attempt_started", "attempt": 1, "pid": 4242, "host": "here"}
    tell(run_dir, started | {"total": steps[-1]}, clock=clock)
    tell(run_dir, {"event": "resumed", "attempt": 1, "step": 0}, clock=clock)
    store = Store(run_dir.checkpoints, best="max:total_profit", clock=clock)
    for step in steps:
        metrics = {"total_profit": -float((step - steps[len(steps) // 2]) ** 2), "trades": 45.0}
        append_lines(run_dir.metrics, [{"step": step, "attempt": 1} | metrics], sync=False)
        is_final = is_finished and step == steps[-1]
        about = About(kind="final" if is_final else "step", metrics=metrics, attempt=1)
        store.save(step, {"agent": {"w": np.arange(100)}}, about=about)
        tell(run_dir, {"event": "saved", "attempt": 1, "step": step}, clock=clock)
    if is_finished:
        end = {"event": "finished", "attempt": 1, "step": steps[-1], "why": "all steps done"}
        tell(run_dir, end, clock=clock)
    return run_dir


def share(root: Path, one: int, other: int) -> None:
    """Let two checkpoints of equal arrays share their file, as a store does that saves no bytes."""
    first, second = (root / step_name(step) / "agent.safetensors" for step in (one, other))
    assert first.read_bytes() == second.read_bytes()
    second.unlink()
    second.hardlink_to(first)


def tree_of(path: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return everything about the files below `path` that a reader must leave alone."""
    found = {}
    for at in [path, *sorted(path.rglob("*"))]:
        stat = at.lstat()
        is_link = at.is_symlink()
        data = bytes(at.readlink()) if is_link else at.read_bytes() if at.is_file() else b""
        found[str(at)] = (stat.st_ino, stat.st_mode, stat.st_mtime_ns, data)
    return found
