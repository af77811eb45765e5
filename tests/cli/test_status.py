"""How a run is doing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from evertrain.core import lock
from evertrain.core.rundir import RunDir
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

    assert found.keys() == {"schema_version", "run", "attempts", "bad_lines"}
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
