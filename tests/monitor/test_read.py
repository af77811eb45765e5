"""The status of a run, from its files alone."""

import math
import os
from pathlib import Path

import pytest

from evertrain.checkpoint import About, Store
from evertrain.core import lock
from evertrain.core.errors import CorruptError, FormatError, NotFoundError
from evertrain.core.heartbeat import Heart
from evertrain.core.journal import append_lines
from evertrain.core.rundir import RunDir, open_run_dir
from evertrain.monitor.read import metadata_of, status
from evertrain.testing.clock import FakeClock
from runs import new_run, tell, trained_run, tree_of

START = {"event": "attempt_started", "attempt": 1, "pid": os.getpid(), "total": 300}


def test_a_finished_run(tmp_path: Path) -> None:
    """Everything that the files know is there."""
    found = status(trained_run(tmp_path / "r"), clock=FakeClock(now_s=1_700_000_100.0))

    assert (found.state, found.reason) == ("finished", "all steps done")
    assert (found.step, found.total, found.crash_count) == (30, 30, 0)
    assert [each.step for each in found.checkpoints] == [10, 20, 30]
    assert found.checkpoint is not None
    assert found.checkpoint.step == 30
    assert 90 < found.checkpoint.age_s < 100
    assert (found.checkpoint.at_risk_steps, found.checkpoint.at_risk_s) == (0, None)
    assert found.best is not None
    assert (found.best.step, found.best.metric, found.best.value) == (20, "total_profit", 0.0)


def test_a_new_run(tmp_path: Path) -> None:
    """An identity alone is a run to which nothing has happened."""
    found = status(new_run(tmp_path / "r"))

    assert (found.state, found.step, found.total) == ("new", 0, None)
    assert (found.checkpoint, found.best, found.attempts) == (None, None, ())


def test_a_running_run(tmp_path: Path) -> None:
    """The heartbeat tells the step; what a crash now would cost is told in steps and time."""
    run_dir = trained_run(tmp_path / "r", is_finished=False)
    clock = FakeClock(now_s=1_700_000_041.0, monotonic_s=500.0)
    saved_at_s = status(run_dir, clock=clock).checkpoints[-1].saved_at_s
    with (
        lock.take(run_dir.lock, clock=clock),
        Heart(run_dir.heartbeat, os.getpid(), clock=clock) as heart,
    ):
        heart.beat(33, "eval")
        clock.advance(2)
        found = status(run_dir, clock=clock)

    assert (found.state, found.step) == ("running", 33)
    assert found.reason == f"attempt 1, pid {os.getpid()}, last sign of life 2.0 s ago (eval)"
    assert found.checkpoint is not None
    assert found.checkpoint.at_risk_steps == 3
    assert found.checkpoint.at_risk_s == pytest.approx(1_700_000_043.0 - saved_at_s)


def test_only_the_work_of_this_attempt_is_at_risk(tmp_path: Path) -> None:
    """A run that was resumed a second ago has a second to lose, however old the checkpoint."""
    run_dir = trained_run(tmp_path / "r", is_finished=False)
    clock = FakeClock(now_s=1_700_009_000.0)
    tell(run_dir, START | {"attempt": 2}, clock=clock)
    with lock.take(run_dir.lock, attempt=2, clock=clock):
        found = status(run_dir, clock=clock)

    assert found.checkpoint is not None
    assert found.checkpoint.at_risk_s == 1.0
    assert found.checkpoint.age_s > 8000


def test_another_process_heartbeat_does_not_count(tmp_path: Path) -> None:
    """A heartbeat that a dead attempt left is not a sign of life."""
    run_dir = new_run(tmp_path / "r")
    tell(run_dir, START)
    with lock.take(run_dir.lock), Heart(run_dir.heartbeat, os.getpid() + 1) as heart:
        heart.beat(999, "step")
        found = status(run_dir)

    assert (found.state, found.step) == ("running", 0)
    assert "sign of life" not in found.reason


def test_a_killed_run(tmp_path: Path) -> None:
    """Its lock names a process that is gone; the logged steps show what must be replayed."""
    run_dir = trained_run(tmp_path / "r", is_finished=False)
    append_lines(run_dir.metrics, [{"step": 36, "attempt": 1, "x": 1}], sync=False)

    found = status(run_dir)

    assert (found.state, found.crash_count, found.step) == ("crashed", 1, 36)
    assert found.checkpoint is not None
    assert (found.checkpoint.at_risk_steps, found.checkpoint.at_risk_s) == (6, None)


def test_a_rewound_run_is_where_it_rewound_to(tmp_path: Path) -> None:
    """Steps of an abandoned branch are not progress."""
    run_dir = trained_run(tmp_path / "r", is_finished=False)
    tell(run_dir, START | {"attempt": 2}, {"event": "resumed", "attempt": 2, "step": 10})

    assert status(run_dir).step == 10


def test_the_newest_stage_is_shown(tmp_path: Path) -> None:
    """The stage that started last is the one it is in."""
    run_dir = new_run(tmp_path / "r")
    tell(run_dir, *({"event": "stage_started", "attempt": 1, "stage": name} for name in "ab"))

    assert status(run_dir).stage == "b"


def test_garbage_costs_only_itself(tmp_path: Path) -> None:
    """Torn lines, garbage and unreadable checkpoints make the answer poorer, never an error."""
    run_dir = trained_run(tmp_path / "r")
    with run_dir.journal.open("ab") as file:
        file.write(b'\xff\xfe\n[]\n{"event":["x"],"attempt":{}}\n{"torn')
    run_dir.metrics.write_bytes(b'{"step":"x"}\n{"st')
    (run_dir.checkpoints / "000000020" / "manifest.json").chmod(0o644)
    (run_dir.checkpoints / "000000020" / "manifest.json").write_bytes(b"{")
    run_dir.lock.write_bytes(b"\x00garbage")
    run_dir.heartbeat.write_bytes(b"short")

    found = status(run_dir)

    assert (found.state, found.bad_line_count) == ("finished", 3)
    assert [each.step for each in found.checkpoints] == [10, 30]


def test_no_run_is_not_found(tmp_path: Path) -> None:
    """The error says which file makes a run."""
    with pytest.raises(NotFoundError, match=r"run\.json"):
        status(tmp_path)


def test_a_supervised_command_is_a_run_at_once(tmp_path: Path) -> None:
    """Before anybody wrote `run.json`, the supervisor's journal is enough."""
    run_dir = RunDir(tmp_path)
    started = {"event": "supervisor_started", "command": ["sleep", "9"]}
    launched = {"event": "launched", "attempt": 1, "pid": 5}
    tell(run_dir, started, launched)
    with lock.take(run_dir.supervisor_lock):
        found = status(open_run_dir(tmp_path))

    assert found.state == "running"
    assert found.identity.command == ["sleep", "9"]
    assert found.identity.created_at == "2023-11-14T22:13:20.000Z"


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """A run of a later version is not guessed at."""
    run_dir = new_run(tmp_path / "r", format=2)

    with pytest.raises(FormatError):
        status(run_dir)


def test_a_damaged_identity_is_corrupt(tmp_path: Path) -> None:
    """A run without a readable identity is an error, not a new run."""
    (tmp_path / "run.json").write_text("{")

    with pytest.raises(CorruptError):
        status(RunDir(tmp_path))


def test_reading_writes_nothing(tmp_path: Path) -> None:
    """Bytes, names, modes and times are the same afterwards."""
    run_dir = trained_run(tmp_path / "r")
    before = tree_of(tmp_path)
    status(run_dir)

    assert tree_of(tmp_path) == before


def test_metadata_that_cannot_be_read_is_empty(tmp_path: Path) -> None:
    """What is the best does not hang on it."""
    run_dir = trained_run(tmp_path / "r")
    metadata = run_dir.checkpoints / "000000020" / "metadata.json"
    metadata.chmod(0o644)
    for data in (b"{", b"[]"):
        metadata.write_bytes(data)
        found = status(run_dir)
        assert found.best is not None
        assert (found.best.metric, found.best.value) == ("total_profit", 0.0)
        assert metadata_of(found.checkpoints[1]) == {}


def test_a_score_that_is_nan_is_not_best(tmp_path: Path) -> None:
    """Nonsense does not win, even over nothing."""
    run_dir = new_run(tmp_path / "r")
    store = Store(run_dir.checkpoints, best="max:x")
    store.save(1, {"a": {"x": 1}}, about=About(metrics={"x": math.nan}))

    assert status(run_dir).best is None
