"""How a run is doing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evertrain.core import lock
from evertrain.core.disk import Room
from evertrain.core.rundir import RunDir
from evertrain.monitor import disk
from runs import new_run, tell, trained_run

Ask = Callable[..., dict[str, Any]]
Invoke = Callable[..., Any]

ATTEMPT_KEYS = {
    "attempt",
    "pid",
    "host",
    "started_at",
    "ended_at",
    "first_step",
    "last_step",
    "end",
    "why",
    "time",
}


def test_a_finished_run(trading: RunDir, invoke: Invoke) -> None:
    """State and reason first, then the facts, then the attempts."""
    lines = invoke("status", "trading").output.splitlines()

    assert lines[0] == "runs/trading: finished - all steps done"
    assert "  episode     30/30 (100 %)" in lines
    assert lines[-1].split()[-3:] == ["all", "steps", "done"]
    assert not any("at risk" in line for line in lines)
    assert trading.path.is_dir()


def test_as_json(trading: RunDir, ask: Ask) -> None:
    """The state is one word for scripts; every attempt has the full schema."""
    found = ask("status", "trading")

    assert found.keys() == {"schema_version", "run", "attempts", "restarts", "bad_lines"}
    assert found["run"]["state"] == "finished"
    assert [each.keys() for each in found["attempts"]] == [ATTEMPT_KEYS]
    assert found["attempts"][0]["started_at"].endswith("Z")
    assert trading.path.is_dir()


def test_a_running_run_says_what_is_at_risk(place: Path, invoke: Invoke) -> None:
    """Steps and time of work that a crash now would cost."""
    run_dir = trained_run(place / "r", is_finished=False)
    with lock.take(run_dir.lock):
        text = invoke("status", "r").output

    assert text.startswith("r: running - attempt 1, pid ")
    assert "  at risk     0 episodes, " in text


def test_a_crashed_run_says_what_is_to_replay(place: Path, invoke: Invoke) -> None:
    """The steps after the last checkpoint."""
    run_dir = trained_run(place / "r", is_finished=False)
    run_dir.metrics.write_text('{"step":31,"attempt":1,"x":1}\n')

    assert "  to replay   1 episode\n" in invoke("status", "r").output


def test_a_run_that_lost_its_supervisor_is_restarted_by_nobody(place: Path, invoke: Invoke) -> None:
    """Killed in its pause: what to do is said, and no restart that never comes."""
    run_dir = trained_run(place / "r", is_finished=False)
    started = {"event": "supervisor_started", "command": ["python", "train.py"]}
    crashed = {"event": "crashed", "attempt": 1, "summary": "boom"}
    tell(run_dir, started, crashed, {"event": "backoff", "seconds": 300.0})

    text = invoke("status", "r").output
    assert "next restart" not in text
    assert "  advice      nobody restarts it; go on with: evertrain resume r\n" in text

    with lock.take(run_dir.supervisor_lock):
        text = invoke("status", "r").output
    assert "next restart in " in text
    assert "evertrain resume" not in text


@pytest.mark.parametrize(
    ("free", "files", "said"),
    [
        (31 * 10**8, None, "3.1 GB free, next save about 1.2 GB, room for 2"),
        (2 * 10**9, None, "2.0 GB free, next save about 1.2 GB, low: room for 1"),
        (10**9, None, "1.0 GB free, next save about 1.2 GB, low: no room"),
        (10**16, None, "10.0 PB free, next save about 1.2 GB, room for 1000 or more"),
        (10**9, 3, "1.0 GB in 3 files free, next save about 1.2 GB, low: no room"),
    ],
)
def test_how_long_the_disk_will_do(
    place: Path,
    ask: Ask,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    free: int,
    files: int | None,
    said: str,
) -> None:
    """What is free, what the next save takes, and how many fit; a finished run needs none."""
    monkeypatch.setattr(disk, "room_at", lambda _: Room(free, free, 10**17, files))
    run_dir = trained_run(place / "r", is_finished=False)
    tell(run_dir, {"event": "saved", "attempt": 1, "step": 40, "written": 1_200_000_000})

    assert f"  disk        {said}\n" in invoke("status", "r").output
    found = ask("status", "r")["run"]["disk"]
    assert (found["free_bytes"], found["next_save_bytes"]) == (free, 1_200_000_000)
    assert found["is_low"] == ("low" in said)
    trained_run(place / "done")
    assert "free" not in invoke("status", "done").output


def test_a_run_of_an_older_version_says_less(place: Path, ask: Ask) -> None:
    """Where the journal does not say what a save wrote, its own files do."""
    trained_run(place / "r", is_finished=False)

    assert 800 < ask("status", "r")["run"]["disk"]["next_save_bytes"] < 20_000


def test_many_attempts_are_cut(place: Path, invoke: Invoke) -> None:
    """The newest are shown, and that there are more."""
    run_dir = new_run(place / "r")
    tell(run_dir, *({"event": "attempt_started", "attempt": n} for n in range(1, 14)))
    tell(run_dir, {"event": "stage_started", "attempt": 13, "stage": "M4.5"})
    text = invoke("status", "r").output

    assert "the last 10 of 13 attempts:" in text
    assert "  stage       M4.5\n" in text
    assert "  checkpoint  none yet\n" in text


def test_damage_is_told(trading: RunDir, invoke: Invoke) -> None:
    """Skipped journal lines are counted."""
    with trading.journal.open("ab") as file:
        file.write(b"{torn")

    assert "1 line of the journal skipped" in invoke("status", "trading").output


def test_words_from_the_journal_cannot_command_the_terminal(place: Path, invoke: Invoke) -> None:
    """An exception's message may hold anything."""
    run_dir = new_run(place / "r")
    tell(run_dir, {"event": "failed", "attempt": 1, "error": "\x1b]0;evil\x07"})

    assert "\x1b" not in invoke("status", "r").output


def test_what_is_not_there(invoke: Invoke, place: Path) -> None:
    """A missing run is 10, a newer one 78, a damaged one 12."""
    invoke("status", "nope", code=10)
    new_run(place / "future", format=9)
    invoke("status", "future", code=78)
    (place / "bad").mkdir()
    (place / "bad" / "run.json").write_text("{")
    invoke("status", "bad", code=12)
