"""`evertrain.supervise.diagnosis.collect`: what a run directory knows of a death."""

from pathlib import Path
from typing import Any

from evertrain.core.heartbeat import Heart
from evertrain.core.journal import Journal, append_lines
from evertrain.core.rundir import RunDir, new_identity, write_identity
from evertrain.supervise.attempt import Outcome
from evertrain.supervise.cause import Tail
from evertrain.supervise.diagnosis.collect import collect
from evertrain.supervise.diagnosis.facts import Facts
from evertrain.supervise.diagnosis.memory import Kills
from evertrain.supervise.history import Story


def facts_of(run_dir: RunDir, story: Story, **outcome: Any) -> Facts:
    """Return what is known of the second attempt."""
    about = {"code": 1, "seconds": 3.0, "stop_requested": False, **outcome}
    return collect(
        run_dir,
        2,
        Outcome(**about),
        story=story,
        tail=Tail(),
        kills=Kills(),
        step=7,
        command=["train.py", "--lr", "0.1"],
        now_s=0.0,
    )


def test_everything_is_looked_at(tmp_path: Path) -> None:
    """Settings, phase, the last save's error, and metrics that are not finite."""
    run_dir = RunDir(tmp_path)
    write_identity(run_dir, new_identity(config={"env": {"num_envs": 16}}))
    Journal(run_dir.journal).record("save_failed", attempt=2, step=7, error="no room")
    rows: list[dict[str, Any]] = [
        {"step": 6, "attempt": 2, "loss": float("nan")},
        {"step": 7, "attempt": 2, "loss": float("inf"), "name": "NaNny", "good": 1.0},
    ]
    append_lines(run_dir.metrics, rows, sync=False)
    with Heart(run_dir.heartbeat, pid=1) as heart:
        heart.beat(7, "eval")
    found = facts_of(run_dir, Story(is_run=True))
    assert found.knobs == {"num_envs": 16, "lr": "0.1"}
    assert (found.phase, found.step, found.save_error) == ("eval", 7, "no room")
    assert found.not_finite == ("loss",)
    assert found.room is not None


def test_what_is_not_its_own_is_left_out(tmp_path: Path) -> None:
    """An older attempt's metrics and failed saves, a later success, and a foreign command."""
    run_dir = RunDir(tmp_path)
    journal = Journal(run_dir.journal)
    journal.record("save_failed", attempt=1, step=7, error="no room")
    append_lines(run_dir.metrics, [{"step": 6, "attempt": 1, "loss": "NaN"}], sync=False)
    found = facts_of(run_dir, Story(is_run=True))
    assert (found.not_finite, found.save_error, found.knobs["lr"]) == ((), None, "0.1")
    journal.record("save_failed", attempt=2, step=7, error="no room")
    journal.record("saved", attempt=2, step=8)
    assert facts_of(run_dir, Story()).save_error is None
    assert facts_of(run_dir, Story()).phase == ""


def test_a_strangers_sigterm_is_told_from_a_wish(tmp_path: Path) -> None:
    """The run names the signal; whether the supervisor sent it, that knows itself."""
    story = Story(is_run=True, stopped_by="SIGTERM")
    assert facts_of(RunDir(tmp_path), story).was_terminated
    assert not facts_of(RunDir(tmp_path), story, stop_requested=True).was_terminated
    asked = Story(is_run=True, stopped_by="evertrain stop")
    assert not facts_of(RunDir(tmp_path), asked).was_terminated
