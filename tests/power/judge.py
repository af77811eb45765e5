"""What must hold of a run after any death: it goes on exactly, and leaves nothing behind."""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np

from evertrain.checkpoint import Store
from evertrain.checkpoint.catalog import Catalog, step_names
from evertrain.core.errors import CorruptError
from evertrain.core.rundir import RunDir, step_name
from evertrain.monitor.metrics import read_metrics
from power.program import STILL, SUMS, X, ring_at, train

TOP = {
    "run.json",
    "run.json.damaged",
    "lock",
    "journal.jsonl",
    "metrics.jsonl",
    "heartbeat",
    "checkpoints",
    "inbox",
}
SHELVES = {"latest", "best", "index.json", "pins", "emergency", "superseded", "quarantine", "trash"}
RETURNABLE = re.compile(r"\d{9}-until-\w+(-\d+)?")


def check_goes_on(path: Path, until: int) -> int:
    """Resume the run and train to its end; return the step that it went on from.

    The state, the curve and every checkpoint must then be those of a run that
    nothing happened to. A request to stop that was left may interrupt it once.
    """
    began = train(path, until)
    if not (path / "checkpoints" / step_name(until)).exists():
        train(path, until)
    check_state(path, until)
    check_nothing_left(path)
    return began


def check_newest(path: Path) -> int:
    """Look at what a resume would find, without one; return the step that it would go on from.

    The newest checkpoint that loads must hold the state of its step, and the
    curve must reach it.
    """
    store = Store(path / "checkpoints")
    store.recover()
    rows = {row["step"]: row["x"] for row in read_metrics(RunDir(path))}
    for name in reversed(step_names(store.path)):
        with suppress(CorruptError):
            loaded = store.map(int(name))
            step = loaded.info.step
            np.testing.assert_array_equal(loaded.state["run.state"]["x"], X[step])
            np.testing.assert_array_equal(loaded.state["ring"], ring_at(step))
            assert [rows.get(each) for each in range(1, step + 1)] == SUMS[1 : step + 1]
            return step
    return 0


def check_state(path: Path, step: int) -> None:
    """Look at every byte of the run, and at every number of its newest checkpoint."""
    store = Store(path)
    assert store.verify() == []
    loaded = store.load()
    assert loaded.info.step == step
    for link in ("latest", "best"):  # the metric only grows
        assert loaded.info.path.name == str((store.path / link).readlink())
    np.testing.assert_array_equal(loaded.state["run.state"]["x"], X[step])
    np.testing.assert_array_equal(loaded.state["ring"], ring_at(step))
    np.testing.assert_array_equal(loaded.state["still"], STILL)
    rows = {row["step"]: row["x"] for row in read_metrics(RunDir(path))}
    assert rows == dict(enumerate(SUMS[1 : step + 1], 1))
    listed = Catalog(store.path).infos()
    (store.path / "index.json").unlink()
    assert Catalog(store.path).infos() == listed


def check_nothing_left(path: Path) -> None:
    """Look that another recovery leaves nothing but what `docs/format.md` names."""
    Store(path).recover()
    unfinished = [str(each) for each in path.rglob("*") if ".tmp-" in each.name]
    assert unfinished == []
    assert {each.name for each in path.iterdir() if each.name[0] != "."} <= TOP
    checkpoints = path / "checkpoints"
    names = {each.name for each in checkpoints.iterdir()}
    assert {name for name in names if not name.isdecimal()} <= SHELVES
    trash = checkpoints / "trash"
    thrown = [each.name for each in trash.iterdir()] if trash.exists() else []
    assert [name for name in thrown if not RETURNABLE.fullmatch(name)] == []
